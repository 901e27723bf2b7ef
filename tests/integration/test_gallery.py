"""The Python API, where the commands do not reach."""

from dataclasses import replace
from pathlib import Path

import pytest

from reidsearch import DetectionOptions, open_database
from reidsearch.core.errors import ModelError, StoreError, UsageError
from reidsearch.database.ledger_schema import connected, provenance_of, write_provenance
from reidsearch.models.catalog import find_embedder
from reidsearch.services.erase import choose_crops
from tests.conftest import PEOPLE


def test_two_may_read_at_once(made_db: Path) -> None:
    database = open_database(made_db)
    with database.read() as one, database.read() as other:
        query = one.find_query(frame="pets09-s2l1:1", person=1)
        assert one.search(query).matches == other.search(query).matches


@pytest.mark.parametrize(
    "options", [{"min_score": 7.0}, {"min_height_px": -4}, {"tiles": "many"}], ids=str
)
def test_options_that_make_no_sense(
    tmp_path: Path, sample: Path, options: dict[str, float]
) -> None:
    with pytest.raises(UsageError):
        open_database(tmp_path).ingest(sample, options=DetectionOptions(**options))


def test_errors_of_the_callers_own_are_left_alone(made_db: Path) -> None:
    with pytest.raises(ValueError, match="invalid literal"), open_database(made_db).read():
        int("x")


def test_weights_that_were_never_fetched_are_not_other_weights(own_db: Path, sample: Path) -> None:
    with connected(own_db) as ledger, ledger:
        card = find_embedder("osnet_ain_x1_0.ms_d_c")
        models = {"embedder": card.name, "fingerprint": card.fingerprint}
        write_provenance(ledger, replace(provenance_of(ledger), **models))
    with (
        pytest.raises(ModelError, match="not on this machine") as caught,
        open_database(own_db).read() as gallery,
    ):
        gallery.find_query(sample / "frame_0001.jpg", box_xyxy=(250, 218, 283, 309))
    assert "models download osnet_ain_x1_0.ms_d_c" in caught.value.hint


def test_database_that_did_not_open_opens_once_it_is_whole_again(own_db: Path) -> None:
    path = own_db / "chroma.sqlite3"
    whole = path.read_bytes()
    path.write_bytes(b"not sqlite" * 500)
    with pytest.raises(StoreError, match="not a database"), open_database(own_db).write():
        pass
    path.write_bytes(whole)
    with open_database(own_db).write() as ingest:
        assert len(ingest.store) == PEOPLE


def test_the_caller_says_who_asks(own_db: Path) -> None:
    database = open_database(own_db, actor="nina")
    with database.read() as gallery:
        result = gallery.search(gallery.find_query(frame="pets09-s2l1:1"))
        database.erase(choose_crops(gallery, [result.matches[0].detection.id]))
    search, erasure = database.audit(last=2)
    assert (search.action, search.actor, erasure.action) == ("search", "nina", "erase")
    assert search.asked_id == "pets09-s2l1/pets09-s2l1:1:1"
    assert search.shown_ids[0] == erasure.shown_ids[0] == "erased"
