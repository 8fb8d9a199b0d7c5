"""K-means: the plain quantiser, fitted by scikit-learn.

fit_kmeans   vectors -> Nearest
"""

from __future__ import annotations

from sklearn.cluster import KMeans

from porcupine.quantizers import power
from porcupine.quantizers.base import Nearest
from porcupine.quantizers.cells import Geometry, cell_means
from porcupine.quantizers.halving import halve
from porcupine.quantizers.samples import Samples, Vectors
from porcupine.randomness import generator


def fit_kmeans(vectors: Vectors, *, bits: int, seed: int, rounds: int = 25) -> Nearest:
    """Fit K = 2^bits codewords by Lloyd's algorithm, from the means of halves of halves of the samples.

    vectors : float [N, D], in memory or not; where there are very many, a part shapes the cells and all set the means.
    rounds : at most.
    Raises InputError where K > N, or vectors are unusable or all equal.
    """
    samples = Samples(vectors)
    samples.require(2**bits)
    rng = generator(seed, "kmeans", bits)
    geometry = Geometry.of(samples, rng)
    start, _ = power.group_means(geometry.vectors, halve(geometry.vectors, bits, rng), 2**bits)
    fitted = KMeans(2**bits, init=start, n_init=1, max_iter=rounds, random_state=0).fit(geometry.vectors)
    cells = Nearest(geometry.sites(fitted.cluster_centers_))
    return Nearest(cell_means(samples, cells))
