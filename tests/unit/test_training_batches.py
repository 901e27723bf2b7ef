from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from reidsearch.core.errors import DatasetError
from reidsearch.research.datasets import CropSet
from reidsearch.research.training.batches import draw_batches, join_sets


def make_set(crops_of, cameras=2):
    """A set in which person i has `crops_of[i]` crops."""
    pids = np.repeat(np.arange(1, len(crops_of) + 1), crops_of)
    camids = np.arange(len(pids)) % cameras + 1
    return CropSet((Path(__file__),) * len(pids), pids, camids)


def draw(data, identities=4, crops=3, seed=0):
    return list(draw_batches(data, identities, crops, np.random.default_rng(seed)))


def test_same_number_in_two_sets_is_two_people():
    data = join_sets({"a": make_set([2, 3]), "b": make_set([4, 1, 2])})
    assert data.identities == 5
    assert data.labels.tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 4, 4]
    assert data.sets.tolist() == [0] * 5 + [1] * 7


def test_distractors_teach_nothing():
    crops = make_set([2, 2, 2])
    joined = join_sets({"a": CropSet(crops.paths, crops.pids - 1, crops.camids)})
    assert (len(joined), joined.identities) == (4, 2)


@pytest.mark.parametrize(
    ("part", "says"),
    [
        pytest.param(make_set([3, 3], cameras=1), "one camera", id="one-camera"),
        pytest.param(make_set([1, 1, 1]), "one crop of each", id="one-crop-each"),
    ],
)
def test_sets_that_teach_nothing_are_refused(part, says):
    with pytest.raises(DatasetError, match=says):
        join_sets({"good": make_set([2, 2]), "bad": part})


def test_one_person_is_nobody_to_tell_apart():
    with pytest.raises(DatasetError, match="one person"):
        join_sets({"a": make_set([5])})


def test_sets_whose_people_do_not_divide_evenly_are_shown_alike():
    data = join_sets({"a": make_set([6] * 7), "b": make_set([6] * 5), "c": make_set([6] * 3)})
    batches = draw(data, identities=4, crops=2)
    people = [set(zip(data.sets[rows], data.labels[rows], strict=True)) for rows in batches]
    assert all(len(group) == 4 for group in people)
    shown = Counter(part for group in people for part, _ in group)
    assert max(shown.values()) - min(shown.values()) <= 1
    first = [label for group in people for part, label in group if part == 0][:7]
    assert len(set(first)) == 7


def test_each_batch_has_its_people_with_their_crops():
    data = join_sets({"a": make_set([5, 1, 9, 3]), "b": make_set([2, 2, 2])})
    batches = draw(data)
    assert len(batches) == len(data) // 12
    for rows in batches:
        counts = Counter(data.labels[rows].tolist())
        assert len(counts) == 4
        assert set(counts.values()) == {3}


def test_crops_of_a_person_differ_while_there_are_enough():
    data = join_sets({"a": make_set([3, 4, 1, 2, 7])})
    for rows in draw(data, identities=5, crops=3):
        for label in range(5):
            mine = rows[data.labels[rows] == label]
            assert len(set(mine)) == min(3, int((data.labels == label).sum()))


def test_sets_are_shown_alike_however_large_they_are():
    data = join_sets({"large": make_set([8] * 100), "small": make_set([4] * 10)})
    shown = np.bincount(np.concatenate([data.sets[rows] for rows in draw(data)]))
    assert shown[0] == shown[1]


def test_everyone_comes_before_anyone_comes_again():
    data = join_sets({"a": make_set([12] * 8)})
    first_two = np.concatenate([data.labels[rows] for rows in draw(data)[:2]])
    assert set(first_two.tolist()) == set(range(8))


def test_seed_decides():
    data = join_sets({"a": make_set([5] * 20)})
    one, again, other = (np.stack(draw(data, seed=seed)) for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).any()


def test_fewer_people_than_a_batch_wants():
    data = join_sets({"a": make_set([2, 2])})
    (rows,) = draw(data, identities=16, crops=4)
    assert Counter(data.labels[rows].tolist()) == {0: 4, 1: 4}


def test_fingerprint_tells_data_apart():
    prints = {
        join_sets({"a": make_set(crops_of)}).fingerprint for crops_of in ([2, 2], [2, 3], [3, 2])
    }
    assert len(prints) == 3


def test_crop_that_has_vanished_is_named(tmp_path):
    crops = make_set([2, 2])
    gone = CropSet((tmp_path / "gone.jpg",) * 4, crops.pids, crops.camids)
    with pytest.raises(DatasetError, match=r"gone\.jpg"):
        join_sets({"a": gone})
