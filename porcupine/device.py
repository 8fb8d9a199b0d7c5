"""Where tensors live."""

from __future__ import annotations

import torch

from porcupine.errors import InputError, nearest


def resolve(name: str) -> torch.device:
    """Return the device of ``auto`` (CUDA where there is one, else the CPU), ``cpu`` or ``cuda``.

    Raises InputError where the name is unknown, or CUDA is asked for and missing.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"device={name!r} is not known{nearest(name, ('auto', 'cpu', 'cuda'))}")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise InputError("device='cuda': torch finds no CUDA device; choose auto or cpu")
    return torch.device("cuda" if available and name != "cpu" else "cpu")
