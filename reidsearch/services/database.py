"""A database, and everything that is done with it as a whole."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reidsearch.core import defaults
from reidsearch.core.errors import ReidsearchError
from reidsearch.core.progress import SILENT
from reidsearch.database.discard import discarded_if_empty
from reidsearch.database.layout import require_database, size_on_disk
from reidsearch.database.lock import FOREVER, WAIT_S, writing
from reidsearch.models.pair import ModelChoice, Models
from reidsearch.services.gallery import Gallery
from reidsearch.services.recording import Recorder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from reidsearch.core.ids import SourceKey
    from reidsearch.core.progress import Progress
    from reidsearch.core.store import Store
    from reidsearch.database.audit_entry import Entry
    from reidsearch.database.audit_read import Verdict
    from reidsearch.database.doctor import Finding
    from reidsearch.database.runs import Run
    from reidsearch.footage import FrameSource, SourceOptions
    from reidsearch.ingest.report import IngestReport
    from reidsearch.services.erase import Erasure
    from reidsearch.services.ingest import DetectionOptions, Ingest
    from reidsearch.services.people import People


class Database:
    """A folder where the detections of footage are kept; made by `open_database`.

    Nothing is held open between calls. Any number of processes may read a database while one
    writes it.
    """

    def __init__(
        self, folder: Path, models: ModelChoice, actor: str = "", progress: Progress = SILENT
    ) -> None:
        self.folder = folder
        self._choice = models
        self._progress = progress
        self._recorder = Recorder(folder, actor, progress)

    @contextmanager
    def read(self, *, approximate: bool = False) -> Iterator[Gallery]:
        """Search the database as it is now, whatever others write meanwhile.

        Args:
            approximate: let Chroma's graph answer instead of the exact index.

        Raises:
            StoreError: there is no database, or it is damaged.
            ModelError, ModelMismatchError: another embedder was chosen than the database's.
            DatabaseBusyError: another process writes it, and it has no exact index yet.
        """
        with ExitStack() as held:
            store: Store
            if approximate:
                from reidsearch.database.chroma_store import open_chroma

                store = held.enter_context(open_chroma(self.folder))
            else:
                from reidsearch.database.opening import open_to_read

                store = held.enter_context(open_to_read(self.folder, self._progress))
            models = Models(store.provenance, self._choice, self._progress)
            if self._choice.embedder is not None:
                _ = models.embedder_card  # a wrong choice must show, also where none is needed
            yield Gallery(store, models, self._recorder)

    @contextmanager
    def write(
        self, options: DetectionOptions | None = None, *, wait: bool = False
    ) -> Iterator[Ingest]:
        """Keep other writers out, to store footage; makes the database if there is none.

        Nothing is left of a new database when an error comes before its first frame is stored.

        Args:
            options: where people are looked for in the footage.
            wait: until other processes have let go of the database.

        Raises:
            DatabaseBusyError: another process uses it.
            StoreError: it cannot be used, or was made with other models.
            ModelError: a model is unknown, or its weights are missing or damaged.
        """
        from reidsearch.database.chroma_store import open_chroma
        from reidsearch.services.ingest import DetectionOptions, Ingest

        with (
            discarded_if_empty(self.folder),
            open_chroma(
                self.folder,
                self._choice.new_provenance(),
                wait_s=FOREVER if wait else WAIT_S,
                progress=self._progress,
            ) as store,
        ):
            models = Models(store.provenance, self._choice, self._progress)
            models.require_matching()
            if not store.sources() and self._choice.advice:
                self._progress.say(self._choice.advice)
            store.run.precision = models.precision
            yield Ingest(store, models, options or DetectionOptions(), self._progress)

    def ingest(
        self,
        *sources: FrameSource | str | Path,
        reading: SourceOptions | None = None,
        options: DetectionOptions | None = None,
        refresh: bool = False,
        wait: bool = False,
    ) -> IngestReport:
        """Store everyone in footage that the database does not have yet.

        A source that cannot be opened does not keep the others from being stored; the report and a
        warning name it.

        Args:
            sources: folders of frames, videos, or either opened by `open_source`.
            reading: how to read those given by their paths.
            options: where people are looked for.
            refresh: process frames again whose files have changed.
            wait: until other processes have let go of the database.

        Raises:
            SourceError: no source can be opened, or the database has other footage of its name.
            UsageError: two sources of one camera would start at the same time.
            StoreError, DatabaseBusyError, ModelError: as `write` raises them.
        """
        from reidsearch.services.ingest import open_sources

        opened, unread = open_sources(sources, reading, options, self._progress)
        with self.write(options, wait=wait) as ingest:
            report = ingest.run_all(opened, refresh=refresh)
        if report.frames and not report.interrupted:
            self._link({source.info.key for source in opened})
        return replace(report, unread=unread)

    def watch(
        self,
        *folders: str | Path,
        reading: SourceOptions | None = None,
        options: DetectionOptions | None = None,
        refresh: bool = False,
        wait: bool = False,
    ) -> IngestReport:
        """Store everyone in frames that come into folders, until the progress is cancelled.

        Args:
            folders: they may be empty yet; the names of their frames have numbers.
            reading: how to read them.
            options: where people are looked for.
            refresh: process frames again whose files have changed.
            wait: until other processes have let go of the database.

        Raises:
            SourceError: a folder is not there any more, its frames have no numbers, or the
                database has other footage of its name.
            UsageError: one is no folder, or two of one camera would start at the same time.
            StoreError, DatabaseBusyError, ModelError: as `write` raises them.
        """
        from reidsearch.footage import SourceOptions
        from reidsearch.services.ingest import require_watchable

        paths = [*map(Path, folders)]
        growing = replace(reading or SourceOptions(), growing=True)
        require_watchable(paths, growing)
        with self.write(options, wait=wait) as ingest:
            return ingest.watch(paths, growing, refresh=refresh)

    def _link(self, sources: Collection[SourceKey]) -> None:
        """Link what is new, so that the next search need not."""
        with suppress(ReidsearchError), self.read() as gallery:
            for key in sources:
                gallery.tracklets.of(key)

    def erase(self, erasure: Erasure, *, wait: bool = False) -> None:
        """Erase what was chosen for good; see `services.erase`.

        Args:
            erasure: of `choose_crops`, `choose_frames` or `choose_near`.
            wait: until other processes have let go of the database.

        Raises:
            StoreError: the database was changed since, is damaged or may not be written, or there
                is no room for another.
            DatabaseBusyError: other processes use it.
        """
        from reidsearch.services.erase import erase

        erase(self._recorder, erasure, wait=wait)

    def people(self) -> People:
        """Persons with names, and what is said of them.

        Raises:
            StoreError: there is no database.
        """
        from reidsearch.services.people import People

        require_database(self.folder)
        return People(self._recorder)

    def check(self, *, footage: bool = False) -> list[Finding]:
        """Check everything about the database that can go wrong; changes nothing.

        Args:
            footage: also whether the footage is where it was, and what it was.

        Raises:
            StoreError: there is no database.
            DatabaseBusyError: another process writes it.
        """
        from reidsearch.database.doctor import examine

        return examine(self.folder, files=footage)

    def repair(self) -> str:
        """Repair what can be repaired, and say in a sentence what was done.

        Raises:
            StoreError: nothing is whole.
            DatabaseBusyError: other processes use the database.
        """
        from reidsearch.database.rebuild import repair

        return repair(self.folder, self._progress)

    def backup(self, file: Path) -> int:
        """Copy the database into one file with checksums, and return the file's size in bytes.

        Others may read or write the database meanwhile.

        Raises:
            StoreError: there is no database, it is damaged, or the file cannot be written.
        """
        from reidsearch.database.backup import write_backup

        return write_backup(self.folder, file, self._progress)

    def restore(self, file: Path) -> int:
        """Make this database, which must not exist yet, of a backup; return its size in bytes.

        Raises:
            StoreError: the file is not a whole backup, or there is a database already.
        """
        from reidsearch.database.backup import restore_backup

        return restore_backup(file, self.folder)

    def runs(self) -> list[Run]:
        """Every process that wrote the database, oldest first."""
        from reidsearch.database.runs import read_runs

        return read_runs(self.folder)

    def size(self) -> int:
        """How many bytes the database takes."""
        return size_on_disk(self.folder)

    def audit(self, last: int | None = None) -> list[Entry]:
        """Entries of the audit log, oldest first; only the last ones if a number is given."""
        from reidsearch.database.audit_read import read_entries

        require_database(self.folder)
        return read_entries(self.folder, last)

    def verify_audit(self, head: str = "") -> Verdict:
        """Check that nothing in the audit log was changed.

        Args:
            head: what `Verdict.head` was once; it must still be in the log.
        """
        from reidsearch.database.audit_read import verify

        require_database(self.folder)
        return verify(self.folder, head)

    def wait_until_free(self) -> None:
        """Wait until no other process uses the database, warning if one does."""
        require_database(self.folder)
        with writing(self.folder, FOREVER, self._progress):
            pass


def open_database(
    folder: str | Path = defaults.DB,
    *,
    models: ModelChoice | None = None,
    actor: str = "",
    progress: Progress = SILENT,
) -> Database:
    """Name a database, which need not exist yet.

    Args:
        folder: of the database.
        models: which networks; None takes the database's own.
        actor: who asks, for the audit log, where that is not who runs the process.
        progress: told how far long work is, and warned of what did not end it.

    Raises:
        UsageError: networks cannot compute in the precision chosen here.
        MissingPackageError: the chosen backend's frameworks are not installed.
    """
    return Database(Path(folder), models or ModelChoice(), actor, progress)
