"""What a network is told it did wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from reidsearch.models.embedders.torchreid_parts import import_part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reidsearch.research.training.recipe import Recipe

_TO_TEACHER_WEIGHT = 8.0
_RELATION_WEIGHT = 20.0


class IdentityLoss(nn.Module):
    """Label-smoothed softmax over identities, plus batch-hard triplets.

    The softmax is torch's own: torchreid's gives the same value but builds its targets on the CPU
    in each call. The triplets are torchreid's (Hermans et al., "In Defense of the Triplet Loss for
    Person Re-Identification", 2017), of vectors of length 1, as search compares them.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self._softmax = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
        self._triplet = import_part("losses").TripletLoss(margin=0.3)
        self._triplet_weight = recipe.triplet_weight

    def forward(self, logits: Any, features: Any, labels: torch.Tensor) -> torch.Tensor:
        """The loss of one batch.

        Args:
            logits: `(N, identities)`, or several such, which count equally.
            features: `(N, D)`, or several such.
            labels: `(N,)`.
        """
        loss = torch.stack([self._softmax(part.float(), labels) for part in _parts(logits)]).mean()
        if self._triplet_weight:
            vectors = [functional.normalize(part.float()) for part in _parts(features)]
            triplet = torch.stack([self._triplet(part, labels) for part in vectors]).mean()
            loss = loss + self._triplet_weight * triplet
        return loss


class TeacherLoss(nn.Module):
    """How far a batch is from what a teacher makes of it.

    The vectors, through a linear layer, shall point where the teacher's do, and the cosines between
    all pairs in the batch shall be the teacher's (Tung and Mori, "Similarity-Preserving Knowledge
    Distillation", ICCV 2019).

    Args:
        dimension: D of the student's vectors.
        teacher_dimension: of the teacher's.
    """

    def __init__(self, dimension: int, teacher_dimension: int) -> None:
        super().__init__()
        self._to_teacher = nn.Linear(dimension, teacher_dimension, bias=False)

    def begin_with(self, weight: torch.Tensor) -> None:
        """Begin with a linear layer, `(T, D)`, instead of a random one."""
        with torch.no_grad():
            self._to_teacher.weight.copy_(weight)

    def forward(self, features: Any, targets: torch.Tensor) -> torch.Tensor:
        """The loss of a batch.

        Args:
            features: `(N, D)`, or several that make D together.
            targets: `(N, T)`, the teacher's, of length 1.
        """
        features = torch.cat([part.float() for part in _parts(features)], dim=1)
        direction = 1 - functional.cosine_similarity(self._to_teacher(features), targets).mean()
        own = functional.normalize(features)
        relation = (own @ own.T - targets @ targets.T).square().mean()
        return _TO_TEACHER_WEIGHT * direction + _RELATION_WEIGHT * relation


def _parts(value: Any) -> Iterator[torch.Tensor]:
    """Some of torchreid's networks give one output, some several."""
    yield from value if isinstance(value, tuple | list) else (value,)
