import pandas as pd
import pytest

from porcupine.errors import InputError
from porcupine.frames.plane import emotion_identity


def tables():
    scores = pd.DataFrame(
        [
            ("original", 0, "few", "itself", "uar", 0.8),
            ("k-means", 64, "few", "itself", "uar", 0.7),
            ("k-means", 16, "few", "itself", "uar", 0.6),
            ("k-means", 16, "few", "original", "uar", 0.4),
            ("k-means", 16, "all", "itself", "uar", 0.3),
            ("k-means", 16, "few", "itself", "accuracy", 0.65),
        ],
        columns=["system", "setting", "emotions", "trained_on", "figure", "value"],
    ).assign(low=0.1, high=0.9, chance=1 / 3)
    rates = pd.DataFrame(
        [
            ("original", 0, "ignorant", "cnn", "top1", 0.97),
            ("k-means", 16, "ignorant", "cnn", "top1", 0.04),
            ("k-means", 16, "informed", "plda", "top1", 0.2),
            ("k-means", 16, "informed", "plda", "top5", 0.5),
            ("k-means", 64, "informed", "cnn", "top1", 0.5),
            ("mfcc", 0, "ignorant", "plda", "top1", 0.9),
        ],
        columns=["system", "setting", "threat", "attacker", "figure", "value"],
    ).assign(low=0.0, high=1.0, chance=1 / 24)
    return scores, rates


def test_the_strongest_attacker_meets_the_emotions_asked_for():
    plane = emotion_identity(*tables(), emotions="few", trained_on="itself")
    told = plane[["system", "setting", "order", "top1", "uar", "threat", "attacker"]].to_numpy().tolist()
    assert told == [
        ["original", 0, 0, 0.97, 0.8, "ignorant", "cnn"],
        ["k-means", 16, 0, 0.2, 0.6, "informed", "plda"],
        ["k-means", 64, 1, 0.5, 0.7, "informed", "cnn"],
    ]
    assert (plane["top1_chance"] == 1 / 24).all() and (plane["uar_high"] == 0.9).all()


def test_no_common_system_is_an_error():
    scores, rates = tables()
    with pytest.raises(InputError, match="emotions='many'"):
        emotion_identity(scores, rates, emotions="many", trained_on="itself")
