"""Searching one state of a database."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reidsearch.core.errors import QueryError, UsageError
from reidsearch.core.files import is_stdout
from reidsearch.core.types import Scene
from reidsearch.search.find import find_in_each_frame, find_later
from reidsearch.search.grouping import Grouping
from reidsearch.search.query import Query, find_source, query_crop, query_picture, query_stored
from reidsearch.search.scene import choose_person, is_narrow
from reidsearch.search.window import Moment, Window
from reidsearch.services.people import JudgingPeople
from reidsearch.services.tracklets import StoredTracklets

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from reidsearch.core.provenance import SourceRecord
    from reidsearch.core.store import Store
    from reidsearch.core.types import Fuse
    from reidsearch.database.audit_entry import Action
    from reidsearch.models.detectors import Detector
    from reidsearch.models.pair import Models
    from reidsearch.search.find import FootageMatches, SearchResult
    from reidsearch.services.recording import Recorder

_MOST_DISTANCES = 1000


class Gallery:
    """One state of a database, to be searched; made by `Database.read`.

    Every search is recorded in the database's audit log before its matches are returned.

    Attributes:
        store: the stored detections themselves.
        models: the networks that they were made with.
    """

    def __init__(self, store: Store, models: Models, recorder: Recorder) -> None:
        self.store = store
        self.models = models
        self._recorder = recorder

    @cached_property
    def tracklets(self) -> StoredTracklets:
        """Which stored detections follow each other as one person."""
        return StoredTracklets(self.folder, self.store, self.models.calibration)

    @property
    def folder(self) -> Path:
        """Of the database."""
        return self._recorder.folder

    def footage_paths(self) -> list[Path]:
        """Where all footage lay when it was ingested: files, and folders of pictures."""
        return [Path(record.info.path) for record in self.store.sources()]

    def find_sources(
        self, names: Sequence[str] = (), cameras: Collection[str] = ()
    ) -> list[SourceRecord]:
        """Look sources up, each once.

        Args:
            names: `[CAMERA/]SOURCE` each; without any, all sources are meant.
            cameras: whose source is meant where several have one of that name.

        Raises:
            QueryError: the database has no such source, or several of that name.
        """
        if not names:
            return [*self.store.sources()]
        named = (find_source(self.store, name, cameras) for name in names)
        return [*{record.info.key: record for record in named}.values()]

    def find_query(
        self,
        picture: str | Path | None = None,
        *,
        box_xyxy: tuple[float, float, float, float] | None = None,
        frame: str | None = None,
        person: int | None = None,
        crop_id: str | None = None,
    ) -> Query:
        """Take one person to search for: from a picture, a stored frame, or a crop's id.

        Args:
            picture: a crop of the person, or a scene, in which the database's detector looks for
                people.
            box_xyxy: where in that picture the person is, in its pixels.
            frame: `[CAMERA/]SOURCE:N`.
            person: the n-th detection in that scene or frame, by descending score; None takes the
                only one of a scene, and the first of a frame.
            crop_id: `camera/source:frame:n`.

        Raises:
            UsageError: not exactly one person is named, or what names it cannot be read.
            SeveralPeopleError: the scene shows several people, and `person` says none.
            ImageError: the picture cannot be decoded.
            QueryError: the frame, person or crop is not in the database, nobody is in the scene, or
                the box is not in it.
        """
        if person is not None and (picture is frame is None or box_xyxy is not None):
            raise UsageError(
                "--person needs --frame, or a picture without --box",
                hint="it takes one of several detections",
            )
        if box_xyxy is not None and picture is None:
            raise UsageError("--box needs a picture", hint="a stored detection has a box already")
        named = 3 - [picture, frame, crop_id].count(None)
        if named != 1:
            problem = "several queries were given" if named else "no query was given"
            raise UsageError(problem, hint="give one of: a picture, --frame, --id")
        if picture is not None:
            return self._query_picture(str(picture), box_xyxy, person)
        if frame is not None:
            return query_stored(self.store, frame, person or 1)
        return query_crop(self.store, str(crop_id))

    @property
    def people(self) -> JudgingPeople:
        """Persons with names, and what is said of them."""
        return JudgingPeople(self._recorder, self.store, self.tracklets)

    def find_person(self, name: str) -> Query:
        """Take somebody with a name to search for, by all detections that were confirmed.

        Raises:
            PersonError: nobody has that name.
            QueryError: no detection is confirmed, or none is what it was.
            StoreError: what was said of people cannot be read.
        """
        judged = self.people.judged(name)
        if not judged.confirmed:
            raise QueryError(
                f"{name} has no confirmed detection",
                hint="`reidsearch people confirm` takes ids of detections",
            )
        vectors = [query_crop(self.store, one.id).vectors for one in judged.confirmed]
        return Query(
            np.concatenate(vectors), name=name, confirmed=judged.confirmed, rejected=judged.rejected
        )

    def _query_picture(
        self, path: str, box_xyxy: tuple[float, float, float, float] | None, person: int | None
    ) -> Query:
        from reidsearch.footage.images import read_image

        image, found = read_image(Path(path)), None
        if box_xyxy is None and (person is not None or not is_narrow(image)):
            [detections] = self._detector.detect([image])
            scene = Scene(path, image, detections.as_stored())
            box_xyxy, found = choose_person(scene, person), len(detections)
        return query_picture(image, self.models.embedder, box_xyxy, path, found)

    @cached_property
    def _detector(self) -> Detector:
        """The database's, with the settings that most of its sources were ingested with."""
        from reidsearch.services.ingest import DetectionOptions

        default = DetectionOptions().settings(self.models.detector_card.min_score)
        recorded = [r.settings for r in self.store.sources() if not r.settings.boxes_sha256]
        [(settings, _)] = Counter(recorded or [default]).most_common(1)
        return self.models.load_detector(replace(settings, skip_unchanged=False))

    def window(
        self,
        *,
        cameras: Sequence[str] = (),
        sources: Sequence[str] = (),
        after: str | None = None,
        before: str | None = None,
        min_score: float | None = None,
        all_times: bool = False,
        query: Query | None = None,
    ) -> Window:
        """Say which part of the footage is searched.

        Args:
            cameras: these only.
            sources: these only, as `[CAMERA/]SOURCE`.
            after: later than this only; see `Moment.parse`.
            before: earlier than this only.
            min_score: detections with at least this detector score.
            all_times: earlier frames of a stored person too.
            query: whose camera is meant where several have a source of that name.

        Raises:
            UsageError: a moment cannot be read.
            QueryError: a source is not in the database.
        """
        own = () if query is None or query.detection is None else (query.detection.camera,)
        return Window(
            tuple(cameras),
            tuple(self.find_sources(sources, cameras or own)) if sources else (),
            None if after is None else Moment.parse(after),
            None if before is None else Moment.parse(before),
            min_score,
            all_times,
        )

    def search(
        self,
        query: Query,
        window: Window | None = None,
        grouping: Grouping | None = None,
        *,
        files: Iterable[Path] = (),
        action: Action = "search",
    ) -> SearchResult:
        """Rank the detections of later frames by their distance to a query.

        Args:
            query: of `find_query`.
            window: of `window`; None is all footage.
            grouping: which detections become matches; None takes those of the ten nearest
                tracklets.
            files: what the matches are meant for, for the audit log.
            action: what is done with them, likewise.

        Raises:
            UsageError: moments of the window do not fit the query or each other.
            QueryError: a camera is not in the database, or no times can be compared.
        """
        window, grouping = window or Window(), grouping or Grouping()
        result = find_later(
            self.store, query, window, grouping, self.models.calibration, self.tracklets
        )
        about = {"scope": result.scope, "left_out": result.left_out, **grouping.options()}
        if not result.exact:
            about["approximate"] = True
        found = [match.detection.id for match in result.matches]
        self.record(query, found, about, files=files, action=action)
        return result

    def find_in_footage(
        self,
        query: Query,
        record: SourceRecord,
        max_distance: float | None = None,
        *,
        files: Iterable[Path] = (),
    ) -> FootageMatches:
        """Find the nearest detection of each later frame of a source.

        Args:
            query: of `find_query`.
            record: of the source.
            max_distance: frames without a detection this near have no match; None takes the
                distance up to which a match is likelier right than wrong, where that is known.
            files: what the matches are meant for, for the audit log.

        Raises:
            QueryError: the source's times cannot be compared with the query's.
        """
        if max_distance is None and self.models.calibration is not None:
            max_distance = self.models.calibration.likely_distance
        found = find_in_each_frame(self.store, query, record, max_distance)
        about = {"scope": str(record.info), "max_distance": max_distance}
        ids = [match.detection.id for match in found.matches.values()]
        self.record(query, ids, about, files=files, action="render")
        return found

    def nearest_distances(self, query: Query, window: Window, fuse: Fuse) -> list[float]:
        """How far the 1,000 nearest detections are, to draw; names nobody, so is not recorded."""
        everyone = Grouping(_MOST_DISTANCES, by="detection", fuse=fuse)
        return [match.distance for match in find_later(self.store, query, window, everyone).matches]

    def record_export(self, kind: str, sources: Iterable[SourceRecord], file: Path) -> None:
        """Record that whole sources are written to a file; their ids need not be named."""
        chosen = [*sources]
        about = {
            "kind": kind,
            "source": [str(record.info) for record in chosen],
            "detections": sum(record.detections for record in chosen),
            **({} if is_stdout(file) else {"meant_for": [str(file.resolve())]}),
        }
        self._recorder.record("export", about=about)

    def record(
        self,
        query: Query,
        crop_ids: Iterable[str],
        about: Mapping[str, Any],
        *,
        files: Iterable[Path] = (),
        action: Action = "search",
    ) -> None:
        """Record whom a search found, before anybody sees it.

        Args:
            query: who was searched for.
            crop_ids: who was found.
            about: what else there is to say; what is empty is left out.
            files: what the matches are meant for.
            action: what is done with them.
        """
        fields = {
            **about,
            "pictures": [str(Path(path).resolve()) for path in query.paths],
            "box_xyxy": query.box_xyxy,
            "meant_for": [str(path.resolve()) for path in files],
        }
        self._recorder.record(
            action,
            asked=None if query.shown is None else query.shown.id,
            vectors=query.vectors,
            about={name: value for name, value in fields.items() if value not in (None, [], ())},
            ids=crop_ids,
            collection=self.store.state.collection,
        )
