import numpy as np
import pytest

from reidsearch.people.proposals import at_once, propose
from tests.unit.builders import make_vectors


def pairs(count, *known):
    found = np.zeros((count, count), bool)
    for a, b in known:
        found[a, b] = found[b, a] = True
    return found


def grouped(*degrees, same=(), apart=(), limit=0.87):
    count = len(degrees)
    looks = make_vectors(*degrees).reshape(-1, 2)
    return propose(looks, pairs(count, *same), pairs(count, *apart), limit).tolist()


def test_passages_that_look_alike_are_one_person():
    assert grouped(0, 120, 10, 130, 240) == [0, 1, 0, 1, 2]
    assert grouped() == []
    assert grouped(5) == [0]


def test_nobody_is_in_two_places_at_once():
    spans = np.array([(0, 5), (5, 9), (6, 7), (9.5, 12)], float)
    overlap = at_once(*spans.T)
    assert np.argwhere(np.triu(overlap)).tolist() == [[0, 1], [1, 2]]
    assert propose(make_vectors(0, 1, 2, 3), pairs(4), overlap).tolist() == [0, 1, 0, 0]


def test_what_was_said_counts():
    assert grouped(0, 120, same=[(0, 1)]) == [0, 0]
    assert grouped(0, 5, 10, apart=[(0, 2)]) in ([0, 0, 1], [0, 1, 1])
    assert grouped(0, 120, same=[(0, 1)], apart=[(0, 1)]) == [0, 1]


@pytest.mark.parametrize(("limit", "count"), [(0.05, 4), (0.4, 2), (2, 1)])
def test_the_limit_of_distance(limit, count):
    assert len({*grouped(0, 15, 90, 105, limit=limit)}) == count


def test_groups_with_people_apart_never_become_one():
    rng = np.random.default_rng(4)
    apart = pairs(40, *rng.integers(0, 40, (60, 2)))
    np.fill_diagonal(apart, val=False)
    groups = propose(make_vectors(*rng.uniform(0, 30, 40)), pairs(40), apart)
    assert not apart[groups[:, None] == groups].any()
