"""Everything reidsearch raises on purpose, as one tree.

ReidsearchError
├── UsageError              an option is not valid, or contradicts another
│   └── SeveralPeopleError      a picture shows several people, and none was chosen
├── SourceError             footage cannot be opened as a whole
│   └── EmptyFolderError        a folder contains no frames
├── ImageError              a picture or frame cannot be decoded
├── ModelError              a model is unknown, missing, damaged or of another architecture
├── MissingPackageError     a package that only some commands need is not installed
├── StoreError              the database cannot be used
│   ├── DatabaseBusyError       another process is using it
│   ├── ReadOnlyError           this user may not write to its folder
│   ├── SchemaError             another version of reidsearch created it
│   └── ModelMismatchError      it was created with other models
├── DetectionsError         a file of detections cannot be read, or does not fit the footage
├── DatasetError            labelled crops are missing, of another layout, or too few
├── TrainingError           training cannot continue
├── PersonError             a person does not exist, or cannot be what a verdict makes of them
└── QueryError              the query names a frame, crop or box that does not exist
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reidsearch.core.types import Scene


class ReidsearchError(Exception):
    """A problem the user can do something about.

    Attributes:
        hint: what to do about it, or an empty string.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def details(self) -> dict[str, Any]:
        """What a program that asked can go on with."""
        return {}


class UsageError(ReidsearchError):
    """An option is not valid, or contradicts another."""


class SeveralPeopleError(UsageError):
    """A picture shows several people, and none of them was chosen.

    Attributes:
        scene: the picture, and who was found in it.
    """

    def __init__(self, scene: Scene) -> None:
        super().__init__(
            f"{len(scene.detections)} people were found in {scene.path}",
            hint="--person N takes one; `reidsearch search --sheet FILE` shows their numbers",
        )
        self.scene = scene

    @property
    def details(self) -> dict[str, Any]:
        """Whom it can choose from."""
        people = zip(
            self.scene.boxes_xyxy.items(), self.scene.detections.score.tolist(), strict=True
        )
        return {
            "detections": [
                {"n": n, "box_xyxy": box, "score": round(score, 4)} for (n, box), score in people
            ]
        }


class SourceError(ReidsearchError):
    """Footage cannot be opened as a whole."""


class EmptyFolderError(SourceError):
    """A folder contains no frames, or none that is completely written."""


class ImageError(ReidsearchError):
    """A picture or frame cannot be decoded."""


class ModelError(ReidsearchError):
    """A model is unknown, missing, damaged or of another architecture."""


class MissingPackageError(ReidsearchError):
    """A package that only some commands need is not installed."""


class StoreError(ReidsearchError):
    """The database cannot be used."""


class DatabaseBusyError(StoreError):
    """Another process is using the database."""


class ReadOnlyError(StoreError):
    """This user may not write to the database's folder."""


class SchemaError(StoreError):
    """Another version of reidsearch created the database."""


class ModelMismatchError(StoreError):
    """The database was created with other models than are used now."""

    def __init__(self, *, gallery: str, query: str, hint: str) -> None:
        super().__init__(f"the database was created with {gallery}, not with {query}", hint=hint)


class DetectionsError(ReidsearchError):
    """A file of detections cannot be read, or does not fit the footage."""


class DatasetError(ReidsearchError):
    """Labelled crops are missing, of another layout, or too few."""


class TrainingError(ReidsearchError):
    """Training cannot continue; the last checkpoint is kept."""


class PersonError(ReidsearchError):
    """A person does not exist, or cannot be what a verdict would make of them."""


class QueryError(ReidsearchError):
    """The query names a frame, crop or box that does not exist."""
