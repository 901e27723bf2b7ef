"""Options by which several commands are told whom to look for, and where."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_type_hints

import typer

from reidsearch.cli.opening import open_db
from reidsearch.cli.options import DEFAULT_DB, Backend, Db
from reidsearch.cli.output import warn
from reidsearch.cli.recording import record
from reidsearch.core import defaults
from reidsearch.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from reidsearch.database.audit_entry import Action
    from reidsearch.search.find import SearchResult
    from reidsearch.search.grouping import Grouping
    from reidsearch.search.query import Query
    from reidsearch.search.window import Window
    from reidsearch.services.gallery import Gallery

_Asked = TypeVar("_Asked", bound="AskedPerson")
# Who is asked for stands apart from the options in the audit log, to be erased.
_NO_OPTIONS = {"pictures", "frame", "person", "crop_id", "db"}


@dataclass(frozen=True, kw_only=True)
class AskedPerson:
    """Who is looked for, and in which database."""

    pictures: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[QUERY]...",
            readable=False,
            help="Pictures of the person, or folders of them; or a scene with --box.",
        ),
    ] = None
    box: Annotated[
        str | None,
        typer.Option(metavar="X1,Y1,X2,Y2", help="Where the person is in QUERY, in pixels."),
    ] = None
    frame: Annotated[
        str | None,
        typer.Option(metavar="[CAMERA/]SOURCE:N", help="A stored frame with the person."),
    ] = None
    person: Annotated[
        int | None,
        typer.Option(min=1, help="Which person of --frame, by falling score; else 1."),
    ] = None
    crop_id: Annotated[
        str | None, typer.Option("--id", metavar="CROP_ID", help="A stored person, by id.")
    ] = None
    db: Db = DEFAULT_DB
    embedder: Annotated[
        str | None, typer.Option(metavar="CARD[=PATH]", help="Else the database's own.")
    ] = None
    backend: Backend = "auto"

    def open(self, **options: Any) -> AbstractContextManager[Gallery]:
        """Open the database."""
        return open_db(self.db, embedder=self.embedder, backend=self.backend, **options)

    def kept_files(self, gallery: Gallery) -> list[Path]:
        """What no output may take the place of: footage and the person's pictures."""
        return [*gallery.footage_paths(), *(self.pictures or ())]

    def queries(self, gallery: Gallery) -> list[Query]:
        """The person, once for each picture."""
        box_xyxy = _parse_box(self.box)
        paths: list[Path | None] = [
            p for given in self.pictures or () for p in _list_pictures(given)
        ]
        if box_xyxy is not None and len(paths) > 1:
            raise UsageError("--box is for one picture", hint="search several crops without it")
        return [
            gallery.find_query(
                path,
                box_xyxy=box_xyxy,
                frame=self.frame,
                person=self.person,
                crop_id=self.crop_id,
            )
            for path in paths or [None]
        ]

    def query(self, gallery: Gallery) -> Query:
        """The person, by all pictures together."""
        from reidsearch.search.query import join_queries

        return join_queries(self.queries(gallery))

    def record(
        self,
        gallery: Gallery,
        query: Query,
        ids: Sequence[str],
        files: Sequence[Path | None] = (),
        action: Action = "search",
        **about: Any,
    ) -> None:
        """Record whom a search found, before anybody sees it.

        Args:
            gallery: where.
            query: who was looked for.
            ids: who was found.
            files: what it will be written to; None is no file.
            action: what is done with it.
            about: what else there is to say; options other than by default are known.
        """
        options = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in _NO_OPTIONS and getattr(self, field.name) != field.default
        }
        about |= {
            "pictures": [str(Path(path).resolve()) for path in query.paths],
            "files": [str(path.resolve()) for path in files if path is not None],
        }
        given = options | {name: value for name, value in about.items() if value not in ([], ())}
        asked = None if query.detection is None else query.detection.id
        record(
            self.db,
            action,
            asked=asked,
            vectors=query.vectors,
            about=given,
            ids=ids,
            collection=gallery.store.state.collection,
        )


@dataclass(frozen=True, kw_only=True)
class AskedSearch(AskedPerson):
    """A person, the footage to search, and how many matches there may be."""

    top: Annotated[int, typer.Option(min=1, help="Matches to show.")] = defaults.TOP
    after: Annotated[
        str | None,
        typer.Option(
            metavar="FRAME|TIME",
            help="Search later than this only: frame 120, 4.8s, 1:02:03 or ISO 8601.",
        ),
    ] = None
    before: Annotated[
        str | None, typer.Option(metavar="FRAME|TIME", help="Search earlier than this only.")
    ] = None
    between: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="FROM TO", help="Both of them: --between 1:00 1:30."),
    ] = None
    camera: Annotated[
        list[str] | None, typer.Option(help="Search this camera only; may be given again.")
    ] = None
    source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[CAMERA/]SOURCE", help="Search this source only; may be given again."
        ),
    ] = None
    min_score: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Search only people found with this score or more."),
    ] = None
    max_distance: Annotated[
        float | None, typer.Option(min=0.0, max=2.0, help="Leave out what is farther away.")
    ] = None
    per_frame: Annotated[
        int, typer.Option(min=1, help="Matches in one frame: nobody is there twice.")
    ] = 1
    per_source: Annotated[
        int | None, typer.Option(min=1, help="Matches in one source; else any number.")
    ] = None
    gap: Annotated[
        float | None,
        typer.Option(
            min=0.0, metavar="SECONDS", help="Join sightings with no longer between them to one."
        ),
    ] = None
    fuse: Annotated[
        Literal["min", "mean"],  # types.Fuse, whose module would bring numpy along
        typer.Option(help="What the distances to several pictures become."),
    ] = "min"
    approximate: Annotated[
        bool,
        typer.Option(
            "--approximate",
            help="Ask Chroma's graph, whose files nobody checks, not the exact index.",
        ),
    ] = False

    def grouping(self) -> Grouping:
        """Which of the people found become matches."""
        from reidsearch.search.grouping import Grouping

        return Grouping(
            self.top, self.max_distance, self.per_frame, self.per_source, self.gap, self.fuse
        )

    def window(self, gallery: Gallery) -> Window:
        """Which part of the footage is searched."""
        if self.between is not None and (self.after is not None or self.before is not None):
            raise UsageError("--between excludes --after and --before")
        after, before = self.between or (self.after, self.before)
        return gallery.window(
            cameras=self.camera or (),
            sources=self.source or (),
            after=after,
            before=before,
            min_score=self.min_score,
        )

    def search(
        self,
        gallery: Gallery,
        query: Query,
        files: Sequence[Path | None] = (),
        action: Action = "search",
    ) -> SearchResult:
        """Search, and record what was found.

        Args:
            gallery: what is searched.
            query: who is looked for.
            files: what the matches will be written to; None is no file.
            action: what is done with them.
        """
        result = gallery.find_later(query, self.window(gallery), self.grouping())
        found = [match.detection.id for match in result.matches]
        about = {"scope": result.scope, "left_out": result.left_out, "top": self.top}
        self.record(gallery, query, found, files, action, **about)
        return result


def warn_of_left_out(result: SearchResult) -> None:
    """Say which sources could not be searched."""
    if result.left_out:
        warn(
            "not searched, as times with and without --start cannot be compared: "
            f"{', '.join(result.left_out)}"
        )


def asks(kind: type[_Asked]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of `kind` beside its own; its first argument gets them."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(kind, include_extras=True)
        own_hints = get_type_hints(command, include_extras=True)
        _, *own = inspect.signature(command).parameters.values()
        shared = [
            inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default)
            for f in fields(kind)
        ]

        def run(**given: Any) -> None:
            asked = kind(**{field.name: given.pop(field.name) for field in fields(kind)})
            command(asked, **given)

        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        parameters = [*shared, *parameters]
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [p.replace(annotation=(hints | own_hints)[p.name]) for p in parameters]
        )
        run.__annotations__ = {p.name: (hints | own_hints)[p.name] for p in parameters}
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        return run

    return decorate


def _list_pictures(path: Path) -> list[Path]:
    """A picture, or those in a folder."""
    if not path.is_dir():
        return [path]
    from reidsearch.footage.images import IMAGE_SUFFIXES

    found = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise UsageError(f"there is no picture in {path}")
    return found


def _parse_box(text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{text!r} is no box", hint="write --box X1,Y1,X2,Y2") from None
    return x1, y1, x2, y2
