"""What an ingest did, and how long its parts took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
class IngestReport:
    """What an ingest did.

    Attributes:
        frames: new ones, stored now.
        failures: why each frame that could not be decoded could not, one sentence each.
        frames_skipped: were in the database already.
        frames_changed: of the known ones, those whose files have changed since.
        detections: stored.
        first: the first detection stored, or None.
        seconds: wall time.
        cpu_s: processor time of all threads.
        stages: how each stage spent that time; they run side by side.
    """

    frames: int
    failures: tuple[str, ...]
    frames_skipped: int
    frames_changed: int
    detections: int
    seconds: float
    cpu_s: float
    stages: tuple[StageTimes, ...]
    first: StoredDetection | None = None
