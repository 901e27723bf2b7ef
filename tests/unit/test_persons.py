import copy
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from reidsearch.core.errors import PersonError
from reidsearch.core.ids import CropId
from reidsearch.people.persons import Crop, Step, add, fold


def crop(frame, person=1, hash_="h"):
    return Crop(f"gate/monday:{frame}:{person}", hash_)


def step(do, name="", other="", crops=(), user="ana"):
    return Step(
        at="2026-11-28 12:00:00+00:00", user=user, do=do, name=name, other=other, crops=crops
    )


def said(*steps):
    """Add steps one by one, and give everybody then: names, confirmed and rejected ids."""
    log = []
    for one in steps:
        add(log, one)
        log.append(one)
    return {
        name: (sorted(person.confirmed), sorted(person.rejected))
        for name, person in fold(log).items()
    }


ONE, TWO, THREE = (crop(n) for n in (1, 2, 3))
NEW = step("new", "Ana", crops=(ONE, TWO))


def test_confirmed_and_rejected():
    both = said(NEW, step("confirm", "Ana", crops=(THREE,)), step("reject", "Ana", crops=(TWO,)))
    assert both == {"Ana": ([ONE.id, THREE.id], [TWO.id])}
    again = said(NEW, step("reject", "Ana", crops=(TWO,)), step("confirm", "Ana", crops=(TWO,)))
    assert again == {"Ana": ([ONE.id, TWO.id], [])}


def test_names_change_and_people_turn_out_to_be_one_or_two():
    ben = step("new", "Ben", crops=(THREE,))
    assert said(NEW, step("rename", "Ana", "Zoë O'Neil-Li_2")).keys() == {"Zoë O'Neil-Li_2"}
    merged = said(NEW, ben, step("reject", "Ben", crops=(ONE,)), step("merge", "Ana", "Ben"))
    assert merged == {"Ben": ([ONE.id, TWO.id, THREE.id], [])}
    split = said(NEW, step("split", "Ana", "Ben", crops=(TWO,)))
    assert split == {"Ana": ([ONE.id], []), "Ben": ([TWO.id], [])}
    assert said(NEW, step("forget", "Ana")) == {}
    assert said(NEW, step("forget", "Ana"), step("new", "Ana")) == {"Ana": ([], [])}


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        pytest.param([NEW, step("new", "Ana")], "exists already", id="name-twice"),
        pytest.param([NEW, step("rename", "Ana", "Ana")], "exists already", id="same-name"),
        pytest.param([step("confirm", "Ana", crops=(ONE,))], "nobody is named Ana", id="nobody"),
        pytest.param([NEW, step("merge", "Ana", "Ana")], "with itself", id="with-oneself"),
        pytest.param(
            [NEW, step("split", "Ana", "Ben", crops=(ONE, TWO))], "must have", id="split-all"
        ),
        pytest.param([NEW, step("split", "Ana", "Ben")], "must have", id="split-nothing"),
        pytest.param(
            [NEW, step("split", "Ana", "Ben", crops=(THREE,))], "is not confirmed", id="split-other"
        ),
        pytest.param([NEW, step("new", "Ben", crops=(ONE,))], "confirmed as Ana", id="of-another"),
        pytest.param(
            [NEW, step("confirm", "Ana", crops=(crop(1, 2),))],
            "twice in one frame",
            id="two-places",
        ),
        pytest.param(
            [NEW, step("new", "Ben", crops=(crop(2, 2),)), step("merge", "Ben", "Ana")],
            "twice in one frame",
            id="merge-of-two",
        ),
        pytest.param([step("undo")], "nothing to undo", id="undo-nothing"),
        pytest.param([NEW, step("undo"), step("undo")], "nothing to undo", id="undo-too-much"),
        pytest.param([NEW, step("undo", user="ben")], "ben has nothing", id="undo-of-another"),
        pytest.param(
            [NEW, step("confirm", "Ana", crops=(THREE,), user="ben"), step("undo")],
            "later steps build on it",
            id="undo-what-others-need",
        ),
        *(
            pytest.param([step("new", name), NEW], "not a valid name", id=repr(name))
            for name in (
                "",
                " x",
                "x ",
                "../x",
                "a/b",
                "a:b",
                "<b>",
                "-x",
                "x" * 65,
                "a\n",
                "\x1b[1m",
            )
        ),
    ],
)
def test_what_does_not_fit(steps, words):
    with pytest.raises(PersonError, match=words):
        said(*steps)


@pytest.mark.parametrize("name", ["अनीता", "Zoë", "O\u2019Brien", "J. R.", "张伟", "7"])
def test_names_of_all_scripts(name):
    assert said(step("new", name)) == {name: ([], [])}


def test_undo_takes_back_what_the_same_user_said():
    hers, his = step("confirm", "Ana", crops=(THREE,)), step("new", "Ben", user="ben")
    assert said(NEW, hers, his, step("undo")) == said(NEW, his)
    assert said(NEW, hers, his, step("undo", user="ben"), step("undo")) == said(NEW)


class Persons(RuleBasedStateMachine):
    """Whatever is said, nobody is twice in a frame or shown by another's detection."""

    def __init__(self):
        super().__init__()
        self.log = []
        self.states = [{}]

    names = st.sampled_from(["Ana", "Ben", "Cleo"])
    crops = st.lists(st.builds(crop, st.integers(1, 4), st.integers(1, 2)), max_size=3).map(tuple)

    def say(self, one):
        before = copy.deepcopy(fold(self.log))
        try:
            persons = add(self.log, one)
        except PersonError:
            assert fold(self.log) == before
            return
        self.log.append(one)
        assert persons == fold(self.log)
        if one.do == "undo":
            self.states.pop()
            assert persons == self.states[-1]
        else:
            self.states.append(persons)

    @rule(
        do=st.sampled_from(["new", "confirm", "reject", "rename", "merge", "split", "forget"]),
        name=names,
        other=names,
        crops=crops,
    )
    def say_something(self, do, name, other, crops):
        self.say(step(do, name, other, crops))

    @rule()
    def undo(self):
        self.say(step("undo"))

    @rule(frames=st.sets(st.integers(1, 4), max_size=2))
    def erase(self, frames):
        """Crops go from all steps; what is left can be replayed, whatever it was."""
        left = [
            replace(
                one, crops=tuple(c for c in one.crops if CropId.parse(c.id).frame not in frames)
            )
            for one in self.log
        ]
        for person in fold(left).values():
            assert not {CropId.parse(id_).frame for id_ in person.confirmed} & frames

    @invariant()
    def nobody_is_in_two_places(self):
        seen = set()
        for person in fold(self.log).values():
            places = [CropId.parse(id_).frame for id_ in person.confirmed]
            assert len(places) == len({*places})
            assert not seen & person.confirmed.keys()
            assert not person.confirmed.keys() & person.rejected.keys()
            seen |= person.confirmed.keys()


TestPersons = Persons.TestCase
TestPersons.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
