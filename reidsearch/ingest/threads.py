"""The stages side by side: one thread reads, two detect, one embeds, the caller's own stores."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

from reidsearch.core.types import BadFrame, Frame
from reidsearch.ingest.prefetch import in_parallel, prefetch
from reidsearch.ingest.stages import CutFrame, cut, embed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from reidsearch.core.types import Embeddings
    from reidsearch.ingest.prefetch import Prefetch
    from reidsearch.ingest.stages import Finder
    from reidsearch.models.embedders import Embedder

    LoadModels = Callable[[], tuple[Finder, Embedder]]

# Frames are looked at together, so that the detector can use all cores; large ones one by one.
_CHUNK_FRAMES = 8
_CHUNK_BYTES = 64 << 20
# While one chunk is got ready, or its last views are looked at, another keeps the cores busy.
_CHUNKS_AT_ONCE = 2
# What is in memory and not yet stored: lost, and done again, when the process is killed.
_GROUP_CROPS = 128
_GROUP_FRAMES = 64


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Frames that were looked at together; of those decoded, only detections are left."""

    frames: list[CutFrame]
    bad: list[BadFrame]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Frames that are embedded, and then stored, together."""

    frames: list[CutFrame]
    embeddings: Embeddings


@contextmanager
def run_stages(
    frames: Iterable[Frame | BadFrame], load_models: LoadModels, *, in_order: bool
) -> Iterator[Prefetch[Chunk | Group]]:
    """Read, detect and embed in other threads, until the context ends.

    Args:
        frames: read in a thread of its own.
        load_models: called once, when there is a frame to look at.
        in_order: whether the detector must see one chunk after the other.

    Yields:
        Each chunk once it was looked at, and each group once it was embedded.
    """
    loaded, lock = cache(load_models), Lock()
    at_once = 1 if in_order else _CHUNKS_AT_ONCE

    def models() -> tuple[Finder, Embedder]:
        with lock:
            return loaded()

    with (
        prefetch(_read(frames), "read") as chunks,
        prefetch(_detect(chunks, models, at_once), "detect", chunks) as seen,
        prefetch(_embed(seen, models), "embed", seen) as done,
    ):
        yield done


def _read(frames: Iterable[Frame | BadFrame]) -> Iterator[list[Frame | BadFrame]]:
    """Gather a few frames at a time."""
    chunk: list[Frame | BadFrame] = []
    chunk_bytes = 0
    for frame in frames:
        chunk.append(frame)
        chunk_bytes += frame.image.nbytes if isinstance(frame, Frame) else 0
        if len(chunk) >= _CHUNK_FRAMES or chunk_bytes >= _CHUNK_BYTES:
            yield chunk
            chunk, chunk_bytes = [], 0
    if chunk:
        yield chunk


def _detect(
    chunks: Iterable[list[Frame | BadFrame]], models: LoadModels, at_once: int
) -> Iterator[Chunk]:
    """Find and cut out people; the frames themselves can go then."""

    def look(chunk: list[Frame | BadFrame]) -> Chunk:
        bad = [frame for frame in chunk if isinstance(frame, BadFrame)]
        frames = [frame for frame in chunk if isinstance(frame, Frame)]
        found = models()[0](frames) if frames else []
        return Chunk([cut(*pair) for pair in zip(frames, found, strict=True)], bad)

    return in_parallel(look, chunks, at_once)


def _embed(chunks: Iterable[Chunk], models: LoadModels) -> Iterator[Chunk | Group]:
    """Pass chunks on, and embed their frames in groups."""
    frames: list[CutFrame] = []
    for chunk in chunks:
        yield chunk
        frames += chunk.frames
        crops = sum(len(frame.crops) for frame in frames)
        if len(frames) >= _GROUP_FRAMES or crops >= _GROUP_CROPS:
            yield _embed_group(frames, models)
            frames = []
    if frames:
        yield _embed_group(frames, models)


def _embed_group(frames: list[CutFrame], models: LoadModels) -> Group:
    _, embedder = models()
    return Group(frames, embed([frame.crops for frame in frames], embedder))
