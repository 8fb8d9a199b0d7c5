"""What docs/tool.md shows is what the commands do."""

import re
import shlex

from imports import ROOT
from typer.testing import CliRunner

from porcupine import cli

PAGE = (ROOT / "docs" / "tool.md").read_text(encoding="utf-8")


def words(text):
    """Without numbers and versions, which may differ from machine to machine."""
    text = re.sub(r"versions: .*|\b[0-9a-f]{64}\b", "#", text)
    return re.sub(r"\d+(?:[. ]\d+)*", "#", text).split()


def test_its_commands_say_what_it_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1], {})
    blocks = re.findall(r"```sh\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == PAGE.count("```sh") == 5
    for commands, shown in blocks:
        said = ""
        for command in commands.splitlines():
            name, *arguments = shlex.split(command)
            found = CliRunner().invoke(cli.app, arguments)
            assert (name, found.exit_code) == ("porcupine", 0), found.output
            said += found.stdout
        assert words(said) == words(shown)
