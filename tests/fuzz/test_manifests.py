import json
import zlib
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidsearch.database.index_file import (
    DamagedIndexError,
    append,
    new_manifest,
    read_manifest,
    write_manifest,
)
from tests.fuzz.mutations import others_than
from tests.unit.builders import (
    PROVENANCE,
    make_info,
    make_records,
    make_sighting,
    make_source_record,
)

INFO = make_info()


@pytest.fixture(scope="module")
def index(folder):
    """A small index, and what its manifest says."""
    records = make_records([make_sighting(INFO, 1), make_sighting(INFO, 2)], (0, 90))
    sources = (make_source_record(INFO, (1, 2), 2),)
    manifest = replace(new_manifest("collection", PROVENANCE), sources=sources)
    write_manifest(folder, append(folder, manifest, records))
    read_manifest(folder)
    return folder, json.loads((folder / "manifest.json").read_text().rpartition("\n")[0])


@given(data=st.data())
def test_any_manifest_is_read_or_damaged(index, data):
    folder, document = index
    text = json.dumps(data.draw(others_than(document)))
    (folder / "manifest.json").write_text(f"{text}\n{zlib.crc32(text.encode()):08x}")
    with suppress(DamagedIndexError):
        read_manifest(folder)
