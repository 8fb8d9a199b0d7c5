"""Which modules of this repository a script imports, read from its source.

`python tests/imports.py` writes them into the maps, as dependencies of the stages.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("porcupine", "stages")
MAPS = ("dvc.yaml", "kmeans-audio/dvc.yaml")


def closure(script: Path) -> set[str]:
    """All files of the repository that running ``script`` imports, itself included, as paths relative to the root.

    Imports inside functions count. Packages whose `__init__.py` holds a docstring alone do not.
    """
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for name in _imported(ast.parse(path.read_text(encoding="utf-8"))):
            waiting += _files(name)
    return {path.relative_to(ROOT).as_posix() for path in found if not _is_docstring(path)}


def with_deps(content: str) -> str:
    """A map in which the Python files among the dependencies of each stage are those that it imports."""

    def stage(found: re.Match[str]) -> str:
        (module,) = re.findall(r"python -m (\S+)", found[0])
        files = sorted(closure(ROOT / f"{module.replace('.', '/')}.py"))
        listed = r"(?:^      - (?:porcupine|stages)/[\w/]+\.py\n)+"
        return re.sub(listed, "".join(f"      - {file}\n" for file in files), found[0], flags=re.MULTILINE)

    return re.sub(r"^  [\w-]+:\n    desc:.*?(?=^  ?\S|\Z)", stage, content, flags=re.DOTALL | re.MULTILINE)


def _imported(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in PACKAGES}


def _files(name: str) -> list[Path]:
    """Files behind a dotted name, parent packages included; its last part may be something inside a module."""
    files, folder = [], ROOT
    for part in name.split("."):
        module, package = folder / f"{part}.py", folder / part / "__init__.py"
        if package.exists():
            files.append(package)
        elif module.exists():
            return [*files, module]
        folder = folder / part
    return files


def _is_docstring(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return path.name == "__init__.py" and all(isinstance(node, ast.Expr) for node in body)


if __name__ == "__main__":
    for name in MAPS:
        (ROOT / name).write_text(with_deps((ROOT / name).read_text(encoding="utf-8")), encoding="utf-8")
