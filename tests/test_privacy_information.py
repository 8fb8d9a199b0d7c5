import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score, mutual_info_score
from sklearn.metrics.cluster import expected_mutual_information

from porcupine.errors import InputError
from porcupine.privacy import information
from porcupine.privacy.information import mutual_information


def measured(codes, labels, speakers=None, *, permutations=200, seed=0):
    return mutual_information(
        np.asarray(codes),
        np.asarray(labels),
        permutations=permutations,
        rng=np.random.default_rng(seed),
        speakers=speakers,
    )


def leaky(n_samples, n_codewords, *, seed, told=0.5):
    """Equally likely codes, of which the given share tells a fair binary label, so that they hold that many bits."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, n_codewords, n_samples)
    return codes, np.where(codes < told * n_codewords, codes % 2, rng.integers(0, 2, n_samples))


def voices(n_speakers, n_utterances, n_codewords, *, seed):
    """Speakers with two favourite codes each, and a gender that the codes know nothing of."""
    rng = np.random.default_rng(seed)
    speaker = np.repeat(np.arange(n_speakers), n_utterances)
    favourites = rng.integers(0, n_codewords, (n_speakers, 2))
    codes = favourites[speaker, rng.integers(0, 2, len(speaker))]
    return codes, rng.permutation(np.arange(n_speakers) % 2)[speaker], speaker


def test_by_hand():
    # The code tells the four labels apart by pairs: 1 of 2 bits, of a code of 1 bit.
    result = measured(np.repeat([0, 0, 1, 1], 50), np.repeat(["a", "b", "c", "d"], 50))
    assert (result.plug_in, result.code_entropy, result.label_entropy) == pytest.approx((1, 1, 2))
    assert result.bits == pytest.approx(1)
    assert result.p_value == 1 / 201
    assert (result.n_samples, result.n_missing, result.n_speakers) == (200, 0, 200)


def test_agrees_with_scikit_learn():
    codes, labels = leaky(300, 40, seed=1)
    result = measured(codes, labels, permutations=2000)
    table = np.zeros((40, 2), dtype=np.int64)
    np.add.at(table, (codes, labels), 1)
    assert result.plug_in == pytest.approx(mutual_info_score(codes, labels) / np.log(2))
    expected = expected_mutual_information(table[table.sum(axis=1) > 0], 300) / np.log(2)
    assert result.chance == pytest.approx(expected, abs=0.002)
    adjusted = adjusted_mutual_info_score(codes, labels, average_method="min")
    assert result.bits == pytest.approx(adjusted * result.label_entropy, abs=0.005)


@pytest.mark.parametrize("told", [0, 0.25, 0.5, 1])
def test_four_samples_a_code_are_enough(told):
    results = [measured(*leaky(512, 128, seed=seed, told=told), permutations=50) for seed in range(20)]
    assert np.mean([result.bits for result in results]) == pytest.approx(told, abs=0.02)
    assert np.mean([result.low <= told <= result.high + 0.01 for result in results]) >= 0.85
    counted, chance = (np.mean([getattr(result, name) for result in results]) for name in ("plug_in", "chance"))
    assert counted > told + 0.15 * (1 - told) - 0.01  # what would come of counting
    assert counted - chance < told - 0.15 * told + 0.01  # and of subtracting chance


def test_speakers_are_the_units():
    alone, together = [], []
    for seed in range(40):
        codes, gender, speaker = voices(40, 10, 32, seed=seed)
        alone.append(measured(codes, gender, permutations=60).p_value)
        together.append(measured(codes, gender, speaker, permutations=60).p_value)
    assert np.mean(np.array(alone) < 0.05) == 1
    assert np.mean(np.array(together) < 0.05) <= 0.2
    assert 0.3 < np.mean(together) < 0.7


def test_no_information_is_zero_within_its_interval():
    covered, bits = [], []
    for seed in range(40):
        codes, gender, speaker = voices(40, 10, 32, seed=seed)
        result = measured(codes, gender, speaker, permutations=60)
        covered.append(result.low <= 0 <= result.high)
        bits.append(result.bits)
    assert np.mean(covered) >= 0.9
    assert np.mean(bits) == pytest.approx(0, abs=0.03)


def test_a_label_that_varies_within_speakers():
    # Each speaker says each emotion; the code tells the emotion, or else the speaker alone.
    rng = np.random.default_rng(3)
    speaker = np.repeat(np.arange(30), 12)
    emotion = np.tile(np.arange(6), 60)
    told = np.where(rng.random(360) < 0.5, emotion, rng.integers(0, 6, 360))
    assert measured(told, emotion, speaker).p_value == 1 / 201
    p_values = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        codes = rng.integers(0, 16, (30, 2))[speaker, rng.integers(0, 2, 360)]
        p_values.append(measured(codes, emotion, speaker, permutations=40).p_value)
    assert np.mean(np.array(p_values) < 0.05) <= 0.2
    assert 0.3 < np.mean(p_values) < 0.7


def test_labels_change_hands_whole():
    size = [3, 1, 2]
    speaker = np.repeat(np.arange(3), size)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        given = information._exchange(np.repeat([7, 8, 9], size), speaker, rng)
        assert sorted(given[[0, 3, 4]]) == [7, 8, 9]
        assert np.array_equal(given, np.repeat(given[[0, 3, 4]], size))
    even = np.repeat(np.arange(2), 3)
    given = {tuple(information._exchange(np.arange(6), even, np.random.default_rng(seed))) for seed in range(500)}
    # Each speaker's labels stay together, in any order: 2 exchanges x 3! x 3! orders.
    assert len(given) == 72
    assert all(sorted(one[:3]) in ([0, 1, 2], [3, 4, 5]) for one in given)


def test_the_jackknife_by_leaving_out_each_speaker():
    codes, gender, speaker = voices(12, 7, 6, seed=5)
    left = [mutual_info_score(codes[speaker != one], gender[speaker != one]) / np.log(2) for one in range(12)]
    by_hand = np.sqrt(11 / 12 * np.sum((left - np.mean(left)) ** 2))
    assert information._jackknife_error(codes, gender, speaker) == pytest.approx(by_hand)
    result = measured(codes, gender, speaker)
    assert result.high - result.low > 2 * 1.96 * by_hand  # wider by what the estimate is scaled


def test_names_and_order_do_not_matter():
    codes, gender, speaker = voices(20, 5, 16, seed=6)
    order = np.random.default_rng(0).permutation(100)
    one = measured(codes, gender, speaker, permutations=400)
    other = measured(
        1000 - codes[order], np.array(["f", "m"])[gender[order]], np.char.mod("s%02d", speaker[order]), permutations=400
    )
    assert (other.plug_in, other.high - other.low) == pytest.approx((one.plug_in, one.high - one.low), rel=0.05)
    assert other.bits == pytest.approx(one.bits, abs=0.03)


def test_missing_labels_are_left_out_and_counted():
    codes, gender, speaker = voices(30, 4, 16, seed=7)
    holed = np.array(["f", "m"], dtype=object)[gender]
    holed[speaker >= 25] = None
    holed[0] = np.nan
    result, rest = measured(codes, holed, speaker), (speaker < 25) & (np.arange(120) > 0)
    whole = measured(codes[rest], gender[rest], speaker[rest])
    assert (result.n_samples, result.n_missing, result.n_speakers) == (99, 21, 25)
    assert result.bits == whole.bits and result.p_value == whole.p_value


def test_a_constant_code_says_nothing():
    result = measured(np.full(50, 3), np.arange(50) % 2)
    assert (result.bits, result.low, result.high, result.p_value, result.code_entropy) == (0, 0, 0, 1, 0)


def test_no_more_than_the_entropy_of_the_code():
    rng = np.random.default_rng(8)
    codes = (rng.random(400) < 0.1).astype(int)
    result = measured(codes, codes * 3 + rng.integers(0, 3, 400))
    assert result.bits == pytest.approx(result.code_entropy)
    assert result.code_entropy < 0.6 < result.label_entropy


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"labels": np.zeros(20)}, "1 label"),
        ({"labels": np.full(20, None)}, "0 label"),
        ({"labels": np.arange(19) % 2}, "one length"),
        ({"speakers": np.arange(19)}, "one length"),
        ({"codes": np.arange(20) - 1}, "integers >= 0"),
        ({"codes": np.arange(20) / 2}, "integers >= 0"),
        ({"codes": np.zeros((20, 1), dtype=int)}, "one length"),
        ({"codes": np.arange(20)}, "fewer codes"),
        ({"speakers": np.zeros(20)}, "1 speaker"),
        ({"permutations": 0}, "permutations=0"),
    ],
)
def test_refusals(changed, message):
    given = {"codes": np.arange(20) % 4, "labels": np.arange(20) % 2, "permutations": 5, "speakers": np.arange(20)}
    with pytest.raises(InputError, match=message):
        mutual_information(rng=np.random.default_rng(0), **(given | changed))
