"""Synthetic speaker embeddings with the norms, spectrum and outliers of real ones, for benchmarks and demonstrations.

    draw_population     seed -> embeddings [N, D]
    population_blocks   the same, block by block, in bounded memory

Model of one speaker, in principal components i = 0 … D-1 that a cosine transform then mixes over all coordinates:

    x = mean + centre[group] ± GENDER · e_0 + scale · noise + distance · far

- group: of GROUPS (languages, microphones …), with shares that fall as a power of their rank; normal centres.
- ±: two equally likely modes along the first component, such as the genders make.
- noise: normal; scale, one number a speaker, is log-normal, so that the tails are heavier than normal ones.
- distance: FAR_STEP · (z - FAR_FROM) where the normal variable z exceeds FAR_FROM (2 % of the speakers), else 0.
- Standard deviations of centres and noise, and the entries of the unit vector far, decay as (1 + i / KNEE)^-exponent;
  the mean lies along the last component, which hardly varies.

Source of the constants, in embedding units: the codebooks of 4, 5 and 6 bits that the authors of Privacy PORCUPINE
(Vali & Bäckström, Interspeech 2024) published for ECAPA-TDNN embeddings of Common Voice, one mean a speaker, and the
paper's Fig. 3. MEAN_NORM is the norm of the mean codeword, at right angles to which the codewords differ (their least
norm is 205). FAR follows from one outlying codeword, 326 from the mean at 5 bits and 368 at 6, if it is the rarest of
Fig. 3 (7.56 and 8.04 bits: .53 and .38 % of the speakers). The others were fitted by k-means of 80 000 speakers, here
and published (VQ), 4 / 5 / 6 bits:

    mean norm of the codewords            231 / 234 / 237       230 / 233 / 234
    greatest norm                         357 / 360 / 490       307 / 364 / 403
    rms distance from their mean          121 / 125 / 134       118 / 126 / 126
    share of variance, components 1, 2    .47 .23, .36 .21, .35 .19     .45 .17, .40 .16, .37 .15
    spread of the counts, Std · K / M     .38 / .45 / .49       .45 / .41 / .37

Codebooks say little of the noise within a cell: the error of a codebook (43 % of the variance at 6 bits) is the
model's own.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.fft import dct
from scipy.special import ndtri

from porcupine.errors import InputError
from porcupine.randomness import generator

MEAN_NORM = 199.0
GROUPS, GROUP_DECAY = 96, 0.7  # share of the group of rank r = 1, 2, …: r^-GROUP_DECAY
CENTRE, CENTRE_EXPONENT = 53.0, 0.95
GENDER = 42.0
NOISE, NOISE_EXPONENT = 28.0, 0.7
NOISE_SCALE = 0.25  # standard deviation of the logarithm of the speaker's scale
FAR_FROM, FAR_STEP, FAR_EXPONENT = 2.06, 390.0, 0.8
KNEE = 4.0

DIMENSION = 192  # ECAPA-TDNN's
SMALLEST_DIMENSION = 8
_BLOCK_ROWS = 2**14


def draw_population(n_samples: int, *, dimension: int = DIMENSION, seed: int) -> np.ndarray:
    """Draw speakers.

    n_samples : N >= 1; the first speakers are the same whatever N, to rounding.
    dimension : D >= 8. Fewer or more components than 192 cut or extend the spectrum.
    seed : of the speakers; all seeds draw from the one population of D, so that two are a training and a test set.
    Returns float32 [N, D].
    Raises InputError where N or D is too small.
    """
    blocks = population_blocks(n_samples, dimension=dimension, seed=seed)
    vectors = np.empty((n_samples, dimension), dtype=np.float32)
    for number, block in enumerate(blocks):
        vectors[number * _BLOCK_ROWS :][: len(block)] = block
    return vectors


def population_blocks(n_samples: int, *, dimension: int = DIMENSION, seed: int) -> Iterator[np.ndarray]:
    """Return an iterator over the rows of `draw_population` in order, float32 [n, D] with n <= 16 384.

    Raises InputError where N or D is too small.
    """
    if n_samples < 1:
        raise InputError(f"n_samples={n_samples}, must be at least 1")
    if dimension < SMALLEST_DIMENSION:
        raise InputError(f"dimension={dimension}, must be at least {SMALLEST_DIMENSION}: the spectrum needs room")
    return _blocks(n_samples, dimension, generator(seed, "population", "speakers", dimension))


def _blocks(n_samples: int, dimension: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    mean, far, centres, noise, first = _population(dimension)
    shares = np.arange(1, GROUPS + 1) ** -GROUP_DECAY
    edges = ndtri(np.cumsum(shares)[:-1] / shares.sum())
    for start in range(0, n_samples, _BLOCK_ROWS):
        rows = min(_BLOCK_ROWS, n_samples - start)
        normal = rng.standard_normal((rows, dimension + 4), dtype=np.float32)
        group, sign, scale, distance = normal[:, dimension:].T
        vectors = normal[:, :dimension] * noise
        vectors *= np.exp(NOISE_SCALE * scale)[:, None]
        vectors += centres[np.searchsorted(edges, group)]
        vectors[:, first] += np.copysign(np.float32(GENDER), sign)
        vectors += (FAR_STEP * np.maximum(distance - FAR_FROM, 0))[:, None] * far
        vectors += mean
        yield dct(vectors, norm="ortho", overwrite_x=True)


def _population(dimension: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    """Mean [D], far [D], centres [GROUPS, D], standard deviations of noise [D], place of the first component.

    Components are in random order, so that the cosine transform that mixes them favours none.
    """
    rng = generator(0, "population", dimension)
    rank = rng.permutation(dimension)

    def decay(exponent: float) -> np.ndarray:
        return ((1 + rank / KNEE) ** -exponent).astype(np.float32)

    mean = np.where(rank == dimension - 1, np.float32(MEAN_NORM), np.float32(0))
    far = rng.choice(np.array([-1, 1], dtype=np.float32), dimension) * decay(FAR_EXPONENT)
    far /= np.linalg.norm(far)
    centres = rng.standard_normal((GROUPS, dimension), dtype=np.float32) * (CENTRE * decay(CENTRE_EXPONENT))
    return mean, far, centres, NOISE * decay(NOISE_EXPONENT), int(rank.argmin())
