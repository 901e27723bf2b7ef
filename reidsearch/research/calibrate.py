"""Fit the probability that two crops show the same person, on labelled crops."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.calibration import LARGEST_DISTANCE, Calibration
from reidsearch.core.errors import DatasetError
from reidsearch.core.exact_search import l2_distances
from reidsearch.core.progress import SILENT
from reidsearch.core.types import Detections, Frame
from reidsearch.ingest.stages import cut, embed
from reidsearch.research.datasets import DISTRACTOR, GALLERY, QUERY, has_part, read_crops
from reidsearch.research.market1501 import embed_crops

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.core.progress import Progress
    from reidsearch.footage import FrameSource
    from reidsearch.models.embedders import Embedder
    from reidsearch.research.mot import FrameTruth

_MOST_FRAMES = 200  # more of them add pictures of people who are known already
_FEW_PEOPLE = 20
_BINS = 2000
_BLOCK_ROWS = 1024
_LEVELS = (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
_EDGES = np.linspace(0, LARGEST_DISTANCE, _BINS + 1)
_CENTRES = (_EDGES[:-1] + _EDGES[1:]) / 2


@dataclass(frozen=True, slots=True, eq=False)
class LabelledVectors:
    """Embedded crops of known people; row i of all arrays is the same crop.

    Attributes:
        vectors: `(N, D)` float32, of length 1.
        people: `(N,)` integers.
        cameras: `(N,)` integers. Two people are compared in one camera only, where they look more
            alike than in two.
        moments: `(N,)`, cameras or seconds. Crops of one person are compared at different moments
            only: pictures a moment apart say nothing of finding someone again.
        min_apart: by how much moments must differ.
    """

    vectors: NDArray[np.float32]
    people: NDArray[np.int64]
    cameras: NDArray[np.int64]
    moments: NDArray[np.float64]
    min_apart: float

    def __getitem__(self, rows: NDArray[np.bool_]) -> LabelledVectors:
        """The given rows."""
        return replace(
            self,
            vectors=self.vectors[rows],
            people=self.people[rows],
            cameras=self.cameras[rows],
            moments=self.moments[rows],
        )


@dataclass(frozen=True, slots=True, eq=False)
class PairCounts:
    """How many pairs of crops lie at which distance; `_BINS` of equal width over `[0, 2]`."""

    same: NDArray[np.float64]
    different: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Level:
    """One step of a reliability curve.

    Attributes:
        low, high: the probabilities predicted.
        predicted, observed: their mean, and the share of pairs that did show one person.
        pairs: how many there were, as a share of all.
    """

    low: float
    high: float
    predicted: float
    observed: float
    pairs: float


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """A fit, and how true it is for people that it has not seen.

    Attributes:
        calibration: fitted on all people.
        curve: of both halves of them, each by a fit on the other.
        people: how many were seen twice, in two cameras or at two moments.
        same_pairs, different_pairs: what was compared: crops of one person, and of two.
    """

    calibration: Calibration
    curve: tuple[Level, ...]
    people: int
    same_pairs: int
    different_pairs: int

    @property
    def is_weak(self) -> bool:
        """Whether it rests on so few people that its error says little about others."""
        return self.people < _FEW_PEOPLE


def read_market1501(
    dataset: Path, embedder: Embedder, progress: Progress = SILENT
) -> LabelledVectors:
    """Embed `query` and `bounding_box_test`, a step each crop.

    Distractors are nobody's.

    Raises:
        DatasetError: a folder is missing, empty or of another layout.
        ImageError: a crop cannot be decoded.
    """
    if dataset.exists() and not has_part(dataset, QUERY):
        raise DatasetError(
            f"{dataset} is not a data set in Market-1501's layout: it has no folder {QUERY}/",
            hint="footage is calibrated with its ground truth: "
            "reidsearch evaluate calibrate SOURCE --truth GT",
        )
    parts = [read_crops(dataset, part) for part in (QUERY, GALLERY)]
    people = np.concatenate([part.pids for part in parts])
    progress.phase("embedding", len(people))
    nobody = people == DISTRACTOR
    people[nobody] = -1 - np.arange(nobody.sum())  # each is somebody else
    cameras = np.concatenate([part.camids for part in parts])
    return LabelledVectors(
        np.concatenate([embed_crops(part.paths, embedder, progress) for part in parts]),
        people,
        cameras,
        cameras.astype(np.float64),
        min_apart=1,
    )


def choose_every(frames: int) -> int:
    """Which frames of footage are enough: every Nth, `_MOST_FRAMES` at most."""
    return max(math.ceil(frames / _MOST_FRAMES), 1)


def read_footage(
    source: FrameSource,
    truth: Mapping[int, FrameTruth],
    embedder: Embedder,
    min_apart_s: float,
    progress: Progress = SILENT,
) -> LabelledVectors:
    """Embed the boxes of ground truth, a step each frame.

    Boxes outside of their frames are left out, and said.

    Raises:
        DatasetError: nobody is in any frame.
    """
    vectors = [np.empty((0, embedder.card.dimension), np.float32)]
    names: list[str] = []
    moments: list[float] = []
    outside = 0
    progress.phase("frames", len(source))
    for frame in source.frames():
        progress.advance()
        if not isinstance(frame, Frame) or frame.number not in truth:
            continue
        boxes = truth[frame.number].xyxy[:, np.newaxis]
        crops = [cut(frame, Detections(box, np.ones(1, np.float32))).crops for box in boxes]
        vectors.append(embed(crops, embedder).vectors)
        named = zip(truth[frame.number].people, crops, strict=True)
        found = [person for person, crop in named if len(crop)]
        names += found
        outside += len(crops) - len(found)
        moments += [source.info.time_of(frame.number)] * len(found)
    if not names:
        raise DatasetError(
            "the ground truth has nobody in the frames of this footage",
            hint="both count frames from 1, or as the frames' names say",
        )
    if outside:
        progress.warn(
            f"{outside} of {outside + len(names)} boxes of the ground truth are outside of the "
            "picture: is it of this footage?"
        )
    people = np.unique(names, return_inverse=True)[1].astype(np.int64)
    return LabelledVectors(
        np.concatenate(vectors), people, np.zeros_like(people), np.array(moments), min_apart_s
    )


def calibrate(sets: Sequence[LabelledVectors], *, prior: float, data: str) -> CalibrationResult:
    """Fit on all people, and on either half of them to be checked with the other.

    Args:
        sets: crops of known people; each set weighs the same, and nobody is in two of them.
        prior: see `Calibration`.
        data: what they are, for the record.

    Raises:
        DatasetError: too few people were seen twice, or distance does not tell them apart.
    """
    counts = [count_pairs(labelled) for labelled in sets]
    halves = [_join(half) for half in zip(*map(_count_in_halves, sets), strict=True)]
    fitted = fit(_join(counts))
    predicted = [
        Calibration(*fit(own), prior, 0.0, data).probability(_CENTRES) for own in reversed(halves)
    ]
    curve, error = measure_reliability(np.array(predicted), halves, prior)
    return CalibrationResult(
        Calibration(*fitted, prior, error, data),
        curve,
        people=sum(map(_count_seen_twice, sets)),
        same_pairs=int(sum(one.same.sum() for one in counts)),
        different_pairs=int(sum(one.different.sum() for one in counts)),
    )


def _count_in_halves(labelled: LabelledVectors) -> list[PairCounts]:
    people = np.random.default_rng(0).permutation(np.unique(labelled.people))
    halves = np.array_split(people, 2)
    return [count_pairs(labelled[np.isin(labelled.people, half)]) for half in halves]


def _join(counts: Sequence[PairCounts]) -> PairCounts:
    """Put sets together, each as if it had as many pairs as any other."""
    return PairCounts(
        np.sum([one.same / max(one.same.sum(), 1) for one in counts], axis=0),
        np.sum([one.different / max(one.different.sum(), 1) for one in counts], axis=0),
    )


def _count_seen_twice(labelled: LabelledVectors) -> int:
    moments = [labelled.moments[labelled.people == person] for person in np.unique(labelled.people)]
    return sum(float(np.ptp(own)) >= labelled.min_apart for own in moments)


def count_pairs(labelled: LabelledVectors) -> PairCounts:
    """Sort the pairs that are compared by distance; see `LabelledVectors`."""
    same, different = np.zeros((2, _BINS))
    for start in range(0, len(labelled.people), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        distance = l2_distances(labelled.vectors[block], labelled.vectors[start:])
        apart = np.abs(labelled.moments[block, np.newaxis] - labelled.moments[start:])
        is_together = labelled.cameras[block, np.newaxis] == labelled.cameras[start:]
        is_same = labelled.people[block, np.newaxis] == labelled.people[start:]
        once = np.triu(np.ones_like(is_same), k=1)
        same += np.histogram(distance[once & is_same & (apart >= labelled.min_apart)], _EDGES)[0]
        different += np.histogram(distance[once & ~is_same & is_together], _EDGES)[0]
    return PairCounts(same, different)


def fit(counts: PairCounts) -> tuple[float, float]:
    """Logistic regression by Newton's method, both kinds of pairs weighing the same.

    Returns:
        Intercept and slope; see `Calibration`.

    Raises:
        DatasetError: there are too few pairs, or distance does not tell them apart.
    """
    if not (counts.same.any() and counts.different.any()):
        raise DatasetError(
            "too few people were seen twice",
            hint="in two cameras, or in footage at two moments that lie --apart",
        )
    powers = np.stack([np.ones(_BINS), _CENTRES], axis=1)
    same, different = (kind / kind.sum() for kind in (counts.same, counts.different))
    coefficients = np.zeros(2)
    ridge = 1e-6 * np.eye(2)  # or pairs that never overlap would take them to infinity
    for _ in range(100):
        p = 1 / (1 + np.exp(np.clip(-powers @ coefficients, -500, 500)))
        slope = powers.T @ (same - (same + different) * p) - ridge @ coefficients
        curvature = (powers * ((same + different) * p * (1 - p))[:, np.newaxis]).T @ powers + ridge
        step = np.linalg.solve(curvature, slope)
        coefficients += step
        if np.abs(step).max() < 1e-9:
            break
    intercept, slope = coefficients.tolist()
    if slope >= 0:
        raise DatasetError("crops of one person are no nearer to each other than crops of two")
    return intercept, slope


def measure_reliability(
    predicted: NDArray[np.float64], counts: list[PairCounts], prior: float
) -> tuple[tuple[Level, ...], float]:
    """Compare predictions with what is, pairs of one person being the share `prior` of all.

    The error is the mean difference between both, over levels that say at least 1 % and weighted
    by their pairs: the many pairs that nobody would confuse would hide it (expected calibration
    error, Naeini et al., AAAI 2015).

    Args:
        predicted: `(H, _BINS)`, for each of the counts the probability predicted in each bin.
        counts: H of them.
        prior: see `Calibration`.
    """
    same = np.stack([c.same for c in counts])
    different = np.stack([c.different for c in counts])
    right, wrong = prior * same / same.sum(), (1 - prior) * different / different.sum()
    place = np.digitize(predicted, _LEVELS[1:-1])
    curve = []
    for level, (low, high) in enumerate(pairwise(_LEVELS)):
        inside = place == level
        pairs = float((right + wrong)[inside].sum())
        if pairs:
            mean = float((predicted * (right + wrong))[inside].sum()) / pairs
            curve.append(Level(low, high, mean, float(right[inside].sum()) / pairs, pairs))
    doubtful = [level for level in curve if level.low > 0]
    weight = sum(level.pairs for level in doubtful)
    error = sum(level.pairs * abs(level.predicted - level.observed) for level in doubtful)
    return tuple(curve), error / weight if weight else 0.0
