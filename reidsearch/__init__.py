"""reidsearch: a search engine for people in footage.

from reidsearch import open_gallery

with open_gallery("db", write=True) as gallery:
    gallery.ingest("frames/")
    for match in gallery.search(frame="frames:1", person=1).matches:
        print(match.rank, match.distance, match.detection.id)
"""

from typing import TYPE_CHECKING, Any

from reidsearch._version import __version__ as __version__

if TYPE_CHECKING:
    from reidsearch.core.errors import ReidsearchError
    from reidsearch.footage import SourceOptions, open_source
    from reidsearch.services.gallery import Gallery, open_gallery

__all__ = ["Gallery", "ReidsearchError", "SourceOptions", "open_gallery", "open_source"]

_HOMES = {
    "Gallery": "reidsearch.services.gallery",
    "open_gallery": "reidsearch.services.gallery",
    "ReidsearchError": "reidsearch.core.errors",
    "SourceOptions": "reidsearch.footage",
    "open_source": "reidsearch.footage",
}


def __getattr__(name: str) -> Any:
    """Import the public names when first used, so that `import reidsearch` costs nothing."""
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
