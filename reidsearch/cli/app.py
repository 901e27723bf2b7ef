"""The `reidsearch` command: its subcommands, and what all of them share."""

from __future__ import annotations

import signal
import sys
import tomllib
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.markup import escape
from typer.core import TyperGroup
from typer.exceptions import TyperException

from reidsearch._version import __version__
from reidsearch.cli import (
    audit,
    backup,
    doctor,
    erase,
    evaluate,
    export,
    ingest,
    inspect,
    models,
    people,
    render,
    search,
    train,
)
from reidsearch.cli.output import INTERRUPTED, print_json, say
from reidsearch.cli.usage import CONFIG_FILE, explain, origin
from reidsearch.core.errors import ReidsearchError, UsageError
from reidsearch.core.files import read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class _Group(TyperGroup):
    """Turns what goes wrong into a message, a hint and an exit code."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._running: Any = None  # the context of the command
        for command in _all_commands(self):
            _prepare_help(command)
            command.invoke = partial(self._note, command.invoke)

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read what stands before the command."""
        with self._explaining():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; `kill` ends it as Ctrl-C does."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with self._explaining():
            return super().invoke(ctx)

    def _note(self, invoke: Callable[[Any], Any], ctx: Any) -> Any:
        self._running = ctx
        return invoke(ctx)

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except ReidsearchError as error:
            code = 2 if isinstance(error, UsageError) else 1
            self._end(code, str(error), self._origin(error), error.hint, **error.details)
        except TyperException as error:
            if type(error).__name__ == "NoArgsIsHelpError":
                raise
            explained = explain(error)
            self._end(2, str(explained), explained.hint)
        except BrokenPipeError:  # `| head`: Typer ends without a word
            raise
        except OSError as error:  # that no layer below has explained
            self._end(1, f"{error.filename or 'output'}: {error.strerror}")
        except KeyboardInterrupt:
            self._end(INTERRUPTED, "interrupted; everything stored so far is kept")

    def _origin(self, error: ReidsearchError) -> str:
        where = "" if self._running is None else origin(str(error), self._running)
        return f"it was set by {where}" if where else ""

    def _end(self, code: int, message: str, *hints: str, **details: Any) -> NoReturn:
        hint = "; ".join(filter(None, hints))
        if code == INTERRUPTED:
            say(message)
        else:
            say(f"[bold red]error:[/] {escape(message)}")
        if hint:
            # Of a list of steps, each has its line, indented: a name can forge no error.
            first, *steps = hint.split("\n  ")
            say(f"[bold]hint:[/] {escape(first)}")
            for step in steps:
                say(f"  {escape(step)}")
        if "--json" in sys.argv or (self._running and self._running.params.get("json")):
            print_json({"error": message, "hint": hint, **details})
        raise typer.Exit(code) from None


def _all_commands(group: Any) -> Iterator[Any]:
    """All commands below a group, groups left out."""
    for command in group.commands.values():
        if isinstance(command, TyperGroup):
            yield from _all_commands(command)
        else:
            yield command


def _prepare_help(command: Any) -> None:
    """Let paragraphs be wrapped anew, and explain REIDSEARCH_* in the epilog only."""
    paragraphs = (command.help or "").split("\n\n")
    command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    for param in command.params:
        param.show_envvar = param.name == "db"


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    epilog="Options can also be set in ./reidsearch.toml, or as REIDSEARCH_<COMMAND>_<OPTION>.",
    pretty_exceptions_enable=False,
    context_settings={"auto_envvar_prefix": "REIDSEARCH", "help_option_names": ["-h", "--help"]},
)
app.command()(ingest.ingest)
app.command()(search.search)
app.command()(inspect.inspect)
app.command()(doctor.doctor)
app.command()(backup.backup)
app.command()(backup.restore)
app.command()(erase.erase)
app.add_typer(audit.app, name="audit")
app.add_typer(people.app, name="people")
app.add_typer(render.app, name="render")
app.add_typer(export.app, name="export")
app.command()(train.train)
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(models.app, name="models")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _shared(
    ctx: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=_print_version,
            allow_from_autoenv=False,
            help="Show the version.",
        ),
    ] = False,
) -> None:
    """Find people in footage: ingest it once, then ask where someone is seen later."""
    del version  # its callback has done the work
    if CONFIG_FILE.is_symlink() or CONFIG_FILE.exists():
        ctx.default_map = _read_config(CONFIG_FILE, ctx)


def _read_config(path: Path, ctx: typer.Context) -> dict[str, Any]:
    """Read defaults: at the top for all commands that have the option, in tables for one."""
    try:
        settings = tomllib.loads(read_text(path))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    return _defaults_for(ctx.command, settings, path)


def _defaults_for(command: Any, settings: dict[str, Any], path: Path) -> dict[str, Any]:
    """Click's `default_map` of a group: one mapping for each of its commands."""
    general = {key: value for key, value in settings.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in settings.items() if isinstance(value, dict)}
    unknown = tables.keys() - command.commands.keys()
    known_options: set[str] = set()
    defaults: dict[str, Any] = {}
    for name, sub in command.commands.items():
        table = tables.get(name, {})
        if isinstance(sub, TyperGroup):
            inherited = {k: v for k, v in general.items() if k in _option_names(sub)}
            defaults[name] = _defaults_for(sub, inherited | table, path)
            known_options |= _option_names(sub)
            continue
        options = _option_names(sub)
        known_options |= options
        unknown |= table.keys() - options
        # What is erased is never said by what was meant for other commands.
        shared = {k: v for k, v in general.items() if name != "erase" or k == "db"}
        chosen = {k: v for k, v in (shared | table).items() if k in options}
        defaults[name] = {
            param.name: chosen[option.lstrip("-")]
            for param in sub.params
            for option in param.opts
            if option.lstrip("-") in chosen
        }
    unknown |= general.keys() - known_options
    if unknown:
        raise UsageError(
            f"{path} sets {', '.join(sorted(unknown))}, which no command knows",
            hint="write options as on the command line, without the leading dashes",
        )
    return defaults


def _option_names(command: Any) -> set[str]:
    """Long names, without dashes, of a command's options or of all those in a group."""
    if isinstance(command, TyperGroup):
        return {name for sub in command.commands.values() for name in _option_names(sub)}
    return {option.lstrip("-") for param in command.params for option in param.opts}
