"""What the index knows of sources and models, to rebuild a lost ledger.

Searches do not read it, as they have the ledger. It is written when a source is added or changes.
"""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from reidsearch.core.files import atomic_write
from reidsearch.core.provenance import Provenance, SourceRecord
from reidsearch.database.index_files import DamagedIndexError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SOURCES_FILE = "sources.json"
_FORMAT = 1


@dataclass(frozen=True)
class IndexSources:
    """Whose rows an index has.

    Attributes:
        files: names of the index's files.
        provenance: the database's.
        sources: by their numbers; without counts of frames.
    """

    files: tuple[str, ...]
    provenance: Provenance
    sources: Mapping[int, SourceRecord]

    def to_text(self) -> str:
        """Write as JSON, with a checksum behind it."""
        fields = {
            "format": _FORMAT,
            "files": self.files,
            "provenance": asdict(self.provenance),
            "sources": {number: source.to_fields() for number, source in self.sources.items()},
        }
        text = json.dumps(fields)
        return f"{text}\n{zlib.crc32(text.encode()):08x}"

    @classmethod
    def from_text(cls, text: str) -> IndexSources:
        """Read what `to_text` wrote; ValueError where it is not that."""
        text, _, crc32 = text.rpartition("\n")
        if zlib.crc32(text.encode()) != int(crc32, 16):
            raise ValueError("its checksum is wrong")
        fields = json.loads(text)
        if fields["format"] != _FORMAT:
            raise ValueError("it is of another version")
        return cls(
            tuple(map(str, fields["files"])),
            Provenance(**fields["provenance"]),
            {
                int(number): SourceRecord.from_fields(source)
                for number, source in fields["sources"].items()
            },
        )


def write_sources(folder: Path, sources: IndexSources) -> None:
    """Write it where it is not there already; raises OSError."""
    path, text = folder / SOURCES_FILE, sources.to_text()
    if path.is_file() and path.read_bytes() == text.encode():
        return
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def read_sources(folder: Path) -> IndexSources:
    """Read it.

    Raises:
        DamagedIndexError: it is missing or damaged.
    """
    path = folder / SOURCES_FILE
    try:
        return IndexSources.from_text(path.read_text("utf-8"))
    except FileNotFoundError:
        raise DamagedIndexError(f"{path.name} is missing") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedIndexError(f"{path.name} cannot be read: {error}") from error
