"""The audit log: what is written, what is noticed, and what can be erased."""

import json
import multiprocessing
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from reidsearch.core.errors import StoreError
from reidsearch.database import audit_log as log
from reidsearch.database.audit_entry import ERASED, START, Entry, Head
from reidsearch.database.audit_log import Event, record, redact
from reidsearch.database.audit_read import read_entries, verify
from reidsearch.database.layout import AUDIT_FILE, AUDIT_HEAD_FILE, AUDIT_LOCK_FILE

PEOPLE = [f"gate/monday:{frame}:1" for frame in (10, 20, 30)]
VECTORS = np.eye(2, 4, dtype=np.float32)


def fill(folder: Path, count: int = 5) -> None:
    for number in range(count):
        event = Event(
            "search",
            asked=f"gate/monday:{number}:1",
            vectors=VECTORS,
            about={"scope": "later frames", "top": 3},
            ids=PEOPLE,
        )
        record(folder, event)


def lines(folder: Path) -> list[str]:
    return (folder / AUDIT_FILE).read_text().splitlines(keepends=True)


def rewrite(folder: Path, new: list[str]) -> None:
    (folder / AUDIT_FILE).write_text("".join(new))


def test_an_event_holds_who_asked_for_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    fill(tmp_path, 2)
    record(tmp_path, Event("export", about={"files": ["/out/\udcff.csv"]}))
    [first, second, third] = read_entries(tmp_path)
    assert [entry.number for entry in (first, second, third)] == [1, 2, 3]
    assert second.asked_id == "gate/monday:1:1"
    assert second.shown_ids == PEOPLE
    assert second.previous == first.hash
    assert first.previous == "0" * 64
    assert first.query == second.query
    assert len(first.query) == 64
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]{12}[+-]\d\d:\d\d", first.time)
    assert first.user
    assert first.user != "somebody-else"
    assert first.host
    assert (third.asked, third.query, third.ids) == (None, None, [])
    assert third.about == {"files": ["/out/\udcff.csv"]}
    salts = [one[1] for entry in (first, second) for one in (entry.asked, *entry.ids)]
    assert len(set(salts)) == 8  # the same id twice does not show as such once erased


def test_the_hash_of_a_query_is_of_what_is_stored_of_it(tmp_path: Path) -> None:
    exact = np.array([[0.6, 0.8]], np.float32)
    for vectors in (exact, exact.astype(np.float16).astype(np.float32), exact[:, ::-1]):
        record(tmp_path, Event("search", vectors=vectors))
    first, rounded, other = (entry.query for entry in read_entries(tmp_path))
    assert first == rounded != other


def test_a_whole_log(tmp_path: Path) -> None:
    assert verify(tmp_path).problem == ""
    assert verify(tmp_path).entries == 0
    fill(tmp_path)
    verdict = verify(tmp_path)
    assert (verdict.entries, verdict.line, verdict.problem, verdict.notes) == (5, None, "", ())
    assert verdict.head == json.loads((tmp_path / AUDIT_HEAD_FILE).read_text())["hash"]


def change_field(old: list[str]) -> list[str]:
    return [*old[:2], old[2].replace('"top":3', '"top":4'), *old[3:]]


def swap_ids(old: list[str]) -> list[str]:
    entry = json.loads(old[2])
    entry["ids"][:2] = reversed(entry["ids"][:2])
    return [*old[:2], dump(entry), *old[3:]]


def change_id(old: list[str]) -> list[str]:
    return [*old[:2], old[2].replace("gate/monday:20:1", "gate/monday:21:1"), *old[3:]]


def change_asked(old: list[str]) -> list[str]:
    return [*old[:2], old[2].replace("gate/monday:2:1", "gate/monday:7:1"), *old[3:]]


def change_salt(old: list[str]) -> list[str]:
    entry = json.loads(old[2])
    entry["ids"][0][1] = "0" * 32
    return [*old[:2], dump(entry), *old[3:]]


def move_salt_to_id(old: list[str]) -> list[str]:
    entry = json.loads(old[2])
    id_, salt = entry["ids"][0]
    entry["ids"][0] = [salt[-1] + id_, salt[:-1]]
    return [*old[:2], dump(entry), *old[3:]]


def change_previous(old: list[str]) -> list[str]:
    entry = json.loads(old[2]) | {"previous": "0" * 64}
    return [*old[:2], dump(entry), *old[3:]]


def change_hash(old: list[str]) -> list[str]:
    entry = json.loads(old[2]) | {"hash": "0" * 64}
    return [*old[:2], dump(entry), *old[3:]]


def add_a_space(old: list[str]) -> list[str]:
    return [*old[:2], old[2].replace(":", ": ", 1), *old[3:]]


def make_no_entry(old: list[str]) -> list[str]:
    return [*old[:2], '["not a valid entry"]\n', *old[3:]]


def nest_deeply(old: list[str]) -> list[str]:
    return [*old[:2], "[" * 100_000 + "\n", *old[3:]]


def remove_one(old: list[str]) -> list[str]:
    return old[:2] + old[3:]


def remove_first(old: list[str]) -> list[str]:
    return old[1:]


def remove_last(old: list[str]) -> list[str]:
    return old[:-1]


def remove_line_end(old: list[str]) -> list[str]:
    return [*old[:-1], old[-1][:-1]]


def insert(old: list[str]) -> list[str]:
    return [*old[:2], old[1], *old[2:]]


def insert_forged(old: list[str]) -> list[str]:
    return [*old[:2], forge(old[1], number=3), *old[2:]]


def swap_lines(old: list[str]) -> list[str]:
    return [*old[:2], old[3], old[2], *old[4:]]


def make_again(old: list[str]) -> list[str]:
    return [*old[:2], forge(old[2], user="nobody"), *old[3:]]


def make_last_again(old: list[str]) -> list[str]:
    return [*old[:-1], forge(old[-1], user="nobody")]


def empty(old: list[str]) -> list[str]:
    return []


def dump(entry: dict[str, object]) -> str:
    return json.dumps(entry, sort_keys=True, separators=(",", ":")) + "\n"


def forge(line: str, **changes: object) -> str:
    """Change a line as who knows how its hash is made."""
    entry = Entry(**json.loads(line) | changes)
    return dump(json.loads(entry.to_line()) | {"hash": entry.digest()})


@pytest.mark.parametrize(
    ("tamper", "line", "words"),
    [
        pytest.param(change_field, 3, "its hash does not match", id="field-edited"),
        pytest.param(swap_ids, 3, "its hash does not match", id="ids-swapped"),
        pytest.param(change_id, 3, "its hash does not match", id="id-edited"),
        pytest.param(change_asked, 3, "its hash does not match", id="asked-edited"),
        pytest.param(change_salt, 3, "its hash does not match", id="salt-edited"),
        pytest.param(move_salt_to_id, 3, "its hash does not match", id="salt-moved-to-id"),
        pytest.param(change_previous, 3, "its hash does not match", id="previous-edited"),
        pytest.param(change_hash, 3, "its hash does not match", id="hash-edited"),
        pytest.param(add_a_space, 3, "not a valid entry", id="space-added"),
        pytest.param(make_no_entry, 3, "not a valid entry", id="other-json"),
        pytest.param(nest_deeply, 3, "not a valid entry", id="nested-deeply"),
        pytest.param(remove_one, 3, "it is entry 4", id="line-removed"),
        pytest.param(remove_first, 1, "it is entry 2", id="first-line-removed"),
        pytest.param(remove_last, 5, "counts 5 entries", id="last-line-removed"),
        pytest.param(remove_line_end, 5, "counts 5 entries", id="last-line-end-removed"),
        pytest.param(empty, 1, "counts 5 entries", id="emptied"),
        pytest.param(insert, 3, "it is entry 2", id="line-inserted"),
        pytest.param(insert_forged, 3, "does not follow", id="forged-line-inserted"),
        pytest.param(swap_lines, 3, "it is entry 4", id="lines-swapped"),
        pytest.param(make_again, 4, "does not follow", id="one-line-made-again"),
        pytest.param(make_last_again, None, "does not match any", id="last-line-made-again"),
    ],
)
def test_tampering_is_found(
    tmp_path: Path, tamper: Callable[[list[str]], list[str]], line: int | None, words: str
) -> None:
    fill(tmp_path)
    old = lines(tmp_path)
    new = tamper(old)
    assert new != old
    rewrite(tmp_path, new)
    verdict = verify(tmp_path)
    assert (verdict.line, verdict.entries) == (line, 5 if line is None else line - 1)
    assert words in verdict.problem


@pytest.mark.parametrize(
    "tamper",
    [
        *(change_id, remove_one, remove_first, remove_last, insert_forged, swap_lines),
        *(make_again, make_last_again, empty),
    ],
)
def test_what_is_recorded_later_does_not_hide_it(
    tmp_path: Path, tamper: Callable[[list[str]], list[str]]
) -> None:
    fill(tmp_path)
    rewrite(tmp_path, tamper(lines(tmp_path)))
    fill(tmp_path, 2)
    assert verify(tmp_path).problem


def edit(path: Path) -> None:
    path.write_text(path.read_text().replace('"number":5', '"number":3'))


def garble(path: Path) -> None:
    path.write_text("5")


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("tamper", [edit, garble, remove])
def test_a_head_that_was_changed_is_found_then_and_later(
    tmp_path: Path, tamper: Callable[[Path], None]
) -> None:
    fill(tmp_path)
    tamper(tmp_path / AUDIT_HEAD_FILE)
    assert AUDIT_HEAD_FILE in verify(tmp_path).problem
    fill(tmp_path, 2)
    assert verify(tmp_path).line == 6


def test_a_log_that_is_gone_while_its_head_stays(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / AUDIT_FILE).unlink()
    assert "counts 5 entries" in verify(tmp_path).problem
    fill(tmp_path, 1)
    verdict = verify(tmp_path)
    assert (verdict.line, verdict.problem[:13]) == (1, "it is entry 6")


def test_all_but_the_first_line_and_the_head_gone(tmp_path: Path) -> None:
    fill(tmp_path)
    rewrite(tmp_path, lines(tmp_path)[:1])
    (tmp_path / AUDIT_HEAD_FILE).unlink()
    assert "audit.head is missing" in verify(tmp_path).problem
    fill(tmp_path, 1)
    assert verify(tmp_path).line == 2


def test_a_head_noted_elsewhere_tells_of_a_log_made_anew(tmp_path: Path) -> None:
    fill(tmp_path)
    noted = verify(tmp_path).head
    fill(tmp_path)
    assert verify(tmp_path, noted).problem == ""
    for name in (AUDIT_FILE, AUDIT_HEAD_FILE):
        (tmp_path / name).unlink()
    fill(tmp_path)
    assert verify(tmp_path).problem == ""
    assert noted in verify(tmp_path, noted).problem


def test_erased_ids_leave_no_trace_and_all_else_still_shows(tmp_path: Path) -> None:
    fill(tmp_path)
    noted = verify(tmp_path).head
    entries = read_entries(tmp_path)
    gone = {"gate/monday:20:1", "gate/monday:3:1"}
    sealed = [one for entry in entries for one in (entry.asked, *entry.ids) if one[0] in gone]
    assert redact(tmp_path, gone.__contains__) == len(sealed) == 6
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for id_, salt in sealed:
        assert id_.encode() not in files
        assert salt.encode() not in files
    verdict = verify(tmp_path, noted)
    assert (verdict.entries, verdict.problem, verdict.erased) == (5, "", 6)
    assert verdict.head == noted
    shown = [entry.shown_ids for entry in read_entries(tmp_path)]
    assert shown == [[PEOPLE[0], ERASED, PEOPLE[2]]] * 5
    assert redact(tmp_path, gone.__contains__) == 0
    fill(tmp_path, 1)
    assert verify(tmp_path).entries == 6

    commitment = json.loads(lines(tmp_path)[2])["ids"][1]
    for change in (
        lambda line: line.replace(commitment, "0" * 64),
        lambda line: line.replace(f'"{commitment}"', f'["gate/monday:20:1","{"0" * 32}"]'),
        lambda line: line.replace("gate/monday:10:1", "gate/monday:11:1"),
    ):
        old = lines(tmp_path)
        assert change(old[2]) != old[2]
        rewrite(tmp_path, [*old[:2], change(old[2]), *old[3:]])
        assert verify(tmp_path).line == 3
        rewrite(tmp_path, old)
    assert verify(tmp_path).problem == ""


def test_nothing_to_erase_from(tmp_path: Path) -> None:
    assert redact(tmp_path, {PEOPLE[0]}.__contains__) == 0
    assert list(tmp_path.iterdir()) == []


def test_erasing_leaves_no_unfinished_line_with_ids(tmp_path: Path) -> None:
    fill(tmp_path)
    with (tmp_path / AUDIT_FILE).open("a") as file:
        file.write('{"asked":["gate/monday:20:1"')
    assert redact(tmp_path, {"gate/monday:20:1"}.__contains__) == 5
    assert b"gate/monday:20:1" not in (tmp_path / AUDIT_FILE).read_bytes()
    assert verify(tmp_path) == verify(tmp_path, verify(tmp_path).head)
    assert verify(tmp_path).notes == ()


def test_many_processes_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=fill, args=(tmp_path, 20)) for _ in range(8)]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        assert verify(tmp_path).problem == ""
    assert [process.exitcode for process in processes] == [0] * 8
    verdict = verify(tmp_path)
    assert (verdict.entries, verdict.problem, verdict.notes) == (160, "", ())


@pytest.mark.parametrize("torn", ['{"about":{"sc', "\0" * 40, '{"number":6}'])
@pytest.mark.parametrize("count", [0, 5])
def test_a_line_torn_by_a_power_cut(tmp_path: Path, torn: str, count: int) -> None:
    log._write_head(tmp_path, START)
    fill(tmp_path, count)
    with (tmp_path / AUDIT_FILE).open("a") as file:
        file.write(torn)
    verdict = verify(tmp_path)
    assert (verdict.entries, verdict.problem) == (count, "")
    assert f"an unfinished line of {len(torn)} bytes" in verdict.notes[0]
    assert len(read_entries(tmp_path)) == count
    fill(tmp_path, 1)
    verdict = verify(tmp_path)
    assert (verdict.entries, verdict.problem, verdict.notes) == (count + 1, "", ())


@pytest.mark.parametrize("count", [0, 4])
def test_a_kill_between_line_and_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    write_head = log._write_head

    def die(folder: Path, head: Head) -> None:
        if head != START:
            raise KeyboardInterrupt
        write_head(folder, head)

    fill(tmp_path, count)
    for _ in range(2):  # the second time before it could mend what the first has left
        with monkeypatch.context() as patch:
            patch.setattr(log, "_write_head", die)
            with pytest.raises(KeyboardInterrupt):
                fill(tmp_path, 1)
        verdict = verify(tmp_path)
        assert (verdict.entries, verdict.problem) == (count + 1, "")
        assert "one line behind" in verdict.notes[0]
    fill(tmp_path, 1)
    verdict = verify(tmp_path)
    assert (verdict.entries, verdict.problem, verdict.notes) == (count + 2, "", ())


def test_a_last_line_that_only_lacks_its_end_is_kept(tmp_path: Path) -> None:
    fill(tmp_path)
    rewrite(tmp_path, remove_line_end(lines(tmp_path)))
    fill(tmp_path, 1)
    assert (verify(tmp_path).entries, verify(tmp_path).problem) == (6, "")


def test_long_lines(tmp_path: Path) -> None:
    for count in (1, 5_000, 1, 300):
        record(tmp_path, Event("search", ids=[f"gate/monday:{n}:1" for n in range(count)]))
    assert (verify(tmp_path).entries, verify(tmp_path).problem) == (4, "")


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    fill(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="cannot be written: No space left"):
            fill(tmp_path, 1)
        with pytest.raises(StoreError, match="No space left"):
            redact(tmp_path, set(PEOPLE).__contains__)
    assert verify(tmp_path).problem == ""
    assert verify(tmp_path).erased == 0
    fill(tmp_path, 1)
    assert verify(tmp_path).problem == ""


def test_a_lock_that_is_never_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_WAIT_S", 0.05)
    fill(tmp_path, 1)
    with FileLock(tmp_path / AUDIT_LOCK_FILE):
        with pytest.raises(StoreError, match=f"held {AUDIT_LOCK_FILE} for"):
            fill(tmp_path, 1)
        with pytest.raises(StoreError, match="cannot be read"):
            verify(tmp_path)
    assert verify(tmp_path).entries == 1


def test_the_last_entries_only(tmp_path: Path) -> None:
    fill(tmp_path)
    assert [entry.number for entry in read_entries(tmp_path, 2)] == [4, 5]
    rewrite(tmp_path, make_no_entry(lines(tmp_path)))
    assert [entry.number for entry in read_entries(tmp_path)] == [1, 2, 4, 5]
