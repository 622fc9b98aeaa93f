"""Output of commands: tables for readers; JSON, YAML and names for programs. Notes go to standard error."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from io import StringIO
from typing import Any, Final, Literal

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text
from ruamel.yaml import YAML

type Format = Literal["table", "json", "yaml", "name"]
FORMATS: Final[tuple[Format, ...]] = ("table", "json", "yaml", "name")

#: A column: its title, and the name of the member that it shows, or what makes its text of an item.
type Column = tuple[str, str | Callable[[Mapping[str, Any]], Any]]

_SIGNS: Final = {"add": "+", "remove": "-", "change": "~"}
# Without a terminal, no line is wrapped.
_ENDLESS: Final = 10_000


class Output:
    """Prints what commands have found, in the format that their caller wants."""

    def __init__(self, format: Format = "table") -> None:
        self.format = format

    @property
    def is_for_readers(self) -> bool:
        """Whether a table or sentences are wanted, and not a document."""
        return self.format == "table"

    def show(
        self,
        document: Any,
        items: Sequence[Mapping[str, Any]],
        columns: Sequence[Column],
        *,
        name: str = "name",
    ) -> None:
        """Print `items` as a table with these columns, by their member `name`, or the whole `document`."""
        if self.format == "name":
            self.lines(str(item.get(name) or item.get("id", "")) for item in items)
        elif not self.document(document):
            self.table(
                [title for title, _ in columns], [[_value(one, item) for _, one in columns] for item in items]
            )

    def record(self, document: Mapping[str, Any], rows: Mapping[str, Any], *, name: str = "") -> None:
        """Print one thing: `rows` as lines of a title and a value, its `name`, or the whole `document`."""
        if self.format == "name":
            self.lines([name])
        elif not self.document(document):
            self.table([], [[title, cell] for title, cell in rows.items()])

    def whole(self, document: Mapping[str, Any], *, name: str) -> None:
        """Print one thing with all of its members, for readers as YAML, or its `name`."""
        if self.format == "name":
            self.lines([name])
        elif not self.document(document):
            click.echo(as_yaml(document), nl=False)

    def document(self, document: Any) -> bool:
        """Print JSON or YAML if that is wanted. Returns whether it is."""
        if self.format == "json":
            click.echo(_escaped(json.dumps(document, indent=2, ensure_ascii=False), json.dumps))
        elif self.format == "yaml":
            click.echo(as_yaml(document), nl=False)
        else:
            return False
        return True

    def table(self, titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Print a table for readers. No text of a row can control the terminal."""
        table = Table(*titles, box=None, pad_edge=False, show_header=bool(titles), header_style="bold")
        for row in rows:
            table.add_row(*(Text(visible(cell)) for cell in row))
        console = _console()
        with console.capture() as printed:
            console.print(table)
        click.echo("\n".join(line.rstrip() for line in printed.get().splitlines()))

    def styled(self, cells: Iterable[tuple[str, str]]) -> None:
        """Print one line of cells, each with its style, which only a terminal shows."""
        line = Text("  ").join(Text(text, style) for text, style in cells)
        with (console := _console()).capture() as printed:
            console.print(line, soft_wrap=True)
        click.echo(printed.get(), nl=False)

    def lines(self, lines: Iterable[str]) -> None:
        """Print lines on standard output. No text can control the terminal."""
        for line in lines:
            click.echo(_escaped(line))

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Say on a terminal that something takes a while, until it is over."""
        console = Console(stderr=True)
        with console.status(text) if console.is_terminal else nullcontext():
            yield

    def note(self, *lines: str) -> None:
        """Print lines on standard error: they never get into a pipe. No text can control the terminal."""
        for line in lines:
            click.echo(visible(line), err=True)


def as_yaml(document: Any) -> str:
    """The document as YAML, its members in their order."""
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = _ENDLESS
    yaml.sort_base_mapping_type_on_output = False
    yaml.representer.ignore_aliases = lambda _: True
    yaml.representer.add_representer(str, _text_node)
    text = StringIO()
    yaml.dump(document, text)
    return _escaped(text.getvalue().removesuffix("...\n"), lambda one: f'"\\U{ord(one):08X}"')


def _text_node(representer: Any, text: str) -> Any:
    """A text. Only between double quotes do all characters stay what they are."""
    style = None if text.replace("\n", "").isprintable() else '"'
    return representer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def visible(value: Any) -> str:
    """The text of a cell: words for null, truth and lists, and an escape for each control character."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(visible, value)) or "-"
    return _escaped(str(value).replace("\n", "\\n"))


def _escaped(text: str, quoted: Callable[[str], str] = ascii) -> str:
    """The text with an escape for each character that cannot be seen, but for the ends of its lines.

    Such a character can control a terminal, or show what follows in another order. `quoted` makes a text in
    quotes of one, as the format of the text has it.
    """
    return "".join(one if one.isprintable() or one == "\n" else quoted(one)[1:-1] for one in text)


def difference_lines(differences: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each difference of two documents, as the admin API tells them."""
    for one in differences:
        sides = [json.dumps(one[side], ensure_ascii=False) for side in ("before", "after") if side in one]
        yield visible(f"{_SIGNS[one['op']]} {one['path']}: {' -> '.join(sides)}")


def _value(column: str | Callable[[Mapping[str, Any]], Any], item: Mapping[str, Any]) -> Any:
    return item.get(column) if isinstance(column, str) else column(item)


def _console() -> Console:
    """A console as wide as the terminal. rich obeys NO_COLOR, and colors nothing without a terminal."""
    console = Console(highlight=False, emoji=False, markup=False)
    if not console.is_terminal:
        console.width = _ENDLESS
    return console
