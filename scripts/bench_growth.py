"""A day of two watched folders, a group a second each: what a commit writes, and a search takes.

Beside it one folder with as many rows. Measured are the ledger and the exact index: vectors are
small, no networks run, and nothing is written to Chroma, which takes some 50 ms a commit however
large the database is. Times are the processor's. The folder should be on a file system in memory,
as each commit waits for the disk several times.

usage: python scripts/bench_growth.py [--groups N] [--dim D] [--db DIR]
"""

from __future__ import annotations

import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from bench_tools import machine

from reidsearch.core.provenance import DetectionSettings, Provenance, SourceRecord
from reidsearch.core.types import (
    Embeddings,
    Filter,
    Records,
    SourceInfo,
    StoredDetection,
    StoredFrame,
)
from reidsearch.database import chroma_store
from reidsearch.database.chroma_store import ChromaStore, open_chroma
from reidsearch.database.opening import open_to_read

PEOPLE = 2  # in each frame
TOP = 20
SHOWN = 200  # commits at the start and at the end


def main(
    groups: Annotated[int, typer.Option(help="Frames of each folder, a group each.")] = 86_400,
    dim: Annotated[int, typer.Option(help="Numbers in a vector.")] = 32,
    db: Annotated[Path | None, typer.Option(help="Keep the databases there.")] = None,
) -> None:
    """Print a table in Markdown."""
    print(f"{machine()}\n\n{groups:,} groups of each folder, {PEOPLE} people in each.\n")
    print("| | commits | first KB | last KB | first ms | last ms | open ms | search ms |")
    print("|---|---|---|---|---|---|---|---|")
    chroma_store.upsert = lambda *_: None
    with tempfile.TemporaryDirectory() as folder:
        for names in (("north", "south"), ("both",)):
            path = (db or Path(folder)) / "-".join(names)
            written, seconds = fill(path, names, groups * 2 // len(names), dim)
            opened_ms, search_ms = search(path, dim)
            print(
                f"| {' and '.join(names)} | {len(written)} "
                f"| {written[:SHOWN].mean() / 1e3:.1f} | {written[-SHOWN:].mean() / 1e3:.1f} "
                f"| {1e3 * np.median(seconds[:SHOWN]):.2f} "
                f"| {1e3 * np.median(seconds[-SHOWN:]):.2f} "
                f"| {opened_ms:.1f} | {search_ms:.1f} |",
                flush=True,
            )


def fill(
    path: Path, names: tuple[str, ...], groups: int, dim: int
) -> tuple[np.ndarray, np.ndarray]:
    """Add frame after frame, of each folder in turn: bytes and seconds of each commit."""
    provenance = Provenance("bench", "bench", dim, "bench", "", "f32", "", "bench")
    settings = DetectionSettings(0.25, 24, "auto")
    sources = [
        SourceRecord(SourceInfo(name, name, f"/{name}", 1.0, None, 1, ""), settings)
        for name in names
    ]
    rng = np.random.default_rng(0)
    written, seconds = [], []
    with open_chroma(path, provenance) as store:
        for number in range(1, groups + 1):
            for source in sources:
                before, began = bytes_written(), time.process_time()
                add(store, source, number, rng, dim)
                seconds.append(time.process_time() - began)
                written.append(bytes_written() - before)
    return np.array(written), np.array(seconds)


def add(
    store: ChromaStore, source: SourceRecord, number: int, rng: np.random.Generator, dim: int
) -> None:
    """Store one frame with a few people."""
    info = source.info
    vectors = rng.standard_normal((PEOPLE, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    frame = StoredFrame(number, info.time_of(number), f"{info.path}/{number}.jpg")
    people = tuple(
        StoredDetection(
            id=f"{info}:{number}:{person}",
            camera=info.camera,
            source=info.name,
            frame=number,
            time_s=frame.time_s,
            box_xyxy=(10.0, 10.0, 50.0, 130.0),
            score=1 - person / 10,
            path=frame.path,
            crop_hash="0" * 16,
        )
        for person in range(1, PEOPLE + 1)
    )
    store.add(Records(people, Embeddings(vectors, "bench")), source, [frame])


def bytes_written() -> int:
    """What this process has given to the system to write."""
    [line] = [
        line for line in Path("/proc/self/io").read_text().splitlines() if line.startswith("wchar")
    ]
    return int(line.split()[1])


def search(path: Path, dim: int) -> tuple[float, float]:
    """Milliseconds to open a database, and to find who is near and later, from then on."""
    query = np.full((1, dim), dim**-0.5, np.float32)
    opened, searched = [], []
    for _ in range(7):
        began = time.process_time()
        with open_to_read(path) as store:
            ready = time.process_time()
            middle = (store.sources()[0].span or (0, 0))[1] // 2
            list(islice(store.nearest(query, Filter(after_s=float(middle))), TOP))
        searched.append(time.process_time() - ready)
        opened.append(ready - began)
    return 1e3 * float(np.median(opened)), 1e3 * float(np.median(searched))


if __name__ == "__main__":
    typer.run(main)
