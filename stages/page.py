"""Put all results on one page for readers who were not there."""

from pathlib import Path

from porcupine import storage
from porcupine.params import Params
from porcupine.report import index as library
from stages import tables
from stages.common import run


def main(params: Params, reports: Path, page: Path) -> None:
    """Write one HTML file that needs no other: text and tables of the summary, the figures, the params."""
    metrics, certified = (storage.load_table(reports / f"{name}.csv") for name in ("metrics", "certificate"))
    text = library.index(
        (reports / "summary.md").read_text(encoding="utf-8"),
        metrics,
        certified,
        tables.of_attacks(params, reports / "attack", "rates"),
        corpus=params.corpus.name,
        n_test=storage.load_json(reports / "metrics.json")["n_test"],
        figures={file.stem: file.read_text(encoding="utf-8") for file in sorted((reports / "figures").glob("*.svg"))},
        params={name: section.model_dump() for name, section in params if name != "compute"},
        files=library.FILES,
    )
    with storage.replacing(page) as file:
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
