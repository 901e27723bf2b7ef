from dataclasses import replace

import pytest

from reidsearch.core.errors import UsageError
from reidsearch.core.types import Match
from reidsearch.search.grouping import Grouping
from tests.unit.builders import make_detection, make_info

GATE, YARD = make_info("gate"), make_info("yard")  # 10 frames a second


def ranked(*people):
    """Matches from (source, frame, person), nearest first, 0.1 apart."""
    return [
        Match(rank, rank / 10, make_detection(*person))
        for rank, person in enumerate(people, start=1)
    ]


def summary(matches):
    return [(match.rank, match.detection.camera, match.detection.frame) for match in matches]


PEOPLE = ranked(
    *[(GATE, 1, 1), (GATE, 1, 2), (GATE, 2, 1), (YARD, 9, 1), (GATE, 40, 1), (YARD, 9, 2)],
    *[(GATE, 3, 1), (YARD, 10, 1)],
)


def test_the_nearest_of_each_frame():
    found = Grouping(10).choose(PEOPLE, 2)
    assert summary(found) == [
        *[(1, "gate", 1), (2, "gate", 2), (3, "yard", 9), (4, "gate", 40), (5, "gate", 3)],
        (6, "yard", 10),
    ]
    assert len(Grouping(10, per_frame=2).choose(PEOPLE, 2)) == 8
    assert Grouping(10, per_frame=None).choose(PEOPLE, 2) == PEOPLE


def test_no_more_people_are_taken_than_are_needed():
    people = iter(PEOPLE)
    assert len(Grouping(3).choose(people, 2)) == 3
    assert len(list(people)) == len(PEOPLE) - 4  # the fourth is the third frame's
    people = iter(PEOPLE)
    assert len(Grouping(9, per_source=1).choose(people, 2)) == 2  # there are no other sources
    assert len(list(people)) == len(PEOPLE) - 4
    people = iter(PEOPLE)
    assert len(Grouping(9, max_distance=0.3).choose(people, 2)) == 2
    assert len(list(people)) == len(PEOPLE) - 4


def test_limits_of_distance_and_source():
    near = Grouping(10, max_distance=0.3).choose(PEOPLE, 2)
    assert summary(near) == [(1, "gate", 1), (2, "gate", 2)]
    few = Grouping(10, per_source=1).choose(PEOPLE, 2)
    assert summary(few) == [(1, "gate", 1), (2, "yard", 9)]


def test_passages_are_shown_by_their_nearest_sighting():
    found = Grouping(10, gap_s=0.1, max_distance=1).choose(PEOPLE, 2)
    assert summary(found) == [(1, "gate", 1), (2, "yard", 9), (3, "gate", 40)]
    walk = found[0].passage
    assert (walk.first.frame, walk.last.frame, walk.count) == (1, 3, 3)
    assert [match.passage.count for match in found] == [3, 2, 1]
    apart = Grouping(10, gap_s=0.05, max_distance=1).choose(PEOPLE, 2)
    assert len(apart) == 6


@pytest.mark.parametrize(
    ("limits", "likely_distance", "counts"),
    [
        pytest.param({}, 0.65, [2, 1, 1], id="likely"),
        pytest.param({}, 0.75, [3, 1, 1], id="one-more-likely"),
        pytest.param({"max_distance": 0.75}, 0.35, [3, 1, 1], id="distance-beats-likely"),
        pytest.param({"max_distance": 0.35}, 0.75, [2], id="no-farther"),
        pytest.param({}, 0.0, [1, 1, 1, 1], id="none-likely"),
        pytest.param({}, None, [1, 1, 1, 1], id="not-calibrated"),
    ],
)
def test_passage_claims_only_what_is_near_enough(limits, likely_distance, counts):
    """Others were seen while it lasted, too."""
    people = PEOPLE[:5] + PEOPLE[6:7]  # of the walk past the gate, frame 3 comes late, at 0.7
    found = Grouping(10, gap_s=0.1, **limits).choose(people, 2, likely_distance)
    assert [match.passage.count for match in found] == counts


def test_no_more_is_read_than_what_is_likely_and_enough():
    taken = iter(ranked(*[(GATE, 100 * n, 1) for n in range(1, 50)]))
    assert len(Grouping(2, gap_s=0.1).choose(taken, 1, 0.35)) == 2
    assert len(list(taken)) == 49 - 4


def test_passages_that_grow_together_are_not_counted_twice():
    """Seen at 0, 2, 4 and 6 s, then between them, and only then elsewhere."""
    people = ranked(*[(GATE, 10 * s, 1) for s in (1, 3, 5, 7, 2, 4, 6, 30, 40)])
    found = Grouping(2, gap_s=1.5).choose(people, 1, 0.75)
    assert [m.passage.count for m in found] == [7, 1]


def test_passages_of_each_source_are_limited_too():
    people = ranked((GATE, 1, 1), (GATE, 50, 1), (GATE, 100, 1), (YARD, 9, 1), (YARD, 10, 1))
    found = Grouping(2, per_source=1, gap_s=0.1).choose(people, 2, 1.0)
    assert [(m.detection.camera, m.passage.count) for m in found] == [("gate", 1), ("yard", 2)]


def test_nobody():
    for grouping in (Grouping(), Grouping(gap_s=1), Grouping(per_source=1)):
        assert grouping.choose([], 2) == []


def test_ranks_are_counted_anew():
    found = Grouping(5).choose([replace(m, rank=m.rank + 7) for m in PEOPLE], 2)
    assert [match.rank for match in found] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "limits",
    [{"top": 0}, {"per_frame": 0}, {"per_source": -1}, {"gap_s": -1}, {"max_distance": -1}],
)
def test_limits_that_are_none(limits):
    with pytest.raises(UsageError):
        Grouping(**limits)
