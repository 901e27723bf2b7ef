"""Compare how we link detections with the trackers of roboflow's `trackers`, on the same boxes.

usage: pip install trackers; python scripts/bench_linking.py DB GT [--every N]
"""

from __future__ import annotations

import inspect
import time
from pathlib import Path

import numpy as np
import supervision
import trackers
import typer

from reidsearch import open_database
from reidsearch.core.types import Filter
from reidsearch.people.linking import link, step_of
from reidsearch.research.mot import read_mot
from reidsearch.research.tracking import LinkedFrame, measure_linking

KINDS = "SORTTracker", "ByteTrackTracker", "OCSORTTracker", "BoTSORTTracker"


def main(db: Path, truth: Path, every: int = 1) -> None:
    """Print one row for each way of linking the detections of a database with one source."""
    with open_database(db).read() as gallery:
        [record] = gallery.store.sources()
        wanted = gallery.store.frames(record.info.key)[::every]
        records = gallery.store.scan(Filter())
        calibration = gallery.models.calibration
    chosen = [row for row, s in enumerate(records.detections) if s.frame in set(wanted.tolist())]
    detections = [records.detections[row] for row in chosen]
    frames = np.array([detection.frame for detection in detections])
    times_s = np.array([detection.time_s for detection in detections])
    xyxy = np.array([detection.box_xyxy for detection in detections], np.float32)
    score = np.array([detection.score for detection in detections], np.float32)
    people = read_mot(truth).frames

    def report(name: str, numbers: np.ndarray, seconds: float) -> None:
        found = {}
        for frame in wanted.tolist():
            rows = (frames == frame) & (numbers >= 0)
            found[frame] = LinkedFrame(numbers[rows], xyxy[rows])
        quality = measure_linking(found, people)
        rates = (quality.hota, quality.idf1, quality.purity)
        cells = (*(f"{rate:.3f}" for rate in rates), quality.tracklets, f"{quality.fragments:.2f}")
        print(f"| {name} | {' | '.join(map(str, cells))} | {1000 * seconds / len(wanted):.2f} |")

    print("| | HOTA | IDF1 | purity | tracklets | fragments a person | ms a frame |")
    print("|---|---|---|---|---|---|---|")
    began = time.perf_counter()
    step_s = step_of(record.info.times_of(wanted))
    numbers = link(times_s, xyxy, records.embeddings.vectors[chosen], calibration, step_s)
    report("reidsearch", numbers, time.perf_counter() - began)
    for kind in KINDS:
        made = getattr(trackers, kind)
        options = {
            "frame_rate": record.info.fps / every,
            "minimum_consecutive_frames": 1,
            "track_activation_threshold": float(score.min()),
            "high_conf_det_threshold": float(score.min()),
            "enable_cmc": False,
        }
        known = inspect.signature(made).parameters
        tracker = made(**{name: value for name, value in options.items() if name in known})
        numbers = np.full(len(frames), -1)
        began = time.perf_counter()
        for frame in wanted.tolist():
            rows = np.flatnonzero(frames == frame)
            boxes = supervision.Detections(
                xyxy[rows], confidence=score[rows], class_id=rows * 0, data={"row": rows}
            )
            tracked = tracker.update(boxes)
            if len(tracked) and tracked.tracker_id is not None:
                numbers[tracked.data["row"]] = tracked.tracker_id
        report(kind, numbers, time.perf_counter() - began)


if __name__ == "__main__":
    typer.run(main)
