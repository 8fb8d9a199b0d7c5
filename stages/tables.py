"""Tables that several stages share."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from porcupine import storage
from porcupine.params import Params


def of_attacks(params: Params, attack: Path, name: str) -> pd.DataFrame:
    """A table of the stage attack, over all threat models."""
    parts = [storage.load_table(attack / threat / f"{name}.csv") for threat in params.attack.threats]
    return joined(parts)


def joined(parts: list[pd.DataFrame], first: tuple[str, ...] = ()) -> pd.DataFrame:
    """One table, the columns ``first`` first; empty parts leave no trace in the types."""
    table = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    return table[[*first, *table.columns.difference(list(first), sort=False)]]
