import math

import numpy as np
import pytest
import torch

from reidsearch.research.training.augment import Augmenter
from reidsearch.research.training.losses import IdentityLoss, TeacherLoss
from reidsearch.research.training.recipe import Recipe

RECIPE = Recipe(architecture="osnet_x0_25", epochs=10, warmup_epochs=2, peak_lr=1.0)
PLAIN = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("epoch", "lr"),
    [(0, 0.0), (0.5, 0.25), (2, 1.0), (6, 0.5), (10, 0.0), (11, 0.0)],
)
def test_learning_rate_rises_and_falls(epoch, lr):
    assert RECIPE.lr_at(epoch) == pytest.approx(lr)


def augment(crops, erasing=0.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Augmenter(*PLAIN, erasing, generator)(torch.from_numpy(crops))


def test_augmented_crops_keep_their_shape_and_range():
    crops = np.random.default_rng(0).integers(0, 256, (16, 32, 16, 3), dtype=np.uint8)
    images = augment(crops, erasing=0.5)
    assert images.shape == (16, 3, 32, 16)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert 0 <= images.min() < images.max() <= 1


def test_generator_decides_about_everything():
    crops = np.random.default_rng(0).integers(0, 256, (8, 32, 16, 3), dtype=np.uint8)
    assert torch.equal(augment(crops, 0.5), augment(crops, 0.5))
    assert not torch.equal(augment(crops, 0.5), augment(crops, 0.5, seed=1))


def test_about_half_are_flipped():
    crops = np.zeros((200, 32, 16, 3), np.uint8)
    crops[:, :, 10:] = 255
    bright = augment(crops).mean(dim=(1, 2))
    flipped = (bright[:, :5].mean(dim=1) > bright[:, -5:].mean(dim=1)).sum()
    assert 70 < flipped < 130


def test_erasing_takes_a_rectangle_of_as_many_as_it_should():
    white = np.full((300, 64, 32, 3), 255, np.uint8)
    assert (augment(white) > 0).all()
    erased = augment(white, erasing=0.4)[:, 0] == 0
    area = erased.float().mean(dim=(1, 2))
    assert 80 < (area > 0).sum() < 160
    assert 0.01 < area[area > 0].min() < area.max() < 0.4
    for mask in erased[area > 0][:20]:
        rows, columns = mask.any(dim=1), mask.any(dim=0)
        assert mask.sum() == rows.sum() * columns.sum()


def test_softmax_is_label_smoothed():
    logits = torch.tensor([[2.0, 0.0, 0.0]])
    recipe = Recipe(architecture="x", triplet_weight=0.0, label_smoothing=0.1)
    total = math.log(math.exp(2) + 2)
    own, other = total - 2, total
    expected = (0.9 + 0.1 / 3) * own + 2 * 0.1 / 3 * other
    loss = IdentityLoss(recipe)(logits, None, torch.tensor([0]))
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_several_outputs_count_equally():
    recipe = Recipe(architecture="x", triplet_weight=0.0)
    one, other = torch.randn(4, 3), torch.randn(4, 3)
    labels = torch.tensor([0, 1, 2, 0])
    loss = IdentityLoss(recipe)
    both = loss((one, other), None, labels)
    assert both.item() == pytest.approx(
        (loss(one, None, labels) + loss(other, None, labels)).item() / 2
    )


def test_triplets_want_people_apart():
    labels = torch.tensor([0, 0, 1, 1])
    logits = torch.zeros(4, 2)
    near = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [0.1, 1.0]])
    apart = torch.tensor([[1.0, 0.0], [1.0, 0.1], [-1.0, 0.0], [-1.0, 0.1]])
    loss = IdentityLoss(Recipe(architecture="x"))
    softmax = math.log(2)
    assert loss(logits, apart, labels).item() == pytest.approx(softmax, abs=1e-5)
    assert loss(logits, near, labels).item() > softmax + 1


def test_student_that_is_its_teacher_has_nothing_to_learn():
    vectors = torch.nn.functional.normalize(torch.randn(6, 4))
    loss = TeacherLoss(4, 4)
    with torch.no_grad():
        loss._to_teacher.weight.copy_(torch.eye(4))
    assert loss(vectors * 7, vectors).item() == pytest.approx(0, abs=1e-5)
    assert loss(vectors.flip(0), vectors).item() > 0.1
