import numpy as np
import pytest
from sklearn.cluster import KMeans

from porcupine.quantizers.base import Nearest, distortion
from porcupine.quantizers.kmeans import fit_kmeans


def gaussian(n_samples, n_dimensions=8, seed=0):
    return np.random.default_rng(seed).standard_normal((n_samples, n_dimensions)).astype(np.float32)


def reached(quantizer, vectors):
    return distortion(vectors, quantizer.codebook, quantizer.encode(vectors))


def test_vectors_get_the_nearest_codeword():
    vectors = gaussian(500)
    fitted = fit_kmeans(vectors, bits=4, seed=0)
    assert isinstance(fitted, Nearest) and fitted.codebook.dtype == np.float32
    distances = np.linalg.norm(vectors[:, None] - fitted.codebook, axis=-1)
    assert np.array_equal(fitted.encode(vectors), distances.argmin(axis=1))


@pytest.mark.parametrize("seed", range(3))
def test_it_is_as_good_as_several_random_starts(seed):
    vectors = gaussian(1500, seed=seed)
    several = KMeans(32, n_init=4, random_state=seed).fit(vectors)
    assert reached(fit_kmeans(vectors, bits=5, seed=seed), vectors) < 1.02 * several.inertia_ / vectors.size


def test_more_rounds_are_no_worse():
    vectors = gaussian(1000)
    errors = [reached(fit_kmeans(vectors, bits=5, seed=0, rounds=rounds), vectors) for rounds in (1, 5, 25)]
    assert errors[2] < errors[1] < errors[0]


def test_a_codeword_has_its_own_code():
    fitted = fit_kmeans(gaussian(700), bits=6, seed=0)
    assert fitted.encode(fitted.codebook).tolist() == list(range(64))


def test_in_the_end_codewords_are_means_of_their_cells_within_the_sampling_error():
    vectors = gaussian(400, 3)
    fitted = fit_kmeans(vectors, bits=3, seed=0, rounds=500)
    codes = fitted.encode(vectors)
    means = np.stack([vectors[codes == code].mean(axis=0) for code in range(8)])
    sampling_error = np.sqrt(vectors.var() / (400 / 8))  # of one dimension, were a cell as wide as all of the data
    assert np.sqrt(((fitted.codebook - means) ** 2).mean()) < 0.3 * sampling_error


def test_one_code_is_the_mean():
    vectors = gaussian(50)
    np.testing.assert_allclose(fit_kmeans(vectors, bits=0, seed=0).codebook, vectors.mean(axis=0)[None], atol=1e-6)
