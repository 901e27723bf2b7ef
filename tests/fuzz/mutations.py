"""Files, texts and documents that were whole once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
_HEAD = 400
_TELLING = (b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\0", b"\xff" * 4, b"\x7f" + b"\xff" * 3)


@st.composite
def mutated(draw: st.DrawFn, wholes: Sequence[bytes]) -> bytes:
    """One of these files with some bytes changed, cut out, doubled or put in."""
    data = draw(st.sampled_from(wholes))
    for _ in range(draw(st.integers(1, 6))):
        last = max(len(data) - 1, 0)
        at = draw(st.integers(0, min(last, _HEAD)) | st.integers(0, last))
        length = draw(st.integers(1, 8) | st.integers(1, max(last, 1)))
        match draw(st.sampled_from(["set", "set", "flip", "put", "cut", "double", "end"])):
            case "set":
                new = draw(st.sampled_from(_TELLING) | st.binary(min_size=1, max_size=8))
                data = data[:at] + new + data[at + len(new) :]
            case "flip":
                bit = 1 << draw(st.integers(0, 7))
                data = data[:at] + bytes(byte ^ bit for byte in data[at : at + 1]) + data[at + 1 :]
            case "put":
                data = data[:at] + draw(st.binary(max_size=40)) + data[at:]
            case "cut":
                data = data[:at] + data[at + length :]
            case "double":
                data = data[:at] + data[at : at + length] + data[at:]
            case "end":
                data = data[:at]
    return data


@st.composite
def mutated_text(draw: st.DrawFn, wholes: Sequence[str]) -> str:
    """Likewise, as text: of pieces and characters that may mean something."""
    text = draw(st.sampled_from(wholes))
    pieces = ["", "\n", ",", ":", "-1", "0", "1e999", "NaN", "null", "[]", "{}", '"', "\ufeff", "٣"]
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(text)))
        end = draw(st.integers(at, min(len(text), at + 20)))
        text = text[:at] + draw(st.sampled_from(pieces) | st.text(max_size=5)) + text[end:]
    return text


@st.composite
def others_than(draw: st.DrawFn, document: Any) -> Any:
    """A document like this one in which some value is another, or not there."""
    if isinstance(document, (dict, list)) and document and draw(st.integers(0, 3)):
        copy = document.copy()
        key = draw(st.sampled_from(list(copy) if isinstance(copy, dict) else range(len(copy))))
        if draw(st.integers(0, 5)):
            copy[key] = draw(others_than(copy[key]))
        else:
            del copy[key]
        return copy
    return draw(_VALUES)
