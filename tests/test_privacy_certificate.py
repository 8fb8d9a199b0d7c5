import json

import numpy as np
import pytest
from scipy.stats import beta, betabinom, binom, cauchy

from porcupine.errors import InputError
from porcupine.privacy.certificate import by_audit, by_construction, require_disjoint


def even_gaps(n_calibration, n_codewords):
    return np.diff(np.arange(n_codewords + 1) * (n_calibration + 1) // n_codewords)


def at_least(rate, wanted, n_draws):
    """Whether a rate of coverage may be the wanted one or more, up to 3.5 standard errors."""
    return rate >= wanted - 3.5 * np.sqrt(wanted * (1 - wanted) / n_draws)


@pytest.mark.parametrize(("bits", "worst"), [(4, 4.09), (6, 6.22), (8, 8.52), (10, 11.25)])
def test_bounds_from_28_000_calibration_speakers(bits, worst):
    certificate = by_construction(even_gaps(28_000, 2**bits), n_further=10_240)
    assert certificate.bits == pytest.approx(worst, abs=0.01)


def test_by_construction_by_hand():
    # One threshold at the only sample: the share on its left is uniform, the rarer of two below x with chance 2x.
    one = by_construction(np.array([1, 1]), n_further=19)
    assert one.bits == pytest.approx(np.log2(2 / 0.05))
    # Each of the counts 0 … 19 is equally likely: one of two is below k with a chance of at most 2k/20.
    for alpha, k in {0.05: 0, 0.11: 1, 0.19: 1, 0.21: 2, 0.39: 3}.items():
        assert by_construction(np.array([1, 1]), n_further=19, alpha=alpha).k == k, alpha


@pytest.mark.parametrize("gaps", [even_gaps(500, 16), np.array([3, 50, 7, 40])])
def test_the_bounds_use_up_alpha(gaps):
    # That a share is below x is that g or more of n points lie below x; the counts are beta-binomial.
    total = int(gaps.sum())
    found = by_construction(gaps, n_further=3000, alpha=0.1)
    assert binom.sf(gaps - 1, total - 1, 2**-found.bits).sum() == pytest.approx(0.1, rel=1e-6)
    chances = [betabinom.cdf(k - 1, 3000, gaps, total - gaps).sum() for k in (found.k, found.k + 1)]
    assert chances[0] <= 0.1 < chances[1]


@pytest.mark.parametrize(("n_codewords", "n_calibration"), [(16, 500), (64, 1000)])
def test_the_union_bound_is_nearly_the_law_of_the_minimum(n_codewords, n_calibration):
    gaps = even_gaps(n_calibration, n_codewords)
    found = by_construction(gaps, n_further=2000)
    shares = np.random.default_rng(0).dirichlet(gaps, size=20_000)
    exact = -np.log2(np.quantile(shares.min(axis=1), 0.05))
    assert found.bits == pytest.approx(exact, abs=0.02)
    held = (shares.min(axis=1) >= 2**-found.bits).mean()
    assert at_least(held, 0.95, 20_000) and held < 0.957
    counts = np.random.default_rng(1).multinomial(2000, shares)
    kept = (counts.min(axis=1) >= found.k).mean()
    assert at_least(kept, 0.95, 20_000)
    # k is as large as it can be: one more would not hold.
    assert (counts.min(axis=1) >= found.k + 1).mean() < 0.95


def shares_of(edges):
    """Probability of each cell of a standard Cauchy variable, edges [..., K-1]."""
    whole = np.ones((*edges.shape[:-1], 1))
    return np.diff(np.concatenate([0 * whole, cauchy.cdf(edges), whole], axis=-1))


def test_it_holds_for_samples_without_a_mean():
    rng = np.random.default_rng(2)
    gaps = even_gaps(99, 8)
    found = by_construction(gaps, n_further=300)
    samples = np.sort(cauchy.rvs(size=(4000, 99), random_state=rng))
    shares = shares_of(samples[:, np.cumsum(gaps)[:-1] - 1])
    assert at_least((shares.min(axis=1) >= 2**-found.bits).mean(), 0.95, 4000)
    assert at_least((rng.multinomial(300, shares).min(axis=1) >= found.k).mean(), 0.95, 4000)
    # Dirichlet(gaps) in its moments as well.
    assert shares.mean(axis=0) == pytest.approx(gaps / 100, rel=0.03)
    assert shares.var(axis=0) == pytest.approx(gaps * (100 - gaps) / 100**2 / 101, rel=0.15)


def test_edges_midway_between_samples_have_no_law():
    # The share above an edge midway between the largest two of 9: of a uniform x it is that of (x + x')/2, of 1/(1-x),
    # in the same order, 1/((1/(1-x) + 1/(1-x')) / 2). At a sample both are the same.
    above = 1 - np.sort(np.random.default_rng(3).random((20_000, 9)))[:, -2:]
    assert above.mean(axis=0) == pytest.approx([0.2, 0.1], abs=0.003)
    assert above.mean() == pytest.approx(0.15, abs=0.003)
    assert np.mean(1 / (1 / above).mean(axis=1)) < 0.14


def test_held_out_counts_may_be_added_to_the_gaps():
    rng = np.random.default_rng(4)
    gaps = even_gaps(60, 4)
    shares = rng.dirichlet(gaps, size=600)
    counts = rng.multinomial(100, shares)
    found = [by_construction(gaps + count, n_further=50) for count in counts]
    assert found[0].n_evidence == 160
    held = np.mean([share.min() >= 2**-one.bits for share, one in zip(shares, found, strict=True)])
    assert at_least(held, 0.95, 600) and held < 0.985
    assert np.mean([one.bits for one in found]) < by_construction(gaps, n_further=50).bits


def test_by_audit_by_hand():
    # One of 20 speakers has the rarest code; so many or more do with a chance of α where (1-x)^20 = .95.
    found = by_audit(np.array([1, 9, 10]), n_further=10)
    assert 2**-found.bits == pytest.approx(1 - 0.95 ** (1 / 20))
    assert (found.way, found.n_codewords, found.n_evidence, found.k) == ("audit", 3, 20, 0)


def test_only_the_rarest_code_matters():
    one, other = (by_audit(np.array(counts), n_further=90) for counts in ([5, 5, 20], [5, 12, 13]))
    assert one == other


@pytest.mark.parametrize("alpha", [0.05, 0.3])
def test_audits_of_two_codes_hold_exactly(alpha):
    # All outcomes of 30 held-out and 12 further speakers, for any probability of the first code.
    n, m = 30, 12
    found = [by_audit(np.array([x, n - x]), n_further=m, alpha=alpha) for x in range(n + 1)]
    bounds, sets = 2.0 ** -np.array([one.bits for one in found]), np.array([one.k for one in found])
    further = np.arange(m + 1)
    smallest = np.minimum(further, m - further)
    coverages = []
    for p in np.linspace(0, 1, 201):
        outcome = binom.pmf(np.arange(n + 1), n, p)
        held = outcome[bounds <= min(p, 1 - p) + 1e-12].sum()
        kept = outcome @ (binom.pmf(further, m, p) * (smallest >= sets[:, None])).sum(axis=1)
        coverages.append((held, kept))
    assert np.min(coverages) >= 1 - alpha - 1e-9
    # And not because nothing is promised.
    assert np.min(coverages, axis=0)[0] < 1 - alpha + 0.05 and sets.max() >= 2


@pytest.mark.parametrize("n_evidence", [800, 10_000])  # of many, the draw of the further ones is left
@pytest.mark.parametrize("law", ["even", "skewed", "calibrated"])
def test_audits_of_many_codes_hold(law, n_evidence):
    rng = np.random.default_rng(5)
    share = {
        "even": np.full(16, 1 / 16),
        "skewed": np.arange(1, 17) / 136,
        "calibrated": rng.dirichlet(np.full(16, 30)),
    }[law]
    counts, further = rng.multinomial(n_evidence, share, size=1000), rng.multinomial(600, share, size=1000)
    certificates = {int(row.min()): by_audit(row, n_further=600) for row in counts}
    found = [certificates[rarest] for rarest in counts.min(axis=1).tolist()]
    bounds, sets = np.array([2**-one.bits for one in found]), np.array([one.k for one in found])
    assert at_least((bounds <= share.min()).mean(), 0.95, 1000)
    assert at_least((further.min(axis=1) >= sets).mean(), 0.95, 1000)


@pytest.mark.parametrize(("bits", "rarest", "shared"), [(4, 289, 4.39), (6, 60, 7.08), (8, 9, 11.4)])
def test_the_rarest_code_needs_no_share_of_alpha(bits, rarest, shared):
    # About what even codes show at 5120 held-out speakers; with α/K for each of K codes the bound is looser.
    n_codewords = 2**bits
    counts = np.append(rarest, np.full(n_codewords - 1, (5120 - rarest) // (n_codewords - 1)))
    counts[-1] += 5120 - counts.sum()
    bound = by_audit(counts, n_further=10_240).bits
    assert -np.log2(beta.ppf(0.05 / n_codewords, rarest, 5121 - rarest)) == pytest.approx(shared, abs=0.05)
    assert bits < bound < shared - 0.08
    assert binom.sf(rarest - 1, 5120, 2**-bound) == pytest.approx(0.05)


def test_more_confidence_and_fewer_speakers_promise_less():
    for certify in (
        lambda a: by_construction(even_gaps(1000, 8), n_further=500, alpha=a),
        lambda a: by_audit(even_gaps(999, 8), n_further=500, alpha=a),
    ):
        sure, likely = certify(0.01), certify(0.2)
        assert sure.bits > likely.bits > 3 and sure.k < likely.k < 500 / 8
    few, many = (by_construction(even_gaps(n, 8), n_further=500) for n in (100, 1000))
    assert few.bits > many.bits and few.k < many.k


def test_what_cannot_be_promised_is_said():
    # More codes than speakers.
    empty = by_audit(np.array([2, 1, 1, 0, 0, 0]), n_further=3)
    assert empty.bits == np.inf and empty.k == 0
    record = json.loads(json.dumps(empty.to_dict(), allow_nan=False))
    assert record["worst_case_bits"] is None and record["smallest_set"] == 0
    assert record["worst_case_bits_reason"] == "infinite: none of 4 held-out speakers has the rarest of 6 codes"
    assert record["smallest_set_reason"] == "3 further speakers are fewer than 6 codes"
    assert "there is no bound on what a code discloses: infinite" in str(empty)
    assert "some code may be that of none of the next speakers: 3 further speakers are fewer" in str(empty)
    scarce = by_construction(even_gaps(40, 8), n_further=9)
    assert scarce.k == 0 and np.isfinite(scarce.bits)
    assert scarce.to_dict()["smallest_set_reason"] == "9 further and 40 calibration speakers are too few for 8 codes"


def test_a_certificate_as_a_record_and_as_words():
    found = by_construction(even_gaps(28_000, 64), n_further=10_240)
    assert found.to_dict() == {
        "way": "construction",
        "n_codewords": 64,
        "confidence": 0.95,
        "worst_case_bits": found.bits,
        "smallest_set": found.k,
        "n_further_speakers": 10_240,
        "n_evidence_speakers": 28_000,
    }
    assert str(found) == (
        "At 95 % confidence, no code discloses more than 6.23 bits about a speaker (each is that of at least one in "
        f"75). At 95 % confidence, at least {found.k} of 10240 further speakers share each of the 64 codes. By "
        "construction: 28000 speakers, none of whom shaped the cells, set the thresholds between the codes. This "
        "counts speakers with one code each, never utterances: several codes of one speaker disclose more."
    )
    audited = str(by_audit(np.array([50, 60]), n_further=100, alpha=0.001))
    assert audited.startswith("At 99.9 % confidence, no code discloses more than ")
    assert "By audit of the codes of 110 speakers who took no part in the training." in audited


BOTH = pytest.mark.parametrize(
    "certify",
    [
        lambda **given: by_construction(np.array([2, 3, 2]), **given),
        lambda **given: by_audit(np.array([2, 2, 2]), **given),
    ],
)


@BOTH
def test_speakers_count_and_utterances_do_not(certify):
    certify(n_further=9, speakers=np.array(list("abcdef")))
    with pytest.raises(
        InputError, match=r"6 samples come from 4 speakers: .* never utterances; keep one sample a speaker"
    ):
        certify(n_further=9, speakers=np.array(list("abcdaa")))
    with pytest.raises(InputError, match=r"speakers have shape \(5,\), should be \[6\], one a sample"):
        certify(n_further=9, speakers=np.array(list("abcde")))


@BOTH
def test_wrong_settings_are_named(certify):
    for alpha in (0, 1, -0.1, 5):
        with pytest.raises(InputError, match=f"alpha={alpha}, should lie between 0 and 1"):
            certify(n_further=9, alpha=alpha)
    with pytest.raises(InputError, match="n_further=0, should be at least 1 speaker"):
        certify(n_further=0)


def test_wrong_evidence_is_named():
    for gaps in (np.array([5]), np.array([2, 0]), np.array([[1, 2], [3, 4]]), np.array([1.5, 2])):
        with pytest.raises(InputError, match=r"gaps of dtype .* should be K >= 2 integers >= 1"):
            by_construction(gaps, n_further=9)
    with pytest.raises(InputError, match=r"counts have shape \(2, 2\), should be \[K\]: audit one quantiser at a time"):
        by_audit(np.ones((2, 2), dtype=int), n_further=9)
    with pytest.raises(InputError, match="counts of dtype float64 should be integers"):
        by_audit(np.array([0.5, 0.5]), n_further=9)


def test_rows_in_both_sets_are_counted():
    rng = np.random.default_rng(6)
    training, calibration = rng.standard_normal((50, 3)), rng.standard_normal((20, 3))
    require_disjoint(training, calibration)
    require_disjoint(np.array(["a", "b"]), np.array(["c", "c"]))
    calibration[[3, 9]], calibration[4] = training[7], [0.0, -0.0, 1]
    training[0] = [-0.0, 0, 1]
    # In another precision, too, as quantisers read them.
    with pytest.raises(InputError, match=r"3 of 20 rows of the calibration set are in the training set: .* split by"):
        require_disjoint(training.astype(np.float32), calibration)
    with pytest.raises(InputError, match="1 of 2 rows"):
        require_disjoint(np.array([4, 5, 6]), np.array([6, 7]))
    with pytest.raises(InputError, match=r"rows of dtype int64 and shape \(2, 2\) should be vectors"):
        require_disjoint(np.ones((2, 2), dtype=np.int64), calibration)
