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


def frame_of(detection):
    return detection.key, detection.frame


def choose(grouping, people, sources=2):
    """By frames, of which each source has its own."""
    return grouping.choose(people, sources, frame_of)


def summary(matches):
    return [(match.rank, match.detection.camera, match.detection.frame) for match in matches]


PEOPLE = ranked(
    *[(GATE, 1, 1), (GATE, 1, 2), (GATE, 2, 1), (YARD, 9, 1), (GATE, 40, 1), (YARD, 9, 2)],
    *[(GATE, 3, 1), (YARD, 10, 1)],
)


def test_the_nearest_of_each_frame():
    found = choose(Grouping(10, by="frame"), PEOPLE)
    assert summary(found) == [
        *[(1, "gate", 1), (2, "gate", 2), (3, "yard", 9), (4, "gate", 40), (5, "gate", 3)],
        (6, "yard", 10),
    ]
    assert summary(choose(Grouping(10, by="tracklet"), PEOPLE)) == summary(found)
    assert choose(Grouping(10, by="detection"), PEOPLE) == PEOPLE


def test_no_more_people_are_taken_than_are_needed():
    people = iter(PEOPLE)
    assert len(choose(Grouping(3), people)) == 3
    assert len(list(people)) == len(PEOPLE) - 4  # the fourth is the third frame's
    people = iter(PEOPLE)
    assert len(choose(Grouping(9, per_source=1), people)) == 2  # there are no other sources
    assert len(list(people)) == len(PEOPLE) - 4
    people = iter(PEOPLE)
    assert len(choose(Grouping(9, max_distance=0.3), people)) == 2
    assert len(list(people)) == len(PEOPLE) - 4


def test_limits_of_distance_and_source():
    near = choose(Grouping(10, max_distance=0.3), PEOPLE)
    assert summary(near) == [(1, "gate", 1), (2, "gate", 2)]
    few = choose(Grouping(10, per_source=1), PEOPLE)
    assert summary(few) == [(1, "gate", 1), (2, "yard", 9)]


def test_nobody():
    for grouping in (Grouping(), Grouping(by="detection"), Grouping(per_source=1)):
        assert choose(grouping, []) == []


def test_ranks_are_counted_anew():
    found = choose(Grouping(5), [replace(m, rank=m.rank + 7) for m in PEOPLE])
    assert [match.rank for match in found] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "limits",
    [{"top": 0}, {"per_source": -1}, {"max_distance": -1}, {"max_distance": float("nan")}],
)
def test_limits_that_are_none(limits):
    with pytest.raises(UsageError):
        Grouping(**limits)
