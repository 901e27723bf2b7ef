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
_MAX_COEFFICIENT = 1e9
_MAX_LOG_ODDS = 700  # beyond it, exp overflows


@dataclass(frozen=True, slots=True)
class Calibration:
    """Logistic regression on a distance and its square, after Platt (1999).

    The evidence of a distance is kept apart from the prior: footage has another share of right
    pairs than the labelled data.

        log odds = c0 + c1 d + c2 d² + ln(prior / (1 - prior))

    Attributes:
        coefficients: `c0, c1, c2`, the log of how much likelier a distance is between crops of one
            person than between crops of two.
        prior: the share of the searched detections that show the person in the query.
        error: expected calibration error, among pairs that are at least 1 % likely, on people that
            were not used for the fit.
        data: what it was fitted on.
    """

    coefficients: tuple[float, float, float]
    prior: float
    error: float
    data: str

    def __post_init__(self) -> None:
        if not (all(abs(c) < _MAX_COEFFICIENT for c in self.coefficients) and 0 < self.prior < 1):
            raise ValueError("coefficients must be finite, and prior between 0 and 1")

    def probability(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability, in `[0, 1]`, that crops at each distance, in `[0, 2]`, show one person."""
        c0, c1, c2 = self.coefficients
        log_odds = c0 + distance * (c1 + distance * c2) + math.log(self.prior / (1 - self.prior))
        probability: NDArray[np.float64] = 1 / (1 + np.exp(-log_odds.clip(-_MAX_LOG_ODDS)))
        return probability

    @property
    def likely_distance(self) -> float:
        """The greatest distance with a probability of at least 50 %; 0 if no distance has."""
        distances = np.linspace(0, LARGEST_DISTANCE, 2001)
        return float(distances[self.probability(distances) >= LIKELY].max(initial=0.0))
