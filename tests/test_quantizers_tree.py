import numpy as np
import pytest

from porcupine.errors import InputError
from porcupine.quantizers import tree as module
from porcupine.quantizers.balanced import fit_balanced
from porcupine.quantizers.base import distortion
from porcupine.quantizers.halving import halve
from porcupine.quantizers.power import group_means
from porcupine.quantizers.tree import Tree, fit_tree


def gaussian(n_samples, n_dimensions=8, seed=0):
    return np.random.default_rng(seed).standard_normal((n_samples, n_dimensions)).astype(np.float32)


@pytest.fixture(scope="module")
def vectors():
    return gaussian(1000)


@pytest.fixture(scope="module")
def tree(vectors):
    return fit_tree(vectors, bits=6, seed=0)


def lead_by_hand(tree, vectors, codes, bits):
    """Lowest cost on the left of the node of each vector less that on the right, by all leaves in float64."""
    costs = ((vectors[:, None].astype(np.float64) - tree.sites) ** 2).sum(axis=-1) - tree.weights
    costs = costs.reshape(len(vectors), 2**bits, 2, -1).min(axis=-1)
    return np.subtract(*costs[np.arange(len(vectors)), codes >> (tree.bits - bits)].T)


@pytest.mark.parametrize("bits", range(1, 7))
def test_codes_of_fewer_bits_are_the_first_bits(tree, vectors, bits):
    cut = tree.prefix(bits)
    assert cut.bits == bits and cut.size == 2**bits
    for samples in (vectors, gaussian(500, seed=1)):
        assert np.array_equal(cut.encode(samples), tree.encode(samples) >> (6 - bits))


@pytest.mark.parametrize("bits", range(1, 7))
def test_at_every_bitrate_codes_are_even_and_codewords_means(tree, vectors, bits):
    cut = tree.prefix(bits)
    codes = cut.encode(vectors)
    counts = np.bincount(codes, minlength=2**bits)
    assert counts.min() >= 1000 // 2**bits and counts.max() <= -(-1000 // 2**bits)
    assert np.array_equal(cut.sizes, counts)
    means = np.stack([vectors[codes == code].mean(axis=0) for code in range(2**bits)])
    np.testing.assert_allclose(cut.codebook, means, atol=1e-5)


def test_a_cut_tree_can_be_cut_again(tree, vectors):
    for name, array in tree.prefix(5).prefix(2).to_arrays().items():
        np.testing.assert_allclose(array, tree.prefix(2).to_arrays()[name], atol=1e-6)
    assert np.array_equal(tree.prefix(5).prefix(2).encode(vectors), tree.prefix(2).encode(vectors))


def test_the_tree_cut_to_its_own_bits_is_itself(tree):
    for name, array in tree.prefix(6).to_arrays().items():
        np.testing.assert_allclose(array, tree.to_arrays()[name], rtol=1e-6)


def test_a_cut_tree_is_its_arrays(tree, vectors):
    cut = tree.prefix(3)
    assert np.array_equal(Tree.from_arrays(cut.to_arrays()).encode(vectors), cut.encode(vectors))


def test_vectors_go_to_the_side_of_their_cheapest_leaf(tree, vectors):
    codes = tree.encode(vectors)
    for bits in range(6):
        lead = lead_by_hand(tree, vectors, codes, bits)
        threshold = tree.thresholds[2**bits - 1 + (codes >> (6 - bits))]
        right = (codes >> (5 - bits)) & 1
        clear = np.abs(lead - threshold) > 1e-9
        assert np.array_equal((lead > threshold)[clear], right[clear] == 1)
        # A threshold is as near to 0 as can be between the two samples in the middle, a quarter of the way off.
        for node in range(2**bits):
            members = (codes >> (6 - bits)) == node
            last, first = lead[members & (right == 0)].max(), lead[members & (right == 1)].min()
            wanted = np.clip(0, 0.75 * last + 0.25 * first, 0.25 * last + 0.75 * first)
            assert tree.thresholds[2**bits - 1 + node] == pytest.approx(wanted, abs=1e-6)


def test_a_tree_by_hand():
    # Leaves at 0, 1, 4 and 6 on a line, thresholds 0 at the root and on the left: borders at 2.5 and .5. On the right
    # 20 is the lead at 10: (10-4)² - (10-6)².
    sites = np.array([[0.0], [1.0], [4.0], [6.0]], dtype=np.float32)
    tree = Tree(sites, np.ones(4, dtype=np.int64), sites, np.zeros(4), np.array([0.0, 0.0, 20.0]))
    assert tree.encode(np.array([[-5.0], [0.4], [0.6], [2.4], [2.6], [6.0], [9.9], [10.0]])).tolist() == [
        *(0, 0, 1, 1),
        *(2, 2, 2, 3),
    ]
    cut = tree.prefix(1)
    assert cut.codebook.ravel().tolist() == [0.5, 5] and cut.sizes.tolist() == [2, 2]
    assert cut.encode(np.array([[2.4], [2.6]])).tolist() == [0, 1]


def test_codewords_of_a_cut_tree_are_weighed_by_samples():
    sites = np.array([[0.0], [1.0], [4.0], [6.0]], dtype=np.float32)
    cut = Tree(sites, np.array([3, 1, 0, 0]), sites, np.zeros(4), np.zeros(3)).prefix(1)
    assert cut.codebook.ravel().tolist() == [0.25, 5] and cut.sizes.tolist() == [4, 0]


def test_each_bitrate_is_better_than_by_halving_alone(tree, vectors):
    leaf = halve(vectors - vectors.mean(axis=0), 6, np.random.default_rng(0))
    for bits in (4, 5, 6):
        cut = tree.prefix(bits)
        part = leaf >> (6 - bits)
        halves = distortion(vectors, group_means(vectors, part, 2**bits)[0], part)
        assert distortion(vectors, cut.codebook, cut.encode(vectors)) < halves


def test_distortion_falls_with_every_bit(tree, vectors):
    errors = [distortion(vectors, cut.codebook, cut.encode(vectors)) for cut in map(tree.prefix, range(1, 7))]
    assert (np.diff(errors) < 0).all()


def test_new_samples_are_even_up_to_the_sampling_limit(tree):
    for bits in (3, 6):
        counts = np.bincount(tree.prefix(bits).encode(gaussian(10_000, seed=1)), minlength=2**bits)
        excess = ((counts - 10_000 / 2**bits) ** 2).sum() / (10_000 / 2**bits) / (2**bits - 1)
        assert excess < (1 + 10_000 / 1000) * (1 + 4 * np.sqrt(2 / (2**bits - 1)))


def test_the_sum_over_levels_is_the_distance_to_one_site(vectors):
    # Σ_b a_b ||x - m_b||², with weights that sum to 1, is ||x - site||² + offset for every sample and leaf.
    leaf = halve(vectors, 5, np.random.default_rng(0))
    means, sizes = group_means(vectors, leaf, 32)
    ancestors = module._Ancestors(vectors, leaf, 5)
    sites, offsets = ancestors(means * sizes[:, None], sizes)
    wanted = np.zeros((50, 32))
    for bits, weight in enumerate(ancestors.weights):
        nodes = group_means(vectors, leaf >> (5 - bits), 2**bits)[0].astype(np.float64)
        distances = ((vectors[:50, None] - nodes) ** 2).sum(axis=-1)
        wanted += weight / sum(ancestors.weights) * np.repeat(distances, 2 ** (5 - bits), axis=1)
    np.testing.assert_allclose(((vectors[:50, None] - sites) ** 2).sum(axis=-1) + offsets, wanted, rtol=1e-4)


def test_codes_do_not_depend_on_the_blocks(tree, vectors):
    together = tree.encode(vectors)
    assert np.array_equal(together, tree.encode([vectors[:1], vectors[1:77], vectors[77:]]))
    assert np.array_equal(together, np.concatenate([tree.encode(vector[None]) for vector in vectors]))


@pytest.mark.parametrize("bits", [0, 7])
def test_a_tree_cannot_be_cut_to_more_bits_or_none(tree, bits):
    with pytest.raises(InputError, match=f"bits={bits}: this tree was fitted for 1 to 6 bits; fit it for more"):
        tree.prefix(bits)


def test_a_tree_has_two_leaves_at_least(vectors):
    with pytest.raises(InputError, match="bits=0: a tree has at least 2 leaves, 1 bit"):
        fit_tree(vectors, bits=0, seed=0)


def test_a_tree_finds_clusters_of_few_samples():
    rng = np.random.default_rng(0)
    centers = 3 * rng.standard_normal((128, 64))
    draws = [(centers[rng.integers(128, size=2000)] + rng.standard_normal((2000, 64))).astype(np.float32) for _ in "ab"]
    tree, balanced = (fit(draws[0], bits=7, seed=0) for fit in (fit_tree, fit_balanced))
    errors = [distortion(draws[1], fitted.codebook, fitted.encode(draws[1])) for fitted in (tree, balanced)]
    assert errors[0] < 1.2 * errors[1]
