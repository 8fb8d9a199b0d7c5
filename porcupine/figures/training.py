"""How the training of the speaker encoder went."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from porcupine.figures.style import INK, percent_axis, require_columns, styled, styles


@styled
def encoder_curves(history: pd.DataFrame) -> Figure:
    """Draw the training loss and the equal error rate of the validation speakers against the epoch.

    history : one row an epoch. Columns: epoch; loss, in nats; eer, a fraction.
    Raises InputError where a column is missing.
    """
    require_columns(history, ["epoch", "loss", "eer"], name="history")
    figure = Figure(figsize=(8, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    look = styles(["sfvq-exact-interval"])["sfvq-exact-interval"].line
    for axes, column in ((left, "loss"), (right, "eer")):
        axes.plot(history["epoch"], history[column], **look)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
    left.set(title="Training loss", ylabel="cross-entropy (nats)")
    right.set(title="Verification of unseen speakers", ylabel="equal error rate")
    percent_axis(right)
    last = history.iloc[history["epoch"].argmax()]
    right.annotate(
        f"{last['eer']:.1%}".replace("%", " %"),
        (last["epoch"], last["eer"]),
        xytext=(0, 8),
        textcoords="offset points",
        ha="center",
        color=INK,
    )
    return figure
