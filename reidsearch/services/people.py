"""Persons with names: what users say of stored detections."""

from __future__ import annotations

import getpass
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from reidsearch.core.errors import PersonError, StoreError
from reidsearch.core.types import Filter
from reidsearch.database.people_log import appending, read_lines
from reidsearch.people.persons import Crop, Step, add, find_last, find_person, fold
from reidsearch.search.query import query_crop

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from reidsearch.core.store import Store
    from reidsearch.core.types import StoredDetection
    from reidsearch.people.persons import Do, Persons
    from reidsearch.services.recording import Recorder


@dataclass(frozen=True, slots=True)
class Judged:
    """Detections of a person as the database has them now.

    Attributes:
        confirmed, rejected: those that are what they were when they were judged.
        stale: how many are not: their frames were processed again, or erased.
    """

    confirmed: tuple[StoredDetection, ...]
    rejected: tuple[StoredDetection, ...]
    stale: int


class People:
    """The persons of one database; made by `Database.people`.

    Attributes:
        folder: of the database.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.folder: Path = recorder.folder
        self._recorder = recorder

    def all(self) -> Persons:
        """Everybody with a name, as all steps so far make them.

        Raises:
            StoreError: the log is damaged.
        """
        return _fold(read_lines(self.folder), self.folder)

    def say(
        self, do: Do, name: str = "", other: str = "", crops: Iterable[StoredDetection] = ()
    ) -> Step:
        """Add a step; see `persons.Step`. It is recorded in the audit log, too, without names.

        Returns:
            What was said; or, of `undo`, what was taken back.

        Raises:
            PersonError: it does not fit what was said before.
            StoreError: it cannot be written.
        """
        chosen = [Crop(crop.id, crop.crop_hash) for crop in crops]
        step = Step(
            at=datetime.now().astimezone().isoformat(" ", "seconds"),
            user=self._recorder.actor or getpass.getuser(),
            do=do,
            name=name,
            other=other,
            crops=tuple(dict.fromkeys(chosen)),
        )
        with appending(self.folder) as append:
            lines = read_lines(self.folder)
            _fold(lines, self.folder)
            steps = [_to_step(line) for line in lines]
            add(steps, step)
            append(asdict(step))
        self._recorder.record("people", about={"do": do}, ids=[crop.id for crop in step.crops])
        return find_last(steps, step.user) if do == "undo" else step

    def judged(self, store: Store, name: str) -> Judged:
        """Look up the detections that were judged for a person.

        Raises:
            PersonError: nobody has that name.
        """
        person = find_person(self.all(), name)
        confirmed, rejected = (
            _look_up(store, {id_: hash_ for id_, (hash_, _) in said.items()})
            for said in (person.confirmed, person.rejected)
        )
        said = len(person.confirmed) + len(person.rejected)
        return Judged(confirmed, rejected, said - len(confirmed) - len(rejected))


def find_crops(store: Store, ids: Iterable[str]) -> list[StoredDetection]:
    """Look detections up by their ids; raises as `query_crop` does."""
    return [query_crop(store, id_).detection for id_ in dict.fromkeys(ids)]


def _look_up(store: Store, hashes: Mapping[str, str]) -> tuple[StoredDetection, ...]:
    """Those of some detections that have the hashes they had."""
    from reidsearch.core.ids import CropId

    known = {record.info.key for record in store.sources()}
    frames = Counter((c.key, c.frame) for c in map(CropId.parse, hashes) if c.key in known)
    found = [
        one
        for key, frame in sorted(frames)
        for one in store.detections(Filter(sources=(key,), frame=frame))
    ]
    return tuple(one for one in found if hashes.get(one.id) == one.crop_hash)


def _to_step(line: dict[str, Any]) -> Step:
    fields = {name: line[name] for name in ("at", "user", "do", "name", "other")}
    return Step(**fields, crops=tuple(Crop(*crop) for crop in line["crops"]))


def _fold(lines: list[dict[str, Any]], folder: Path) -> Persons:
    try:
        return fold(map(_to_step, lines))
    except (PersonError, KeyError, ValueError) as error:
        raise StoreError(
            f"what is known of people in {folder} contradicts itself: {error}",
            hint="restore a backup",
        ) from error
