"""The pages in a browser: nothing is asked of the network, nothing overflows, tables are sorted."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from porcupine.audit import audit, write

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH to open a page with")

# The page is in a frame of some width, and tells what it finds to the document around it.
FRAME = """<!doctype html><iframe src="{name}" style="width: {width}px; height: 800px; border: 0"></iframe>
<pre id="found"></pre><script>
addEventListener("message", event => {{ document.getElementById("found").textContent = event.data; }});
</script>"""
PROBE = """<script>
const told = [];
addEventListener("error", event => told.push(event.message || `not loaded: ${event.target.tagName}`), true);
addEventListener("securitypolicyviolation", event => told.push(`blocked: ${event.blockedURI}`));
console.error = console.warn = (...words) => told.push(words.join(" "));
addEventListener("load", () => setTimeout(() => {
  const requests = performance.getEntriesByType("resource").map(entry => entry.name);
  const folded = () => document.querySelectorAll("details:not([open])").length;
  const found = {
    told, requests: requests.filter(name => !name.startsWith("data:")), folded: [folded()],
    pictures: [...document.images].map(image => [image.naturalWidth, image.getBoundingClientRect().width]),
    colours: [document.body, document.querySelector(".plate")].map(it => getComputedStyle(it).backgroundColor),
    width: innerWidth, needed: document.documentElement.scrollWidth,
  };
  for (const name of ["beforeprint", "afterprint"]) {
    dispatchEvent(new Event(name));
    found.folded.push(folded());
  }
  document.querySelectorAll("details").forEach(details => { details.open = true; });
  found.unfolded = document.documentElement.scrollWidth;
  found.tables = [...document.querySelectorAll("table")].map(table => {
    const titles = [...table.querySelectorAll("thead th")];
    const column = place => [...table.tBodies[0].rows].map(row => row.cells[place].textContent.trim());
    const sorted = place => {
      const button = titles[place].querySelector("button");
      button.focus();
      button.click();
      return { sort: titles.map(title => title.getAttribute("aria-sort")), cells: column(place),
               focused: document.activeElement === button };
    };
    return titles.map((_, place) => ({ before: column(place), up: sorted(place), down: sorted(place) }));
  });
  parent.postMessage(JSON.stringify(found), "*");
}, 50));
</script>"""


def open_page(page, folder, *, width, scheme="light"):
    """What the probe finds in a page of a width in pixels."""
    (folder / "probed.html").write_text(page.replace("<head>", f"<head>{PROBE}", 1), encoding="utf-8")
    (folder / "frame.html").write_text(FRAME.format(name="probed.html", width=width), encoding="utf-8")
    dark = ["--force-dark-mode"] if scheme == "dark" else []
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}", *dark]
    command += ["--virtual-time-budget=5000", "--dump-dom", (folder / "frame.html").as_uri()]
    dumped = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    told = re.search(r'<pre id="found">(.*?)</pre>', dumped, re.DOTALL)
    assert told and told[1], dumped[-2000:]
    return json.loads(html.unescape(told[1]))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit") / "out"
    codes = np.repeat(np.arange(12), np.arange(12) ** 2)
    labels = np.random.default_rng(0).choice(["a group with quite a long name", "b"], len(codes))
    found = audit(codes, 12, groups=pd.DataFrame({"kind": labels}), n_train=5000, simulations=50, bootstrap=20)
    write(found, folder, provenance={"input": "x" * 200}, dpi=20)
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [360, 1400])
def test_a_page_opens_whole_and_alone(page, tmp_path, width):
    found = open_page(page, tmp_path, width=width)
    assert found["told"] == found["requests"] == []
    assert found["width"] == width >= max(found["needed"], found["unfolded"])
    assert len(found["pictures"]) == 3 and all(natural > 100 and shown > 200 for natural, shown in found["pictures"])
    assert found["folded"][0] > 0 and found["folded"][1:] == [0, found["folded"][0]]  # all is printed, then as before


def test_pictures_stay_on_white_in_the_dark(page, tmp_path):
    light, dark = (open_page(page, tmp_path, width=1000, scheme=scheme)["colours"] for scheme in ("light", "dark"))
    assert light[1] == dark[1] == "rgb(255, 255, 255)"
    assert light[0] == "rgb(251, 250, 247)" and dark[0] == "rgb(21, 24, 28)"


def test_a_click_sorts_a_table(page, tmp_path):
    metrics, codes, groups = open_page(page, tmp_path, width=1000)["tables"][:3]
    for table in (metrics, codes, groups):
        for place, column in enumerate(table):
            assert sorted(column["before"]) == sorted(column["up"]["cells"]) == sorted(column["down"]["cells"])
            for way, name in (("up", "ascending"), ("down", "descending")):
                assert column[way]["focused"]
                assert column[way]["sort"] == [name if other == place else None for other in range(len(table))]
    # By hand: code n has n² speakers, so code 0 is nobody's. As text, 100 would come before 16.
    code, _, speakers, bits = (column["up"]["cells"] for column in codes[:4])
    assert code == [str(n) for n in range(12)] and speakers == [str(n**2) for n in range(12)]
    assert codes[2]["down"]["cells"] == speakers[::-1]
    assert codes[3]["down"]["cells"] == bits[::-1] and bits[-1] == "∞"
    # What has no value is last, whichever way.
    assert metrics[2]["up"]["cells"][-1] == metrics[2]["down"]["cells"][-1] == "–"


def test_the_probe_sees_what_is_wrong(page, tmp_path):
    bad = page.replace(
        "<main", '<img src="https://porcupine.invalid/x.png"><div style="width: 900px">wide</div><main', 1
    )
    found = open_page(bad.replace("</main>", "</main><script>missing()</script>"), tmp_path, width=360)
    assert any("blocked" in line for line in found["told"]) and any("missing" in line for line in found["told"])
    assert found["needed"] > found["width"]
