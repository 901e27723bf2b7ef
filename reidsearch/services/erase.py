"""Erasing people, frames and sources for good."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING

from reidsearch.core.errors import StoreError, UsageError
from reidsearch.core.ids import CropId
from reidsearch.core.types import Filter
from reidsearch.database.audit_log import explain, locked, record, redact
from reidsearch.database.journal import read_stored_before
from reidsearch.database.layout import require_database
from reidsearch.database.lock import FOREVER, WAIT_S, writing
from reidsearch.database.rebuild import Gone, erase_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from reidsearch.core.provenance import SourceRecord
    from reidsearch.core.store import SnapshotId, Store
    from reidsearch.core.types import StoredDetection
    from reidsearch.search.query import Query

_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(frozen=True)
class Erasure:
    """What is to be erased.

    Attributes:
        sightings: everyone who goes.
        frames: of each source, those that are forgotten as if they had never been ingested.
    """

    detections: Sequence[StoredDetection]
    frames: Mapping[tuple[str, str], frozenset[int]] = field(default_factory=dict)

    @property
    def frame_count(self) -> int:
        """How many frames are forgotten."""
        return sum(map(len, self.frames.values()))

    def has(self, crop_id: str) -> bool:
        """Whether someone goes, also one whom such a frame had once."""
        try:
            crop = CropId.parse(crop_id)
        except ValueError:  # somebody else has written it
            return False
        frames = self.frames.get((crop.camera, crop.source), frozenset())
        return crop_id in self.ids or crop.frame in frames

    @cached_property
    def ids(self) -> frozenset[str]:
        """Of everyone who goes."""
        return frozenset(sighting.id for sighting in self.detections)


def parse_age(text: str) -> float:
    """Read an age such as `30d`, `12h`, `45m` or `2w` in seconds; UsageError when it is none."""
    found = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)([mhdw])", text)
    if not found:
        raise UsageError(f"{text!r} is no age", hint="write 30d, 12h, 45m or 2w")
    return float(found[1]) * _SECONDS[found[2]]


def choose_frames(
    store: Store, folder: Path, sources: Iterable[SourceRecord], older_than_s: float | None
) -> Erasure:
    """Choose all frames of some sources, or those of some age, with everyone in them.

    Args:
        store: the gallery.
        folder: of its database.
        sources: whose frames.
        older_than_s: age in seconds, of the footage where its start is known; else of its ingest,
            as the footage is older still. None chooses all frames.
    """
    frames = {}
    people: list[StoredDetection] = []
    for source in sources:
        key = source.info.key
        chosen = frozenset(source.frames)
        if older_than_s is not None:
            chosen &= _old_frames(source, folder, time.time() - older_than_s)
        if chosen or older_than_s is None:
            frames[key] = chosen
            found = store.detections(Filter(sources=(key,)))
            people += [sighting for sighting in found if sighting.frame in chosen]
    return Erasure(people, frames)


def choose_people(
    store: Store, queries: Iterable[Query], max_distance: float, wanted: Filter
) -> list[StoredDetection]:
    """Choose everyone who is near to one of the queries, in any frame.

    Raises:
        StoreError: the store might miss somebody.
    """
    if not store.is_exact:
        raise StoreError(
            "without the exact index somebody might be missed",
            hint="`reidsearch doctor` says why there is none",
        )
    found: dict[str, StoredDetection] = {}
    for query in queries:
        people = store.nearest(query.vectors, wanted)
        near = takewhile(lambda match: match.distance <= max_distance, people)
        found |= {match.detection.id: match.detection for match in near}
    return [*found.values()]


def wait_for_others(folder: Path, on_note: Callable[[str], None]) -> None:
    """Wait until no other process uses a database; `on_note` gets a sentence if one does."""
    require_database(folder)
    with writing(folder, FOREVER, on_note):
        pass


def erase(
    folder: Path,
    seen: SnapshotId,
    erasure: Erasure,
    about: Mapping[str, Any],
    on_step: Callable[[int, int], None] = lambda _done, _total: None,
    *,
    wait: bool = False,
    on_note: Callable[[str], None] = lambda _note: None,
) -> None:
    """Write the database anew without what is to be erased, and say so in its audit log.

    Ids in older lines of the log are erased too. Killed before its end, all is as it was, but for
    lines of the log. Copies elsewhere, as backups are, stay as they are.

    Args:
        folder: the database.
        seen: the state of the database in which `erasure` was chosen.
        erasure: what is to go.
        about: for the log: what was asked for.
        on_step: called with rows done and to do.
        wait: until others have gone.
        on_note: called with a sentence when it waits.

    Raises:
        StoreError: the database was changed since, is damaged or may not be written, or there is no
            room for another.
        DatabaseBusyError: others use it.
    """
    with ExitStack() as held:

        def log() -> None:
            # Kept until the new database is in its place: a search that is under way then finds
            # another one, and leaves out ids.
            try:
                held.enter_context(locked(folder))
            except OSError as error:
                raise explain(error, folder, "written") from error
            # People of whole frames need no naming; of other ids only commitments stay.
            record(folder, "erase", about=about, ids=() if erasure.frames else sorted(erasure.ids))
            redact(folder, erasure.has)

        gone, wait_s = Gone(erasure.frames, erasure.ids), FOREVER if wait else WAIT_S
        erase_rows(folder, seen, gone, on_step, log, wait_s=wait_s, on_note=on_note)


def _old_frames(source: SourceRecord, folder: Path, before_s: float) -> set[int]:
    info = source.info
    if info.start_s is None:
        return read_stored_before(folder, info.key, before_s)
    return {number for number in source.frames if info.time_of(number) < before_s}
