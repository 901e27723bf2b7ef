"""Dataclasses made of what a TOML file holds, every value checked against its type."""

from __future__ import annotations

import math
from dataclasses import is_dataclass
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints


def parse_as(kind: Any, value: Any, name: str) -> Any:
    """Check a TOML value, and convert it to `kind`.

    Args:
        kind: a dataclass, a tuple of types, an optional type, or `str`, `int`, `float` or `bool`.
        value: a table, an array, a number or a text.
        name: what the value is called in messages.

    Raises:
        ValueError, TypeError, OverflowError: the value is not of that kind.
    """
    if get_origin(kind) is UnionType:  # a type or None, which TOML does not have
        kind = get_args(kind)[0]
    if is_dataclass(kind) and isinstance(value, dict):
        hints = get_type_hints(kind)
        if unknown := sorted(value.keys() - hints.keys()):
            raise ValueError(f"unknown key {unknown[0]!r}")
        constructor: Any = kind
        return constructor(**{key: parse_as(hints[key], item, key) for key, item in value.items()})
    if get_origin(kind) is tuple and isinstance(value, list | tuple):
        kinds = get_args(kind)
        if kinds[-1] is ...:
            kinds = kinds[:1] * len(value)
        if len(kinds) == len(value):
            return tuple(parse_as(*pair, name) for pair in zip(kinds, value, strict=True))
    elif kind is float and type(value) in {int, float} and math.isfinite(value):
        return float(value)
    elif type(value) is kind:
        return value
    raise ValueError(f"{name} is not valid: {value!r}")
