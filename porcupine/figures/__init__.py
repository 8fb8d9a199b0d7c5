"""Figures: arrays and tables in, a matplotlib Figure out.

Every variant looks the same in all figures; see `porcupine.figures.style`.

    example_2d          VQ, space-filling curve and resampled curve in two dimensions (the paper's Fig. 1)
    histograms          samples a codeword (Fig. 2)
    metrics_by_bitrate  KL, worst case, average and Std against bits (Fig. 3)
    overview            histograms and worst case side by side
    encoder_curves      training of the speaker encoder
    attack              identification and verification by an attacker who sees codes
    tradeoff            distortion against uniformity at each bitrate
    certificate         certified bits at each bitrate
    save                Figure -> .png and .svg
"""

from porcupine.figures.attacker import attack
from porcupine.figures.certificate import certificate
from porcupine.figures.example import example_2d
from porcupine.figures.occupancy import histograms, metrics_by_bitrate, overview
from porcupine.figures.style import save
from porcupine.figures.tradeoff import tradeoff
from porcupine.figures.training import encoder_curves

__all__ = [
    "attack",
    "certificate",
    "encoder_curves",
    "example_2d",
    "histograms",
    "metrics_by_bitrate",
    "overview",
    "save",
    "tradeoff",
]
