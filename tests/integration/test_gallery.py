"""The Python API, where the commands do not reach."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from reidsearch import open_gallery
from reidsearch.core.errors import ModelError, StoreError, UsageError
from tests.conftest import PEOPLE


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


def test_errors_of_the_callers_own_are_left_alone(made_db: Path) -> None:
    with pytest.raises(ValueError, match="invalid literal"), open_gallery(made_db):
        int("x")


def test_weights_that_were_never_fetched_are_not_other_weights(own_db: Path, sample: Path) -> None:
    with sqlite3.connect(own_db / "chroma.sqlite3") as database:
        database.execute(
            "UPDATE collection_metadata SET str_value = ? WHERE key = 'embedder'",
            ("osnet_ain_x1_0.ms_d_c",),
        )
    database.close()
    shutil.rmtree(own_db / "index")  # it remembers the models too
    with (
        pytest.raises(ModelError, match="not on this machine") as caught,
        open_gallery(own_db) as gallery,
    ):
        gallery.search(sample / "frame_0001.jpg")
    assert "models download osnet_ain_x1_0.ms_d_c" in caught.value.hint


def test_database_that_did_not_open_opens_once_it_is_whole_again(own_db: Path) -> None:
    path = own_db / "chroma.sqlite3"
    whole = path.read_bytes()
    path.write_bytes(b"not sqlite" * 500)
    with pytest.raises(StoreError, match="not a database"), open_gallery(own_db, write=True):
        pass
    path.write_bytes(whole)
    with open_gallery(own_db, write=True) as gallery:
        assert len(gallery.store) == PEOPLE
