"""Options that say whom to search for, and where: several commands share them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_type_hints

import typer
from rich.markup import escape

from reidsearch.cli.opening import read_db
from reidsearch.cli.options import DEFAULT_DB, Backend, Db
from reidsearch.cli.output import say, warn
from reidsearch.core import defaults
from reidsearch.core.errors import QueryError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from reidsearch.database.audit_entry import Action
    from reidsearch.models.pair import ModelChoice
    from reidsearch.search.find import SearchResult
    from reidsearch.search.grouping import Grouping
    from reidsearch.search.query import Query
    from reidsearch.search.window import Window
    from reidsearch.services.gallery import Gallery

_Options = TypeVar("_Options", bound="QueryOptions")


@dataclass(frozen=True, kw_only=True)
class QueryOptions:
    """Whom to search for, and in which database."""

    pictures: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[QUERY]...",
            readable=False,
            help="Pictures of one person, folders of such pictures, or a scene with people in it.",
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
        typer.Option(
            min=1,
            metavar="N",
            help="Which detection of --frame or QUERY, in descending order of score. Default: the "
            "first of --frame, the only one in QUERY.",
        ),
    ] = None
    crop_id: Annotated[
        str | None, typer.Option("--id", metavar="CROP_ID", help="A stored detection, by id.")
    ] = None
    db: Db = DEFAULT_DB
    embedder: Annotated[
        str | None,
        typer.Option(metavar="CARD[=PATH]", help="Default: as recorded in the database."),
    ] = None
    backend: Backend = "auto"

    @property
    def models(self) -> ModelChoice:
        """The networks to search with."""
        from reidsearch.models.pair import ModelChoice

        return ModelChoice(embedder=self.embedder, backend=self.backend)

    def open(self) -> AbstractContextManager[Gallery]:
        """Open the database to read it."""
        return read_db(self.db, self.models)

    def kept_files(self, gallery: Gallery) -> list[Path]:
        """Files that no output may overwrite: footage and the pictures of the query."""
        return [*gallery.footage_paths(), *(self.pictures or ())]

    def queries(self, gallery: Gallery) -> list[Query]:
        """One query for each picture."""
        box_xyxy = _parse_box(self.box)
        paths: list[Path | None] = [
            p for given in self.pictures or () for p in _list_pictures(given)
        ]
        for option, value in (("--box", box_xyxy), ("--person", self.person)):
            if value is not None and len(paths) > 1:
                raise UsageError(
                    f"{option} works with one picture only",
                    hint=f"give several crops without {option}",
                )
        queries = [
            gallery.find_query(
                path,
                box_xyxy=box_xyxy,
                frame=self.frame,
                person=self.person,
                crop_id=self.crop_id,
            )
            for path in paths or [None]
        ]
        for query in queries:
            self._say_found(query)
        return queries

    def _say_found(self, query: Query) -> None:
        """Say whom a picture turned out to show."""
        if query.found is None:
            return
        who = "the whole picture, as a crop of one person"
        if query.box_xyxy is not None:
            who = f"person {self.person}" if query.found > 1 else "it"
        people = "1 person" if query.found == 1 else f"{query.found or 'no'} people"
        say(f"{people} found in {escape(query.paths[0])}: searching for {who}")

    def query(self, gallery: Gallery) -> Query:
        """One query of all pictures together."""
        from reidsearch.search.query import join_queries

        return join_queries(self.queries(gallery))


@dataclass(frozen=True, kw_only=True)
class SearchOptions(QueryOptions):
    """Whom to search for, in which footage, and how many matches to show."""

    who: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Search for somebody with a name, by all that was confirmed; see `reidsearch "
            "people`.",
        ),
    ] = None
    top: Annotated[int, typer.Option(min=1, help="Matches to show.")] = defaults.TOP
    after: Annotated[
        str | None,
        typer.Option(
            metavar="FRAME|TIME",
            help="Search only after this: a frame (120); a time from the query on (+30s, +1:30); "
            "from the start of the footage (30s, 1:02:03); or, where its date is known, of day "
            "(14:30) or ISO 8601.",
        ),
    ] = None
    before: Annotated[
        str | None, typer.Option(metavar="FRAME|TIME", help="Search only before this.")
    ] = None
    between: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="FROM TO", help="Same as --after FROM --before TO."),
    ] = None
    all_times: Annotated[
        bool,
        typer.Option("--all-times", help="Search earlier frames of a stored detection, too."),
    ] = False
    camera: Annotated[
        list[str] | None, typer.Option(help="Search only this camera; repeatable.")
    ] = None
    source: Annotated[
        list[str] | None,
        typer.Option(metavar="[CAMERA/]SOURCE", help="Search only this source; repeatable."),
    ] = None
    min_score: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Search only detections with at least this score."),
    ] = None
    max_distance: Annotated[
        float | None, typer.Option(min=0.0, max=2.0, help="Show no match farther away than this.")
    ] = None
    by: Annotated[
        Literal["tracklet", "frame", "detection"],  # grouping.By
        typer.Option(
            help="What a match is: a tracklet, which is one passage of a person before a camera; "
            "the nearest detection of a frame; or each detection."
        ),
    ] = "tracklet"
    per_source: Annotated[
        int | None, typer.Option(min=1, help="Matches shown per source. Default: any number.")
    ] = None
    fuse: Annotated[
        Literal["min", "mean"],  # types.Fuse, whose module would bring numpy along
        typer.Option(help="How the distances to several pictures are combined."),
    ] = "min"
    approximate: Annotated[
        bool,
        typer.Option(
            "--approximate",
            help="Use Chroma's approximate index, whose files are not verified.",
        ),
    ] = False

    def open(self) -> AbstractContextManager[Gallery]:
        """Open the database to read it."""
        return read_db(self.db, self.models, approximate=self.approximate)

    def grouping(self) -> Grouping:
        """Which detections become matches."""
        from reidsearch.search.grouping import Grouping

        return Grouping(self.top, self.max_distance, self.by, self.per_source, self.fuse)

    def queries(self, gallery: Gallery) -> list[Query]:
        """One query for each picture."""
        if self.fuse == "mean" and not self.pictures:
            raise UsageError("--fuse goes with pictures", hint="a stored detection is only one")
        if self.who is None:
            return super().queries(gallery)
        if self.pictures or self.frame or self.crop_id or self.person or self.box:
            raise UsageError("--who excludes pictures, --frame and --id")
        if self.by != "tracklet":
            raise UsageError("--who answers tracklets", hint=f"leave out --by {self.by}")
        return [gallery.find_person(self.who)]

    def window(self, gallery: Gallery, query: Query) -> Window:
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
            all_times=self.all_times,
            query=query,
        )

    def search(
        self,
        gallery: Gallery,
        query: Query,
        files: Iterable[Path | None] = (),
        action: Action = "search",
    ) -> SearchResult:
        """Search, recording which files the matches will be written to; None is no file."""
        written = [path for path in files if path is not None]
        window = self.window(gallery, query)
        return gallery.search(query, window, self.grouping(), files=written, action=action)


def warn_of_doubts(result: SearchResult) -> None:
    """Warn of sources that could not be searched, and of pictures that rather show two people."""
    if result.disagreeing:
        warn(
            f"{' and '.join(result.disagreeing)} rather show two people than one: "
            "distances to both say little; --each searches for each"
        )
    if result.left_out:
        warn(
            "not searched, as times with and without --start cannot be compared: "
            f"{', '.join(result.left_out)}"
        )


def with_options(kind: type[_Options]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options of `kind` to those of a command, which gets them as its first argument."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(kind, include_extras=True)
        own_hints = get_type_hints(command, include_extras=True)
        _, *own = inspect.signature(command).parameters.values()
        shared = [
            inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default)
            for f in fields(kind)
        ]

        def run(**given: Any) -> None:
            options = kind(**{field.name: given.pop(field.name) for field in fields(kind)})
            command(options, **given)

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
    """The picture, or the pictures of a folder."""
    if not path.is_dir():
        return [path]
    from reidsearch.footage.images import IMAGE_SUFFIXES

    found = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise QueryError(f"no picture in {path}")
    return found


def _parse_box(text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{text!r} is not a valid box", hint="write --box X1,Y1,X2,Y2") from None
    return x1, y1, x2, y2
