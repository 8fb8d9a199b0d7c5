"""Balanced quantiser: power cells that hold one share of the training samples each, at the least distortion for that.

fit_balanced   vectors -> PowerCells
PowerCells     fitted: codebook, sites and weights
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from porcupine.quantizers.base import Quantizer, nearest_codewords
from porcupine.quantizers.cells import Geometry, anneal, calibrate, cell_means
from porcupine.quantizers.samples import Samples, Vectors
from porcupine.randomness import generator


@dataclass(frozen=True)
class PowerCells(Quantizer):
    """A vector x gets the code of the site with the lowest ||x - site||² - weight.

    codebook, sites : float32 [K, D]; weights : float64 [K], in squared embedding units.
    """

    codebook: np.ndarray
    sites: np.ndarray
    weights: np.ndarray

    def encode(self, vectors: Vectors) -> np.ndarray:
        """See `Quantizer`."""
        return nearest_codewords(vectors, self.sites, self.weights)


def fit_balanced(vectors: Vectors, *, bits: int, seed: int, exact: bool = False) -> PowerCells:
    """Fit K = 2^bits cells of one share of the samples each.

    vectors : float [N, D], in memory or not.
    exact : cells of N/K training samples, give or take one, at the least total cost (equal samples cannot be parted).
        Otherwise smoothed, which spreads the codes of other samples more evenly.
    Raises InputError where K > N, or vectors are unusable or all equal.
    """
    samples = Samples(vectors)
    samples.require(2**bits)
    rng = generator(seed, "balanced", bits)
    geometry = Geometry.of(samples, rng)
    sites, weights = anneal(geometry.vectors, bits, rng)
    weights = calibrate(lambda: geometry.blocks(samples), sites, weights, exact=exact)
    sites, weights = geometry.sites(sites), geometry.scale**2 * weights
    return PowerCells(cell_means(samples, nearest_codewords(samples, sites, weights), sites), sites, weights)
