"""K-means: the plain quantiser, fitted by scikit-learn.

fit_kmeans   vectors -> Nearest
"""

from __future__ import annotations

from sklearn.cluster import KMeans

from porcupine.quantizers import power
from porcupine.quantizers.base import Nearest, nearest_codewords
from porcupine.quantizers.cells import Geometry, cell_means, early_samples
from porcupine.quantizers.halving import halve
from porcupine.quantizers.samples import Samples, Vectors
from porcupine.randomness import generator

_STILL = 0.01  # a round's mean squared move, over the variance of the mean of as many samples as a cell holds


def fit_kmeans(vectors: Vectors, *, bits: int, seed: int, rounds: int = 20) -> Nearest:
    """Fit K = 2^bits codewords by Lloyd's algorithm, from the means of halves of halves of the samples.

    vectors : float [N, D], in memory or not; where there are very many, a part shapes the cells and all set the means.
    rounds : at most, on some of the samples and again on all; fewer where the codewords hardly move any more, beside
        the sampling error of a mean of N/K samples.
    Raises InputError where K > N, or vectors are unusable or all equal.
    """
    samples = Samples(vectors)
    samples.require(2**bits)
    rng = generator(seed, "kmeans", bits)
    geometry = Geometry.of(samples, rng)
    early = early_samples(geometry.vectors, bits, rng)
    centers, _ = power.group_means(early, halve(early, bits, rng), 2**bits)
    for part in (early, geometry.vectors) if len(early) < len(geometry.vectors) else (early,):
        still = _STILL * 4**bits * part.shape[1] / len(part)
        lloyd = KMeans(2**bits, init=centers, n_init=1, max_iter=rounds, tol=still, random_state=0)
        centers = lloyd.fit(part).cluster_centers_
    centers = geometry.sites(centers)
    return Nearest(cell_means(samples, nearest_codewords(samples, centers), centers))
