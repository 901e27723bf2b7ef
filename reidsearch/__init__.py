"""reidsearch: a search engine for people in footage.

```python
from reidsearch import open_database

database = open_database("db")
database.ingest("frames/")
with database.read() as gallery:
    query = gallery.find_query(frame="frames:1", person=1)
    for match in gallery.search(query).matches:
        print(match.rank, match.distance, match.detection.id)
```
"""

from typing import TYPE_CHECKING, Any

from reidsearch._version import __version__ as __version__

if TYPE_CHECKING:
    from reidsearch.core.errors import ReidsearchError, SeveralPeopleError
    from reidsearch.footage import SourceOptions, open_source
    from reidsearch.models.pair import ModelChoice
    from reidsearch.search.grouping import Grouping
    from reidsearch.services.database import Database, open_database
    from reidsearch.services.gallery import Gallery
    from reidsearch.services.ingest import DetectionOptions

__all__ = [
    "Database",
    "DetectionOptions",
    "Gallery",
    "Grouping",
    "ModelChoice",
    "ReidsearchError",
    "SeveralPeopleError",
    "SourceOptions",
    "open_database",
    "open_source",
]

_HOMES = {
    "Database": "reidsearch.services.database",
    "DetectionOptions": "reidsearch.services.ingest",
    "Gallery": "reidsearch.services.gallery",
    "Grouping": "reidsearch.search.grouping",
    "ModelChoice": "reidsearch.models.pair",
    "ReidsearchError": "reidsearch.core.errors",
    "SeveralPeopleError": "reidsearch.core.errors",
    "SourceOptions": "reidsearch.footage",
    "open_database": "reidsearch.services.database",
    "open_source": "reidsearch.footage",
}


def __getattr__(name: str) -> Any:
    """Import the public names when first used, so that `import reidsearch` costs nothing."""
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
