"""Reads all of a database through Chroma, in a process of its own: broken files can end it.

`python -m reidsearch.store.probe FOLDER` prints one JSON document, see `Probe`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from reidsearch.errors import StoreError
from reidsearch.provenance import Provenance

_WAIT_S = 3600


@dataclass(frozen=True, slots=True)
class Probe:
    """What Chroma has.

    Attributes:
        rows: all that are in the collection.
        provenance: of the database.
        damaged: camera and name of a source, and its frames whose rows are not what was stored.
    """

    rows: int
    provenance: Provenance
    damaged: list[tuple[str, str, list[int]]]


def probe(folder: Path) -> Probe:
    """Read all rows of a database, and compare them with the journal's checksums.

    Raises:
        StoreError: Chroma does not open, does not answer, or ends its process.
    """
    command = [sys.executable, "-m", "reidsearch.store.probe", str(folder.resolve())]
    try:
        done = subprocess.run(  # noqa: S603  # this very module
            command, capture_output=True, text=True, timeout=_WAIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise StoreError("it does not answer") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise StoreError(f"it does not open: {last}")
    fields = json.loads(done.stdout)
    return Probe(**fields | {"provenance": Provenance(**fields["provenance"])})


def _read(folder: Path) -> Probe:
    import numpy as np

    from reidsearch.store.chroma_store import open_chroma
    from reidsearch.types import Filter

    with open_chroma(folder) as store:
        nowhere = np.zeros((1, store.provenance.dimension), np.float32)
        store.query([nowhere], Filter(), 1)  # a broken graph ends the process here
        damaged = []
        for record in store.sources():
            wrong = [n for some in store.check(record, record.frames) for n in some.wrong]
            if wrong:
                damaged.append((*record.info.key, wrong))
        return Probe(store.rows, store.provenance, damaged)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_read(Path(sys.argv[1])))))
