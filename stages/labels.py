"""Who said it, and what is known about them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from porcupine.privacy.attributes import age_groups


def of(rows: pd.DataFrame, attribute: str) -> np.ndarray | None:
    """Labels of an attribute, object [N]; those of the age group follow from the age; None where nothing is said."""
    if attribute == "age_group" and attribute not in rows and "age" in rows:
        return age_groups(rows["age"])
    return rows[attribute].to_numpy(dtype=object) if attribute in rows and rows[attribute].notna().any() else None


def speakers(rows: pd.DataFrame) -> np.ndarray:
    """Speaker of each row, str [N]; one of its own where nobody says."""
    return rows.get("speaker", rows.index).to_numpy().astype(str)
