"""The Python API, where the commands do not reach."""

from pathlib import Path

import pytest

from reidsearch import open_gallery
from reidsearch.errors import StoreError, UsageError


def test_gallery_opened_to_read_does_not_ingest(own_db: Path, sample: Path) -> None:
    with open_gallery(own_db) as gallery, pytest.raises(StoreError, match="opened to read"):
        gallery.ingest(sample)


def test_two_may_read_at_once(made_db: Path) -> None:
    with open_gallery(made_db) as one, open_gallery(made_db) as other:
        query = {"frame": "pets09-s2l1:1", "person": 1}
        assert one.search(**query).matches == other.search(**query).matches


@pytest.mark.parametrize(
    "options", [{"min_score": 7.0}, {"min_height_px": -4}, {"tiles": "many"}], ids=str
)
def test_options_that_make_no_sense(
    tmp_path: Path, sample: Path, options: dict[str, float]
) -> None:
    with pytest.raises(UsageError), open_gallery(tmp_path, write=True, **options) as gallery:
        gallery.ingest(sample)
