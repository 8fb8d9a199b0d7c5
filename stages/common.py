"""What every stage script does the same way: arguments from the function's signature, params, errors in one line."""

from __future__ import annotations

import argparse
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path

from porcupine import params as schema
from porcupine import storage
from porcupine.errors import InputError


def run(stage: Callable[..., None]) -> None:
    """Call ``stage(params, *arguments)`` from the command line; its other parameters become positional arguments.

    Input errors end the process with their message alone and exit code 1.
    """
    module = inspect.getmodule(stage)
    parser = argparse.ArgumentParser(description=module.__doc__ if module else None)
    params, *rest = inspect.signature(stage, eval_str=True).parameters.values()
    for parameter in rest:
        parser.add_argument(parameter.name, type=parameter.annotation)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="default: %(default)s")
    arguments = vars(parser.parse_args())
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # CUDA's matrix products are deterministic with it
    try:
        loaded = schema.load(path := arguments.pop("params"))
        if not isinstance(loaded, params.annotation):
            raise InputError(f"{path}: params of another system; this stage reads {params.annotation.__name__}")
        stage(loaded, **arguments)
    except InputError as error:
        sys.exit(f"{parser.prog}: {error}")


def audio_root(corpus: Path, params: schema.Shared) -> Path:
    """Folder that the utterances' paths are relative to: made or downloaded here, or where the user has it."""
    made = corpus / "audio"
    return made if made.is_dir() else params.corpus.path


def skip(reason: str, *outputs: Path) -> None:
    """Say why a stage has nothing to do, and leave a note in its output folders so that DVC finds them."""
    print(f"skipped: {reason}")
    for output in outputs:
        storage.save_json(output / "skipped.json", {"skipped": reason})
