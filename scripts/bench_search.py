"""Compare whole commands with the least that plain Python could do instead.

`reidsearch search`, process start to exit, beside a Python that imports chromadb and asks the same
collection the same question with a vector in its hand; and `reidsearch --help` beside a Python that
does nothing.

usage: python scripts/bench_search.py [--crops N] [--rounds R] [--out FILE.json]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from bench_tools import Compared, machine, to_markdown

from reidsearch import open_database
from reidsearch.core.defaults import MIN_HEIGHT_PX
from reidsearch.core.provenance import DetectionSettings, SourceRecord
from reidsearch.core.types import Embeddings, Records, SourceInfo, StoredDetection, StoredFrame
from reidsearch.models.catalog import default_embedder, find_embedder

COMMAND = Path(sys.executable).with_name("reidsearch")
PER_FRAME = 5
PLAIN = """
import sys, numpy, chromadb
people = chromadb.PersistentClient(sys.argv[1]).get_collection("people", embedding_function=None)
found = people.query(
    query_embeddings=numpy.load(sys.argv[2]), n_results=10,
    where={"frame": {"$gt": int(sys.argv[3])}}, include=["metadatas", "distances"],
)
print(found["ids"], found["metadatas"], found["distances"])
"""


def main(
    crops: Annotated[int, typer.Option(help="People stored.")] = 10_000,
    rounds: Annotated[int, typer.Option(help="Runs of each command.")] = 7,
    out: Annotated[Path | None, typer.Option(help="Write everything measured, as JSON.")] = None,
) -> None:
    """Print a table in Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        db, vector, picture = (Path(folder, name) for name in ("db", "query.npy", "query.png"))
        frame = crops // PER_FRAME // 2  # in the middle: half of the frames are later
        fill(db, crops, vector, frame)
        cv2.imwrite(str(picture), np.random.default_rng(0).integers(0, 256, (120, 50, 3), np.uint8))
        plain = [sys.executable, "-c", PLAIN, db, vector, frame]
        search = [COMMAND, "search", "--db", db]
        rows = [
            compare_times("search --frame", [*search, "--frame", f"video:{frame}"], plain, rounds),
            compare_times("search PICTURE", [*search, picture], plain, rounds),
            compare_times("--help", [COMMAND, "--help"], [sys.executable, "-c", "pass"], rounds),
        ]
    print(f"{machine()}\n\n{crops} people stored.\n\n{to_markdown(rows)}")
    if out:
        figures = {"machine": machine(), "crops": crops, "rows": [asdict(row) for row in rows]}
        out.write_text(json.dumps(figures, indent=1) + "\n")


def fill(db: Path, crops: int, vector: Path, frame: int) -> None:
    """Store people as ingest does, fifty different ones, and keep one's vector."""
    rng = np.random.default_rng(0)
    card = find_embedder(default_embedder())
    info = SourceInfo("video", "video", "/video.mp4", 25.0, None, 1, "")
    people = rng.standard_normal((50, card.dimension))
    vectors = people[rng.integers(0, 50, crops)] + rng.standard_normal((crops, card.dimension)) / 2
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    numbers = [1 + row // PER_FRAME for row in range(crops)]
    detections = tuple(
        StoredDetection(
            id=f"{info}:{number}:{row % PER_FRAME + 1}",
            camera=info.camera,
            source=info.name,
            frame=number,
            time_s=info.time_of(number),
            box_xyxy=(10.0, 10.0, 50.0, 130.0),
            score=0.9 - row % PER_FRAME / 10,
            path=info.path,
            crop_hash="0" * 16,
        )
        for row, number in enumerate(numbers)
    )
    np.save(vector, vectors[numbers.index(frame)][np.newaxis])
    settings = DetectionSettings(0.25, MIN_HEIGHT_PX, "auto")
    with open_database(db).write() as ingest:
        records = Records(detections, Embeddings(vectors, card.fingerprint))
        frames = [StoredFrame(n, info.time_of(n), info.path) for n in sorted({*numbers})]
        ingest.store.add(records, SourceRecord(info, settings), frames)


def compare_times(work: str, ours: list[object], reference: list[object], rounds: int) -> Compared:
    """Time two commands in turn, after one run of each."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for command, seconds in zip((ours, reference), times, strict=True):
            started = time.perf_counter()
            subprocess.run([*map(str, command)], capture_output=True, check=True)
            if number:
                seconds.append(time.perf_counter() - started)
    return Compared(work, "run", *times, {})


if __name__ == "__main__":
    typer.run(main)
