import numpy as np
import pytest

from reidsearch.models.detectors.view_cache import ViewCache
from tests.unit.builders import make_detections

WHOLE, LEFT = (0, 0, 200, 100), (0, 0, 100, 100)


class CountingNetwork:
    """Finds one person whose score counts the views looked at so far."""

    def __init__(self):
        self.looked = 0
        self.fails = False

    def infer(self, views):
        if self.fails:
            raise RuntimeError("out of memory")
        found = []
        for _ in views:
            self.looked += 1
            found.append(make_detections((0, 0, 1, 1, self.looked / 100)))
        return found


def grey(value):
    return np.full((100, 100, 3), value, np.uint8)


def numbers(found):
    """Which look each view's people come from."""
    return [round(float(one.score[0]) * 100) for one in found]


def test_no_views():
    assert ViewCache(CountingNetwork(), 24).infer([], []) == []


def test_what_stays_is_looked_at_once():
    changed = ViewCache(CountingNetwork(), 24)
    assert numbers(changed.infer([WHOLE, LEFT], [grey(50), grey(50)])) == [1, 2]
    assert numbers(changed.infer([WHOLE, LEFT], [grey(50), grey(58)])) == [1, 2]


def test_only_the_view_that_changed_is_looked_at():
    changed = ViewCache(CountingNetwork(), 24)
    changed.infer([WHOLE, LEFT], [grey(50), grey(50)])
    person = grey(50)
    person[40:60, 40:48] = 120
    assert numbers(changed.infer([WHOLE, LEFT], [grey(50), person])) == [1, 3]
    assert numbers(changed.infer([WHOLE, LEFT], [person, person])) == [4, 3]


def test_several_frames_at_once_are_compared_in_their_order():
    changed = ViewCache(CountingNetwork(), 24)
    views = [grey(value) for value in (50, 50, 90, 90, 50)]
    assert numbers(changed.infer([WHOLE] * 5, views)) == [1, 1, 2, 2, 3]


def test_slow_change_adds_up():
    changed = ViewCache(CountingNetwork(), 24)
    found = [numbers(changed.infer([WHOLE], [grey(50 + 6 * step)]))[0] for step in range(7)]
    assert found == [1, 1, 1, 2, 2, 2, 3]


def test_view_of_a_failed_look_is_looked_at_again():
    network = CountingNetwork()
    changed = ViewCache(network, 24)
    changed.infer([WHOLE], [grey(50)])
    network.fails = True
    with pytest.raises(RuntimeError):
        changed.infer([WHOLE], [grey(120)])
    network.fails = False
    assert numbers(changed.infer([WHOLE], [grey(120)])) == [2]


@pytest.mark.parametrize("size", [(768, 576), (1920, 1080), (3840, 2160)], ids=str)
def test_smallest_person_who_moves_is_noticed_in_a_large_view(size):
    width, height = size
    changed = ViewCache(CountingNetwork(), 24)
    looked = []
    for step in range(4):
        view = np.full((height, width, 3), 90, np.uint8)
        left = 200 + 10 * step
        view[300:324, left : left + 9] = 150
        looked += numbers(changed.infer([(0, 0, width, height)], [view]))
    assert looked == [1, 2, 3, 4]
