"""What distances mean: the probability that two crops show the same person."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIKELY = 0.5
LARGEST_DISTANCE = 2.0
# Of n pairs the nearest is near by chance as often as of n to this power that have nothing in
# common; measured on passages of PETS09-S2L1 and TUD-Campus.
_INDEPENDENT = 0.5
_MAX_COEFFICIENT = 1e9
_MAX_LOG_ODDS = 700  # beyond it, exp overflows


@dataclass(frozen=True, slots=True)
class Calibration:
    """Logistic regression on a distance, after Platt (1999).

    The evidence of a distance is kept apart from the prior: footage has another share of right
    pairs than the labelled data.

        log odds = intercept + slope * distance + ln(prior / (1 - prior))

    Attributes:
        intercept: of the evidence, the log of how much likelier a distance is between crops of one
            person than between crops of two.
        slope: likewise; less than 0.
        prior: the share of the searched detections that show the person in the query.
        error: expected calibration error, among pairs that are at least 1 % likely, on people that
            were not used for the fit.
        data: what it was fitted on.
    """

    intercept: float
    slope: float
    prior: float
    error: float
    data: str

    def __post_init__(self) -> None:
        is_finite = abs(self.intercept) < _MAX_COEFFICIENT and -_MAX_COEFFICIENT < self.slope < 0
        if not (is_finite and 0 < self.prior < 1):
            raise ValueError("intercept must be finite, slope below 0, and prior between 0 and 1")

    def evidence(self, distance: NDArray[np.floating]) -> NDArray[np.float64]:
        """How much a distance, in `[0, 2]`, speaks for one person: log odds without the prior."""
        return np.asarray(self.intercept + self.slope * distance, np.float64)

    def probability(
        self, distance: NDArray[np.float64], pairs: NDArray[np.int64] | int = 1
    ) -> NDArray[np.float64]:
        """Probability, in `[0, 1]`, that crops at each distance, in `[0, 2]`, show one person.

        Args:
            distance: of two crops, or of the nearest of many pairs of them.
            pairs: how many these are.
        """
        log_odds = self.evidence(distance) + math.log(self.prior / (1 - self.prior))
        log_odds -= _INDEPENDENT * np.log(pairs)
        probability: NDArray[np.float64] = 1 / (1 + np.exp(-log_odds.clip(-_MAX_LOG_ODDS)))
        return probability

    @property
    def likely_distance(self) -> float:
        """The greatest distance with a probability of at least 50 %; 0 if no distance has."""
        at = (self.intercept + math.log(self.prior / (1 - self.prior))) / -self.slope
        return min(max(at, 0.0), LARGEST_DISTANCE)
