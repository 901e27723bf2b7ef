"""What is wrong with a command line, a variable or the file of settings, and where it stands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer import BadParameter

from reidsearch.core.errors import UsageError

if TYPE_CHECKING:
    from typer.exceptions import TyperException

CONFIG_FILE = Path("reidsearch.toml")
_REASONS = {
    "int_parsing": "is not a whole number",
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_parsing": "is not a number",
    "float_type": "is not a number",
    "greater_than_equal": "is less than {ge:g}",
    "less_than_equal": "is more than {le:g}",
}


def explain(error: TyperException) -> UsageError:
    """Say in our words what Typer, or pydantic for it, has against a command line."""
    context: Any = getattr(error, "ctx", None)
    hint = f"see `{context.command_path} --help`" if context is not None else ""
    param: Any = getattr(error, "param", None)
    if not isinstance(error, BadParameter) or param is None:
        message = error.format_message()
        return UsageError(f"{message[:1].lower()}{message[1:].rstrip('.')}", hint=hint)
    if error.__cause__ is None:
        return UsageError(f"{_name(param)}: {error.message or 'missing'}", hint=hint)
    [problem, *_] = _problems(error.__cause__)
    value = problem["input"]
    reason = _REASONS.get(problem["type"])
    if reason is None:  # Typer's own sentence
        reason = str(problem.get("ctx", {}).get("error", problem["msg"])).rstrip(".")
        reason = reason.removeprefix(f"{value!r} ")
    where = _where(param, value, context)
    return UsageError(f"{where} {reason.format(**problem.get('ctx', {}))}", hint=hint)


def origin(message: str, context: Any) -> str:
    """Where an option that a message is about was set, if that is not the command line."""
    words = [word.strip(",.:;") for word in message.split()]
    for param in context.command.params:
        value = context.params.get(param.name)
        is_quoted = isinstance(value, str) and repr(value) in message
        if value is not None and (is_quoted or _name(param) in words):
            where = _where(param, value, context)
            if not where.startswith(_name(param)):
                return where
    return ""


def _problems(error: Any) -> list[dict[str, Any]]:
    """Of pydantic, those of an item where the value is a list."""
    found: list[dict[str, Any]] = error.errors()
    inner = found[0].get("ctx", {}).get("error")
    return _problems(inner) if hasattr(inner, "errors") else found


def _where(param: Any, value: object, context: Any) -> str:
    """A parameter and its value as they were given."""
    source = context.get_parameter_source(param.name).name
    if source == "DEFAULT_MAP":
        return f"{_name(param).lstrip('-')} = {value!r} in {CONFIG_FILE}"
    if source == "ENVIRONMENT":
        own = [param.envvar] if isinstance(param.envvar, str) else param.envvar or []
        names = [*own, f"{context.auto_envvar_prefix}_{param.name}".upper()]
        return f"{next(name for name in names if name in os.environ)}={value}"
    return f"{_name(param)} {value}"


def _name(param: Any) -> str:
    """An option as the command line takes it, an argument as the help names it."""
    if param.param_type_name == "argument":
        return str(param.metavar or param.name.upper())
    return str(max(param.opts, key=len))
