"""Figures: arrays and tables in, a matplotlib Figure out.

Every variant looks the same in all figures; see `porcupine.figures.style`.

    example_2d          VQ, space-filling curve and resampled curve in two dimensions (the paper's Fig. 1)
    histograms          samples a codeword (Fig. 2)
    metrics_by_bitrate  KL, worst case, average and Std against bits (Fig. 3)
    overview            histograms and worst case side by side
    encoder_curves      training of the speaker encoder
    attack              identification and verification by the strongest attacker, at each bitrate
    threats             how much the attacker, and what he has learnt from, matter
    ranks               where the true speaker ranks
    exposure            what an attacker learns of groups of speakers and of the most exposed
    groups              worst-case disclosure within groups of speakers
    observations        several utterances of one speaker
    tradeoff            distortion against uniformity at each bitrate
    plane               privacy against utility, randomised response and Pareto fronts
    certificate         certified bits at each bitrate
    emotion_identity    how well emotion and speaker are recognised, a point a system
    confusion           which emotions are taken for which
    spectrograms        original beside rebuilt sound
    quality             rebuilt sound against the size of the codebook
    save                Figure -> .png and .svg
"""

from porcupine.figures.attacker import attack, threats
from porcupine.figures.certificate import certificate
from porcupine.figures.example import example_2d
from porcupine.figures.frames import confusion, emotion_identity, quality, spectrograms
from porcupine.figures.groups import exposure, groups
from porcupine.figures.observations import observations
from porcupine.figures.occupancy import histograms, metrics_by_bitrate, overview
from porcupine.figures.plane import plane
from porcupine.figures.ranks import ranks
from porcupine.figures.style import save
from porcupine.figures.tradeoff import tradeoff
from porcupine.figures.training import encoder_curves

__all__ = [
    "attack",
    "certificate",
    "confusion",
    "emotion_identity",
    "encoder_curves",
    "example_2d",
    "exposure",
    "groups",
    "histograms",
    "metrics_by_bitrate",
    "observations",
    "overview",
    "plane",
    "quality",
    "ranks",
    "save",
    "spectrograms",
    "threats",
    "tradeoff",
]
