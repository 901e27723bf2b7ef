"""The values that travel through reidsearch, from a frame to a match.

Types that hold many detections are structs of arrays: row i of every array is the same detection.
All are frozen and checked when they are made. Pictures are RGB.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from reidsearch.core.calibration import LIKELY
from reidsearch.core.ids import CropId, SourceKey

if TYPE_CHECKING:
    from numpy.typing import NDArray

# How the distances to several query vectors become one.
Fuse = Literal["min", "mean"]


@dataclass(frozen=True, slots=True)
class FileStamp:
    """Identifies the content of a footage file, to notice when it changes.

    Attributes:
        size: in bytes.
        mtime_ns: when it was last changed.
        digest: of its content; of a video, only of its beginning, see `footage.video`.
    """

    size: int
    mtime_ns: int
    digest: str


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """A frame as a database knows it, with or without people.

    Attributes:
        number: in its source.
        time_s: see `SourceInfo.time_of`; later frames have later times.
        path: the picture's own file, or the video that it comes from.
        stamp: of that file when it was read, where that is known.
    """

    number: int
    time_s: float
    path: str
    stamp: FileStamp | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a source.

    Attributes:
        image: `(H, W, 3)` uint8, RGB.
        number: from the file name's last digits, or the 1-based position.
        path: the picture's file, or the video that it comes from.
        stamp: of that file when it was read, or None.
    """

    image: NDArray[np.uint8]
    number: int
    path: str
    stamp: FileStamp | None = None

    def __post_init__(self) -> None:
        require_rgb(self.image)


@dataclass(frozen=True, slots=True)
class BadFrame:
    """Stands in the order of frames for one that could not be read.

    Attributes:
        reason: one sentence that names the file.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known about a source before its frames are read.

    Attributes:
        camera: the camera that took it; together with `name` it identifies the source.
        name: its folder's name or its file's stem.
        path: absolute path of the folder or the video.
        fps: frames per second, which turn frame numbers into times.
        start_s: epoch seconds of the first frame, or None when times count from zero.
        first_number: the number of its first frame.
        digest: sha256 that tells it from other footage of the same name, or empty.
    """

    camera: str
    name: str
    path: str
    fps: float
    start_s: float | None
    first_number: int
    digest: str

    def __post_init__(self) -> None:
        texts = (self.camera, self.name, self.path, self.digest)
        numbers = (self.fps, self.start_s or 0.0, self.first_number)
        if not (
            all(isinstance(text, str) for text in texts)
            and all(is_number(number) for number in numbers)
            and self.fps > 0
        ):
            raise ValueError(f"not a valid source: {self!r}")

    def __str__(self) -> str:
        return str(self.key)

    @property
    def key(self) -> SourceKey:
        """What names it in a database."""
        return SourceKey(self.camera, self.name)

    def time_of(self, number: int) -> float:
        """Seconds of frame `number`: from the start, or since the epoch when the start is known."""
        return (self.start_s or 0.0) + (number - self.first_number) / self.fps

    def times_of(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """The same of many frames."""
        return np.asarray((self.start_s or 0.0) + (numbers - self.first_number) / self.fps)


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Detections in one frame, by descending score.

    Attributes:
        xyxy: `(N, 4)` float32, pixels of the full frame.
        score: `(N,)` float32 in `[0, 1]`.
    """

    xyxy: NDArray[np.float32]
    score: NDArray[np.float32]

    def __post_init__(self) -> None:
        n = len(self.xyxy)
        if (self.xyxy.shape, self.score.shape) != ((n, 4), (n,)):
            raise ValueError(f"rows differ: {self.xyxy.shape}, {self.score.shape}")

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Detections:
        """Select rows by mask or by index."""
        return Detections(self.xyxy[rows], self.score[rows])

    def as_stored(self) -> Detections:
        """Round boxes and scores as they are stored, and sort by descending score.

        From a rounded box the same pixels can be cut again. Equal scores are ordered by position,
        from the top and then from the left: processors differ in digits that are not stored, and
        seldom in one that is.
        """
        xyxy, score = np.round(self.xyxy, 2), np.round(self.score, 4)
        x1, y1, x2, y2 = xyxy.T
        order = np.lexsort((x2, y2, x1, y1, -score))
        return Detections(xyxy[order], score[order])


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A picture from outside, and who was found in it.

    Attributes:
        path: of the picture.
        image: `(H, W, 3)` uint8, RGB.
        detections: of `as_stored`.
    """

    path: str
    image: NDArray[np.uint8]
    detections: Detections

    @property
    def boxes_xyxy(self) -> dict[int, tuple[float, float, float, float]]:
        """Of the detections, by their numbers: from 1, by descending score."""
        rows = np.round(self.detections.xyxy.astype(float), 2).tolist()
        return {n: (x1, y1, x2, y2) for n, (x1, y1, x2, y2) in enumerate(rows, start=1)}


@dataclass(frozen=True, slots=True, eq=False)
class Crops:
    """The pixels of detections in one frame.

    Attributes:
        images: N of `(h, w, 3)` uint8, RGB.
        detections: row i is where `images[i]` was cut.
    """

    images: tuple[NDArray[np.uint8], ...]
    detections: Detections

    def __post_init__(self) -> None:
        if len(self.images) != len(self.detections):
            raise ValueError(f"rows differ: {len(self.images)}, {len(self.detections)}")

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """Vectors that can be compared only with others of the same fingerprint.

    Attributes:
        vectors: `(N, D)` float32, every row of length 1.
        fingerprint: identifies the vector space; see `cards.EmbedderCard.fingerprint`.
    """

    vectors: NDArray[np.float32]
    fingerprint: str

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2:
            raise ValueError(f"vectors must be (N, D), not {self.vectors.shape}")
        if not is_unit(self.vectors):
            raise ValueError("vectors are not L2-normalised")

    def __len__(self) -> int:
        return len(self.vectors)

    def as_stored(self) -> Embeddings:
        """These rounded to float16, as rows have them."""
        return Embeddings(self.vectors.astype(np.float16).astype(np.float32), self.fingerprint)


@dataclass(frozen=True, slots=True)
class StoredDetection:
    """One detection in a database.

    Attributes:
        id: `camera/source:frame:n`, n counting the frame's detections from 1, by descending score.
        frame: the frame's number in its source.
        time_s: see `SourceInfo.time_of`.
        box_xyxy: pixels of the full frame.
        score: the detector's, in `[0, 1]`.
        path: the frame's picture, or the video that it comes from.
        crop_hash: of the pixels in the box, to recognise the frame; see `images.hash_crop`.
    """

    id: str
    camera: str
    source: str
    frame: int
    time_s: float
    box_xyxy: tuple[float, float, float, float]
    score: float
    path: str
    crop_hash: str

    @property
    def key(self) -> SourceKey:
        """Of its source."""
        return SourceKey(self.camera, self.source)

    @property
    def index(self) -> int:
        """Its place among the frame's detections, from 1, by descending score."""
        return CropId.parse(self.id).index


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Stored detections with their vectors, row by row.

    Attributes:
        detections: N of them.
        embeddings: their N vectors.
    """

    detections: tuple[StoredDetection, ...]
    embeddings: Embeddings

    def __post_init__(self) -> None:
        if len(self.detections) != len(self.embeddings):
            raise ValueError(f"rows differ: {len(self.detections)}, {len(self.embeddings)}")

    def __len__(self) -> int:
        return len(self.detections)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which stored detections are meant: those that meet every condition given.

    Attributes:
        sources: those allowed, at least one; None allows all.
        frame: exact frame number.
        after_frame: frame numbers greater than this.
        before_frame: frame numbers less than this.
        after_s: times greater than this; see `SourceInfo.time_of`.
        before_s: times less than this.
        min_score: detector scores of at least this.
    """

    sources: tuple[SourceKey, ...] | None = None
    frame: int | None = None
    after_frame: int | None = None
    before_frame: int | None = None
    after_s: float | None = None
    before_s: float | None = None
    min_score: float | None = None

    def __post_init__(self) -> None:
        if self.sources == ():
            raise ValueError("sources is empty; None allows all")


@dataclass(frozen=True, slots=True)
class Passage:
    """A tracklet as an answer: detections of one person that follow each other in one source.

    Attributes:
        first_frame, first_s: number and time of the first frame; see `SourceInfo.time_of`.
        last_frame, last_s: likewise of the last.
        count: how many detections there are.
    """

    first_frame: int
    first_s: float
    last_frame: int
    last_s: float
    count: int


@dataclass(frozen=True, slots=True)
class Match:
    """A stored detection that resembles the query.

    Attributes:
        rank: 1-based, nearest first.
        distance: L2 (not squared) between the two vectors, in `[0, 2]`; smaller is nearer.
        probability: that it is the same person, in `[0, 1]`; None without a calibration.
        passage: what the detection stands for, where tracklets are answered.
        is_confirmed: whether the passage was confirmed to show the person searched for.
    """

    rank: int
    distance: float
    detection: StoredDetection
    probability: float | None = None
    passage: Passage | None = None
    is_confirmed: bool = False

    @property
    def is_likely(self) -> bool:
        """Whether the probability is known and at least 50 %."""
        return self.probability is not None and self.probability >= LIKELY


def is_unit(vectors: NDArray[np.float32]) -> bool:
    """Whether a vector, or each of several, has length 1 within the precision of float16."""
    return bool(np.allclose(np.linalg.norm(vectors, axis=-1), 1.0, atol=1e-3))


def is_number(value: object) -> bool:
    """Whether it is a finite number within the range of float; a bool is not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


def require_rgb(image: NDArray[np.uint8]) -> None:
    """Raise ValueError unless `image` is `(H, W, 3)` uint8 with at least one pixel."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(f"not an (H, W, 3) uint8 picture: {image.shape} {image.dtype}")
