"""Information: how many bits a code gives away about an attribute, such as gender, age group or emotion.

mutual_information    codes, labels -> Information: estimate, interval, chance level, p-value

A histogram of codes and labels always shows some information, the more so the fewer samples there are for each code and
the more alike the codes of one speaker are. Permuted labels show as much: their mean is the chance level. With I as
counted, I_0 at chance and H the most that it can be (the smaller of the entropies of code and label),

    bits = H (I - I_0) / (H - I_0)

which is right at both ends, no information and all of it; I - I_0 alone is far too small wherever there is much. The
form is that of the adjusted mutual information of Vinh, Epps & Bailey (JMLR 2010). It may be below 0. With only four
samples a code it is too high where each code tells as much as any other, mostly by less than a fifth, at worst with
0.28 bits for a true 0.19, and right where some codes tell.

Units are speakers: samples of one speaker are never taken for independent. To permute, each speaker gets the labels of
another one, in random order and repeated as often as needed. The interval leaves out one speaker at a time (jackknife),
which covers better than a bootstrap: speakers that are drawn twice look like information.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from porcupine.errors import InputError

Z_95 = 1.96
ROUNDING = 1e-9  # bits


@dataclass(frozen=True)
class Information:
    """What a code says about an attribute, in bits.

    bits : the estimate; low, high : its 95 % interval over speakers.
    plug_in, chance : as counted, and the mean of that over permuted labels.
    p_value : share of permutations, the measured labels included, that show as much.
    code_entropy, label_entropy : of which the smaller one bounds ``bits``.
    n_samples, n_missing : labels used, and labels missing; n_speakers : those with labels.
    """

    bits: float
    low: float
    high: float
    plug_in: float
    chance: float
    p_value: float
    code_entropy: float
    label_entropy: float
    n_samples: int
    n_missing: int
    n_speakers: int


def mutual_information(
    codes: np.ndarray,
    labels: np.ndarray,
    *,
    permutations: int,
    rng: np.random.Generator,
    speakers: np.ndarray | None = None,
) -> Information:
    """Mutual information between a code and an attribute.

    codes : int [N], >= 0. labels : [N], of any kind; missing ones (`isna`) are left out and counted.
    speakers : [N], who said it; None where each sample is from another speaker.
    Raises InputError on lengths that differ, negative codes, one label or one speaker only, or where any labels would
    seem to be known from the code entirely, because speakers are few or codes many.
    """
    codes, labels = np.asarray(codes), np.asarray(labels)
    speakers = np.arange(len(codes)) if speakers is None else np.asarray(speakers)
    if codes.ndim != 1 or not codes.shape == labels.shape == speakers.shape:
        raise InputError(
            f"codes {codes.shape}, labels {labels.shape} and speakers {speakers.shape} should be vectors of one length"
        )
    if not np.issubdtype(codes.dtype, np.integer) or (codes < 0).any():
        raise InputError(f"codes of dtype {codes.dtype} should be integers >= 0: use those of a fitted quantiser")
    if permutations < 1:
        raise InputError(f"permutations={permutations}, should be >= 1: they tell the chance level")
    known = ~pd.isna(labels)
    speaker = np.unique(speakers[known], return_inverse=True)[1]
    by_speaker = np.argsort(speaker, kind="stable")
    speaker = speaker[by_speaker]
    code = np.unique(codes[known], return_inverse=True)[1][by_speaker]
    names, label = np.unique(labels[known].astype(str), return_inverse=True)
    label = label[by_speaker]
    if len(names) < 2:
        raise InputError(
            f"{len(names)} label(s) among {len(labels)} samples: information needs at least two to tell apart"
        )
    n_samples, n_speakers = len(code), int(speaker[-1]) + 1
    if n_speakers < 2:
        raise InputError(f"{n_speakers} speaker: chance needs at least two, whose labels can be exchanged")

    code_entropy, label_entropy = _entropy(code), _entropy(label)

    def plug_in(label: np.ndarray) -> float:
        return code_entropy + _entropy(label) - _entropy(code * len(names) + label)

    counted = plug_in(label)
    permuted = np.array([plug_in(_exchange(label, speaker, rng)) for _ in range(permutations)])
    chance = float(permuted.mean())
    most = min(code_entropy, label_entropy)
    if 0 < most < chance + ROUNDING:
        raise InputError(
            f"{code.max() + 1} codes among {n_speakers} speakers: any label would seem to be known from them entirely, "
            "so nothing can be told from chance: take fewer codes or more speakers"
        )
    scale = most / (most - chance) if most > 0 else 0.0
    bits = scale * (counted - chance)
    margin = Z_95 * scale * _jackknife_error(code, label, speaker)
    return Information(
        bits=bits,
        low=bits - margin,
        high=bits + margin,
        plug_in=counted,
        chance=chance,
        p_value=float((1 + (permuted >= counted - ROUNDING).sum()) / (1 + permutations)),
        code_entropy=code_entropy,
        label_entropy=label_entropy,
        n_samples=n_samples,
        n_missing=len(labels) - n_samples,
        n_speakers=n_speakers,
    )


def _entropy(values: np.ndarray) -> float:
    """Entropy of the histogram of int [N], in bits."""
    counts = np.bincount(values)
    return float(np.log2(len(values)) - _x_log2_x(counts).sum() / len(values))


def _exchange(label: np.ndarray, speaker: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give each speaker the labels of another one, in random order, repeated or cut to the number needed.

    label, speaker : int [N], grouped by speaker.
    """
    size = np.bincount(speaker)
    start = np.cumsum(size) - size
    shuffled = rng.permutation(len(label))
    shuffled = shuffled[np.argsort(speaker[shuffled], kind="stable")]
    giver = rng.permutation(len(size))[speaker]
    place = np.arange(len(label)) - start[speaker]
    return label[shuffled[start[giver] + place % size[giver]]]


def _jackknife_error(code: np.ndarray, label: np.ndarray, speaker: np.ndarray) -> float:
    """Standard error of the plug-in information, in bits, leaving out one speaker at a time."""
    total = np.zeros_like(code)
    joint = code * (label.max() + 1) + label
    left = len(code) - np.bincount(speaker)
    parts = [_left_out(values, speaker) for values in (joint, code, label, total)]
    information = (parts[0] - parts[1] - parts[2] + parts[3]) / left
    n_speakers = len(left)
    return float(np.sqrt((n_speakers - 1) * information.var()))


def _left_out(values: np.ndarray, speaker: np.ndarray) -> np.ndarray:
    """Sum of x log2 x over the histogram x of all samples but those of one speaker: float [M], one for each."""
    counts = np.bincount(values)
    pairs, own = np.unique(speaker * len(counts) + values, return_counts=True)
    of_speaker, value = np.divmod(pairs, len(counts))
    change = _x_log2_x(counts[value] - own) - _x_log2_x(counts[value])
    return _x_log2_x(counts).sum() + np.bincount(of_speaker, weights=change)


def _x_log2_x(counts: np.ndarray) -> np.ndarray:
    return counts * np.log2(np.maximum(counts, 1))
