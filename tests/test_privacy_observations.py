import itertools

import numpy as np
import pytest
from scipy.special import gammaln

from porcupine.errors import InputError
from porcupine.privacy import observations, occupancy
from porcupine.privacy.observations import attack, disclosure_bound, observation_table


def entropy(shares):
    shares = np.ravel(shares)
    return -np.sum(shares[shares > 0] * np.log2(shares[shares > 0]))


def disclosed(chances, n):
    """I(S; C_1 … C_n) of speakers with P(code) [M, K], over all K^n sequences."""
    sequences = list(itertools.product(range(chances.shape[1]), repeat=n))
    each = np.array([[np.prod(row[list(sequence)]) for sequence in sequences] for row in chances])
    return entropy(each.mean(axis=0)) - np.mean([entropy(row) for row in each])


def spoken(chances, n_utterances, seed):
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.choice(chances.shape[1], n_utterances, p=row) for row in chances])
    return codes.ravel(), np.repeat(np.arange(len(chances)), n_utterances)


def table(codes, speakers, n_codewords, *, seed=0, **options):
    given = {"held": 10, "sequences": 3, "bootstrap": 200} | options
    return observation_table(codes, speakers, n_codewords, rng=np.random.default_rng(seed), **given)


def test_a_constant_code_says_nothing():
    result = table(np.full(1600, 2), np.repeat(np.arange(40), 40), 8)
    assert result["n"].tolist() == [1, 2, 5, 10, 20]
    for figure in ("lower", "lower_low", "lower_high", "one_code_lower", "exposed_high"):
        assert result[figure].tolist() == pytest.approx([0] * 5, abs=1e-9)
    assert (result["upper"] <= 0.04 * result["n"]).all()
    assert result["top1"].tolist() == pytest.approx([1 / 40] * 5) == result["chance"].tolist()
    assert result["top5"].tolist() == pytest.approx([1 / 8] * 5) == result["chance5"].tolist()


def test_a_code_that_is_the_identity_says_everything():
    speakers = np.repeat(np.arange(32), 30)
    result = table(speakers, speakers, 32)
    for figure in ("lower", "upper", "exposed", "exposed_high", "one_code_lower", "one_code_upper"):
        assert result[figure].tolist() == pytest.approx([5] * 5, abs=0.01), figure
    assert (result[["top1", "top5", "one_code_top1"]] == 1).all(axis=None)


def test_codes_that_do_not_depend_on_the_speaker():
    above, lower = [], []
    for seed in range(40):
        shares = np.random.default_rng(seed).dirichlet(np.full(8, 5.0))
        result = table(*spoken(np.tile(shares, (60, 1)), 40, seed), 8, seed=seed, observed=(1, 5), sequences=2)
        above.append(result["lower_low"] > 0)
        lower.append(result["lower"])
        assert result["upper"].iloc[0] < 0.3
    # 2.5 % are expected above 0; 8 of 80 and more would happen once in a thousand times.
    assert np.mean(above) < 0.1
    assert np.mean(lower) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("concentration", [0.4, 2.0])
def test_the_truth_lies_between(concentration):
    chances = np.random.default_rng(1).dirichlet(np.full(4, concentration), 8)
    result = table(*spoken(chances, 400, 2), 4, held=200, sequences=40, observed=(1, 2, 3))
    for row, true in zip(result.itertuples(), [disclosed(chances, n) for n in (1, 2, 3)], strict=True):
        assert row.lower_low <= true <= row.upper
        assert row.lower == pytest.approx(true, abs=0.2)
    rises = result[["lower", "upper", "top1"]].diff().iloc[1:]
    assert (rises > 0).all(axis=None)


def test_the_bracket_is_tight_where_there_is_much_to_count():
    chances = np.random.default_rng(3).dirichlet(np.full(8, 0.5), 300)
    result = table(*spoken(chances, 80, 4), 8, held=40, observed=(1, 2))
    first = result.iloc[0]
    assert first["upper"] - first["lower"] < 0.25
    assert first["lower_low"] <= disclosed(chances, 1) <= first["upper"]


def test_rows_rise_with_n_up_to_the_number_of_speakers():
    result = table(*spoken(np.random.default_rng(5).dirichlet(np.full(16, 0.3), 50), 40, 6), 16)
    assert (np.diff(result[["lower", "upper", "top1", "top5"]], axis=0) >= 0).all()
    assert (result[["lower", "upper"]] <= np.log2(50) + 1e-9).all(axis=None)
    assert (result["lower"] <= result["upper"]).all()
    assert (result["exposed_high"] >= result["exposed"]).all()


def test_the_most_exposed_are_known_from_the_utterances_held():
    # One of 60 speakers always gives a code of his own, the others any other one.
    codes, speakers = spoken(np.tile([0, *[1 / 7] * 7], (60, 1)), 40, 18)
    codes[speakers == 23] = 0
    result = table(codes, speakers, 8, observed=(1, 5))
    assert (result["exposed"] > 3).all() and (result["lower"] < 0.3).all()
    assert result["exposed"].equals(result["exposed_high"])


def test_one_code_says_no_more_however_often_it_is_seen():
    codes, speakers = spoken(np.random.default_rng(7).dirichlet(np.full(8, 0.5), 60), 40, 8)
    result = table(codes, speakers, 8)
    kept = occupancy.average_bits(occupancy.count_codes(codes[::40], 8))
    assert result["one_code_lower"].tolist() == pytest.approx([kept] * 5, abs=0.02)
    assert result["one_code_top1"].tolist() == pytest.approx([8 / 60] * 5)
    assert (result["one_code_upper"] >= result["one_code_lower"]).all() and (result["one_code_upper"] <= 3).all()
    assert result["lower"].iloc[0] < kept < result["lower"].iloc[-1]
    of_the_mean = speakers % 4
    other = table(codes, speakers, 8, one_code=of_the_mean)
    assert other["one_code_lower"].tolist() == pytest.approx([2] * 5, abs=0.02)
    assert other["lower"].equals(result["lower"])


def test_speakers_with_few_utterances_are_left_out_and_counted():
    size = np.array([4, 5, 8, 8, 30, 30])
    speakers = np.repeat(["a", "b", "c", "d", "e", "f"], size)
    codes = np.random.default_rng(9).integers(0, 4, len(speakers))
    result = table(codes, speakers, 4, held=3, observed=(1, 2, 5, 20))
    assert result["n_speakers"].tolist() == [6, 5, 4, 2]
    assert result["n_left_out"].tolist() == [0, 1, 2, 4]
    assert result["chance"].tolist() == pytest.approx([1 / 6, 1 / 5, 1 / 4, 1 / 2])
    assert (result["upper"] <= np.log2(result["n_speakers"]) + 1e-9).all()


def test_the_same_generator_gives_the_same_table():
    codes, speakers = spoken(np.random.default_rng(10).dirichlet(np.ones(8), 20), 40, 11)
    assert table(codes, speakers, 8, seed=1).equals(table(codes, speakers, 8, seed=1))
    assert not table(codes, speakers, 8, seed=1).equals(table(codes, speakers, 8, seed=2))


def test_the_attacker_by_the_formula_of_the_dirichlet_multinomial():
    rng = np.random.default_rng(12)
    held = rng.multinomial([2, 5, 8, 9], [0.5, 0.3, 0.2])
    sequences = rng.integers(0, 3, (2, 4, 5))
    result = attack(held, sequences)
    prior, expected = observations.code_prior(held, None)
    concentration = prior.sum(axis=1)
    population = (held.sum(axis=0) + 1) / (24 + 3)
    assert prior == pytest.approx(np.tile(concentration[0] * population, (4, 1)))
    assert result.expected == pytest.approx(expected)
    weights = held + prior
    total = weights.sum(axis=1)
    exponents = [0, *observations.TRUST.ravel()]
    bits = np.zeros((len(exponents), 4))
    for sequence, speaker in itertools.product(sequences, range(4)):
        seen = np.bincount(sequence[speaker], minlength=3)
        score = (gammaln(weights + seen) - gammaln(weights)).sum(axis=1) + gammaln(total) - gammaln(total + 5)
        posterior = [np.exp(trust * score[speaker]) / np.exp(trust * score).sum() for trust in exponents]
        bits[:, speaker] += np.log2(4 * np.array(posterior)) / 2
    # The trust of speakers 0 and 2 comes from 1 and 3, and the other way round.
    for speaker, others in ((0, [1, 3]), (1, [0, 2]), (2, [1, 3]), (3, [0, 2])):
        assert result.bits[speaker] == pytest.approx(bits[bits[:, others].sum(axis=1).argmax(), speaker])


def test_leaving_out_each_held_utterance_in_turn():
    held = np.array([[3, 1, 0], [0, 2, 2], [1, 0, 1]])
    alike = np.random.default_rng(20).dirichlet(np.ones(3), 3)
    concentration = 1.7
    expected = []
    for speaker in range(3):
        bits = []
        for code in np.repeat(np.arange(3), held[speaker]):
            left = held.astype(float)
            left[speaker, code] -= 1
            n_left = left.sum(axis=1, keepdims=True)
            chances = (left + concentration * left @ alike / n_left) / (n_left + concentration)
            bits.append(np.log2(3 * chances[speaker, code] / chances[:, code].sum()))
        expected.append(np.mean(bits))
    around = held @ alike / held.sum(axis=1, keepdims=True)
    assert observations._left_out(held, around, alike, concentration) == pytest.approx(expected)


def test_one_utterance_held_is_enough_to_be_enrolled():
    result = attack(np.array([[1, 0], [2, 3], [0, 4]]), np.zeros((1, 3, 2), dtype=int))
    assert np.isfinite(result.bits).all() and np.isfinite(result.expected).all()


def neighbours(seed=21):
    """Many codes on a line, of which each speaker has a few next to one another."""
    rng = np.random.default_rng(seed)
    codes = (rng.integers(16, 112, (100, 1)) + np.round(4 * rng.standard_normal((100, 30)))).astype(int).ravel()
    return codes, np.repeat(np.arange(100), 30), np.arange(128.0)[:, None]


def test_an_attacker_who_errs_about_the_model_does_not_trust_it():
    codes, speakers, _ = neighbours()
    result = table(codes, speakers, 128, held=5)
    assert (result["lower"] > 0.3).all() and (np.diff(result["lower"]) > 0).all()


def test_an_attacker_who_knows_the_codebook_learns_more():
    codes, speakers, codebook = neighbours()
    shuffled = np.random.default_rng(22).permutation(codebook)
    sighted, misled, blind, empty = (
        table(codes, speakers, 128, held=5, codebook=given, observed=(1, 5))
        for given in (codebook, shuffled, None, np.zeros((128, 2)))
    )
    assert (sighted["lower_low"] > blind["lower_high"]).all()
    assert (sighted["lower_low"] > misled["lower"]).all()
    assert (sighted["lower"] <= sighted["upper"]).all()
    assert empty["lower"].to_numpy() == pytest.approx(blind["lower"].to_numpy(), abs=0.15)


def test_likely_neighbours_by_hand():
    population = np.array([0.5, 0.3, 0.2])
    narrow, *_, wide = observations._alike(population, np.array([[0.0], [1.0], [3.0]]))
    # Distances to the nearest: 1, 1 and 4 squared, 2 on average; the variance is half of it.
    chances = population * np.exp(-np.array([[0, 1, 9], [1, 0, 4], [9, 4, 0]]) / 2)
    chances /= chances.sum(axis=1, keepdims=True)
    assert narrow == pytest.approx(0.99 * chances + 0.01 * population)
    assert wide == pytest.approx(np.tile(population, (3, 1)))


def test_the_attacker_does_not_care_what_codes_are_called():
    rng = np.random.default_rng(13)
    held, sequences = rng.multinomial(8, np.full(5, 0.2), size=6), rng.integers(0, 5, (3, 6, 4))
    name = rng.permutation(5)
    renamed = np.empty_like(held)
    renamed[:, name] = held
    one, other = attack(held, sequences), attack(renamed, name[sequences])
    assert other.bits == pytest.approx(one.bits) and other.expected == pytest.approx(one.expected)
    assert other.top1 == pytest.approx(one.top1)


def test_blocks_do_not_change_the_attack(monkeypatch):
    rng = np.random.default_rng(14)
    held, sequences = rng.multinomial(8, np.full(5, 0.2), size=9), rng.integers(0, 5, (2, 9, 4))
    whole = attack(held, sequences)
    monkeypatch.setattr(observations, "BLOCK", 20)
    assert attack(held, sequences).bits == pytest.approx(whole.bits)


def test_moments_over_all_draws_of_other_utterances():
    codes = np.array([0, 0, 0, 2, 3, 3])
    expected = [
        np.mean(
            [
                codes[one] not in codes[list(others)]
                for one in range(6)
                for others in itertools.combinations([other for other in range(6) if other != one], k)
            ]
        )
        for k in range(1, 6)
    ]
    assert observations._moments(np.bincount(codes)[None], 5)[0] == pytest.approx(expected)


def test_moments_are_unbiased():
    shares = np.array([0.6, 0.3, 0.1])
    counts = np.random.default_rng(15).multinomial(4, shares, size=40_000)
    true = [np.sum(shares * (1 - shares) ** k) for k in (1, 2, 3)]
    assert observations._moments(counts, 3).mean(axis=0) == pytest.approx(true, abs=0.006)


def test_the_cross_entropy_by_hand():
    # The shares of the others and of one even speaker, over 3: (0 + .5 + .5) / 3, (1 + .5 + .5) / 3 and so on.
    result = observations._cross_entropy(np.array([[2, 0], [0, 3], [1, 1]]))
    assert result == pytest.approx(-np.log2([1 / 3, 1 / 3, 1 / 2]))


def test_the_cross_entropy_is_no_less_than_the_entropy():
    rng = np.random.default_rng(19)
    chances = rng.dirichlet(np.full(12, 0.3), 10)
    drawn = np.array([rng.multinomial(3, chances) for _ in range(300)])
    true = entropy(chances.mean(axis=0))
    assert np.mean([observations._cross_entropy(counts).mean() for counts in drawn]) > true
    assert np.mean([entropy(counts.sum(axis=0) / 30) for counts in drawn]) < true


def test_the_entropy_bound_closes_in_from_below():
    chances = np.random.default_rng(16).dirichlet(np.full(12, 0.4), 30)
    true = np.mean([entropy(row) for row in chances])
    moments = np.array([np.mean(np.sum(chances * (1 - chances) ** k, axis=1)) for k in range(1, 61)])
    bounds = np.array([observations._entropy_bound(moments[:order]) for order in range(1, 61)])
    assert bounds[0] == pytest.approx(-np.log2(np.mean(np.sum(chances**2, axis=1))))  # collisions
    assert (np.diff(bounds) > 0).all() and (bounds <= true).all()
    assert bounds[-1] == pytest.approx(true, abs=0.02)


def test_the_entropy_bound_is_exact_for_even_codes():
    moments = (1 - 1 / 16) ** np.arange(1, 8)
    assert observations._entropy_bound(moments) == pytest.approx(4)


@pytest.mark.parametrize(("n_codewords", "n_utterances"), [(16, 4), (256, 2), (256, 20)])
def test_the_bound_holds_where_collisions_are_rare(n_codewords, n_utterances):
    # Codes are independent of the speaker: 0 bits, which the estimate without confidence undercuts half the time.
    held = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        counts = rng.multinomial(n_utterances, np.full(n_codewords, 1 / n_codewords), size=30)
        shares = observations._entropy_bound(
            np.minimum(observations._moments(counts, n_utterances - 1).mean(0), 1 - 1e-9)
        )
        held.append((disclosure_bound(counts, draws=200, rng=rng) > 0, np.log2(n_codewords) > shares))
    valid, naive = np.mean(held, axis=0)
    assert valid >= 0.9 > naive


def test_the_bound_is_far_below_the_size_of_a_code_that_few_use():
    rng = np.random.default_rng(17)
    counts = np.zeros((200, 1024), dtype=np.int64)
    counts[:, :2] = rng.multinomial(20, [0.5, 0.5], size=200)
    assert disclosure_bound(counts, draws=200, rng=rng) < 0.2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"held": 1}, "held=1"),
        ({"observed": (0, 1)}, "should be >= 1"),
        ({"sequences": 0}, "should be >= 1"),
        ({"observed": (1, 30)}, "n=30"),
        ({"speakers": np.arange(60) % 2}, "one length"),
        ({"codes": np.full(80, 4)}, "codes run"),
        ({"one_code": np.arange(80) % 4}, "repeat one code"),
        ({"codebook": np.zeros((3, 2))}, r"\[K=4, D\]"),
        ({"one_code": np.zeros(79, dtype=int)}, "repeat one code"),
    ],
)
def test_refusals(changed, message):
    given = {"codes": np.arange(80) % 4, "speakers": np.arange(80) // 20, "n_codewords": 4} | changed
    with pytest.raises(InputError, match=message):
        table(**given)


def test_the_bound_needs_two_utterances_each():
    with pytest.raises(InputError, match="at least two of each"):
        disclosure_bound(np.array([[2, 0], [0, 1]]), draws=10, rng=np.random.default_rng(0))
