"""Results on one web page that needs nothing else: no network, and no file beside it but for links to tables.

    Page, Section, Card, Figure, Table   what a page is made of
    render        Page -> HTML, the same bytes for the same page
    markdown      the Markdown of this package -> sections
    table         DataFrame -> Table
    records       nested params, provenance, … -> Table
    environment   versions that results depend on
    inline        a line with *emphasis*, **weight**, `code` and [links](to) -> safe HTML

Whatever is not `Markup` is escaped, so that a group may be called `<script>`.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata, resources
from itertools import groupby
from typing import Any
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from porcupine.errors import InputError

_PACKAGES = ("porcupine", "numpy", "scipy", "pandas", "scikit-learn", "torch", "matplotlib")
_UNQUOTED = " !$()*+,-./:;=?@[]^_{|}~"  # in a data address within an attribute
_ONLY_IN_FILES = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>", re.DOTALL)
_INLINE = re.compile(
    r"`(?P<code>[^`]+)`|\*\*(?P<strong>.+?)\*\*|\*(?P<em>[^*\s][^*]*)\*|\[(?P<text>[^\]]+)\]\((?P<to>[^)\s]+)\)"
)
_FIGURE = re.compile(r"[−-]?\d|[∞–]$")


@dataclass(frozen=True)
class Card:
    """A headline figure: what it is, its value, and what to hold it against."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture: SVG source; ``alt`` says what it shows, ``caption`` how to read it."""

    svg: str
    alt: str
    caption: str

    @property
    def address(self) -> str:
        """Data address of the picture, without what only a file needs, paths to a hundredth of a point."""
        svg = _ONLY_IN_FILES.sub("", self.svg)
        svg = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), svg)
        return "data:image/svg+xml," + quote(" ".join(svg.split()).replace("> <", "><"), safe=_UNQUOTED)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, in pixels of 1/96 inch."""
        found = re.search(r'<svg[^>]* viewBox="0 0 ([\d.]+) ([\d.]+)"', self.svg)
        if found is None:
            raise InputError('figure: no <svg … viewBox="0 0 width height">, in points, as matplotlib writes it')
        return round(float(found[1]) / 0.75), round(float(found[2]) / 0.75)


@dataclass(frozen=True)
class Table:
    """Cells of text or `Markup`; the first of a row names it, and ``foot`` stays where it is when rows are sorted.

    titled : the caption repeats the title above, and is for those who cannot see that.
    folded : closed until it is opened. source : relative address of the whole table as CSV.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    foot: Sequence[Sequence[str]] = ()
    titled: bool = False
    folded: bool = False
    source: str = ""


@dataclass(frozen=True)
class Section:
    """A title and what is under it: text, pictures and tables."""

    title: str
    blocks: Sequence[Markup | Figure | Table]

    @property
    def short(self) -> str:
        """The title up to its first question mark, comma or colon."""
        return re.split(r"(?<=\?) |[:,] ", self.title)[0]

    @property
    def id(self) -> str:
        """Anchor, of the short title."""
        return re.sub(r"[^a-z0-9]+", "-", self.short.lower()).strip("-")


@dataclass(frozen=True)
class Page:
    """A page: what was asked, the answer in a sentence or two and a few figures, and all that stands behind it."""

    title: str
    question: str
    answer: Sequence[str]
    cards: Sequence[Card]
    sections: Sequence[Section]


def render(page: Page) -> str:
    """Write the page. Raises InputError where two sections would have the same anchor."""
    anchors = [section.id for section in page.sections]
    for anchor in anchors:
        if anchors.count(anchor) > 1 or anchor in ("", "main"):
            raise InputError(f"page: {anchors.count(anchor)} section(s) with the anchor {anchor!r}: change a title")
    engine = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    engine.tests |= {"figure": lambda it: isinstance(it, Figure), "table": lambda it: isinstance(it, Table)}
    engine.tests["numeric"] = lambda cell: bool(_FIGURE.match(Markup(cell).striptags()))
    template = resources.files("porcupine.report").joinpath("page.html").read_text(encoding="utf-8")
    return engine.from_string(template).render(page=page) + "\n"


def inline(text: str) -> Markup:
    """Mark up *emphasis*, **weight**, `code` and [links](to); all else is escaped."""
    parts, end = [], 0
    for found in _INLINE.finditer(text):
        kind = found.lastgroup or ""
        if kind == "to":
            marked = Markup('<a href="{}">{}</a>').format(found["to"], found["text"])
        else:
            inner = escape(found[kind]) if kind == "code" else inline(found[kind])
            marked = Markup("<{0}>{1}</{0}>").format(Markup(kind), inner)
        parts += [escape(text[end : found.start()]), marked]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


def paragraph(text: str) -> Markup:
    """A paragraph of `inline` text."""
    return Markup("<p>{}</p>").format(inline(text))


def listing(items: Iterable[str]) -> Markup:
    """A list of `inline` texts."""
    return Markup("<ul>{}</ul>").format(Markup("").join(Markup("<li>{}</li>").format(inline(item)) for item in items))


def markdown(text: str, *, corners: Mapping[str, str] | None = None) -> list[Section]:
    """Sections of the Markdown that this package writes: titles (##), paragraphs, tables, lists and quotes.

    A row whose name is emphasised, such as a floor, goes to the foot of its table.

    corners : start of a section's title -> title of the first columns of its tables that have none; "codes" for others.
    """
    sections = []
    for part in re.split(r"^## ", text.strip(), flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        corner = next((name for start, name in (corners or {}).items() if title.startswith(start)), "codes")
        blocks: list[Markup | Figure | Table] = []
        for mark, lines in groupby(
            body.splitlines(), key=lambda line: line[:2] if line[:2] in ("- ", "> ") else line[:1]
        ):
            if mark == "|":
                blocks.append(_markdown_table(title, list(lines), corner))
            elif mark == "- ":
                blocks.append(listing(line[2:] for line in lines))
            elif mark == "> ":
                quoted = " ".join(line[2:] for line in lines)
                blocks.append(Markup("<blockquote>{}</blockquote>").format(paragraph(quoted)))
            elif mark:
                blocks += [paragraph(line) for line in lines]
        sections.append(Section(title, blocks))
    return sections


def _markdown_table(title: str, lines: list[str], corner: str) -> Table:
    cells = [_markdown_cells(line) for line in lines if not line.startswith("|---")]
    width = max(map(len, cells))
    header, *rows = [[*row, *[Markup("")] * (width - len(row))] for row in cells]
    foot = [row for row in rows if row[0].startswith("<em>")]
    return Table(title, [header[0] or corner, *header[1:]], [row for row in rows if row not in foot], foot, titled=True)


def _markdown_cells(line: str) -> list[Markup]:
    return [inline(cell.strip().replace("\\|", "|")) for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]


def table(
    frame: pd.DataFrame,
    columns: Mapping[str, tuple[str, Callable[[Any], str]]],
    *,
    caption: str,
    folded: bool = False,
    source: str = "",
) -> Table:
    """Some columns of a DataFrame. columns : its name -> title, and how to write a value."""
    rows = [[write(row[name]) for name, (_, write) in columns.items()] for row in frame.to_dict("records")]
    return Table(caption, [title for title, _ in columns.values()], rows, folded=folded, source=source)


def records(
    caption: str, values: Mapping[str, Any], *, header: tuple[str, str] = ("name", "value"), folded: bool = True
) -> Table:
    """Nested values as a table of two columns, names joined by dots."""
    return Table(caption, header, list(_flat(values)), folded=folded)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            several = isinstance(value, Sequence) and not isinstance(value, str)
            yield f"{prefix}{name}", ", ".join(map(str, value)) if several else "–" if value is None else str(value)


def environment() -> dict[str, str]:
    """Versions of what results depend on, of the packages that are installed."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
