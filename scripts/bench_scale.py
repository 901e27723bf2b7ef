"""Search collections of many people: Chroma, numpy, and the exact index, in one run.

People have tracks and tracks have crops: each crop's vector is its person's, plus what is peculiar
to the track, plus noise. Four cameras, one source each. Every crop is written through the store, as
ingest does it.

usage: python scripts/bench_scale.py [--crops N] [--json FILE] [--plot FILE.png] [--db DIR]
"""

from __future__ import annotations

import json as json_format
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import chromadb
import numpy as np
import typer
from bench_tools import machine

from reidsearch.core.defaults import MIN_HEIGHT_PX
from reidsearch.core.provenance import DetectionSettings, Provenance, SourceRecord
from reidsearch.core.types import (
    Embeddings,
    Filter,
    Records,
    SourceInfo,
    StoredDetection,
    StoredFrame,
)
from reidsearch.database.chroma_store import open_chroma
from reidsearch.database.index_store import read_index
from reidsearch.database.index_writer import IndexWriter
from reidsearch.database.layout import size_on_disk
from reidsearch.database.opening import open_to_read
from reidsearch.database.snapshot import read_snapshot
from reidsearch.models.catalog import (
    default_detector,
    default_embedder,
    find_detector,
    find_embedder,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


COMMAND = Path(sys.executable).with_name("reidsearch")
CAMERAS = 4
PER_FRAME = 5
TRACK_CROPS = 25
PERSON_CROPS = 250
GROUP_CROPS = 5000
TOP = 20
APPENDED = 10_000
PLAIN = """
import sys, numpy, chromadb
people = chromadb.PersistentClient(sys.argv[1]).get_collection("people", embedding_function=None)
print(people.query(
    query_embeddings=numpy.load(sys.argv[2]), n_results=20,
    where={"frame": {"$gt": int(sys.argv[3])}}, include=["metadatas", "distances"],
)["ids"])
"""


def main(
    crops: Annotated[int, typer.Option(help="People stored.")] = 100_000,
    dim: Annotated[int, typer.Option(help="Numbers in a vector.")] = 512,
    queries: Annotated[int, typer.Option(help="Queries of each kind.")] = 15,
    json: Annotated[Path | None, typer.Option(help="Add the rows to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw all rows of that file.")] = None,
    db: Annotated[Path | None, typer.Option(help="Keep the database there.")] = None,
) -> None:
    """Print tables in Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        path = db or Path(folder) / "db"
        print(f"{machine()}\n\n{crops:,} crops of {dim} numbers.\n")
        if not (path / "chroma.sqlite3").exists():
            build(path, crops, dim)
        rows = measure(path, crops, dim, queries)
        print("\n| window | method | median ms | p95 ms | recall@20 |\n|---|---|---|---|---|")
        for row in rows:
            recall = "" if row["recall"] is None else f"{row['recall']:.4f}"
            times = f"{row['median_ms']:.2f} | {row['p95_ms']:.2f}"
            print(f"| {row['window']} | {row['method']} | {times} | {recall} |")
        measure_processes(path, Path(folder))
    if json is not None:
        known = json_format.loads(json.read_text()) if json.exists() else []
        json.write_text(json_format.dumps([*known, *rows], indent=1) + "\n")
        if plot is not None:
            draw([*known, *rows], plot)


def build(path: Path, crops: int, dim: int) -> None:
    """Write everything, then 10,000 more; and the index once more from nothing."""
    spent: list[float] = []
    with timing_of_index(spent):
        began = time.perf_counter()
        with open_chroma(path, make_provenance(dim)) as store:
            for group in make_footage(crops, dim, seed=1):
                store.add(*group)
        seconds = time.perf_counter() - began
        index_s = sum(spent)
        print(
            f"built in {seconds:.0f} s ({crops / seconds:.0f} crops/s), {index_s:.1f} s of it index"
        )
        spent.clear()
        with open_chroma(path, make_provenance(dim)) as store:
            for group in make_footage(APPENDED, dim, seed=2, name="more"):
                store.add(*group)
        appended_s = sum(spent)
    for file in (path / "index").iterdir():
        file.unlink()
    began = time.perf_counter()
    with open_to_read(path):
        rebuilt_s = time.perf_counter() - began
    print(
        f"index: {appended_s:.2f} s for {APPENDED:,} more crops, {rebuilt_s:.1f} s from nothing; "
        f"with all written at once {index_s:.1f} s"
    )


@contextmanager
def timing_of_index(spent: list[float]) -> Iterator[None]:
    """Note how long each addition to the index takes."""
    add = IndexWriter.append

    def timed(*arguments: Any) -> Any:
        began = time.perf_counter()
        made = add(*arguments)
        spent.append(time.perf_counter() - began)
        return made

    IndexWriter.append = timed  # type: ignore[method-assign]
    try:
        yield
    finally:
        IndexWriter.append = add  # type: ignore[method-assign]


def make_provenance(dim: int) -> Provenance:
    """The built-in models', with vectors of another length if need be."""
    card, detector = find_embedder(default_embedder()), find_detector(default_detector())
    models = card.name, card.fingerprint, dim, detector.name, detector.sha256
    return Provenance(*models, "f32", "", "bench")


def make_footage(
    crops: int, dim: int, seed: int, name: str = "video"
) -> Iterator[tuple[Records, SourceRecord, list[StoredFrame]]]:
    """People who walk through cameras, in groups of frames."""
    rng = np.random.default_rng(seed)
    people = rng.standard_normal((max(crops // PERSON_CROPS, 2), dim), np.float32)
    settings = DetectionSettings(0.25, MIN_HEIGHT_PX, "auto")
    fingerprint = make_provenance(dim).fingerprint
    for camera in range(CAMERAS):
        info = SourceInfo(f"camera{camera}", name, f"/{name}{camera}.mp4", 25.0, None, 1, "")
        record = SourceRecord(info, settings)
        walkers = np.zeros((PER_FRAME, dim), np.float32)
        for start in range(0, crops // CAMERAS, GROUP_CROPS):
            count = min(GROUP_CROPS, crops // CAMERAS - start)
            vectors = np.empty((count, dim), np.float32)
            for row in range(count):
                who = row % PER_FRAME
                if (start + row) // PER_FRAME % TRACK_CROPS == 0:
                    walkers[who] = people[rng.integers(len(people))]
                    walkers[who] += 0.5 * rng.standard_normal(dim, np.float32)
                vectors[row] = walkers[who]
            vectors += 0.3 * rng.standard_normal(vectors.shape, np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            frames = [1 + (start + row) // PER_FRAME for row in range(count)]
            detections = tuple(
                make_detection(info, frame, row % PER_FRAME + 1) for row, frame in enumerate(frames)
            )
            records = Records(detections, Embeddings(vectors, fingerprint))
            stored = [StoredFrame(n, info.time_of(n), info.path) for n in dict.fromkeys(frames)]
            yield records, record, stored


def make_detection(info: SourceInfo, frame: int, person: int) -> StoredDetection:
    """Somebody, somewhere."""
    return StoredDetection(
        id=f"{info}:{frame}:{person}",
        camera=info.camera,
        source=info.name,
        frame=frame,
        time_s=info.time_of(frame),
        box_xyxy=(10.0 * person, 10.0, 10.0 * person + 40, 130.0),
        score=1 - person / 10,
        path=info.path,
        crop_hash="0" * 16,
    )


def measure(path: Path, crops: int, dim: int, queries: int) -> list[dict[str, Any]]:
    """Ask every method the same questions, in turn."""
    frames = crops // CAMERAS // PER_FRAME
    half, most = frames // 2, frames - max(frames // 100, 1)
    windows: dict[str, tuple[Filter, dict[str, Any] | None]] = {
        "100 %": (Filter(), None),
        "50 %": (Filter(after_frame=half), {"frame": {"$gt": half}}),
        "1 %": (Filter(after_frame=most), {"frame": {"$gt": most}}),
        "one camera": (
            Filter(sources=(("camera1", "video"),)),
            {"$and": [{"camera": "camera1"}, {"source": "video"}]},
        ),
    }
    rng = np.random.default_rng(7)
    rows = []
    with open_to_read(path) as index, chromadb.PersistentClient(path) as client:
        people = client.get_collection("people", embedding_function=None)
        vectors = index.scan(Filter()).embeddings.vectors
        vectors = vectors[rng.integers(0, len(vectors), queries)]
        for window, (wanted, where) in windows.items():
            records = index.scan(wanted)
            truth = brute_force(records, vectors)
            methods: dict[str, Callable[[np.ndarray], list[str]]] = {
                "exact": lambda v, w=wanted: ids(islice(index.nearest(v[np.newaxis], w), TOP)),
                "numpy": numpy_search(records),
                f"chroma_{'all' if where is None else 'where'}": lambda v, w=where: people.query(
                    query_embeddings=v[np.newaxis],
                    n_results=TOP,
                    where=w,
                    include=["metadatas", "distances"],
                )["ids"][0],
            }
            for method, ask in methods.items():
                ask(vectors[0])
                times, hits = [], 0
                for vector, right in zip(vectors, truth, strict=True):
                    began = time.perf_counter()
                    found = ask(vector)
                    times.append(1000 * (time.perf_counter() - began))
                    hits += len(set(found) & set(right))
                recall = hits / sum(map(len, truth))
                rows.append(make_row(crops, dim, window, method, times, recall))
            floor = read_once(path, len(records))
            rows.append(make_row(crops, dim, window, "floor", floor, None))
    return rows


def make_row(
    crops: int, dim: int, window: str, method: str, times: list[float], recall: float | None
) -> dict[str, Any]:
    """One line of the table."""
    return {
        "crops": crops,
        "dim": dim,
        "window": window,
        "method": method,
        "median_ms": float(np.median(times)),
        "p95_ms": float(np.percentile(times, 95)),
        "recall": recall,
    }


def ids(matches: list) -> list[str]:
    """Which people were found."""
    return [match.detection.id for match in matches]


def brute_force(records: Records, vectors: np.ndarray) -> list[list[str]]:
    """The true nearest, by float64; ties by the order of footage."""
    truth = []
    for vector in vectors:
        distance = np.empty(len(records))
        for start in range(0, len(records), 50_000):
            some = records.embeddings.vectors[start : start + 50_000].astype(np.float64)
            distance[start : start + 50_000] = np.linalg.norm(some - vector, axis=1)
        nearest = np.argsort(distance, kind="stable")[:TOP]
        truth.append([records.detections[row].id for row in nearest])
    return truth


def read_once(path: Path, rows: int) -> list[float]:
    """How long it takes all cores to read so many stored vectors, and do nothing with them."""
    index = read_index(path / "index", read_snapshot(path))
    stored = index.files.vectors.array[:rows].view(np.uint64)
    pieces = np.array_split(stored, os.cpu_count() or 1)
    times = []
    with ThreadPoolExecutor(len(pieces)) as pool:
        for _ in range(7):
            began = time.perf_counter()
            list(pool.map(lambda piece: np.bitwise_xor.reduce(piece, axis=None), pieces))
            times.append(1000 * (time.perf_counter() - began))
    return times


def numpy_search(records: Records) -> Callable[[np.ndarray], list[str]]:
    """A plain scan of float32 vectors in memory."""
    vectors = records.embeddings.vectors

    def search(vector: np.ndarray) -> list[str]:
        distance = 2 - 2 * (vectors @ vector)
        nearest = np.argpartition(distance, min(TOP, len(vectors) - 1))[:TOP]
        return [records.detections[row].id for row in nearest[np.argsort(distance[nearest])]]

    return search


def measure_processes(path: Path, folder: Path) -> None:
    """Whole commands, from start to exit, with files in the page cache; and memory and disk."""
    with open_to_read(path) as index:
        source = index.sources()[0]
        middle, record = (source.span or (0, 0))[1] // 2, source.info
        vector = index.scan(Filter(sources=(record.key,), frame=middle)).embeddings.vectors[:1]
    np.save(folder / "query.npy", vector)
    commands = {
        "reidsearch search --frame": [
            *(COMMAND, "search", "--db", path, "--frame", f"{record}:{middle}", "--top", TOP)
        ],
        "python -c, chromadb, ready vector": [
            *(sys.executable, "-c", PLAIN, path, folder / "query.npy", middle)
        ],
    }
    print("\n| whole process | median s | peak MB |\n|---|---|---|")
    for name, command in commands.items():
        times, peaks = [], []
        for _ in range(4):
            began = time.perf_counter()
            peaks.append(run_and_measure([*map(str, command)]))
            times.append(time.perf_counter() - began)
        print(f"| {name} | {np.median(times[1:]):.2f} | {max(peaks):.0f} |")
    index_bytes = size_on_disk(path / "index")
    rest = size_on_disk(path) - index_bytes
    print(f"\ndisk: index {index_bytes / 1e6:.0f} MB, Chroma {rest / 1e6:.0f} MB")


def run_and_measure(command: list[str]) -> float:
    """Run a command; its peak memory in MB, by a small process, as forks count as their parents."""
    code = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
    launcher = [sys.executable, "-c", code, *command]
    done = subprocess.run(launcher, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1000


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Time against size, both on logarithmic axes, where half of the frames are later."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 5))
    chosen = [row for row in rows if row["window"] == "50 %"]
    for method in dict.fromkeys(row["method"] for row in chosen):
        points = sorted((r["crops"], r["median_ms"]) for r in chosen if r["method"] == method)
        axes.loglog(*zip(*points, strict=True), marker="o", label=method)
    axes.set(xlabel="crops stored", ylabel="ms a query, half of the frames later")
    axes.legend()
    axes.grid(visible=True, which="both", alpha=0.3)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    typer.run(main)
