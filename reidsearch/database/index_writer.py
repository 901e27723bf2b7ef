"""Adding to the exact index; the ledger then says that it counts."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.database.index_files import (
    FRAME,
    ROW,
    CheckedFile,
    DamagedIndexError,
    IndexFiles,
    Manifest,
    extend,
    new_manifest,
    pack_path,
)
from reidsearch.database.index_sources import SOURCES_FILE, IndexSources, write_sources

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from reidsearch.core.provenance import Provenance, SourceRecord
    from reidsearch.core.types import Records, StoredFrame


class IndexWriter:
    """The index of a database that is being written; no other process writes it meanwhile.

    What is written counts once the ledger has the manifest of it, and then `adopt` takes it over.

    Attributes:
        manifest: which part counts; None where there is no index.
        problem: why the index cannot be kept, or empty; stored rows are not affected.
    """

    def __init__(self, folder: Path, manifest: Manifest | None, provenance: Provenance) -> None:
        self.problem = ""
        self._folder = folder
        self._provenance = provenance
        self._last: tuple[Manifest | None, dict[str, int]] = (None, {})  # and where its paths are
        self.manifest = manifest if manifest and self._is_worth_keeping(manifest) else None

    def _is_worth_keeping(self, manifest: Manifest) -> bool:
        """Whether all files are there, and not most of what they have is of frames dropped."""
        try:
            files = IndexFiles(self._folder, manifest, self._provenance.dimension)
        except DamagedIndexError:
            return False
        return 2 * len(manifest.dropped) <= len(files.frames)

    def new_manifest(self) -> Manifest | None:
        """An empty index in files of its own."""
        return None if self.problem else new_manifest()

    def append(
        self,
        manifest: Manifest | None,
        source: int,
        frames: Sequence[StoredFrame],
        records: Records,
        sums: Mapping[int, tuple[int, int]],
    ) -> Manifest | None:
        """Write frames of one source, and their rows, behind what there is.

        Args:
            manifest: what there is.
            source: its number in the ledger.
            frames: ascending.
            records: their rows.
            sums: see `checksum_rows`.

        Returns:
            What there is then; None where it cannot be written.
        """
        if manifest is None or self.problem:
            return None
        places = [(detection.frame, detection.index) for detection in records.detections]
        order = sorted(range(len(records)), key=places.__getitem__)
        rows = np.empty(len(order), ROW)
        for row, place in zip(rows, order, strict=True):
            detection = records.detections[place]
            row["box_xyxy"], row["score"] = detection.box_xyxy, detection.score
            row["person"], row["crop_hash"] = detection.index, detection.crop_hash.encode()
        table, paths = np.empty(len(frames), FRAME), bytearray()
        before = self._last[1] if manifest is self._last[0] else {}
        known: dict[str, int] = {}
        first = manifest.rows.size // ROW.itemsize
        for row, frame in zip(table, frames, strict=True):
            detections, crc32 = sums[frame.number]
            at = before.get(frame.path, known.get(frame.path))
            if at is None:
                at = manifest.paths.size + len(paths)
                paths += pack_path(frame.path)
            known[frame.path] = at
            row["source"], row["number"], row["time_s"] = source, frame.number, frame.time_s
            row["detections"], row["row"], row["path"], row["crc32"] = detections, first, at, crc32
            first += detections
        with self._disabling_on_error():
            self._folder.mkdir(exist_ok=True)
            vectors = records.embeddings.vectors[order].astype("<f2")
            made = replace(
                manifest,
                vectors=extend(self._folder, manifest.vectors, vectors.tobytes()),
                rows=extend(self._folder, manifest.rows, rows.tobytes()),
                frames=extend(self._folder, manifest.frames, table.tobytes()),
                paths=extend(self._folder, manifest.paths, bytes(paths)),
            )
            self._last = made, known
            return made
        return None

    def drop(self, source: int, numbers: Collection[int]) -> Manifest | None:
        """Say that frames count no more; None where there is no index.

        Their rows stay in the files until the index is rebuilt.
        """
        if self.manifest is None or self.problem:
            return None
        with self._disabling_on_error():
            frames = CheckedFile(self._folder, self.manifest.frames, FRAME)[:]
            is_gone = (frames["source"] == source) & np.isin(frames["number"], [*numbers])
            is_gone[[*self.manifest.dropped]] = False
            dropped = np.flatnonzero(is_gone).tolist()
            return replace(self.manifest, dropped=(*self.manifest.dropped, *dropped))
        return None

    def describe(self, sources: Mapping[int, SourceRecord], manifest: Manifest | None) -> None:
        """Keep with the files what is to be known of their sources; see `index_sources`."""
        if manifest is not None:
            with self._disabling_on_error():
                self._folder.mkdir(exist_ok=True)
                names = tuple(part.name for part in manifest.parts)
                write_sources(self._folder, IndexSources(names, self._provenance, sources))

    def adopt(self, manifest: Manifest | None) -> None:
        """Go on from what the ledger says now, and remove the files of other indexes."""
        before, self.manifest = self.manifest, manifest
        ours = {part.name for part in manifest.parts} if manifest else set()
        if not before or ours != {part.name for part in before.parts}:
            for path in self._folder.glob("*"):
                if path.name not in {*ours, SOURCES_FILE}:
                    with suppress(OSError):
                        path.unlink()

    @contextmanager
    def _disabling_on_error(self) -> Iterator[None]:
        """Do without an index where it cannot be written: the database itself is."""
        try:
            yield
        except OSError as error:
            self.problem = f"cannot write {self._folder}: {error.strerror}"
        except DamagedIndexError as error:
            self.problem = f"the exact index of {self._folder.parent} is damaged: {error}"
