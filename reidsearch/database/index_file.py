"""The files of an exact index: vectors and rows in the order of footage, only ever appended to.

`manifest.json` says which part of which files counts, and is replaced as a whole; what lies behind
that part was being written when a process ended, and is overwritten. So a reader sees one state,
whatever a writer does meanwhile, and a crash leaves the state before it.

Vectors are float16, as the database rounds them before it stores them anywhere: half the size, and
the same numbers.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import zlib
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from dataclasses import fields as fields_of
from operator import eq
from typing import TYPE_CHECKING, Any

import numpy as np

from reidsearch.core.files import atomic_write
from reidsearch.core.ids import CropId
from reidsearch.core.provenance import Provenance, SourceRecord
from reidsearch.core.types import StoredDetection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence, Set
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.core.types import Records

FOLDER = "index"
_MANIFEST = "manifest.json"
_FORMAT = 1
_PIECE_BYTES = 1 << 24
_ROWS_AT_ONCE = 50_000

ROW = np.dtype(
    [
        ("frame", "<i8"),
        ("time_s", "<f8"),
        ("box_xyxy", "<f8", 4),
        ("score", "<f8"),
        ("path_at", "<i8"),
        ("path_bytes", "<i4"),
        ("person", "<i4"),
        ("crop_hash", "S16"),
    ]
)


class DamagedIndexError(Exception):
    """The index is missing, or not what was written; it has to be made again."""


@dataclass(frozen=True, slots=True)
class Part:
    """The beginning of a file that counts.

    Attributes:
        name: in the index's folder.
        size: how many bytes of it count.
        crc32: of them.
        mtime_ns: of the file when that was so: read and compared again only when it has changed.
    """

    name: str
    size: int = 0
    crc32: int = 0
    mtime_ns: int = 0


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows `start` to `stop`, without that, of one source, by frame and person.

    Attributes:
        source: place in the manifest's sources.
    """

    source: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an index holds.

    Attributes:
        collection: id of the Chroma collection that it was made from.
        generation: of that collection when it was written; see `ChromaStore`.
        provenance: the database's.
        sources: the database's, in the order in which they came.
        rows: how many there are.
        segments: whose they are, in their order.
        vectors, table, paths: the files.
    """

    collection: str
    generation: int
    provenance: Provenance
    vectors: Part
    table: Part
    paths: Part
    sources: tuple[SourceRecord, ...] = ()
    rows: int = 0
    segments: tuple[Segment, ...] = ()
    format: int = _FORMAT


def new_manifest(collection: str, provenance: Provenance) -> Manifest:
    """An empty index in files of its own, so that readers of another keep theirs."""
    token = secrets.token_hex(4)
    vectors, table, paths = (Part(f"{name}-{token}") for name in ("vectors", "table", "paths"))
    return Manifest(collection, 0, provenance, vectors, table, paths)


def read_manifest(folder: Path, *, is_thorough: bool = False) -> Manifest:
    """Read what an index holds, and check that its files are as they were written.

    Args:
        folder: of the index.
        is_thorough: read files again even when they do not seem to have changed.

    Raises:
        DamagedIndexError: there is none, or it is damaged.
    """
    try:
        text, _, crc32 = (folder / _MANIFEST).read_text("utf-8").rpartition("\n")
        if zlib.crc32(text.encode()) != int(crc32, 16):
            raise DamagedIndexError("its manifest is damaged")
        fields = json.loads(text)
        if fields["format"] != _FORMAT:
            raise DamagedIndexError("it is of another version")
        manifest = Manifest(
            **fields
            | {"provenance": Provenance(**fields["provenance"])}
            | {"sources": tuple(map(SourceRecord.from_json, fields["sources"]))}
            | {"segments": tuple(Segment(*row) for row in fields["segments"])}
            | {name: Part(**fields[name]) for name in ("vectors", "table", "paths")}
        )
        _require_consistent(manifest)
    except FileNotFoundError:
        raise DamagedIndexError("it is missing") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedIndexError(f"its manifest cannot be read: {error}") from error
    for part in (manifest.vectors, manifest.table, manifest.paths):
        _check(folder / part.name, part, is_thorough=is_thorough)
    return manifest


def _require_consistent(manifest: Manifest) -> None:
    """Raise ValueError unless files and rows fit together: somebody else may have written it."""
    rows, stops = manifest.rows, [0, *(segment.stop for segment in manifest.segments)]
    sizes = {
        "vectors": 2 * rows * manifest.provenance.dimension,
        "table": rows * ROW.itemsize,
        "paths": manifest.paths.size,
    }
    fits = (
        stops[-1] == rows
        and all(map(eq, stops, (segment.start for segment in manifest.segments)))
        and all(s.start < s.stop for s in manifest.segments)
        and all(0 <= s.source < len(manifest.sources) for s in manifest.segments)
    )
    for name, size in sizes.items():
        part = getattr(manifest, name)
        fits = (
            fits and part.size == size >= 0 and bool(re.fullmatch(f"{name}-[0-9a-f]+", part.name))
        )
    if not fits:
        raise ValueError("its parts do not fit together")


def restamp(folder: Path) -> None:
    """Remember an index that was copied as one that was read and found whole.

    Raises:
        DamagedIndexError: it is not whole.
    """
    manifest = read_manifest(folder)
    parts = {
        name: replace(part, mtime_ns=path.stat().st_mtime_ns if path.exists() else 0)
        for name in ("vectors", "table", "paths")
        for part in [getattr(manifest, name)]
        for path in [folder / part.name]
    }
    write_manifest(folder, replace(manifest, **parts))


def append(folder: Path, manifest: Manifest, records: Records) -> Manifest:
    """Write rows of one source behind those that count; nothing counts before `write_manifest`.

    Args:
        folder: of the index.
        manifest: what it holds.
        records: all of one of the manifest's sources, and of frames that it does not have.

    Returns:
        What it holds then.

    Raises:
        OSError: the disk is full, or may not be written.
    """
    if not len(records):
        return manifest
    places = [(sighting.frame, sighting.index) for sighting in records.detections]
    order = sorted(range(len(records)), key=places.__getitem__)
    sightings = [records.detections[row] for row in order]
    table = np.empty(len(sightings), ROW)
    paths = bytearray()
    known: dict[str, tuple[int, int]] = {}
    for row, sighting in zip(table, sightings, strict=True):
        if sighting.path not in known:
            text = sighting.path.encode()
            known[sighting.path] = manifest.paths.size + len(paths), len(text)
            paths += text
        row["path_at"], row["path_bytes"] = known[sighting.path]
        row["frame"], row["person"] = sighting.frame, sighting.index
        row["time_s"], row["box_xyxy"] = sighting.time_s, sighting.box_xyxy
        row["score"], row["crop_hash"] = sighting.score, sighting.crop_hash.encode()
    vectors = records.embeddings.vectors[order].astype(np.float16)
    key = sightings[0].camera, sightings[0].source
    source = next(i for i, record in enumerate(manifest.sources) if record.info.key == key)
    return replace(
        manifest,
        vectors=_extend(folder, manifest.vectors, vectors.tobytes()),
        table=_extend(folder, manifest.table, table.tobytes()),
        paths=_extend(folder, manifest.paths, bytes(paths)),
        rows=manifest.rows + len(sightings),
        segments=_grow(manifest, folder, source, int(table["frame"][0]), len(sightings)),
    )


def without(folder: Path, manifest: Manifest, gone: Mapping[tuple[str, str], Set[int]]) -> Manifest:
    """Write rows into new files, but those of some frames; see `append`.

    Args:
        folder: of the index.
        manifest: what it holds.
        gone: frames of each source, by camera and name.

    Raises:
        OSError: the disk is full, or may not be written.
    """
    table, vectors = map_table(folder, manifest), map_vectors(folder, manifest)
    kept = np.ones(len(table), np.bool_)
    segments: list[Segment] = []
    rows = 0
    for segment in manifest.segments:
        own = slice(segment.start, segment.stop)
        frames = gone.get(manifest.sources[segment.source].info.key, frozenset())
        kept[own] = ~np.isin(table["frame"][own], [*frames])
        left = int(kept[own].sum())
        if left:
            segments.append(Segment(segment.source, rows, rows + left))
        rows += left
    made = new_manifest(manifest.collection, manifest.provenance)
    new_vectors = made.vectors
    for start in range(0, len(table), _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        new_vectors = _extend(folder, new_vectors, vectors[some][kept[some]].tobytes())
    return replace(
        made,
        sources=manifest.sources,
        rows=rows,
        segments=tuple(segments),
        vectors=new_vectors,
        table=_extend(folder, made.table, table[kept].tobytes()),
        paths=_extend(folder, made.paths, map_paths(folder, manifest).tobytes()),
    )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Let what was written count, and remove the files of other indexes; raises OSError."""
    fields: dict[str, Any] = {f.name: getattr(manifest, f.name) for f in fields_of(manifest)}
    fields["provenance"] = asdict(manifest.provenance)
    fields["sources"] = [record.to_json() for record in manifest.sources]
    fields["segments"] = [[s.source, s.start, s.stop] for s in manifest.segments]
    fields |= {name: asdict(getattr(manifest, name)) for name in ("vectors", "table", "paths")}
    text = json.dumps(fields)
    with atomic_write(folder / _MANIFEST) as partial, partial.open("w", encoding="utf-8") as file:
        file.write(f"{text}\n{zlib.crc32(text.encode()):08x}")
        file.flush()
        os.fsync(file.fileno())
    ours = {_MANIFEST, manifest.vectors.name, manifest.table.name, manifest.paths.name}
    for path in folder.iterdir():
        if path.name not in ours:
            path.unlink(missing_ok=True)


def remove_manifest(folder: Path) -> None:
    """Let nothing count."""
    with suppress(OSError):
        (folder / _MANIFEST).unlink()


def map_vectors(folder: Path, manifest: Manifest) -> NDArray[np.float16]:
    """`(N, D)`, read from disk when looked at."""
    shape = manifest.rows, manifest.provenance.dimension
    return _map(folder / manifest.vectors.name, np.dtype("<f2"), shape)


def map_table(folder: Path, manifest: Manifest) -> NDArray[Any]:
    """`(N,)` of `ROW`, read from disk when looked at."""
    return _map(folder / manifest.table.name, ROW, (manifest.rows,))


def map_paths(folder: Path, manifest: Manifest) -> NDArray[Any]:
    """The bytes that `path_at` and `path_bytes` point into."""
    return _map(folder / manifest.paths.name, np.dtype("u1"), (manifest.paths.size,))


def sightings_of(
    table: NDArray[Any], paths: NDArray[Any], record: SourceRecord
) -> Iterable[StoredDetection]:
    """Read rows of one source.

    Args:
        table: some rows.
        paths: see `map_paths`.
        record: the source.
    """
    info = record.info
    names: dict[tuple[int, int], str] = {}
    for frame, time_s, box, score, at, length, person, crop_hash in table.tolist():
        if (at, length) not in names:
            names[at, length] = paths[at : at + length].tobytes().decode(errors="replace")
        yield StoredDetection(
            id=str(CropId(*info.key, frame, person)),
            camera=info.camera,
            source=info.name,
            frame=frame,
            time_s=time_s,
            box_xyxy=tuple(box.tolist()),  # an array of its own
            score=score,
            path=names[at, length],
            crop_hash=crop_hash.decode(errors="replace"),
        )


def _grow(
    manifest: Manifest, folder: Path, source: int, first_frame: int, rows: int
) -> tuple[Segment, ...]:
    """Lengthen the last segment where rows go on in it, or add one."""
    segments, start = manifest.segments, manifest.rows
    if segments and segments[-1].source == source:
        last = map_table(folder, manifest)[-1]["frame"]
        if last < first_frame:
            return (*segments[:-1], replace(segments[-1], stop=start + rows))
    return (*segments, Segment(source, start, start + rows))


def _extend(folder: Path, part: Part, data: bytes) -> Part:
    path = folder / part.name
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.truncate(part.size)
        file.seek(part.size)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # it has to be there before the manifest says so
    stamp = path.stat().st_mtime_ns
    return Part(part.name, part.size + len(data), zlib.crc32(data, part.crc32), stamp)


def _check(path: Path, part: Part, *, is_thorough: bool) -> None:
    try:
        if not part.size and not path.exists():
            return
        stat = path.stat()
        if stat.st_size < part.size:
            raise DamagedIndexError(f"{path.name} is cut short")
        if stat.st_mtime_ns == part.mtime_ns and not is_thorough:
            return
        crc32, left = 0, part.size
        with path.open("rb") as file:
            while left and (piece := file.read(min(_PIECE_BYTES, left))):
                crc32, left = zlib.crc32(piece, crc32), left - len(piece)
    except OSError as error:
        raise DamagedIndexError(f"{path.name} cannot be read: {error.strerror}") from error
    if crc32 != part.crc32:
        raise DamagedIndexError(f"{path.name} is damaged")


def _map(path: Path, dtype: np.dtype[Any], shape: Sequence[int]) -> NDArray[Any]:
    if not np.prod(shape):
        return np.empty(shape, dtype)
    return np.asarray(np.memmap(path, dtype, "r", shape=tuple(shape)))
