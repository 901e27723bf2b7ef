import json
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidsearch.database.index_files import DamagedIndexError
from reidsearch.database.index_sources import IndexSources, write_sources
from reidsearch.database.index_store import read_index_alone
from tests.fuzz.mutations import others_than
from tests.unit.builders import PROVENANCE, make_info, make_source_record

NAMES = tuple(f"{kind}-0123abcd" for kind in ("vectors", "rows", "frames", "paths"))


@pytest.fixture(scope="module")
def index(folder):
    """A small index, and what it knows of sources."""
    for name in NAMES:
        (folder / name).write_bytes(b"")
    write_sources(folder, IndexSources(NAMES, PROVENANCE, {1: make_source_record(make_info())}))
    assert [source.info.name for source in read_index_alone(folder).sources()] == ["monday"]
    return folder, json.loads((folder / "sources.json").read_text().rpartition("\n")[0])


@given(data=st.data())
def test_any_description_of_an_index_is_read_or_damaged(index, data):
    folder, fields = index
    text = json.dumps(data.draw(others_than(fields)))
    (folder / "sources.json").write_text(f"{text}\n{zlib.crc32(text.encode()):08x}")
    with suppress(DamagedIndexError):
        read_index_alone(folder)
