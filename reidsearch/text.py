"""Text from outside, made fit to be shown: file names may hold anything."""

from __future__ import annotations

import json
import unicodedata


def printable(text: str) -> str:
    """Replace what would be obeyed instead of shown: the end of a line, a terminal's commands."""
    if text.isprintable():
        return text
    return "".join(c if _is_shown(c) else "\N{REPLACEMENT CHARACTER}" for c in text)


def to_json(document: object, indent: int | None = None) -> str:
    """Write JSON that can be shown too: what `printable` would replace is escaped."""
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(c if c == "\n" or _is_shown(c) else json.dumps(c)[1:-1] for c in text)


def _is_shown(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"  # such as U+00A0
