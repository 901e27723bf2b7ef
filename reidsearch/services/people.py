"""Persons with names: what users say of stored detections."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from reidsearch.core.errors import PersonError, StoreError
from reidsearch.core.ids import CropId
from reidsearch.core.types import Filter
from reidsearch.database.audit_log import current_user
from reidsearch.database.ledger_schema import read_state
from reidsearch.database.people_log import appending, read_lines
from reidsearch.people.persons import Crop, Step, add, find_last, find_person, fold
from reidsearch.search.query import query_crop

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from reidsearch.core.ids import SourceKey
    from reidsearch.core.store import Store, Tracklets
    from reidsearch.core.types import StoredDetection
    from reidsearch.people.persons import Do, Person, Persons
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

    def say(self, do: Do, name: str = "", other: str = "") -> Step:
        """Add a step that judges no detection; see `persons.Step`.

        Returns:
            What was said; or, of `undo`, what was taken back.

        Raises:
            PersonError: it does not fit what was said before.
            StoreError: it cannot be written.
        """
        return self._add(do, name, other, ())

    def _add(
        self,
        do: Do,
        name: str,
        other: str,
        crops: Iterable[StoredDetection],
        collection: str | None = None,
    ) -> Step:
        """Add a step, which is recorded in the audit log, too, without names.

        The collection is that of the store in which the crops were found: where it is not the
        database's any more, somebody may have been erased.
        """
        chosen = [Crop(crop.id, crop.crop_hash) for crop in crops]
        step = Step(
            at=datetime.now().astimezone().isoformat(" ", "seconds"),
            user=self._recorder.actor or current_user(),
            do=do,
            name=unicodedata.normalize("NFC", name),
            other=unicodedata.normalize("NFC", other),
            crops=tuple(dict.fromkeys(chosen)),
        )
        with appending(self.folder) as append:
            if collection not in (None, read_state(self.folder).collection):
                raise StoreError("the database was rewritten in the meantime", hint="try again")
            lines = read_lines(self.folder)
            _fold(lines, self.folder)
            steps = [_to_step(line) for line in lines]
            add(steps, step)
            append(asdict(step))
        self._recorder.record(
            "people",
            about={"do": do},
            ids=[crop.id for crop in step.crops],
            collection=collection,
        )
        return find_last(steps, step.user) if do == "undo" else step


class JudgingPeople(People):
    """The same, for who can see the stored detections; made by `Gallery.people`."""

    def __init__(self, recorder: Recorder, store: Store, tracklets: Tracklets) -> None:
        super().__init__(recorder)
        self._store = store
        self._tracklets = tracklets

    def judge(self, do: Do, name: str, crops: Iterable[StoredDetection], other: str = "") -> Step:
        """Add a step that judges detections, each of which stands for its passage.

        What was said before of other detections of these passages, for the same person, is taken
        back by it.

        Raises:
            PersonError: it does not fit what was said before, or a passage is somebody else's.
            StoreError: it cannot be written.
        """
        chosen = list(crops)
        passages = {self._tracklets.name(crop) for crop in chosen}
        for known, judged in self.judged_by_name().items() if chosen else ():
            if known == unicodedata.normalize("NFC", name):
                before = judged.rejected if do == "confirm" else judged.confirmed
                chosen += [one for one in before if self._tracklets.name(one) in passages]
            elif do in ("new", "confirm"):
                for one in judged.confirmed:
                    if self._tracklets.name(one) in passages:
                        raise PersonError(
                            f"that passage is confirmed as {known}, by {one.id}",
                            hint="reject it there first, or merge both: `reidsearch people merge`",
                        )
        return self._add(do, name, other, chosen, self._store.state.collection)

    def judged(self, name: str) -> Judged:
        """Look up the detections that were judged for a person.

        Raises:
            PersonError: nobody has that name.
        """
        return self._judged(find_person(self.all(), name))

    def judged_by_name(self) -> dict[str, Judged]:
        """The same of everybody."""
        return {name: self._judged(person) for name, person in self.all().items()}

    def _judged(self, person: Person) -> Judged:
        confirmed, rejected = (
            self._look_up({id_: hash_ for id_, (hash_, _) in said.items()})
            for said in (person.confirmed, person.rejected)
        )
        said = len(person.confirmed) + len(person.rejected)
        return Judged(confirmed, rejected, said - len(confirmed) - len(rejected))

    def find(self, ids: Iterable[str]) -> list[StoredDetection]:
        """Look detections up by their ids; raises as `query_crop` does."""
        return [query_crop(self._store, id_).detection for id_ in dict.fromkeys(ids)]

    def record_proposals(self, sources: Iterable[SourceKey], count: int) -> None:
        """Record that everybody in sources was compared with everybody."""
        about = {"do": "propose", "source": [str(key) for key in sources], "people": count}
        self._recorder.record("people", about=about)

    def _look_up(self, hashes: Mapping[str, str]) -> tuple[StoredDetection, ...]:
        """Those of some detections that have the hashes they had."""
        known = {record.info.key for record in self._store.sources()}
        frames = Counter((c.key, c.frame) for c in map(CropId.parse, hashes) if c.key in known)
        found = [
            one
            for key, frame in sorted(frames)
            for one in self._store.detections(Filter(sources=(key,), frame=frame))
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
