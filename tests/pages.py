"""What a page made here has to be, read by a parser of its own."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise

VOID = {"meta", "img", "br", "hr", "input", "link"}


class Outline(HTMLParser):
    """Elements in order of appearance, with their attributes, text and parents; complains about wrong nesting."""

    def __init__(self, source: str):
        super().__init__()
        self.open: list[dict] = []
        self.elements: list[dict] = []
        self.feed(source)
        self.close()
        assert not self.open, f"never closed: {[element['tag'] for element in self.open]}"

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> repeats an attribute"
        parents = [element["tag"] for element in self.open]
        element = {"tag": tag, "attributes": dict(attrs), "text": "", "parents": parents}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1]["tag"] == tag, f"</{tag}> closes {self.open and self.open[-1]['tag']}"
        self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag):
        return [element for element in self.elements if element["tag"] == tag]

    def rows(self):
        """Texts of the cells of each row of each table."""
        tables = []
        for element in self.elements:
            if element["tag"] == "table":
                tables.append([])
            elif element["tag"] == "tr":
                tables[-1].append([])
            elif element["tag"] in ("th", "td"):
                tables[-1][-1].append(element["text"].strip())
        return tables


def check(source: str) -> Outline:
    """Well-formed, accessible as far as markup tells, and in need of nothing else."""
    page = Outline(source)
    assert source.startswith("<!doctype html>") and page.all("html")[0]["attributes"]["lang"] == "en"
    ids = [element["attributes"]["id"] for element in page.elements if "id" in element["attributes"]]
    assert len(ids) == len(set(ids))
    for element in page.elements:
        given = element["attributes"]
        for name in ("src", "srcset", "data", "action", "poster"):
            assert given.get(name, "data:").startswith("data:"), (element["tag"], given[name][:80])
        assert not any(name.startswith("on") for name in given), given
        for name in ("aria-labelledby", "aria-describedby"):
            assert name not in given or given[name] in ids
    assert not page.all("link") and not re.search(r"url\(|@import", page.all("style")[0]["text"])
    for link in page.all("a"):
        target = link["attributes"]["href"]
        assert link["text"].strip() and not re.match(r"[a-z]+:|//|/", target), target
        assert not target.startswith("#") or target[1:] in ids, target
    for image in page.all("img"):
        assert len(image["attributes"]["alt"]) > 20
        assert int(image["attributes"]["width"]) > 0 and int(image["attributes"]["height"]) > 0
    assert len(page.all("table")) == len(page.all("caption"))
    assert all(caption["text"].strip() for caption in page.all("caption"))
    for cell in page.all("th"):
        assert cell["attributes"]["scope"] == ("col" if "thead" in cell["parents"] else "row")
        assert cell["text"].strip() or "tbody" in cell["parents"]
    for table in page.rows():
        assert len({len(row) for row in table}) == 1, table[0]
    assert [len(page.all(tag)) for tag in ("title", "h1", "main", "header", "nav")] == [1] * 5
    headings = [int(element["tag"][1]) for element in page.elements if re.fullmatch(r"h\d", element["tag"])]
    assert headings[0] == 1 and all(after <= before + 1 for before, after in pairwise(headings))
    return page
