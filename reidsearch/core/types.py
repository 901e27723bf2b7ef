"""The values that travel through reidsearch, from a frame to a match.

Types that hold many people are structs of arrays: row i of every array is the same person. All are
frozen and checked when they are made. Pictures are RGB.
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

# How distances to several vectors of one person become one.
Fuse = Literal["min", "mean"]


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What tells whether a file of footage is still what it was.

    Attributes:
        size: in bytes.
        mtime_ns: when it was last changed.
        digest: of what is in it; of a video, see `sources.video`, of its beginning.
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
        path: the picture's own file, or the video that it comes from.
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
    """A frame that could not be read, in the place where it would have come.

    Attributes:
        reason: one sentence that names it.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of a source before its frames are read.

    Attributes:
        camera: the camera that took it; together with `name` it identifies the source.
        name: its folder's name or its file's stem.
        path: absolute path of the folder or the video.
        fps: frames per second by which frame numbers become times.
        start_s: epoch seconds of the first frame, or None when times count from zero.
        first_number: number of the frame at the source's start.
        digest: sha256 that tells this footage from another of the same name, or empty.
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
            raise ValueError(f"no source: {self!r}")

    def __str__(self) -> str:
        return str(self.key)

    @property
    def key(self) -> SourceKey:
        """What names it in a database."""
        return SourceKey(self.camera, self.name)

    def time_of(self, number: int) -> float:
        """Seconds of frame `number`: from the start, or since the epoch when the start is known."""
        return (self.start_s or 0.0) + (number - self.first_number) / self.fps


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """People found in one frame, by falling score.

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
        """The given rows, by mask or by index."""
        return Detections(self.xyxy[rows], self.score[rows])

    def as_stored(self) -> Detections:
        """These with boxes and scores as rows have them, rounded, by falling score.

        So the same pixels can be cut again. Equal scores go by their place, from the top and then
        from the left: processors differ in digits that are not stored, and seldom in one that is.
        """
        xyxy, score = np.round(self.xyxy, 2), np.round(self.score, 4)
        x1, y1, x2, y2 = xyxy.T
        order = np.lexsort((x2, y2, x1, y1, -score))
        return Detections(xyxy[order], score[order])


@dataclass(frozen=True, slots=True, eq=False)
class Crops:
    """People cut out of one frame.

    Attributes:
        images: N of `(h, w, 3)` uint8, RGB.
        detections: where they were cut; row i is `images[i]`.
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
    """Vectors that can be compared with others of the same fingerprint, and with no others.

    Attributes:
        vectors: `(N, D)` float32, every row of length 1.
        fingerprint: names the vector space; see `catalog.EmbedderCard.fingerprint`.
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
    """One stored person in one frame.

    Attributes:
        id: `camera/source:frame:n`, n counting the frame's people from 1 by falling score.
        frame: the frame's number in its source.
        time_s: see `SourceInfo.time_of`.
        box_xyxy: pixels of the full frame.
        score: the detector's, in `[0, 1]`.
        path: the frame's picture, or the video that it comes from.
        crop_hash: of the pixels in the box, see `images.hash_crop`: tells the frame again.
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
        """Its place among the frame's people, from 1 by falling score."""
        return CropId.parse(self.id).index


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Sightings with their vectors, row by row.

    Attributes:
        sightings: N of them.
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
    """Which sightings count; all that is given must hold.

    Attributes:
        sources: each source allowed, at least one, or None for all.
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
            raise ValueError("no source is allowed; None allows all")


@dataclass(frozen=True, slots=True)
class Passage:
    """Sightings of one source that follow each other closely.

    Attributes:
        first, last: by time.
        count: how many there are, both of them included.
    """

    first: StoredDetection
    last: StoredDetection
    count: int


@dataclass(frozen=True, slots=True)
class Match:
    """A stored person that resembles the query.

    Attributes:
        rank: 1-based, nearest first.
        distance: L2 (not squared) between the two vectors, in `[0, 2]`; smaller is nearer.
        probability: that it is the same person, in `[0, 1]`; None without a calibration.
        passage: what the sighting stands for, where sightings were joined.
    """

    rank: int
    distance: float
    detection: StoredDetection
    probability: float | None = None
    passage: Passage | None = None

    @property
    def is_likely(self) -> bool:
        """Whether it is likelier right than wrong, as far as that is known."""
        return self.probability is not None and self.probability >= LIKELY


def is_unit(vectors: NDArray[np.float32]) -> bool:
    """Whether a vector, or each of several, is of length 1 as far as float16 can say it."""
    return bool(np.allclose(np.linalg.norm(vectors, axis=-1), 1.0, atol=1e-3))


def is_number(value: object) -> bool:
    """Whether it is a finite number that a float can hold; a truth value is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


def require_rgb(image: NDArray[np.uint8]) -> None:
    """Raise ValueError unless `image` is `(H, W, 3)` uint8 with at least one pixel."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(f"not an (H, W, 3) uint8 picture: {image.shape} {image.dtype}")
