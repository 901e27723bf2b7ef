"""What an ingest did, and how long its parts took."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reidsearch.core.types import StoredDetection


@dataclass(frozen=True, slots=True)
class StageTimes:
    """How a stage spent its time.

    Attributes:
        name: of the stage.
        busy_s: at work.
        input_wait_s: waiting for what the stage before it makes.
        output_wait_s: waiting until the stage after it takes what is made.
    """

    name: str
    busy_s: float
    input_wait_s: float
    output_wait_s: float


@dataclass(frozen=True, slots=True)
class Unread:
    """A source that could not be opened.

    Attributes:
        path: of the source.
        error: why, in a sentence.
        hint: what to do about it, or empty.
    """

    path: str
    error: str
    hint: str


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What an ingest did, of one source or of several.

    Attributes:
        frames: new ones, stored now.
        failures: why each frame that could not be decoded could not, one sentence each.
        frames_skipped: were in the database already.
        frames_changed: of the known ones, those whose files have changed since.
        detections: stored.
        seconds: wall time.
        cpu_s: processor time of all threads.
        stages: how each stage spent that time; they run side by side.
        first: the first detection stored, or None.
        unread: sources that could not be opened; the others were ingested.
        interrupted: whether it was cancelled before all was done.
        example: a frame with somebody in it, as `--frame` takes it; or empty.
    """

    frames: int = 0
    failures: tuple[str, ...] = ()
    frames_skipped: int = 0
    frames_changed: int = 0
    detections: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    stages: tuple[StageTimes, ...] = ()
    first: StoredDetection | None = None
    unread: tuple[Unread, ...] = ()
    interrupted: bool = False
    example: str = ""

    @property
    def frames_per_s(self) -> float:
        """New frames a second; 0 where no time was spent."""
        return self.frames / self.seconds if self.seconds else 0.0

    @property
    def cores_busy(self) -> float:
        """How many processors worked, on average."""
        return self.cpu_s / self.seconds if self.seconds else 0.0


def add_up(reports: Sequence[IngestReport]) -> IngestReport:
    """What several ingests did together, one after the other; each failure counts once."""
    failures = dict.fromkeys(failure for report in reports for failure in report.failures)
    return IngestReport(
        frames=sum(report.frames for report in reports),
        failures=tuple(failures),
        frames_skipped=sum(report.frames_skipped for report in reports),
        frames_changed=sum(report.frames_changed for report in reports),
        detections=sum(report.detections for report in reports),
        seconds=sum(report.seconds for report in reports),
        cpu_s=sum(report.cpu_s for report in reports),
        first=next((report.first for report in reports if report.first is not None), None),
        stages=tuple(map(_add_up_times, zip(*(r.stages for r in reports), strict=True))),
    )


def _add_up_times(stages: tuple[StageTimes, ...]) -> StageTimes:
    """What one stage did in all sources."""
    return replace(
        stages[0],
        busy_s=sum(times.busy_s for times in stages),
        input_wait_s=sum(times.input_wait_s for times in stages),
        output_wait_s=sum(times.output_wait_s for times in stages),
    )
