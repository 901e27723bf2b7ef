"""Detection, search and embedding on real data with ground truth must not get worse."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from reidsearch import open_database
from reidsearch.core.exact_search import l2_distances
from reidsearch.core.types import Detections, Filter
from reidsearch.models.catalog import default_embedder, find_embedder
from reidsearch.models.embedders import load_embedder
from reidsearch.models.embedders.torchreid_parts import import_part
from reidsearch.research.datasets import GALLERY, QUERY, read_crops
from reidsearch.research.footage import measure_detection, measure_search
from reidsearch.research.market1501 import embed_crops, evaluate_market1501
from reidsearch.research.mot import read_mot
from tests.conftest import run

pytestmark = pytest.mark.networks


def test_sample_frames(made_db: Path, sample: Path) -> None:
    truth = read_mot(sample / "gt.txt", sample / "person_map.json").frames
    with open_database(made_db).read() as gallery:
        records = gallery.store.scan(Filter())
    found = {
        frame: Detections(
            np.array([s.box_xyxy for s in records.detections if s.frame == frame], np.float32),
            np.array([s.score for s in records.detections if s.frame == frame], np.float32),
        )
        for frame in truth
    }
    detection = measure_detection(found, truth, min_score=0.25)
    # Measured: recall 0.87, precision 0.86, rank-1 1.0, mAP 0.85.
    assert detection.recall > 0.84
    assert detection.precision > 0.82
    search = measure_search(
        np.array([s.frame for s in records.detections]),
        np.array([s.box_xyxy for s in records.detections], np.float32),
        records.embeddings.vectors,
        np.arange(len(records)),
        truth,
    )
    assert search.queries >= 9
    assert search.rank1 >= 0.85
    assert search.mean_ap > 0.78


def test_video_is_read_like_its_frames(made_db: Path, pets: Path, tmp_path: Path) -> None:
    ran = run(
        *("ingest", pets / "vtest.avi", "--every", 20, "--max-frames", 3, "--json"), cwd=tmp_path
    )
    assert ran.json["frames"] == 3
    source = run("inspect", "sources", "--json", cwd=tmp_path).json[0]
    assert (source["source"], source["fps"], source["to_s"]) == ("vtest", 10.0, 4.0)
    # The sample frames are these, through JPEG: the same people are there.
    for number in (1, 21, 41):
        mine = run("inspect", "frame", f"vtest:{number}", "--json", cwd=tmp_path).json["detections"]
        address = f"pets09-s2l1:{number}"
        theirs = run("inspect", "frame", address, "--db", made_db, "--json", cwd=tmp_path).json
        assert abs(len(mine) - len(theirs["detections"])) <= 1
        assert np.allclose(mine[0]["box_xyxy"], theirs["detections"][0]["box_xyxy"], atol=4)


@pytest.mark.slow
def test_market1501_agrees_with_torchreid(market: Path) -> None:
    embedder = load_embedder(find_embedder(default_embedder()))
    query, gallery = read_crops(market, QUERY), read_crops(market, GALLERY)
    distance = l2_distances(
        embed_crops(query.paths, embedder), embed_crops(gallery.paths, embedder)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its missing Cython part
        evaluate_rank = import_part("metrics").evaluate_rank
    cmc, mean_ap = evaluate_rank(distance, query.pids, gallery.pids, query.camids, gallery.camids)
    ours = evaluate_market1501(market, embedder).quality
    assert ours.mean_ap == pytest.approx(mean_ap, abs=1e-6)
    np.testing.assert_allclose(ours.cmc[: len(cmc)], cmc, atol=1e-6)
    # Measured: rank-1 0.915, mAP 0.843.
    assert ours.cmc[0] > 0.90
    assert ours.mean_ap > 0.83
