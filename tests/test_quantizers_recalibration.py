import numpy as np
import pytest
from scipy.stats import beta, kstest

from porcupine.errors import InputError
from porcupine.privacy.certificate import by_construction
from porcupine.quantizers.base import Nearest
from porcupine.quantizers.curve import project
from porcupine.quantizers.recalibration import Grouped, recalibrate, recalibrate_by_group
from porcupine.quantizers.tour import Tour, fit_curve
from porcupine.quantizers.tree import Tree, fit_tree
from porcupine.quantizers.variants import Interval, resample


def odd(n_samples, n_dimensions=4, seed=0):
    """Heavy tails, two clusters of unequal weight, skewed."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n_samples, n_dimensions)) ** 3 + 10 * (rng.random((n_samples, 1)) < 0.3)
    return vectors.astype(np.float32)


def fit_interval(vectors, *, bits, seed):
    return resample(vectors, vectors[: 2**bits], "exact", np.random.default_rng(seed))


FITS = {"tour": fit_curve, "interval": fit_interval, "tree": fit_tree}
every = pytest.mark.parametrize("fit", FITS.values(), ids=FITS.keys())


def on_a_line(kind, n_codewords=8):
    """Sites in the middle of equal cells of 0 … 1: position and leads rise with the vector."""
    sites = ((np.arange(n_codewords) + 0.5) / n_codewords).astype(np.float32)[:, None]
    flat, edges = np.zeros(n_codewords), np.zeros(n_codewords - 1)
    return {
        "tour": lambda: Tour(sites, sites, flat, edges),
        "interval": lambda: Interval(sites, sites, edges),
        "tree": lambda: Tree(sites, np.ones(n_codewords, dtype=np.int64), sites, flat, edges),
    }[kind]()


def cells_of(quantizer, vectors):
    """Probabilities of the codes of a uniform variable: intervals that each start at the first sample inside."""
    ordered = np.sort(vectors, axis=0)
    codes = quantizer.encode(ordered)
    assert (np.diff(codes) >= 0).all()
    starts = ordered[np.searchsorted(codes, np.arange(1, quantizer.size)), 0]
    assert np.array_equal(quantizer.encode(starts[:, None]), np.arange(1, quantizer.size))
    just_below = np.nextafter(starts, np.float32(-1))[:, None]
    assert np.array_equal(quantizer.encode(just_below - np.float32(1e-6)), np.arange(quantizer.size - 1))
    return np.diff(np.concatenate([[0], starts, [1]]))


@pytest.mark.parametrize("kind", FITS)
def test_shares_on_a_line_are_dirichlet(kind):
    line = on_a_line(kind)
    shares, gaps = [], None
    for seed in range(400):
        vectors = np.random.default_rng(seed).random((60, 1)).astype(np.float32)
        fitted, gaps = recalibrate(line, vectors)
        shares.append(cells_of(fitted, vectors))
    shares = np.array(shares)
    assert gaps.sum() == 61 and gaps.min() >= 7 and gaps.max() <= 8
    # Any run of cells is a beta variable.
    for first, last in ((0, 1), (3, 4), (0, 4), (2, 7), (7, 8)):
        gap = gaps[first:last].sum()
        assert kstest(shares[:, first:last].sum(axis=1), beta(gap, 61 - gap).cdf).pvalue > 1e-3
    found = by_construction(gaps, n_further=200)
    held = (shares.min(axis=1) >= 2**-found.bits).mean()
    assert 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / 400) <= held < 1
    counts = np.random.default_rng(0).multinomial(200, shares)
    assert (counts.min(axis=1) >= found.k).mean() >= 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / 400)


@every
def test_fresh_samples_follow_the_law(fit):
    # E[chi2 / (K-1)] = 1 + (M-1) / (n+2) for K gaps of (n+1)/K.
    fitted, chi2, kept = fit(odd(150, seed=1), bits=3, seed=0), [], []
    for seed in range(100):
        certified, gaps = recalibrate(fitted, odd(63, seed=1000 + seed))
        counts = np.bincount(certified.encode(odd(1000, seed=2000 + seed)), minlength=8)
        chi2.append(((counts - 125) ** 2).sum() / 125 / 7)
        kept.append(counts.min() >= by_construction(gaps, n_further=1000).k)
    assert (gaps == 8).all()
    assert np.mean(chi2) == pytest.approx(1 + 999 / 65, rel=4 * np.sqrt(2 / 700))
    assert np.mean(kept) > 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / 100)


@pytest.mark.parametrize("fit", [fit_curve, fit_tree])
def test_vectors_that_shaped_the_cells_break_it(fit):
    # In many dimensions cells follow their own samples; these are then no others.
    chi2 = {"same": [], "other": []}
    for seed in range(12):
        training, other, fresh = (
            np.random.default_rng([seed, i]).standard_normal((n, 16)).astype(np.float32)
            for i, n in enumerate((63, 63, 2000))
        )
        fitted = fit(training, bits=3, seed=0)
        for name, vectors in (("same", training), ("other", other)):
            counts = np.bincount(recalibrate(fitted, vectors)[0].encode(fresh), minlength=8)
            chi2[name].append(((counts - 250) ** 2).sum() / 250 / 7)
    expected = 1 + 1999 / 65
    assert np.mean(chi2["other"]) < 1.6 * expected < 2 * expected < np.mean(chi2["same"])


@pytest.mark.parametrize("fit", [fit_curve, fit_interval])
def test_intervals_hold_as_many_samples_as_the_gaps_say(fit):
    vectors = odd(203, seed=3)
    fitted, gaps = recalibrate(fit(odd(300, seed=2), bits=4, seed=0), vectors)
    assert gaps.sum() == 204 and set(gaps) == {12, 13}
    # The sample at a threshold is the first on its right; the first interval has none.
    assert np.bincount(fitted.encode(vectors), minlength=16).tolist() == (gaps - (np.arange(16) == 0)).tolist()


def test_a_curve_is_cut_at_the_ranks_of_the_gaps():
    vectors, tour = odd(100, seed=5), fit_curve(odd(200, seed=4), bits=3, seed=0)
    fitted, gaps = recalibrate(tour, vectors)
    assert np.array_equal(fitted.thresholds, np.sort(tour.position(vectors))[np.cumsum(gaps)[:-1] - 1])
    interval = fit_interval(odd(200, seed=4), bits=3, seed=0)
    fitted, same = recalibrate(interval, vectors)
    ranks = np.sort(project(vectors, interval.curve).rank)
    assert np.array_equal(fitted.thresholds, ranks[np.cumsum(gaps)[:-1] - 1]) and np.array_equal(same, gaps)


def halved_by_hand(tree, vectors, level=0, number=0):
    """Thresholds {(level, node): …} and gaps of a node, by its definition, costs of all leaves in float64."""
    if level == tree.bits:
        return {}, [len(vectors) + 1]
    leaves = np.split(np.arange(len(tree.sites)), 2 ** (level + 1))[2 * number : 2 * number + 2]
    costs = ((vectors[:, None].astype(np.float64) - tree.sites) ** 2).sum(axis=-1) - tree.weights
    lead = costs[:, leaves[0]].min(axis=1) - costs[:, leaves[1]].min(axis=1)
    order = np.argsort(lead)
    rank = (len(vectors) + 1 + number % 2) // 2
    thresholds = {(level, number): lead[order[rank - 1]]}
    gaps = []
    for side, members in enumerate((order[: rank - 1], order[rank:])):
        below, some = halved_by_hand(tree, vectors[members], level + 1, 2 * number + side)
        thresholds |= below
        gaps += some
    return thresholds, gaps


@pytest.mark.parametrize("n_samples", [150, 127, 16])
def test_a_tree_uses_up_the_sample_at_each_threshold(n_samples):
    vectors, tree = odd(n_samples, seed=7), fit_tree(odd(300, seed=6), bits=4, seed=0)
    fitted, gaps = recalibrate(tree, vectors)
    thresholds, by_hand = halved_by_hand(tree, vectors)
    assert gaps.tolist() == by_hand and gaps.sum() == n_samples + 1 and np.ptp(gaps) <= 1
    assert fitted.thresholds == pytest.approx([thresholds[node] for node in sorted(thresholds)], rel=1e-9)
    # Beside the samples that are left, gap - 1 a leaf, the K-1 used up are somewhere.
    counts = np.bincount(fitted.encode(vectors), minlength=16)
    assert (counts >= gaps - 1).all() and counts.sum() == n_samples


@pytest.mark.parametrize("bits", [1, 3])
def test_a_recalibrated_tree_may_be_cut(bits):
    vectors, tree = odd(150, seed=7), fit_tree(odd(300, seed=6), bits=4, seed=0)
    (fitted, gaps), (cut, coarse) = recalibrate(tree, vectors), recalibrate(tree.prefix(bits), vectors)
    assert np.array_equal(gaps.reshape(2**bits, -1).sum(axis=1), coarse)
    for name, array in fitted.prefix(bits).to_arrays().items():
        np.testing.assert_allclose(array, getattr(cut, name), rtol=1e-4, atol=1e-5, err_msg=name)


@every
def test_the_geometry_stays_and_codewords_are_means(fit):
    fitted, vectors = fit(odd(300, seed=8), bits=3, seed=0), odd(200, seed=9)
    before = {name: array.copy() for name, array in fitted.to_arrays().items()}
    certified, _ = recalibrate(fitted, vectors)
    for name, array in before.items():
        assert np.array_equal(getattr(fitted, name), array), name
        assert np.array_equal(getattr(certified, name), array) == (name in ("sites", "weights", "curve")), name
    codes = certified.encode(vectors)
    means = np.stack([vectors[codes == code].mean(axis=0) for code in range(8)])
    np.testing.assert_allclose(certified.codebook, means, atol=1e-4)
    if isinstance(certified, Tree):
        assert np.array_equal(certified.sizes, np.bincount(codes))


@every
def test_shards_give_the_same(fit):
    fitted, vectors = fit(odd(300, seed=8), bits=3, seed=0), odd(200, seed=9)
    whole, parts = (recalibrate(fitted, given)[0] for given in (vectors, [vectors[:9], vectors[9:]]))
    for name, array in whole.to_arrays().items():
        np.testing.assert_allclose(array, getattr(parts, name), rtol=1e-4, atol=1e-5, err_msg=name)


@every
def test_ties_at_a_threshold_are_counted(fit):
    fitted, vectors = fit(odd(300, seed=8), bits=2, seed=0), odd(99, seed=10)
    # One that stays alone in the middle of its cell may repeat; 60 of 159 do not fit between two thresholds.
    with pytest.raises(InputError, match=r"61 of 159 calibration vectors tie at a threshold: .* drop duplicates"):
        recalibrate(fitted, np.concatenate([vectors, np.repeat(vectors[:1], 60, axis=0)]))


@pytest.mark.parametrize("kind", FITS)
def test_ties_elsewhere_do_no_harm(kind):
    vectors = np.linspace(0, 1, 63, dtype=np.float32)[:, None]
    vectors[2:5] = vectors[2]  # thresholds are at the ranks 8, 16, …
    assert recalibrate(on_a_line(kind), vectors)[1].tolist() == [8] * 8
    vectors[6:8] = vectors[6]
    with pytest.raises(InputError, match=r"2 of (63|15) calibration vectors tie"):
        recalibrate(on_a_line(kind), vectors)


def test_only_thresholds_can_be_set():
    with pytest.raises(
        InputError, match=r"a Nearest has no thresholds to set: .* by audit \(privacy.certificate.by_audit"
    ):
        recalibrate(Nearest(np.zeros((4, 2), dtype=np.float32)), odd(50, 2))


@pytest.mark.parametrize("kind", FITS)
def test_as_many_samples_as_codes_are_enough(kind):
    vectors = np.random.default_rng(0).random((8, 1)).astype(np.float32)
    fitted, gaps = recalibrate(on_a_line(kind), vectors)
    assert sorted(gaps) == [1] * 7 + [2]
    assert cells_of(fitted, vectors) == pytest.approx(
        np.diff([0, *np.sort(vectors[:, 0])[np.cumsum(gaps)[:-1] - 1], 1])
    )
    with pytest.raises(InputError, match="n_codewords=8, must be between 1 and N=7 samples"):
        recalibrate(on_a_line(kind), vectors[:7])


def two_groups(n_samples, seed):
    rng = np.random.default_rng(seed)
    groups = np.where(rng.random(n_samples) < 0.4, "f", "m")
    vectors = rng.standard_normal((n_samples, 4)) + 2 * (groups == "f")[:, None]
    return vectors.astype(np.float32), groups


@pytest.mark.parametrize("fit", [fit_curve, fit_tree])
def test_codes_are_even_within_each_group(fit):
    fitted = fit(two_groups(600, 0)[0], bits=3, seed=0)
    vectors, groups = two_groups(4000, 1)
    grouped, gaps = recalibrate_by_group(fitted, vectors, groups)
    plain, _ = recalibrate(fitted, vectors)
    fresh, labels = two_groups(4000, 2)
    codes = grouped.encode(fresh, labels)
    for group in ("f", "m"):
        inside = labels == group
        n_calibration = int((groups == group).sum())
        assert gaps[group].sum() == n_calibration + 1
        counts, uneven = (np.bincount(some[inside], minlength=8) for some in (codes, plain.encode(fresh)))
        expected = inside.sum() / 8
        limit = 1 + inside.sum() / n_calibration
        assert ((counts - expected) ** 2).sum() / expected / 7 < limit * (1 + 4 * np.sqrt(2 / 7))
        assert ((uneven - expected) ** 2).sum() / expected / 7 > 10 * limit
        alone, _ = recalibrate(fitted, vectors[groups == group])
        assert np.array_equal(codes[inside], alone.encode(fresh[inside]))
        assert np.array_equal(grouped.decode(codes, labels)[inside], alone.decode(codes[inside]))


def test_groups_must_be_known():
    fitted = on_a_line("tour")
    vectors = np.linspace(0, 1, 40, dtype=np.float32)[:, None]
    groups = np.array(["a", "b"] * 20)
    grouped, _ = recalibrate_by_group(fitted, vectors, groups)
    assert isinstance(grouped, Grouped) and list(grouped.of) == ["a", "b"]
    for use in (grouped.encode, lambda vectors, groups: grouped.decode(np.zeros(len(vectors), dtype=int), groups)):
        with pytest.raises(InputError, match="groups c have no thresholds, only a, b have"):
            use(vectors[:2], ["a", "c"])
        with pytest.raises(InputError, match="groups of 2 of 3 vectors are missing"):
            use(vectors[:3], ["a", None, ""])
        with pytest.raises(InputError, match="groups of 1 samples for 2 vectors: give one label a vector"):
            use(vectors[:2], ["a"])
    with pytest.raises(InputError, match="group 'b': n_codewords=8, must be between 1 and N=2 samples"):
        recalibrate_by_group(fitted, vectors[:22], np.array(["a"] * 20 + ["b"] * 2))


@pytest.mark.parametrize("fit", [fit_curve, fit_tree])
def test_codewords_may_be_means_of_others_as_well(fit):
    shaped, vectors = odd(400, seed=1), odd(300, seed=2)
    fitted = fit(shaped, bits=3, seed=0)
    (alone, gaps), (shared, same) = recalibrate(fitted, vectors), recalibrate(fitted, vectors, others=shaped)
    assert np.array_equal(alone.thresholds, shared.thresholds) and np.array_equal(gaps, same)
    everyone = np.concatenate([vectors, shaped])
    codes = shared.encode(everyone)
    means = np.stack([everyone[codes == code].mean(axis=0) for code in range(8)])
    np.testing.assert_allclose(shared.codebook, means, atol=1e-4)
    assert not np.allclose(alone.codebook, shared.codebook, atol=1e-2)
