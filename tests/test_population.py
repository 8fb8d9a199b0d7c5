import itertools

import numpy as np
import pytest
from sklearn.cluster import KMeans

from porcupine import population
from porcupine.errors import InputError
from porcupine.population import draw_population, population_blocks


@pytest.fixture(scope="module")
def speakers():
    return draw_population(10_000, seed=0)


@pytest.fixture(scope="module")
def codebooks(speakers):
    return {bits: KMeans(2**bits, n_init=1, random_state=0, max_iter=20).fit(speakers) for bits in (4, 6)}


def shares_of_variance(vectors):
    variance = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False) ** 2
    return variance / variance.sum()


def test_codewords_have_the_norms_of_the_published_ones(codebooks):
    # Published: means 230 and 234, the least 204 and 205, means of all codewords of norm 199.
    for bits in (4, 6):
        codebook = codebooks[bits].cluster_centers_
        norms = np.linalg.norm(codebook, axis=1)
        assert 225 < norms.mean() < 248
        assert 195 < norms.min() < 215
        assert 190 < np.linalg.norm(codebook.mean(axis=0)) < 210


def test_codewords_have_the_spectrum_of_the_published_ones(codebooks):
    # Published: 45 and 17 % in the first two components at 4 bits, 37 and 15 % at 6, .3 % in the twentieth.
    four, six = (shares_of_variance(codebooks[bits].cluster_centers_) for bits in (4, 6))
    assert 0.38 < four[0] < 0.56 and 0.12 < four[1] < 0.27
    assert 0.26 < six[0] < 0.45 and 0.11 < six[1] < 0.24
    assert 0.001 < six[19] < 0.008


def test_one_codeword_lies_far_out_and_has_few_speakers(codebooks):
    # Published at 6 bits: norm 398 to 405, the next 300; the least frequent code has .4 % of the speakers.
    norms = np.linalg.norm(codebooks[6].cluster_centers_, axis=1)
    second, first = np.sort(norms)[-2:]
    assert first > 330 and first > 1.1 * second
    assert (codebooks[6].labels_ == norms.argmax()).mean() < 0.01


def test_codewords_are_used_as_unevenly_as_the_published_ones(codebooks):
    # Published (Std · K / M): .45 at 4 bits, .37 at 6.
    for bits in (4, 6):
        counts = np.bincount(codebooks[bits].labels_)
        assert 0.25 < counts.std() / counts.mean() < 0.65


def test_two_modes_lie_along_the_first_component(monkeypatch):
    # Everything else switched off: two equal clusters, 2·GENDER apart.
    for name in ("CENTRE", "NOISE", "FAR_STEP"):
        monkeypatch.setattr(population, name, 0.0)
    vectors = draw_population(4000, seed=0)
    places, counts = np.unique(vectors.round(2), axis=0, return_counts=True)
    assert len(places) == 2
    assert np.linalg.norm(places[0] - places[1]) == pytest.approx(2 * population.GENDER, rel=1e-3)
    assert counts.min() > 1800


def test_norms_have_heavier_tails_than_a_normal_variable(speakers):
    # Excess kurtosis; 0 for a normal variable, about 12/192 for the norm of white noise.
    deviation = np.linalg.norm(speakers - speakers.mean(axis=0), axis=1)
    standard = (deviation - deviation.mean()) / deviation.std()
    assert (standard**4).mean() - 3 > 1


def test_all_coordinates_carry_variance(speakers):
    variance = speakers.var(axis=0)
    assert variance.min() > 0.2 * variance.mean() and variance.max() < 5 * variance.mean()


def test_a_seed_and_size_give_the_same_bytes_and_another_seed_the_same_population():
    one, again, other = (draw_population(3000, dimension=16, seed=seed) for seed in (5, 5, 6))
    assert one.dtype == np.float32 and one.shape == (3000, 16)
    assert one.tobytes() == again.tobytes()
    assert not np.isclose(one, other).all(axis=1).any()
    # Standard error of a mean: sqrt(2/3000) standard deviations; 4 of them.
    assert (np.abs(one.mean(axis=0) - other.mean(axis=0)) < 0.11 * one.std(axis=0)).all()


def test_blocks_are_the_rows_of_the_whole_and_more_speakers_keep_the_first(monkeypatch):
    monkeypatch.setattr(population, "_BLOCK_ROWS", 700)
    whole = draw_population(2000, dimension=16, seed=1)
    blocks = list(population_blocks(2000, dimension=16, seed=1))
    assert [len(block) for block in blocks] == [700, 700, 600]
    assert np.array_equal(np.concatenate(blocks), whole)
    np.testing.assert_allclose(draw_population(900, dimension=16, seed=1), whole[:900], rtol=1e-4, atol=1e-3)


def test_blocks_of_an_endless_population_come_one_at_a_time():
    first = next(iter(itertools.islice(population_blocks(10**12, dimension=8, seed=0), 1)))
    assert first.shape == (2**14, 8)


@pytest.mark.parametrize("draw", [draw_population, population_blocks])
def test_too_few_speakers_or_dimensions_are_errors(draw):
    with pytest.raises(InputError, match="n_samples=0, must be at least 1"):
        draw(0, seed=0)
    with pytest.raises(InputError, match="dimension=7, must be at least 8"):
        draw(10, dimension=7, seed=0)
