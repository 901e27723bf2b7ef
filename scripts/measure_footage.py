"""Measure detection and later-frame search on footage with MOT ground truth.

usage: python scripts/measure_footage.py SOURCE GT [PERSON_MAP] [--every N] [--tiles T] ...
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from reidsearch import SourceOptions, defaults, open_gallery, open_source
from reidsearch.detectors import load_detector
from reidsearch.evaluation.footage import measure_detection, measure_search
from reidsearch.evaluation.mot import read_mot
from reidsearch.provenance import DetectionSettings
from reidsearch.types import BadFrame, Filter


def main(
    source: Path,
    truth: Annotated[Path, typer.Argument(metavar="GT")],
    person_map: Annotated[Path | None, typer.Argument()] = None,
    every: int = 1,
    tiles: str = "auto",
    embedder: str | None = None,
) -> None:
    """Print AP50, recall and precision, then rank-1 and mAP of each person's first sighting."""
    footage = open_source(source, SourceOptions(every=every))
    people = read_mot(truth, person_map)
    with (
        tempfile.TemporaryDirectory() as db,
        open_gallery(db, write=True, tiles=tiles, embedder=embedder) as gallery,
    ):
        report = gallery.ingest(footage)
        card = gallery.detector_card
        search = measure_search(gallery.store.scan(Filter()), people)
    print(f"{report.people} people in {report.frames} frames, {report.seconds:.0f} s")
    # AP counts low scores too; all else is as ingest does it.
    everything = load_detector(card, DetectionSettings(0.0, defaults.MIN_HEIGHT_PX, tiles))
    found = {
        frame.number: everything.detect([frame.image])[0]
        for frame in footage.frames()
        if not isinstance(frame, BadFrame)
    }
    detection = measure_detection(found, people, card.min_score)
    print(
        f"detection: AP50 {detection.ap50:.3f}; at score >= {card.min_score:g} "
        f"recall {detection.recall:.3f}, precision {detection.precision:.3f}"
    )
    print(f"search: rank-1 {search.rank1:.3f}, mAP {search.mean_ap:.3f}, {search.queries} queries")


if __name__ == "__main__":
    typer.run(main)
