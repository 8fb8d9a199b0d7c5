"""Whoever has an array needs no more than the base installation."""

import subprocess
import sys

from imports import ROOT

FOR_ARRAYS = (
    "errors",
    "estimators",
    "figures",
    "parallel",
    "population",
    "privacy",
    "quantizers/balanced",
    "quantizers/fitted",
    "quantizers/kmeans",
    "quantizers/recalibration",
    "quantizers/registry",
    "quantizers/tour",
    "quantizers/tree",
    "quantizers/variants",
    "randomness",
    "report",
    "storage",
)
EXTRAS = {"dvc", "librosa", "pooch", "pydantic", "requests", "soundfile", "torch", "torchaudio", "yaml"}


def modules():
    for name in FOR_ARRAYS:
        path = ROOT / "porcupine" / name
        files = [path.with_suffix(".py")] if path.with_suffix(".py").exists() else sorted(path.glob("*.py"))
        assert files, name
        for file in files:
            yield ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def run(*lines):
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_works_on_arrays_imports_nothing_of_the_extras():
    imports = [f"import {module}; seen({module!r})" for module in modules()]
    assert len(imports) > 40
    printed = run(
        "import sys",
        f"extras = {EXTRAS!r}",
        "def seen(module):",
        "    found = extras & set(sys.modules)",
        "    extras.difference_update(found)",
        "    if found: print(module, 'imports', *sorted(found))",
        *imports,
    )
    assert printed == ""


def test_without_the_extras_arrays_are_quantised_and_attacked():
    printed = run(
        "import sys",
        "class Missing:",
        "    def find_spec(name, *_):",
        f"        if name in {EXTRAS!r}: raise ModuleNotFoundError(name=name)",
        "sys.meta_path.insert(0, Missing)",
        "import numpy as np",
        "from porcupine.errors import InputError",
        "from porcupine.estimators import VectorQuantizer",
        "from porcupine.privacy import backends",
        "vectors = np.random.default_rng(0).standard_normal((256, 4))",
        "for method in ('balanced', 'curve', 'tree', 'kmeans'):",
        "    print(np.bincount(VectorQuantizer(method, bits=1).fit(vectors).predict(vectors)).sum())",
        "pairs = vectors, vectors, np.arange(256) // 4",
        "print(backends.fit('plda', *pairs, seed=0).scores(vectors, vectors).shape)",
        "for wants_torch in (lambda: VectorQuantizer('vq').fit(vectors), lambda: backends.fit('mlp', *pairs, seed=0)):",
        "    try: wants_torch()",
        "    except InputError as error: print(error)",
    )
    missing = "the package torch is not installed: pip install 'porcupine[torch]'"
    assert printed.splitlines() == ["256"] * 4 + ["(256, 256)"] + [missing] * 2
