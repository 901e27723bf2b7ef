"""Erasing people, frames and sources for good."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from reidsearch.core.errors import StoreError, UsageError
from reidsearch.core.ids import CropId
from reidsearch.core.types import Filter
from reidsearch.database.audit_log import Event, explain, locked, record, redact
from reidsearch.database.copying import Exclusion
from reidsearch.database.lock import FOREVER, WAIT_S
from reidsearch.database.people_log import read_lines, remove_crops
from reidsearch.database.rebuild import erase_rows
from reidsearch.database.snapshot import read_old_frames
from reidsearch.search.query import query_crop

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reidsearch.core.ids import SourceKey
    from reidsearch.core.store import SnapshotId
    from reidsearch.core.types import StoredDetection
    from reidsearch.search.query import Query
    from reidsearch.services.gallery import Gallery
    from reidsearch.services.recording import Recorder

_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(frozen=True, slots=True)
class Age:
    """How old something is at least.

    Attributes:
        text: as it was written, such as `30d`.
        seconds: the same.
    """

    text: str
    seconds: float

    @classmethod
    def parse(cls, text: str) -> Age:
        """Read an age such as `30d`, `12h`, `45m` or `2w`.

        Raises:
            UsageError: it is not a valid age.
        """
        found = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)([mhdw])", text)
        if not found:
            raise UsageError(f"{text!r} is not a valid age", hint="write 30d, 12h, 45m or 2w")
        return cls(text, float(found[1]) * _SECONDS[found[2]])


@dataclass(frozen=True)
class Erasure:
    """What is to be erased.

    Attributes:
        detections: everyone who goes.
        seen: the state of the database in which they were chosen.
        frames: of each source, those that are forgotten as if they had never been ingested.
        about: what was asked for, for the audit log.
    """

    detections: Sequence[StoredDetection]
    seen: SnapshotId
    frames: Mapping[SourceKey, frozenset[int]] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is anything to erase."""
        return bool(self.detections or self.frames)

    @property
    def frame_count(self) -> int:
        """How many frames are forgotten."""
        return sum(map(len, self.frames.values()))

    @cached_property
    def ids(self) -> frozenset[str]:
        """Of everyone who goes."""
        return frozenset(detection.id for detection in self.detections)

    def has(self, crop_id: str) -> bool:
        """Whether someone goes, also one whom such a frame had once."""
        try:
            crop = CropId.parse(crop_id)
        except ValueError:  # somebody else has written it
            return False
        return crop_id in self.ids or crop.frame in self.frames.get(crop.key, frozenset())


def choose_crops(gallery: Gallery, crop_ids: Iterable[str]) -> Erasure:
    """Choose single stored detections; their frames stay known.

    Raises:
        UsageError, QueryError: an id cannot be read, or is not in the database.
    """
    store = gallery.store
    chosen = [query_crop(store, crop_id).detection for crop_id in dict.fromkeys(crop_ids)]
    return Erasure(chosen, store.state)


def choose_frames(
    gallery: Gallery,
    cameras: Sequence[str] = (),
    sources: Sequence[str] = (),
    older_than: Age | None = None,
) -> Erasure:
    """Choose the frames that all of this holds for, with everyone in them.

    Args:
        gallery: of the database.
        cameras: of these only.
        sources: of these only, as `[CAMERA/]SOURCE`.
        older_than: only those of this age: the footage's where its start is known; else its
            ingest's, as the footage is older still.

    Raises:
        QueryError: a camera or source is not in the database.
    """
    store, frames = gallery.store, {}
    chosen_rows: list[StoredDetection] = []
    window = gallery.window(cameras=cameras, sources=sources)
    for source in window.choose(store.sources()):
        key = source.info.key
        if older_than is None:
            chosen = frozenset(store.frames(key).tolist())
        else:
            before_s = time.time() - older_than.seconds
            chosen = frozenset(read_old_frames(gallery.folder, source, before_s))
        if chosen or older_than is None:
            frames[key] = chosen
            found = store.detections(Filter(sources=(key,)))
            chosen_rows += [detection for detection in found if detection.frame in chosen]
    older = "" if older_than is None else f" older than {older_than.text}"
    return Erasure(chosen_rows, store.state, frames, {"scope": f"all frames{window}{older}"})


def choose_near(gallery: Gallery, query: Query, max_distance: float, among: Erasure) -> Erasure:
    """Choose everyone within a distance of a person, in any frame; their frames stay known.

    That they are shown is recorded as a search.

    Args:
        gallery: of the database.
        query: the person.
        max_distance: L2, 0 to 2.
        among: of `choose_frames`, whom to choose from.

    Raises:
        StoreError: the store might miss somebody.
    """
    if not gallery.store.is_exact:
        raise StoreError(
            "without the exact index somebody might be missed",
            hint="`reidsearch doctor` says why there is none",
        )
    about = {**among.about, "max_distance": max_distance}
    if not among.frames:
        return Erasure([], among.seen)
    nearest = gallery.store.nearest(query.vectors, Filter(sources=tuple(among.frames)))
    near = takewhile(lambda match: match.distance <= max_distance, nearest)
    chosen = [match.detection for match in near if match.detection.id in among.ids]
    shown = {**about, "scope": f"{about['scope']}, to erase"}
    gallery.record(query, [detection.id for detection in chosen], shown)
    return Erasure(chosen, among.seen, about=about)


def erase(recorder: Recorder, erasure: Erasure, *, wait: bool) -> None:
    """Rewrite the database without what is to be erased, and say so in its audit log.

    Ids in older lines of the log are erased too, and what was said of them as people. Killed before
    its end, all is as it was, but for lines of both logs. Copies elsewhere, as backups are, stay as
    they are.

    Args:
        recorder: of the database.
        erasure: what is to go.
        wait: until others have gone.

    Raises:
        StoreError: the database was changed since, is damaged or may not be written, it cannot be
            recorded, or there is no room for another.
        DatabaseBusyError: others use it.
    """
    folder = recorder.folder
    counts = {"detections": len(erasure.detections), "frames": erasure.frame_count}
    with ExitStack() as held:

        def log() -> None:
            # Kept until the new database is in its place: a search that is under way then finds
            # another one, and leaves out ids.
            try:
                held.enter_context(locked(folder))
            except OSError as error:
                raise explain(error, folder, "written") from error
            read_lines(folder)  # which must not fail once the erasure is recorded
            # People of whole frames need no naming; of other ids only commitments stay.
            ids = () if erasure.frames else sorted(erasure.ids)
            about = {**erasure.about, **counts}
            record(folder, Event("erase", recorder.actor, about=about, ids=ids))
            redact(folder, erasure.has)
            remove_crops(folder, erasure.has)

        erase_rows(
            folder,
            erasure.seen,
            Exclusion(erasure.frames, erasure.ids),
            log,
            recorder.progress,
            wait_s=FOREVER if wait else WAIT_S,
        )
