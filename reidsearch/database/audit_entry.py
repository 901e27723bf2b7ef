"""The audit log of a database: who asked for whom, when, and which people were shown or erased.

`audit.jsonl` has one line for each event, in canonical JSON. Each line holds the hash of the line
before it and its own, so that no line can be changed, removed, added or moved without all later
ones having to be made again. `audit.head` holds number and hash of the last line, as a chain alone
does not show that its end is missing. Whoever may write the folder can make all of it again; a hash
noted elsewhere tells that too.

Ids of people can be erased from it: each stands there as `[id, salt]`, but is hashed as its
commitment, the hash of that pair, which takes the pair's place when the person is erased. Without
the salt, nobody can try which id it was.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Action = Literal["search", "render", "export", "erase", "people"]
# `[id, salt]`, or its commitment once the person was erased.
Sealed = list[str] | str

ERASED = "erased"  # no id: those have colons
_SALT_BYTES = 16
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Head:
    """Number, from 1, and hash of the last line."""

    number: int
    hash: str


START = Head(0, "0" * 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event.

    Attributes:
        number: of the line, from 1.
        time: ISO 8601, local with its zone.
        user: whose process it was, by the system's account.
        actor: who asked, as the program that asked says; empty from the command line.
        host: its machine.
        version: of reidsearch.
        action: what was done.
        query: sha256 of the vectors searched for, as little-endian float16, or None.
        asked: the stored person asked for, or None.
        about: filters and options, and the files that it was meant for: it is recorded before they
            are written.
        ids: the people shown, nearest first, or of those erased.
        previous: hash of the line before; zeros in the first.
        hash: see `digest`.
    """

    number: int
    time: str
    user: str
    actor: str
    host: str
    version: str
    action: str
    query: str | None
    asked: Sealed | None
    about: dict[str, Any]
    ids: list[Sealed]
    previous: str
    hash: str = ""

    @classmethod
    def parse(cls, line: bytes) -> Entry:
        """Read a line, without its end.

        Raises:
            ValueError: it is not one that `to_line` writes.
        """
        try:
            entry = cls(**json.loads(line))
        except (TypeError, RecursionError) as error:
            raise ValueError(str(error)) from error
        texts = (entry.time, entry.user, entry.actor, entry.host, entry.version, entry.action)
        is_one = (
            type(entry.number) is int
            and all(isinstance(text, str) for text in (*texts, entry.previous, entry.hash))
            and isinstance(entry.query, str | None)
            and isinstance(entry.about, dict)
            and isinstance(entry.ids, list)
            and all(map(_is_sealed, entry.ids))
            and (entry.asked is None or _is_sealed(entry.asked))
        )
        if not is_one or entry.to_line() != line:
            raise ValueError("it is no entry")
        return entry

    def to_line(self) -> bytes:
        """Write it as canonical JSON, without the line's end."""
        return canonical(self._values())

    def digest(self) -> str:
        """Hash the line without its `hash`, each id replaced by its commitment.

        So erasing ids does not change it.
        """
        values = self._values()
        del values["hash"]
        asked = None if self.asked is None else _commit(self.asked)
        return _sha256(values | {"asked": asked, "ids": [_commit(one) for one in self.ids]})

    def without(self, is_gone: Callable[[str], bool]) -> Entry:
        """The same line, with some ids erased."""

        def erase(one: Sealed) -> Sealed:
            return _commit(one) if isinstance(one, list) and is_gone(one[0]) else one

        asked = None if self.asked is None else erase(self.asked)
        return replace(self, asked=asked, ids=[erase(one) for one in self.ids])

    @property
    def asked_id(self) -> str | None:
        """The stored person asked for, or `ERASED`, or None."""
        return None if self.asked is None else _name_of(self.asked)

    @property
    def shown_ids(self) -> list[str]:
        """The people shown, each an id or `ERASED`."""
        return [_name_of(one) for one in self.ids]

    @property
    def erased(self) -> int:
        """How many ids were erased from it."""
        return sum(isinstance(one, str) for one in (self.asked, *self.ids))

    @property
    def head(self) -> Head:
        """The log's head when this is its last line."""
        return Head(self.number, self.hash)

    def follows(self, head: Head) -> bool:
        """Whether it is the line after that one."""
        return (self.number - 1, self.previous) == (head.number, head.hash)

    def _values(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def seal(id_: str) -> list[str]:
    """An id as it stands in the log until it is erased."""
    return [id_, os.urandom(_SALT_BYTES).hex()]


def _name_of(sealed: Sealed) -> str:
    """The id, or `ERASED`."""
    return ERASED if isinstance(sealed, str) else sealed[0]


def canonical(value: Mapping[str, Any] | Sequence[str]) -> bytes:
    """JSON in one form only, and in ASCII, which also holds file names that are no Unicode."""
    return _ENCODER.encode(value).encode("ascii")


def _commit(sealed: Sealed) -> str:
    """The commitment; of the pair as JSON, as id and salt run together could be cut elsewhere."""
    return sealed if isinstance(sealed, str) else _sha256(sealed)


def _is_sealed(value: object) -> bool:
    if isinstance(value, list):
        return len(value) == 2 and all(isinstance(part, str) for part in value)
    return isinstance(value, str)


def _sha256(value: Mapping[str, Any] | Sequence[str]) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()
