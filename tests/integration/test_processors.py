"""The same answers whatever the processor and the number of threads.

An older processor is imitated by a variable that oneDNN, which runs OpenVINO's and torch's
networks, reads when it is loaded: hence the subprocesses.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import BOXES, MODELS, SAMPLE

CPU = Path("/proc/cpuinfo")
pytestmark = [
    pytest.mark.networks,
    pytest.mark.slow,
    pytest.mark.skipif(not CPU.exists(), reason="only on Linux can cores be given to a process"),
]

LOOK = """
import os, sys
from pathlib import Path
sample, boxes, out, cores = sys.argv[1:]
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores)])
import numpy as np
from reidsearch.footage.box_files import read_boxes
from reidsearch.models.catalog import (
    default_detector,
    default_embedder,
    find_detector,
    find_embedder,
)
from reidsearch.models.detectors import load_detector
from reidsearch.models.embedders import load_embedder
from reidsearch.footage.images import cut_crops
from reidsearch.core.provenance import DetectionSettings
from reidsearch.footage import open_source
card = find_detector(default_detector())
detector = load_detector(card, DetectionSettings(card.min_score, 24, "auto"))
embedder = load_embedder(find_embedder(default_embedder()))
source, known, crops, found = open_source(Path(sample)), read_boxes(Path(boxes)), [], []
known = known.finder(source.info)
for frame in list(source.frames())[::8]:
    crops += cut_crops(frame.image, known.find(frame)).images
    [detections] = detector.detect([frame.image])
    stored = detections.as_stored()
    found.append(np.column_stack([np.full(len(stored), frame.number), stored.xyxy, stored.score]))
np.savez(out, vectors=embedder.embed(crops).vectors, found=np.concatenate(found))
"""


def look(out: Path, *, cores: int = 99, **variables: str) -> dict[str, np.ndarray]:
    """What is found in five frames, and the vectors of the crops that are known there."""
    # Compiled anew: what was compiled for this processor would be taken from the cache.
    plain = {name: value for name, value in os.environ.items() if name != "ONEDNN_MAX_CPU_ISA"}
    done = subprocess.run(
        [sys.executable, "-c", LOOK, SAMPLE, BOXES, out, str(cores)],
        env={**plain, MODELS: str(out.parent), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(np.load(out))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    return look(tmp_path_factory.mktemp("here") / "found.npz")


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        pytest.param({}, {"ONEDNN_MAX_CPU_ISA": "AVX2"}, id="avx2"),
        pytest.param({}, {"ONEDNN_MAX_CPU_ISA": "SSE41"}, id="sse4.1"),
        pytest.param({"cores": 1}, {}, id="one-core"),
    ],
)
def test_answers_are_the_same(
    here: dict[str, np.ndarray], tmp_path: Path, options: dict[str, int], variables: dict[str, str]
) -> None:
    there = look(tmp_path / "found.npz", **options, **variables)
    assert (here["vectors"] * there["vectors"]).sum(axis=1).min() >= 0.9999
    # Row by row: so frames, numbers of people and their order are the same too.
    frame, box, score = (
        abs(here["found"] - there["found"])[:, columns].max()
        for columns in ([0], [1, 2, 3, 4], [5])
    )
    assert frame == 0
    assert box <= 0.2
    assert score <= 0.002
    if variables.get("ONEDNN_MAX_CPU_ISA") == "SSE41" and "avx2" in CPU.read_text():
        assert (here["vectors"] != there["vectors"]).any()  # the variable did something
