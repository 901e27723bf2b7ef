"""What a database records about itself: the models that filled it and the footage it holds."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from reidsearch.core.errors import SourceError, UsageError
from reidsearch.core.types import SourceInfo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reidsearch.core.types import Detections


@dataclass(frozen=True, slots=True)
class Provenance:
    """The models behind every row of a database.

    Attributes:
        embedder, detector: names as `--embedder` and `--detector` take them.
        fingerprint: the embedder's vector space; see `catalog.EmbedderCard.fingerprint`.
        dimension: D of the vectors.
        detector_sha256: of the detector's original weights, also where its exported network ran.
        precision: what the networks compute in; see `backends.Precision`.
        versions: of the libraries that decide pixels, boxes and vectors, where it was made.
        package_version: of the reidsearch that made the database.
    """

    embedder: str
    fingerprint: str
    dimension: int
    detector: str
    detector_sha256: str
    precision: str
    versions: str
    package_version: str

    def __post_init__(self) -> None:
        texts = [v for name, v in asdict(self).items() if name != "dimension"]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError(f"no provenance: {self!r}")
        if not (type(self.dimension) is int and self.dimension > 0):
            raise ValueError(f"no vector has {self.dimension!r} numbers")


@dataclass(frozen=True, slots=True)
class DetectionSettings:
    """What decides, beside the model, which boxes of a frame are kept.

    Attributes:
        min_score: lowest score, in `[0, 1]`: the detector's, which counts less where tiles do not
            confirm it; see `detectors.tiles.merge_tiles`.
        min_height_px: lowest box, in pixels of the full frame.
        tiles: `auto`, `off` or columns x rows such as `3x2`.
        skip_unchanged: whether people stay where they were in views that do not change.
        boxes_sha256: of the file that the boxes come from instead; then no detector looked.
    """

    min_score: float
    min_height_px: int
    tiles: str
    skip_unchanged: bool = False
    boxes_sha256: str = ""

    def __post_init__(self) -> None:
        if not (0 <= self.min_score <= 1 and self.min_height_px >= 1):
            raise UsageError(
                f"no box has a score of {self.min_score} or a height of {self.min_height_px}"
            )

    def select(self, found: Detections) -> Detections:
        """The detections that are kept by these settings."""
        heights = found.xyxy[:, 3] - found.xyxy[:, 1]
        return found[(found.score >= self.min_score) & (heights >= self.min_height_px)]


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """A source as the database knows it.

    Attributes:
        frames: how many were ingested, with or without people.
        detections: how many those frames gave.
        span: the first frame's number and the last one's, or None before there is any.
    """

    info: SourceInfo
    settings: DetectionSettings
    frames: int = 0
    detections: int = 0
    span: tuple[int, int] | None = None

    def to_fields(self) -> dict[str, Any]:
        """Info and settings, side by side, as they are stored."""
        return asdict(self.info) | asdict(self.settings)

    @classmethod
    def from_fields(cls, stored: Mapping[str, Any]) -> SourceRecord:
        """Read what `to_fields` gave; there are no frames yet.

        Raises:
            ValueError: it is not that.
        """
        try:
            info = {field.name: stored[field.name] for field in fields(SourceInfo)}
            settings = {field.name: stored[field.name] for field in fields(DetectionSettings)}
            return cls(SourceInfo(**info), DetectionSettings(**settings))
        except (KeyError, TypeError, AttributeError, UsageError) as error:
            raise ValueError(f"not a source: {error}") from error


def name_finders(provenance: Provenance, sources: Sequence[SourceRecord]) -> list[str]:
    """What found the people of a database, or will: its detector, a file of boxes, or both."""
    given = [bool(source.settings.boxes_sha256) for source in sources]
    detector = [] if given and all(given) else [provenance.detector]
    return [*detector, *(["boxes from a file"] if any(given) else [])]


def require_same_footage(known: SourceRecord, info: SourceInfo) -> None:
    """Check that `info` is the footage that the database knows under that name.

    When frames were added before the first or taken away from the start, footage at another path
    is taken for other footage.

    Raises:
        SourceError: it is other footage.
    """
    digests = {known.info.digest, info.digest} - {""}
    if known.info.first_number != info.first_number:
        is_other = known.info.path != info.path
    else:
        is_other = len(digests) > 1
    if is_other and known.info.path == info.path:
        raise SourceError(
            f"{info.path} is not what it was when it was ingested",
            hint="ingest it with --refresh: what has changed is done again",
        )
    if is_other:
        raise SourceError(
            f"the database has other footage named {known.info}, from {known.info.path}",
            hint="give that path, or ingest this footage under a name of its own with --camera",
        )


def require_same_options(
    known: SourceRecord, info: SourceInfo, settings: DetectionSettings
) -> None:
    """Check that a source is read as before, so that its old and new rows fit together.

    Raises:
        SourceError: it is read with other options.
    """
    for option, ours, theirs in (
        ("--fps", known.info.fps, info.fps),
        ("--start", _format_start(known.info), _format_start(info)),
        ("--detections", _name_boxes(known.settings), _name_boxes(settings)),
        ("--min-score", known.settings.min_score, settings.min_score),
        ("--min-height", known.settings.min_height_px, settings.min_height_px),
        ("--tiles", known.settings.tiles, settings.tiles),
        ("--skip-unchanged", known.settings.skip_unchanged, settings.skip_unchanged),
    ):
        if ours != theirs:
            raise SourceError(
                f"{info} was ingested {_with(option, ours)}, and now {_with(option, theirs)}",
                hint=f"use the same {option} again; to change it, "
                f"`reidsearch erase --source {shlex.quote(str(info))}` first",
            )


def _with(option: str, value: object) -> str:
    if value in ("", False):
        return f"without {option}"
    return f"with {option}" if value is True else f"with {option} {value}"


def _name_boxes(settings: DetectionSettings) -> str:
    return f"(sha256 {settings.boxes_sha256[:16]})" if settings.boxes_sha256 else ""


def _format_start(info: SourceInfo) -> str:
    if info.start_s is None:
        return ""
    return datetime.fromtimestamp(info.start_s, UTC).isoformat()
