import itertools

import numpy as np
import pytest

from porcupine.quantizers.halving import halve


def gaussian(n_samples, n_dimensions=3, seed=0):
    return np.random.default_rng(seed).standard_normal((n_samples, n_dimensions)).astype(np.float32)


def halves(vectors, bits, seed=0):
    return halve(vectors, bits, np.random.default_rng(seed))


@pytest.mark.parametrize("bits", range(7))
def test_leaves_differ_by_at_most_one(bits):
    for n_samples in {2**bits, 2**bits + 1, 3 * 2**bits // 2 + 1, 2 ** (bits + 1) - 1, 200, 251, 640, 1021}:
        sizes = np.bincount(halves(gaussian(n_samples), bits), minlength=2**bits)
        assert len(sizes) == 2**bits and sizes.sum() == n_samples
        assert sizes.min() == n_samples // 2**bits and sizes.max() == -(-n_samples // 2**bits)


def test_nodes_of_every_size_are_split_evenly():
    for n_samples in range(16, 64):
        sizes = np.bincount(halves(gaussian(n_samples, 1), 4), minlength=16)
        assert sizes.max() - sizes.min() <= 1


def test_the_first_bits_are_the_leaf_after_fewer_splits():
    vectors = gaussian(517)
    leaves = halves(vectors, 6)
    for bits in range(6):
        assert np.array_equal(leaves >> (6 - bits), halves(vectors, bits))


def test_the_order_of_the_samples_does_not_matter():
    vectors, order = gaussian(300, 4), np.random.default_rng(1).permutation(300)
    assert np.array_equal(halves(vectors[order], 5), halves(vectors, 5)[order])


def test_on_a_line_leaves_are_neighbours():
    values = gaussian(320, 1)
    leaves = halves(values, 5)
    intervals = sorted((values[leaves == leaf].min(), values[leaves == leaf].max()) for leaf in range(32))
    assert all(below[1] <= above[0] for below, above in itertools.pairwise(intervals))


def test_a_direction_without_spread_does_not_matter():
    # Two pairs of clusters, far apart along the first axis and less along the second: the first bit parts the pairs.
    vectors = 0.1 * gaussian(400, 5)
    vectors[:200, 0] += 10
    vectors[::2, 1] += 3
    vectors[:, 4] = 7
    leaves = halves(vectors, 2)
    assert len(np.unique(leaves[:200] >> 1)) == len(np.unique(leaves[200:] >> 1)) == 1
    assert all(
        len(np.unique(leaves[start:stop:2])) == 1 for start, stop in [(0, 200), (1, 200), (200, 400), (201, 400)]
    )


def test_equal_samples_are_dealt_out_in_their_order():
    leaves = halves(np.full((40, 3), 5, dtype=np.float32), 2)
    assert leaves.tolist() == np.repeat(np.arange(4), 10).tolist()


def test_the_plane_is_better_than_a_random_one():
    vectors = gaussian(2000, 8) * np.array([3, 1, 1, 1, 1, 1, 1, 1], dtype=np.float32)
    side = halves(vectors, 1).astype(bool)
    apart = vectors[side].mean(axis=0) - vectors[~side].mean(axis=0)
    # Halves of a Gaussian at its median lie 2 · √(2/π) σ apart along the axis that parts them.
    assert np.linalg.norm(apart) == pytest.approx(2 * np.sqrt(2 / np.pi) * 3, rel=0.03)
