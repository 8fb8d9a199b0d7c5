"""Pages of the API from the docstrings: python docs/api.py FOLDER, then open FOLDER/index.html.

Docstrings here are plain text: a titled list of names, `name : what it is`, Returns, Raises, indented formulas. `house`
turns that into HTML, which pdoc puts into its pages and its search. The pages need nothing from the network.
"""

from __future__ import annotations

import html
import re
import sys
import warnings
from pathlib import Path

import jinja2
import numpy
import pandas
import pdoc
import pdoc.docstrings
import pdoc.render

CSS = """
main.pdoc > section { max-width: 62rem; }
.pdoc .docstring table { display: table; width: auto; margin: 0.5rem 0 1rem; }
.pdoc .docstring td, .pdoc .docstring tr { border: 0; }
.pdoc .docstring td { padding: 0.1rem 1.2rem 0.1rem 0; vertical-align: top; }
.pdoc .docstring td:first-child { white-space: nowrap; }
.pdoc .docstring dl { margin: 0.4rem 0 0.8rem; }
.pdoc .docstring dt { font-family: var(--bs-font-monospace, monospace); font-weight: normal; }
.pdoc .docstring dd { margin: 0 0 0.25rem 2rem; }
.pdoc .docstring pre { margin: 0.5rem 0 1rem 1rem; padding: 0; border: 0; white-space: pre-wrap; }
"""
ITEM = re.compile(r"([\w*]\w*(?:, \w+)*(?:, …)?) : (.*)")
CODE = 4  # spaces before a formula
OPENERS = re.compile(r"(Returns|Raises|Yields|Columns|Source|References?)\b")


def house(docstring: str, *_: object) -> str:
    """HTML of a docstring of this project."""
    blocks = re.split(r"\n\s*\n", docstring.strip("\n"))
    return "\n\n".join(_block(block.rstrip().split("\n")) for block in blocks if block.strip())


def _block(lines: list[str]) -> str:
    """A table, an indented formula, or paragraphs, lists and definitions."""
    indent = min(len(line) - len(line.lstrip()) for line in lines)
    lines = [line[indent:] for line in lines]
    rows = _rows(lines, sentences=indent >= CODE)
    if rows:
        cells = ("".join(f"<td>{_inline(cell)}</td>" for cell in row) for row in rows)
        cells = (row.replace("<td>", '<td colspan="9">', 1) if row.count("<td>") == 1 else row for row in cells)
        return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"
    if indent >= CODE:
        return "<pre>" + html.escape("\n".join(lines)) + "</pre>"
    return _flow(lines)


def _rows(lines: list[str], *, sentences: bool) -> list[list[str]]:
    """Cells of lines that are a name and columns, parted by two spaces or more; none where some line is not.

    sentences : whether a line below the first may have one cell.
    """
    rows: list[list[str]] = []
    for line in lines:
        cells = re.split(r" {2,}", line.strip())
        if line.startswith("  ") and rows:
            rows[-1][-1] += " " + " ".join(cells)
        elif len(cells) > 1 or (sentences and rows):
            rows.append(cells)
        else:
            return []
    return rows if len(rows) > 1 or " " not in rows[0][0] else []


def _flow(lines: list[str]) -> str:
    """Paragraphs; `- ` begins an entry of a list, `name : ` a definition, Returns, Raises, … a new paragraph."""
    parts: list[tuple[str, str, str]] = []  # kind, term, text
    for line in lines:
        item = ITEM.fullmatch(line)
        if line.startswith("- "):
            parts.append(("li", "", line[2:]))
        elif item:
            parts.append(("dd", item[1], item[2]))
        elif not parts or OPENERS.match(line) or (parts[-1][0] == "dd" and line[0].isupper()):
            parts.append(("p", "", line))
        else:
            kind, term, text = parts[-1]
            parts[-1] = (kind, term, f"{text} {line.strip()}")
    around = {"li": ("<ul>", "</ul>"), "dd": ("<dl>", "</dl>"), "p": ("", "")}
    made, before = "", "p"
    for kind, term, text in [*parts, ("p", "", "")]:
        if kind != before:
            made += around[before][1] + around[kind][0]
        made += f"<dt>{_inline(term)}</dt>" if term else ""
        made += f"<{kind}>{_inline(text)}</{kind}>" if text else ""
        before = kind
    return made


def _inline(text: str) -> str:
    """Code in backquotes, single or double, and emphasis in stars."""
    parts = re.split(r"(`+)(.+?)\1", text)
    for i, plain in enumerate(parts[::3]):
        parts[3 * i] = re.sub(r"(?<![\w*])\*(\w[\w ,]*)\*(?![\w*])", r"<em>\1</em>", html.escape(plain, quote=False))
    for i, code in enumerate(parts[2::3]):
        parts[3 * i + 1], parts[3 * i + 2] = "", f"<code>{html.escape(code, quote=False)}</code>"
    return "".join(parts)


def build(folder: Path) -> None:
    """Write the pages. Any warning on the way is an error."""
    # The constructors of named tuples have lost the module in which their annotations have a meaning.
    sys.modules |= {"np": numpy, "pd": pandas}
    pdoc.docstrings.convert = house
    pdoc.render_helpers.to_html = pdoc.search.to_html = pdoc.render.env.filters["to_html"] = str
    pdoc.render.configure(docformat="markdown", show_source=False, footer_text="porcupine")
    pdoc.render.env.loader = jinja2.ChoiceLoader([jinja2.DictLoader({"custom.css": CSS}), pdoc.render.env.loader])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # of other packages, while they are imported
        pdoc.pdoc("porcupine", output_directory=folder)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
