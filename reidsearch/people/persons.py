"""Persons with names: what users said of detections, as a log of steps that can be undone.

The persons are what all steps that were not undone make, one after the other. A detection shows one
person at most, and nobody is twice in one frame.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from reidsearch.core.errors import PersonError
from reidsearch.core.ids import CropId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from reidsearch.core.ids import SourceKey

Do = Literal["new", "confirm", "reject", "rename", "merge", "split", "forget", "undo"]
# Beside letters, marks and digits of any script: names stand in tables and command lines.
_ALSO = " .'\u2019_-"
_MOST_LETTERS = 64


class Crop(NamedTuple):
    """A stored detection as it was when it was judged.

    Attributes:
        id: see `CropId`.
        hash: see `StoredDetection.crop_hash`; another detection may have the id later.
    """

    id: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that a user said.

    Attributes:
        at: local time, ISO 8601.
        user: who said it.
        do: what.
        name: of the person; empty for `undo`, which takes back the user's own last step.
        other: the new name of `rename`; the person into whom `merge` puts the first; the new person
            of `split`.
        crops: those confirmed, rejected, or split off.
    """

    at: str
    user: str
    do: Do
    name: str = ""
    other: str = ""
    crops: tuple[Crop, ...] = ()


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a name.

    Attributes:
        confirmed: detections that show them, by id: the crop's hash, and the user who said so.
        rejected: detections that show somebody else, likewise.
    """

    confirmed: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    rejected: Mapping[str, tuple[str, str]] = field(default_factory=dict)


Persons = dict[str, Person]
"""By name."""


def fold(steps: Iterable[Step]) -> Persons:
    """What steps make of nobody, one after the other; crops may have been erased from them.

    Raises:
        PersonError: a step does not fit what was before it.
    """
    persons: Persons = {}
    for step in _effective(steps):
        _STEPS[step.do](persons, step)
    return persons


def add(steps: Sequence[Step], step: Step) -> Persons:
    """What steps make with one more.

    Raises:
        PersonError: it does not fit; or a user has nothing to undo, or others have built on it.
    """
    if step.do == "undo":
        find_last(steps, step.user)
    if step.do == "split":
        _require_two(_find(fold(steps), step.name), step)
    try:
        return fold([*steps, step])
    except PersonError as error:
        if step.do != "undo":
            raise
        raise PersonError(
            f"it cannot be undone: later steps build on it ({error})",
            hint="undo those first",
        ) from error


def find_last(steps: Iterable[Step], user: str) -> Step:
    """What a user would undo; raises PersonError where there is nothing."""
    for step in reversed(_effective(steps)):
        if step.user == user:
            return step
    raise PersonError(f"{user} has nothing to undo")


def _effective(steps: Iterable[Step]) -> list[Step]:
    """Steps that were not undone."""
    left: list[Step] = []
    for step in steps:
        if step.do != "undo":
            left.append(step)
            continue
        for place in reversed(range(len(left))):
            if left[place].user == step.user:
                del left[place]
                break
    return left


def _new(persons: Persons, step: Step) -> None:
    _require_free(persons, step.name)
    persons[step.name] = Person()
    _confirm(persons, step)


def _confirm(persons: Persons, step: Step) -> None:
    person = _find(persons, step.name)
    crops = {crop.id: (crop.hash, step.user) for crop in step.crops}
    for name, other in persons.items():
        if name != step.name and (taken := sorted(crops.keys() & other.confirmed)):
            raise PersonError(
                f"{taken[0]} is confirmed as {name}",
                hint=f"reject it there first, or merge: `reidsearch people merge {step.name!r} "
                f"{name!r}`",
            )
    confirmed = {**person.confirmed, **crops}
    _require_once_a_frame(step.name, confirmed)
    rejected = {id_: said for id_, said in person.rejected.items() if id_ not in crops}
    persons[step.name] = Person(confirmed, rejected)


def _reject(persons: Persons, step: Step) -> None:
    person = _find(persons, step.name)
    crops = {crop.id: (crop.hash, step.user) for crop in step.crops}
    confirmed = {id_: said for id_, said in person.confirmed.items() if id_ not in crops}
    persons[step.name] = Person(confirmed, {**person.rejected, **crops})


def _rename(persons: Persons, step: Step) -> None:
    person = _find(persons, step.name)
    _require_free(persons, step.other)
    del persons[step.name]
    persons[step.other] = person


def _merge(persons: Persons, step: Step) -> None:
    person, into = _find(persons, step.name), _find(persons, step.other)
    if step.name == step.other:
        raise PersonError(f"{step.name} cannot be merged with itself")
    confirmed = {**into.confirmed, **person.confirmed}
    _require_once_a_frame(f"{step.name} and {step.other}", confirmed)
    rejected = {**into.rejected, **person.rejected}
    persons[step.other] = Person(
        confirmed, {id_: said for id_, said in rejected.items() if id_ not in confirmed}
    )
    del persons[step.name]


def _split(persons: Persons, step: Step) -> None:
    person = _find(persons, step.name)
    _require_free(persons, step.other)
    chosen = {crop.id for crop in step.crops}
    persons[step.other] = Person({i: said for i, said in person.confirmed.items() if i in chosen})
    kept = {i: said for i, said in person.confirmed.items() if i not in chosen}
    persons[step.name] = Person(kept, person.rejected)


def _require_two(person: Person, step: Step) -> None:
    """Check, of a new step only, that both people of a split have a detection."""
    chosen = {crop.id for crop in step.crops}
    if strange := sorted(chosen - person.confirmed.keys()):
        raise PersonError(f"{strange[0]} is not confirmed as {step.name}")
    if not chosen or chosen == person.confirmed.keys():
        raise PersonError(
            f"both {step.name} and {step.other} must have a detection",
            hint="`reidsearch people rename` gives all of them another name",
        )


def _forget(persons: Persons, step: Step) -> None:
    _find(persons, step.name)
    del persons[step.name]


_STEPS: dict[Do, Callable[[Persons, Step], None]] = {
    "new": _new,
    "confirm": _confirm,
    "reject": _reject,
    "rename": _rename,
    "merge": _merge,
    "split": _split,
    "forget": _forget,
}


def _find(persons: Persons, name: str) -> Person:
    if name not in persons:
        raise PersonError(
            f"nobody is named {name}",
            hint=f"there is {', '.join(sorted(persons))}" if persons else "`reidsearch people new`",
        )
    return persons[name]


def find_person(persons: Persons, name: str) -> Person:
    """Look somebody up; raises PersonError where nobody has that name."""
    return _find(persons, unicodedata.normalize("NFC", name))


def _require_free(persons: Persons, name: str) -> None:
    kinds = [unicodedata.category(letter)[0] for letter in name]
    if not (
        0 < len(name) <= _MOST_LETTERS
        and all(kind in "LMN" or letter in _ALSO for kind, letter in zip(kinds, name, strict=True))
        and kinds[0] in "LN"
        and (kinds[-1] in "LMN" or name[-1] == ".")
    ):
        raise PersonError(
            f"{name!r} is not a valid name",
            hint="write letters, digits, spaces and . ' - _, 64 at most; first a letter or digit",
        )
    if name in persons:
        raise PersonError(f"{name} exists already")


def _require_once_a_frame(name: str, crops: Iterable[str]) -> None:
    seen: dict[tuple[SourceKey, int], str] = {}
    for id_, place in _places(crops):
        other = seen.setdefault(place, id_)
        if other != id_:
            raise PersonError(
                f"{name} would be twice in one frame: {other} and {id_}",
                hint="reject one of them first",
            )


def _places(crops: Iterable[str]) -> Iterator[tuple[str, tuple[SourceKey, int]]]:
    for id_ in crops:
        crop = CropId.parse(id_)
        yield id_, (crop.key, crop.frame)
