"""What a store knows of a source, and which of its frames have changed since."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reidsearch.core.provenance import SourceRecord, require_same_footage, require_same_options
from reidsearch.core.types import BadFrame

if TYPE_CHECKING:
    from reidsearch.core.progress import Progress
    from reidsearch.core.provenance import DetectionSettings
    from reidsearch.core.store import Store, WritableStore
    from reidsearch.core.types import FileStamp, SourceInfo
    from reidsearch.footage import FrameSource


def find_record(
    store: Store, info: SourceInfo, settings: DetectionSettings, *, refresh: bool = False
) -> SourceRecord:
    """What the store knows of a source, or a new record.

    Raises:
        SourceError: the store has other footage of that name, or read it with other options.
    """
    for record in store.sources():
        if record.info.key == info.key:
            require_same_options(record, info, settings)
            if not (refresh and record.info.path == info.path):
                require_same_footage(record, info)
            elif record.info.first_number == info.first_number:
                return replace(record, info=replace(record.info, digest=info.digest))
            return record
    return SourceRecord(info, settings)


def find_changed(source: FrameSource, store: WritableStore, progress: Progress) -> set[int]:
    """Find frames whose files have other contents; a new time alone is only remembered.

    A file that cannot be decoded any more is reported, and its frame stays as it was stored.
    """
    changed: set[int] = set()
    touched: dict[int, FileStamp] = {}
    for number, known in store.stamps(source.info.key, *source.span):
        now = source.stamp(number, known)
        if now is None or now == known:
            continue
        if isinstance(now, BadFrame):
            progress.warn(now.reason)
        elif now.digest == known.digest:
            touched[number] = now
        else:
            changed.add(number)
    if touched:
        store.restamp(source.info.key, touched)
    return changed
