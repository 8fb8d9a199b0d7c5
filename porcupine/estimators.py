"""The quantisers as scikit-learn estimators: in a `Pipeline`, in a `GridSearchCV`, on any array.

    VectorQuantizer   estimator: vectors -> codes, and the vectors that these stand for
    evenness          scorer: how evenly held-out vectors spread over the codes

`docs/library.md` has worked examples.
"""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from porcupine.errors import InputError
from porcupine.privacy.occupancy import count_codes, excess_variance, sampling_limit_cv
from porcupine.quantizers import registry
from porcupine.quantizers.base import Quantizer, distortion

if TYPE_CHECKING:
    import torch
    from sklearn.utils import Tags

    from porcupine.quantizers.training import Training

DTYPES = [np.float32, np.float64]  # that are taken as they are; others become the first


class VectorQuantizer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Replace vectors by one of K = 2^bits codewords: `predict` tells its code, `transform` what the code stands for.

    method : one of `registry.METHODS`, best chosen among balanced, curve, tree and kmeans. vq, sfvq, diveq and sf_diveq
        need the extra torch; codewords of sfvq are not normalised here (`quantizers.variants`).
    bits : at least 1, with 2^bits <= N.
    random_state : an integer gives the quantiser of `registry.fit` with that seed; None or a `RandomState`, another one
        at each fit.
    training, device : of the methods that are trained by gradient, as for `registry.fit`.

    quantizer_ : the fitted `Quantizer`; `fitted.save_one` writes it to a file.
    n_features_in_ : D.
    n_samples_fit_ : N.
    """

    def __init__(
        self,
        method: str = "balanced",
        *,
        bits: int = 6,
        random_state: int | np.random.RandomState | None = 0,
        training: Training | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.method = method
        self.bits = bits
        self.random_state = random_state
        self.training = training
        self.device = device

    def fit(self, X: np.ndarray, y: object = None) -> Self:
        """Fit the codebook to X, float [N, D].

        Raises InputError where a parameter is wrong, 2^bits > N, or all vectors are equal.
        """
        if not isinstance(self.bits, Integral) or self.bits < 1:
            raise InputError(f"bits={self.bits!r}, must be a whole number from 1 on")
        X = validate_data(self, X, dtype=DTYPES, ensure_min_samples=2)
        seed = self.random_state
        if not isinstance(seed, Integral):
            seed = check_random_state(seed).randint(2**31)
        options = {"training": self.training, "device": self.device}
        quantizers = registry.fit(self.method, X, bits=[int(self.bits)], seed=int(seed), **options)
        self.quantizer_: Quantizer = quantizers[int(self.bits)][0]
        self.n_samples_fit_ = len(X)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Codes of X, float [N, D] -> int32 [N], in 0 … K-1."""
        X = self._checked(X)
        return self.quantizer_.encode(X)

    def transform(self, X: np.ndarray) -> np.ndarray:
        """What is left of X once it is quantised, the codewords of its codes: float [N, D] -> float32 [N, D]."""
        codes = self.predict(X)
        return self.quantizer_.decode(codes)

    def inverse_transform(self, codes: np.ndarray) -> np.ndarray:
        """Codewords of codes, the inverse of `predict` as far as there is one: int [N] -> float32 [N, D].

        Raises InputError outside 0 … K-1.
        """
        check_is_fitted(self)
        return self.quantizer_.decode(codes)

    def score(self, X: np.ndarray, y: object = None) -> float:
        """Minus the mean squared error a dimension, in squared units of X: the higher the better.

        More bits score higher; `evenness` does not favour them.
        """
        X = self._checked(X)
        return -distortion(X, self.quantizer_.codebook, self.quantizer_.encode(X))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _checked(self, X: np.ndarray) -> np.ndarray:
        check_is_fitted(self)
        return validate_data(self, X, dtype=DTYPES, reset=False)


def evenness(estimator: Any, X: np.ndarray, y: object = None) -> float:
    """Scorer of how evenly the codes of X are spread: the higher the better, 0 for codes that are equally likely.

    estimator : a fitted `VectorQuantizer`, or a pipeline that ends in one.
    X : float [M, D], better not those it was fitted on.
    Returns minus the squared relative spread of the cells' probabilities over that of codes calibrated on as many
    samples, (K-1) / N: near -1 for codes as even as the training set allows, at any number of bits, and minus the
    square of the reports' `cv_over_limit`. The noise of M samples is subtracted, so that the mean over folds is right;
    a single score may be above 0.
    """
    quantizer = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    codes, n_codewords = estimator.predict(X), quantizer.quantizer_.size
    limit = sampling_limit_cv(n_codewords, quantizer.n_samples_fit_)
    return -float(excess_variance(count_codes(codes, n_codewords))) / limit**2
