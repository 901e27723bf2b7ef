"""Everything reidsearch raises on purpose, as one tree.

ReidsearchError
├── UsageError              two options contradict each other, or one cannot be read
├── SourceError             footage cannot be opened as a whole
│   └── EmptyFolderError        there is no picture in it
├── ImageError              one picture or frame cannot be decoded
├── ModelError              a model is unknown, missing, damaged or of another architecture
├── StoreError              the database cannot be used
│   ├── DatabaseBusyError       another process holds it
│   ├── SchemaError             another version of reidsearch made it
│   └── ModelMismatchError      gallery and query live in different vector spaces
├── DetectionsError         a file of boxes cannot be read, or has none for the footage
├── DatasetError            labelled crops are missing, of another layout, or teach nothing
├── TrainingError           training cannot go on
└── QueryError              the frame, person, crop or part of a picture asked for is not there
"""


class ReidsearchError(Exception):
    """A problem the user can do something about.

    Attributes:
        hint: what to do about it, or an empty string.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(ReidsearchError):
    """Two options contradict each other, or one cannot be read."""


class SourceError(ReidsearchError):
    """Footage cannot be opened as a whole."""


class EmptyFolderError(SourceError):
    """A folder of frames has none, or none that is finished."""


class ImageError(ReidsearchError):
    """One picture or frame cannot be decoded."""


class ModelError(ReidsearchError):
    """A model is unknown, missing, damaged or of another architecture."""


class MissingPackageError(ReidsearchError):
    """A package that only some commands need is not installed."""


class StoreError(ReidsearchError):
    """The database cannot be used."""


class DatabaseBusyError(StoreError):
    """Another process holds the database."""


class ReadOnlyError(StoreError):
    """This user may not write to the database's folder."""


class SchemaError(StoreError):
    """Another version of reidsearch made the database."""


class ModelMismatchError(StoreError):
    """Gallery and query vectors live in different spaces, or other models filled the gallery."""

    def __init__(self, *, gallery: str, query: str, hint: str) -> None:
        super().__init__(f"the database was made with {gallery}, not with {query}", hint=hint)


class DetectionsError(ReidsearchError):
    """A file of boxes cannot be read, or has none for the footage."""


class DatasetError(ReidsearchError):
    """Labelled crops are missing, of another layout, or teach nothing."""


class TrainingError(ReidsearchError):
    """Training cannot go on; the last checkpoint stays."""


class QueryError(ReidsearchError):
    """The frame, person, crop or part of a picture asked for is not there."""
