"""The `reidsearch` command: its subcommands, and what all of them share."""

from __future__ import annotations

import signal
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

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
    render,
    search,
    train,
)
from reidsearch.cli.output import say
from reidsearch.core.errors import ReidsearchError, UsageError
from reidsearch.core.files import read_text

_CONFIG_FILE = Path("reidsearch.toml")


class _Group(TyperGroup):
    """Turns our errors into a message, a hint and an exit code."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _hide_variables(self)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; `kill` ends it as Ctrl-C does."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            return super().invoke(ctx)
        except ReidsearchError as error:
            _say_error(str(error), error.hint)
            raise typer.Exit(2 if isinstance(error, UsageError) else 1) from None
        except BrokenPipeError:  # `| head`: Typer ends without a word
            raise
        except OSError as error:  # that no layer below has explained
            _say_error(f"{error.filename or 'output'}: {error.strerror}")
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            say("interrupted; everything stored so far is kept")
            raise typer.Exit(130) from None


def _say_error(message: str, hint: str = "") -> None:
    say(f"[bold red]error:[/] {escape(message)}")
    if hint:
        first, *steps = hint.split("\n")  # of a list of steps, each has its line
        say(f"[bold]hint:[/] {escape(first)}")
        for step in steps:
            say(escape(step))


def _hide_variables(command: Any) -> None:
    """Hide REIDSEARCH_* from the help of each option: the epilog explains them once."""
    for param in command.params:
        param.show_envvar = param.name == "db"
    for sub in getattr(command, "commands", {}).values():
        _hide_variables(sub)


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
    if _CONFIG_FILE.is_symlink() or _CONFIG_FILE.exists():
        ctx.default_map = _read_config(_CONFIG_FILE, ctx)


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
