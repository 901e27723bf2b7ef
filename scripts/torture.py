"""Do to databases what power cuts, full disks, impatience and rot do, and see what is left of them.

    python scripts/torture.py --kills 200 --cuts 220 --flips 1100 --double-flips 200

After each fault: does the database open, or explain itself; is all that was confirmed still there,
and once; does search answer as in a database that nobody disturbed; does `doctor --repair` mend it?
"""

from __future__ import annotations

import json as json_format
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager, redirect_stderr
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reidsearch.core.errors import ReidsearchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COMMAND = Path(sys.executable).with_name("reidsearch")
SAMPLE = Path(__file__).parents[1] / "tests" / "data" / "pets09-s2l1"
SOURCES = ("north", "south")  # copies of the footage: more groups of frames to be killed between
WAIT_S = 300.0
# What a search says of a database that is just being made.
NOT_YET = ("no database", "no source", "no frame", "no ledger", "is using the database")
QUERIES = ("north/north:1:1", "south/south:261:1", "north/north:401:2")


@dataclass
class Row:
    """What one kind of fault came to.

    Attributes:
        tried: how often.
        survived: everything was there and right at once, or after the same command again.
        mended: after `doctor --repair`, and the same ingest where that gave frames up.
        lost: something was missing, wrong or doubled, or nothing answered.
        notes: what happened to those.
    """

    fault: str
    tried: int = 0
    survived: int = 0
    mended: int = 0
    lost: int = 0
    notes: list[str] = field(default_factory=list)

    def count(self, outcome: str, note: str = "") -> None:
        """Add one fault."""
        self.tried += 1
        setattr(self, outcome, getattr(self, outcome) + 1)
        if note:
            self.notes.append(note)


def main(
    kills: Annotated[int, typer.Option(help="Times that an ingest is killed.")] = 200,
    erasures: Annotated[int, typer.Option(help="Times that an erase is killed.")] = 20,
    flips: Annotated[int, typer.Option(help="Bytes that are changed.")] = 1000,
    double_flips: Annotated[
        int, typer.Option(help="Bytes that are changed where the exact index is gone too.")
    ] = 200,
    cuts: Annotated[int, typer.Option(help="Files whose end is cut off, anywhere.")] = 220,
    fills: Annotated[int, typer.Option(help="Disks that are too small.")] = 10,
    readers: Annotated[int, typer.Option(help="Searches beside an ingest.")] = 40,
    seed: Annotated[int, typer.Option(help="Of the chances taken.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002
) -> None:
    """Print a table; the exit code is 1 when something was lost."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        work = Path(folder)
        for name in SOURCES:
            shutil.copytree(SAMPLE, work / name, ignore=shutil.ignore_patterns("*.md"))
        began = time.monotonic()
        must("ingest", work / "whole", work)
        must("search", work / "whole", work)
        torture = Torture(work, chance, time.monotonic() - began)
        faults = (
            lambda: [torture.kill_ingests(kills)],
            lambda: [torture.kill_erasures(erasures)],
            lambda: [torture.fill_disks(fills)],
            lambda: [torture.read_beside_a_writer(readers)],
            lambda: torture.damage_files(cuts, "cut short", cut),
            lambda: torture.damage_files(flips, "byte changed", flip),
            lambda: torture.damage_files(
                double_flips, "index gone, byte changed", flip, with_index=False
            ),
        )
        rows: list[Row] = []
        say = partial(print, file=sys.stderr if json else sys.stdout, flush=True)
        say("| fault | tried | survived | mended by doctor | lost |\n|---|---|---|---|---|")
        for make in faults:
            for row in make():
                say(f"| {row.fault} | {row.tried} | {row.survived} | {row.mended} | {row.lost} |")
                rows.append(row)
    for note, times in Counter(note for row in rows for note in row.notes).most_common():
        print(f"{times} x {note}", file=sys.stderr)
    if json:
        print(json_format.dumps([asdict(row) for row in rows], indent=1))
    if any(row.lost for row in rows):
        raise typer.Exit(1)


class Torture:
    """Faults to databases of the same footage, compared with one that nobody disturbed."""

    def __init__(self, work: Path, chance: random.Random, ingest_s: float) -> None:
        self._work, self._chance, self._ingest_s = work, chance, ingest_s
        self._whole = ok(in_child(contents, work / "whole"))
        self._answers = ok(in_child(answers, work / "whole"))
        self._ranking = ok(in_child(ranking, work / "whole"))

    def kill_ingests(self, times: int) -> Row:
        """Kill the same ingest again and again, until it is through; then another."""
        row, db = Row("ingest killed"), self._work / "killed"
        confirmed = 0
        while row.tried < times:
            with started("ingest", db, self._work) as process:
                try:
                    process.wait(self._chance.uniform(0, self._ingest_s))
                except subprocess.TimeoutExpired:
                    process.kill()
            was_killed = process.wait() == -signal.SIGKILL
            state, left = in_child(look, db)
            if state == "error" and not confirmed and "no database" in left:
                state, left = "ok", 0
            if was_killed:
                fine = state == "ok" and left >= confirmed
                row.count("survived" if fine else "lost", "" if fine else f"kill: {left}")
            confirmed = left if state == "ok" else 0
            if state != "ok" or not was_killed:
                found = in_child(contents, db)
                if not was_killed and found != ("ok", self._whole):
                    row.lost, row.survived = row.lost + 1, row.survived - 1
                    row.notes.append("an ingest that was killed ended in another database")
                shutil.rmtree(db, ignore_errors=True)
                confirmed = 0
        must("ingest", db, self._work)
        if in_child(contents, db) != ("ok", self._whole):
            row.count("lost", "the last ingest ended in another database")
        shutil.rmtree(db)
        return row

    def kill_erasures(self, times: int) -> Row:
        """Kill what writes a database anew: it is then as it was, or as it was to be."""
        row, db = Row("erase killed"), self._work / "erased"
        gone = ("north", "north")
        expected = [row for row in self._whole[0] if row[1] != "north"]
        for _ in range(times):
            shutil.copytree(self._work / "whole", db)
            with started("erase", db, self._work) as process:
                try:
                    process.wait(self._chance.uniform(0.3, 2.5))
                except subprocess.TimeoutExpired:
                    process.kill()
            process.wait()
            state, found = in_child(contents, db)
            fine = state == "ok" and found[0] in (self._whole[0], expected)
            must("erase", db, self._work, codes=(0, 1, 3))
            state, found = in_child(contents, db)
            fine = fine and state == "ok" and found[0] == expected and gone not in found[1]
            row.count("survived" if fine else "lost", "" if fine else f"erase: {found!r:.200}")
            shutil.rmtree(db)
        return row

    def fill_disks(self, times: int) -> Row:
        """Ingest where there is too little room, make room, and go on."""
        row = Row("disk full")
        size = sum(p.stat().st_size for p in (self._work / "whole").rglob("*") if p.is_file())
        for step in range(times):
            with small_disk(self._work / "disk", size * (step + 1) // (times + 1)) as grow:
                if grow is None:
                    row.notes.append("full disks were not tried: no file system may be mounted")
                    return row
                db = self._work / "disk" / "db"
                done = run("ingest", db, self._work)
                explained = done.returncode in (0, 1) and "Traceback" not in done.stderr
                grow()
                again = run("ingest", db, self._work)
                state, found = in_child(contents, db)
                fine = explained and again.returncode == 0 and (state, found) == ("ok", self._whole)
                note = (done.stderr + again.stderr)[-300:]
                row.count("survived" if fine else "lost", "" if fine else f"disk: {note}")
        return row

    def read_beside_a_writer(self, times: int) -> Row:
        """Search while an ingest runs: each answer is right for a state that there was."""
        row, db = Row("search beside an ingest"), self._work / "read"
        while row.tried < times:
            with started("ingest", db, self._work) as process:
                before: set[str] = set()
                while process.poll() is None and row.tried < times:
                    state, found = in_child(ranking, db)
                    if state == "error" and any(words in found for words in NOT_YET):
                        continue
                    frames = {frame_of(match) for match in found} if state == "ok" else set()
                    right = [match for match in self._ranking if frame_of(match) in frames]
                    fine = state == "ok" and found == right and before <= frames
                    before = frames
                    row.count("survived" if fine else "lost", "" if fine else f"{found!r:.200}")
                    second = run("ingest", db, self._work)
                    if second.returncode == 0:  # the first has let go of it, and ends
                        process.wait(WAIT_S)
                    elif second.returncode != 1 or NOT_YET[-1] not in second.stderr:
                        row.count("lost", f"second writer: {second.stderr[-200:]}")
            shutil.rmtree(db, ignore_errors=True)
        return row

    def damage_files(
        self,
        times: int,
        what: str,
        damage: Callable[[Path, random.Random], None],
        *,
        with_index: bool = True,
    ) -> list[Row]:
        """Damage one file, and search; then let doctor mend what did not answer."""
        whole = self._work / "whole"
        files = sorted(p for p in whole.rglob("*") if p.is_file() and p.stat().st_size)
        if not with_index:
            files = [path for path in files if not is_log(path) and path.parent.name != "index"]
        rows = {path: Row(f"{what}: {kind_of(path)}") for path in files}
        for turn in range(times):
            path = files[turn % len(files)]
            db = Path(shutil.copytree(whole, self._work / "flipped"))
            if not with_index:
                shutil.rmtree(db / "index")
            damage(db / path.relative_to(whole), self._chance)
            outcome, note = self._look_at_log(db) if is_log(path) else self._look_at(db)
            rows[path].count(outcome, note and f"{kind_of(path)}: {note}")
            shutil.rmtree(db)
        return [row for row in rows.values() if row.tried]

    def _look_at_log(self, db: Path) -> tuple[str, str]:
        """A log is right to be called wrong."""
        state, problem = in_child(verify_log, db)
        if state != "ok" or not problem:
            return "lost", f"nobody says that the log was changed: {problem}"
        return self._look_at(db)

    def _look_at_doctor(self, db: Path) -> tuple[str, str]:
        """What doctor finds it can mend, also where no search has noticed."""
        state, found = in_child(examine, db)
        said = "" if (state, found) == ("ok", "") else self._mend(db)[1]
        after = in_child(examine, db)
        if after != ("ok", "") or in_child(contents, db) != ("ok", self._whole):
            return "lost", f"no search, but doctor: {found[:80]}; {said:.80}; {after[1]:.80}"
        return "survived", ""

    def _look_at(self, db: Path) -> tuple[str, str]:
        state, found = in_child(answers, db)
        if (state, found) == ("ok", self._answers):
            return self._look_at_doctor(db)
        if state != "error":
            return "lost", f"{state}: {found!r:.200}"
        mended, said = self._mend(db)
        if mended == "ok" and in_child(contents, db) == ("ok", self._whole):
            return "mended", f"{found[:80]}; repair: {said[:80]}"
        return "lost", f"{found[:100]}; repair: {said[:200]}"

    def _mend(self, db: Path) -> tuple[str, str]:
        """Repair, and ingest what that gave up; see `in_child`."""
        state, said = in_child(repair, db)
        if state == "ok" and "ingest" in said:
            run("ingest", db, self._work)
        return state, str(said)


def in_child(function: Callable[[Path], Any], db: Path) -> tuple[str, Any]:
    """Run in a process of its own: ok and a value, error and our message, crash, or hang."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=_answer, args=(function, db, theirs))
    process.start()
    theirs.close()
    result: tuple[str, Any] = ("hang", f"nothing after {WAIT_S:g} s")
    if ours.poll(WAIT_S):
        try:
            result = ours.recv()
        except EOFError:
            process.join()
            result = "crash", f"exit code {process.exitcode}"
    process.kill()
    process.join()
    return result


def _answer(function: Callable[[Path], Any], db: Path, pipe: Any) -> None:
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
        try:
            pipe.send(("ok", function(db)))
        except ReidsearchError as error:
            pipe.send(("error", str(error)))
        except Exception as error:
            pipe.send(("crash", repr(error)))


def ok(result: tuple[str, Any]) -> Any:
    """The value, where there must be one."""
    if result[0] != "ok":
        raise SystemExit(f"{result}")
    return result[1]


def contents(db: Path) -> Any:
    """All rows with their vectors, and all sources, read through Chroma."""
    from reidsearch.core.types import Filter
    from reidsearch.database.chroma_store import open_chroma

    with open_chroma(db) as store:
        provenance = store.provenance
    with open_chroma(db, provenance) as store:  # to write: what a kill left is swept out
        found = store.scan(Filter())
        sources = [
            (*r.info.key, store.frames(r.info.key).tolist(), r.detections) for r in store.sources()
        ]
        rows = store.rows
    if rows != len(found):
        raise ReidsearchError(f"{rows} rows, {len(found)} of which count")
    # Chroma has float32 where float16 was stored: what else is in there is none of the vector.
    vectors = [vector.astype("<f2").tobytes() for vector in found.embeddings.vectors]
    people = [(s.id, s.source, str(s), v) for s, v in zip(found.detections, vectors, strict=True)]
    return people, sources


def look(db: Path) -> int:
    """How many people there are, each of them once."""
    from reidsearch.core.types import Filter
    from reidsearch.database.opening import open_to_read

    with open_to_read(db) as store:
        ids = [detection.id for detection in store.detections(Filter())]
        confirmed = sum(record.detections for record in store.sources())
    if len({*ids}) != len(ids) or len(ids) != confirmed:
        raise ReidsearchError(f"{len(ids)} people, {len({*ids})} ids, {confirmed} confirmed")
    return len(ids)


def answers(db: Path) -> Any:
    """What searches find, as a command does it."""
    from reidsearch import Grouping, open_database

    with open_database(db).read() as gallery:
        queries = [gallery.find_query(crop_id=crop_id) for crop_id in QUERIES]
        results = [gallery.search(query, grouping=Grouping(50)) for query in queries]
    return [[(str(m.detection), m.distance) for m in result.matches] for result in results]


def ranking(db: Path) -> Any:
    """Everyone later, by distance."""
    from reidsearch import Grouping, open_database

    with open_database(db).read() as gallery:
        query = gallery.find_query(crop_id=QUERIES[0])
        result = gallery.search(query, grouping=Grouping(100_000))
    return [(m.detection.id, m.distance) for m in result.matches]


def repair(db: Path) -> str:
    """As `doctor --repair`."""
    from reidsearch import open_database

    return open_database(db).repair()


def examine(db: Path) -> str:
    """What is wrong with the rest of it, as `doctor` says it."""
    from reidsearch import open_database

    bad = [
        one for one in open_database(db).check() if one.state == "bad" and one.check != "audit log"
    ]
    return "; ".join(f"{one.check}: {one.found}" for one in bad)


def verify_log(db: Path) -> str:
    """As `audit verify`."""
    from reidsearch.database.audit_read import verify

    return verify(db).problem


def arguments(command: str, db: Path) -> list[str]:
    """The command that is disturbed."""
    if command == "search":
        return [str(COMMAND), "search", "--id", QUERIES[0], "--db", str(db)]
    if command == "erase":
        return [str(COMMAND), "erase", "--camera", "north", "--yes", "--db", str(db)]
    return [str(COMMAND), "ingest", *SOURCES, "--fps", "10", "--db", str(db)]


@contextmanager
def started(command: str, db: Path, cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Let a command begin, and see to its end."""
    with subprocess.Popen(
        arguments(command, db), cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        yield process


def run(command: str, db: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        arguments(command, db), cwd=cwd, capture_output=True, text=True, check=False, timeout=WAIT_S
    )


def must(command: str, db: Path, cwd: Path, codes: tuple[int, ...] = (0,)) -> None:
    """Run a command that has to work."""
    done = run(command, db, cwd)
    if done.returncode not in codes:
        raise SystemExit(done.stderr)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Callable[[], None] | None]:
    """Mount a file system of a size, and give what makes it large; None if one may not."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={max(size, 1 << 16)}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        yield None
        return
    grow = ["mount", "-o", "remount,size=1G", str(folder)]
    try:
        yield lambda: subprocess.run(grow, check=True) and None
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def flip(path: Path, chance: random.Random) -> None:
    """Give one byte another value, as a stray write does."""
    with path.open("r+b") as file:
        at = chance.randrange(path.stat().st_size)
        file.seek(at)
        old = file.read(1)[0]
        file.seek(at)
        file.write(bytes([old ^ chance.randrange(1, 256)]))


def cut(path: Path, chance: random.Random) -> None:
    """Take the end of a file away, as a power cut does."""
    os.truncate(path, chance.randrange(path.stat().st_size))


def is_log(path: Path) -> bool:
    """Whether it is of the audit log."""
    return path.name.startswith("audit.")


def frame_of(match: tuple[str, float]) -> str:
    """Camera, source and number of the frame in which somebody was found."""
    return match[0].rpartition(":")[0]


def kind_of(path: Path) -> str:
    """A file's name, without what is different in each database."""
    return path.name.partition("-")[0] if path.parent.name == "index" else path.name


if __name__ == "__main__":
    typer.run(main)
