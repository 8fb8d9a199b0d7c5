import numpy as np
import pandas as pd
import pytest

from porcupine.errors import InputError
from porcupine.privacy import attackers
from porcupine.privacy.attackers import (
    Trials,
    bootstrap_weights,
    enrol,
    equal_error_rates,
    identification,
    randomised_rates,
    rate_table,
    strongest,
    top_n_rate,
)
from porcupine.privacy.randomised_response import randomise
from porcupine.privacy.verification import equal_error_rate

FIGURES = ["top1", "top5", "top10", "eer"]


def voices(n_speakers=40, n_utterances=5, *, spread=0.6, seed=0):
    """Synthetic utterances: a Gaussian speaker and Gaussian sessions, in 8 dimensions."""
    rng = np.random.default_rng(seed)
    speaker = np.repeat(np.arange(n_speakers), n_utterances)
    centers = rng.standard_normal((n_speakers, 8))
    return centers[speaker] + spread * rng.standard_normal((len(speaker), 8)), np.char.mod("s%03d", speaker)


def attacked(embeddings, speakers, probes=None):
    """Cosines of the probes, or of what they are replaced by, with the means of two held embeddings."""
    enrolment = enrol(speakers, 2, np.random.default_rng(1))
    seen = (embeddings if probes is None else probes)[enrolment.probes]
    unit = [
        vectors / np.linalg.norm(vectors, axis=1)[:, None] for vectors in (seen, enrolment.mean_embeddings(embeddings))
    ]
    return Trials((unit[0] @ unit[1].T).astype(np.float32), np.arange(len(seen)), enrolment.probe_speaker)


def coded(n_codewords=8, n_speakers=12, n_probes=90, *, digits=6, seed=0):
    """Codes of speakers who prefer some, and their log-likelihoods; few digits make ties."""
    rng = np.random.default_rng(seed)
    values = np.log(rng.dirichlet(np.full(n_codewords, 0.5), n_speakers)).T.clip(-9).round(digits)
    target = rng.integers(0, n_speakers, n_probes)
    row = np.array([rng.choice(n_codewords, p=np.exp(v) / np.exp(v).sum()) for v in values.T[target]])
    return Trials(values.astype(np.float32), row, target)


def random_trials(n_speakers, n_probes, seed=0, scale=lambda score: score):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, n_speakers, n_probes)
    scores = rng.uniform(-0.8, 0.4, (n_probes, n_speakers))
    scores[np.arange(n_probes), target] += rng.uniform(0, 0.6, n_probes)
    return Trials(scale(scores).astype(np.float32), np.arange(n_probes), target)


def rates(*trials, draws=100):
    return rate_table(trials, bootstrap_weights(trials[0], draws, np.random.default_rng(2))).set_index("figure")


def eer_of_all_pairs(trials):
    same = trials.target[:, None] == np.arange(trials.values.shape[1])
    return equal_error_rate(trials.values[trials.row].ravel(), same.ravel())


def test_each_utterance_is_held_or_probed():
    _, speakers = voices(9, 5)
    enrolment = enrol(speakers, 2, np.random.default_rng(0))
    rows = np.concatenate([enrolment.held, enrolment.probes])
    assert np.array_equal(np.sort(rows), np.arange(45))
    assert np.array_equal(enrolment.speakers[enrolment.held_speaker], speakers[enrolment.held])
    assert np.array_equal(enrolment.speakers[enrolment.probe_speaker], speakers[enrolment.probes])
    assert (np.bincount(enrolment.held_speaker) == 2).all()


def test_speakers_with_few_utterances_keep_a_probe_and_single_ones_are_not_attacked():
    speakers = np.array(["d", "a", "b", "b", "c", "c", "c", "d", "d", "d", "d"])
    enrolment = enrol(speakers, 3, np.random.default_rng(0))
    assert enrolment.speakers.tolist() == ["a", "b", "c", "d"]
    assert np.bincount(enrolment.held_speaker).tolist() == [1, 1, 2, 3]
    assert np.bincount(enrolment.probe_speaker, minlength=4).tolist() == [0, 1, 1, 2]


def test_the_draw_is_random_and_repeatable():
    _, speakers = voices(30, 4)
    one, same, other = (enrol(speakers, 2, np.random.default_rng(seed)).held for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    held = np.concatenate([enrol(speakers, 1, np.random.default_rng(seed)).held for seed in range(100)])
    # Each of 4 utterances is held in a quarter of 3000 draws.
    assert np.bincount(held % 4) == pytest.approx(np.full(4, 750), abs=100)


def test_the_enrolled_mean_by_hand():
    enrolment = attackers.Enrolment(
        speakers=np.array(["a", "b"]),
        held=np.array([0, 2, 3]),
        held_speaker=np.array([1, 0, 1]),
        probes=np.array([1]),
        probe_speaker=np.array([0]),
    )
    means = enrolment.mean_embeddings(np.array([[1.0, 0], [9, 9], [2, 4], [3, 8]], dtype=np.float32))
    assert means.tolist() == [[2, 4], [2, 4]]


def test_ties_are_broken_at_random():
    # By hand: the true speaker of the first probe ties with two others, that of the second is fourth.
    ranks = identification(np.array([[0.5, 0.5, 0.5, 0.1], [0.5, 0.5, 0.5, 0.1]]), np.array([0, 3]))
    assert (ranks.above.tolist(), ranks.tied.tolist()) == ([0, 3], [2, 0])
    expected = {1: [1 / 3, 0], 2: [2 / 3, 0], 3: [1, 0], 4: [1, 1]}
    for n, rate in expected.items():
        assert attackers.top_n_rate(ranks, n) == pytest.approx(rate)


@pytest.mark.parametrize(
    "trials", [coded(), coded(digits=0), random_trials(9, 50), random_trials(3, 40, scale=np.round)]
)
def test_releases_are_ranked_as_if_each_probe_were_scored(trials):
    ranks, expected = trials.identification(), identification(trials.values[trials.row], trials.target)
    assert np.array_equal(ranks.above, expected.above)
    assert np.array_equal(ranks.tied, expected.tied)


def test_fewer_candidates_by_hand():
    values = np.array([[0, 1, 2, 3], [4, 5, 6, 7.0]])
    some = Trials(values, np.array([1, 0, 1, 0]), np.array([3, 2, 0, 1])).among(np.array([True, False, False, True]))
    assert some.values.tolist() == [[0, 3], [4, 7]]
    assert some.row.tolist() == [1, 1] and some.target.tolist() == [1, 0]


def test_raw_embeddings_identify_above_chance():
    result = rates(attacked(*voices()))
    assert (result.loc[["top1", "top5"], "low"] > 4 * result.loc[["top1", "top5"], "chance"]).all()
    assert result.loc["eer", "high"] < 0.25
    assert result["chance"].tolist() == [1 / 40, 5 / 40, 10 / 40, 0.5]
    assert result["n_speakers"].unique().tolist() == [40] and result["n_probes"].unique().tolist() == [120]


def test_noisier_voices_are_safer():
    clear, noisy = (rates(attacked(*voices(spread=spread)))["value"] for spread in (0.3, 1.5))
    assert (clear[FIGURES[:3]] > noisy[FIGURES[:3]]).all() and clear["eer"] < noisy["eer"]


def test_a_constant_score_gives_exactly_chance():
    trials = Trials(np.full((3, 40), -7.5, dtype=np.float32), np.repeat([0, 2], 40), np.tile(np.arange(40), 2))
    result = rates(trials)
    assert result["value"].tolist() == pytest.approx([1 / 40, 5 / 40, 10 / 40, 0.5], abs=1e-12)
    assert result["low"].tolist() == pytest.approx(result["high"].tolist())


def test_a_constant_code_gives_exactly_chance():
    # Some speakers are nearer to the one code than others: each is hit or missed for good.
    embeddings, speakers = voices()
    result = rates(attacked(embeddings, speakers, probes=np.tile(embeddings[7], (len(embeddings), 1))))
    assert result["value"].tolist() == pytest.approx([1 / 40, 5 / 40, 10 / 40, 0.5], abs=1e-12)


def test_one_code_a_speaker_gives_everything_away():
    target = np.repeat(np.arange(20), 3)
    assert rates(Trials(np.eye(20), target, target))["value"].tolist() == [1, 1, 1, 0]


def test_shuffled_targets_give_chance():
    trials = attacked(*voices(50, 6))
    result = rates(Trials(trials.values, trials.row, np.random.default_rng(3).permutation(trials.target)))
    for figure in FIGURES:
        row = result.loc[figure]
        assert row["low"] <= row["chance"] <= row["high"], figure


def test_the_interval_covers_chance_as_often_as_it_says():
    covered = []
    for seed in range(50):
        target = np.repeat(np.arange(20), 10)
        scores = np.random.default_rng(seed).standard_cauchy((200, 20))
        row = rates(Trials(scores, np.arange(200), target)).loc["top5"]
        covered.append(row["low"] <= row["chance"] <= row["high"])
    assert 0.85 <= np.mean(covered) <= 1


SCALES = {
    "cosines": lambda score: score,
    "ratios": lambda score: 1e4 * np.sinh(8 * score),  # most of them near 0, some far away
    "ties": lambda score: score.round(1),
}


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
@pytest.mark.parametrize(("n_speakers", "n_probes"), [(2, 5), (7, 60), (60, 300)])
def test_rates_are_the_direct_ones(n_speakers, n_probes, scale):
    trials = random_trials(n_speakers, n_probes, scale=scale)
    result = rates(trials)["value"]
    ranks = identification(trials.values, trials.target)
    for n in (1, 5, 10):
        assert result[f"top{n}"] == pytest.approx(top_n_rate(ranks, n).mean())
    assert result["eer"] == pytest.approx(eer_of_all_pairs(trials), abs=1e-12)


@pytest.mark.parametrize("digits", [0, 6])
def test_the_error_rate_of_codes_is_that_of_all_pairs(digits, monkeypatch):
    trials = coded(16, 30, 400, digits=digits)
    expected = pytest.approx([eer_of_all_pairs(trials)], abs=1e-12)
    assert equal_error_rates(trials, np.ones((1, 30))) == expected
    monkeypatch.setattr(attackers, "BLOCK", 100)  # a few releases at a time
    assert equal_error_rates(trials, np.ones((1, 30))) == expected


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_many_probes_share_thresholds(scale, monkeypatch):
    trials = random_trials(5, 9000, scale=scale)
    expected = eer_of_all_pairs(trials)
    assert equal_error_rates(trials, np.ones((1, 5))) == pytest.approx([expected], abs=1 / attackers.THRESHOLDS)
    monkeypatch.setattr(attackers, "THRESHOLDS", 20)
    assert equal_error_rates(trials, np.ones((1, 5))) == pytest.approx([expected], abs=1 / 20)


@pytest.mark.parametrize("trials", [random_trials(6, 80), coded(8, 6, 80)])
def test_weights_are_as_good_as_copies_of_the_probes(trials):
    drawn = np.array([[1, 0, 3, 2, 1, 0], [0, 1, 0, 0, 0, 5]])
    together = equal_error_rates(trials, drawn)
    for weight, eer in zip(drawn, together, strict=True):
        copies = np.repeat(np.arange(80), weight[trials.target])
        copied = rates(Trials(trials.values, trials.row[copies], trials.target[copies]))["value"]
        weighted = rate_table([trials], weight[None]).set_index("figure")
        assert weighted["low"].tolist() == weighted["high"].tolist() == pytest.approx(copied.tolist())
        assert eer == pytest.approx(copied["eer"])


def test_only_the_order_of_the_scores_counts():
    trials = coded()
    other = Trials(np.exp(5 * trials.values.astype(float)) - 3, trials.row, trials.target)
    pd.testing.assert_frame_equal(rates(trials), rates(other))


def test_resampled_speakers_are_attacked_ones():
    trials = Trials(np.zeros((9, 5)), np.arange(9), np.array([0, 0, 2, 2, 2, 4, 4, 4, 4]))
    weights = bootstrap_weights(trials, 1000, np.random.default_rng(0))
    assert (weights.sum(axis=1) == 3).all()
    assert (weights[:, [1, 3]] == 0).all()
    assert weights[:, [0, 2, 4]].mean(axis=0) == pytest.approx(np.ones(3), abs=0.1)


def test_the_table_spans_repeats():
    trials = [random_trials(10, 50, seed) for seed in range(3)]
    weights = bootstrap_weights(trials[0], 50, np.random.default_rng(0))
    table = rate_table(trials, weights)
    columns = "figure value low high chance n_speakers n_attacked n_probes n_repeats"
    assert table.columns.tolist() == columns.split()
    assert table["figure"].tolist() == FIGURES and (table["n_repeats"] == 3).all()
    alone = [rate_table([one], weights) for one in trials]
    np.testing.assert_allclose(table["value"], np.mean([one["value"] for one in alone], axis=0))
    assert (table["low"] >= np.min([one["low"] for one in alone], axis=0)).all()
    assert (table["high"] <= np.max([one["high"] for one in alone], axis=0)).all()
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    pd.testing.assert_frame_equal(table, rate_table(trials, weights))


def test_the_table_tells_how_many_speakers_were_attacked():
    # Five enrolled speakers, probes of two.
    trials = Trials(np.random.default_rng(0).uniform(-1, 1, (6, 5)), np.arange(6), np.array([0, 0, 0, 3, 3, 3]))
    table = rates(trials)
    assert (table["n_speakers"] == 5).all() and (table["n_attacked"] == 2).all() and (table["n_probes"] == 6).all()


def test_chance_is_at_most_certain():
    assert rates(random_trials(3, 30))["chance"].tolist() == [1 / 3, 1, 1, 0.5]


def test_randomised_rates_by_hand():
    # Three codes, two speakers. Codes 0 and 1 point to speakers 0 and 1, code 2 to neither: half a hit. e^ε = 2, so a
    # code is kept with probability 1/2 and any other reported with 1/4: 1/2 + 1/4 · (0 + 1/2), 1/4 · (1 + 0) + 1/4.
    trials = Trials(np.array([[1, 0], [0, 1], [4, 4.0]]), np.array([0, 2]), np.array([0, 1]))
    table = randomised_rates([trials], np.eye(2)[:1], np.log(2), 3).set_index("figure")
    assert table.loc["top1", ["value", "low"]].tolist() == pytest.approx([(5 / 8 + 1 / 2) / 2, 5 / 8])
    assert table["value"].tolist()[1:] == [1, 1]


@pytest.mark.parametrize("digits", [0, 6])
def test_randomised_rates_are_those_of_random_reports(digits):
    trials, rng = coded(8, 30, 60, digits=digits), np.random.default_rng(0)
    weights = np.ones((1, 30))
    expected = randomised_rates([trials], weights, 1.5, 8)
    assert expected["figure"].tolist() == FIGURES[:3]
    copies = np.repeat(np.arange(60), 3000)
    reports = randomise(trials.row[copies], 8, 1.5, rng)
    simulated = rate_table([Trials(trials.values, reports, trials.target[copies])], weights)
    # A standard error of at most .5 / sqrt(180 000) = .0012.
    assert expected["value"].tolist() == pytest.approx(simulated["value"].tolist()[:3], abs=0.004)
    assert not np.allclose(expected["value"], rate_table([trials], weights)["value"][:3], atol=0.02)


def test_randomised_rates_between_noise_and_the_code_itself():
    trials = [coded(8, 20, 20 * 7, seed=seed) for seed in range(2)]
    weights = bootstrap_weights(trials[0], 50, np.random.default_rng(0))
    pd.testing.assert_frame_equal(randomised_rates(trials, weights, np.inf, 8), rate_table(trials, weights)[:3])
    everyone = [Trials(one.values, one.row, np.arange(140) % 20) for one in trials]
    noise = randomised_rates(everyone, weights, 0, 8)
    assert noise["value"].tolist() == pytest.approx(noise["chance"].tolist())


def test_randomised_response_is_of_codes():
    with pytest.raises(InputError, match="90 releases should be the n_codewords=8 codes, each once"):
        randomised_rates([random_trials(12, 90)], np.ones((1, 12)), 1.0, 8)


def test_the_strongest_attacker_of_each_system():
    rows = [(*system, who, figure) for system in (("raw", 0), ("vq", 4)) for who in "abc" for figure in ("top1", "eer")]
    rates = pd.DataFrame(rows, columns=["variant", "bits", "attacker", "figure"]).assign(
        threat="informed", epsilon=np.inf
    )
    rates["value"] = [0.1, 0.9, 0.3, 0.2, 0.2, 0.8, 0.5, 0.5, 0.1, 0.6, 0.5, 0.9]
    rates.index = np.zeros(12, int)  # as after a concatenation
    best = strongest(rates)
    assert best["attacker"].tolist() == ["b", "b", "a", "a"]  # the lowest error rate, the first of two equal ones
    assert best["figure"].tolist() == ["top1", "eer", "top1", "eer"]
    assert best["value"].tolist() == [0.3, 0.2, 0.5, 0.5]
    assert strongest(rates.iloc[:0]).empty


def test_enrolment_needs_speakers_to_tell_apart():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match=r"1 test speaker\(s\): an attack needs at least two"):
        enrol(np.array(["a", "a"]), 1, rng)
    with pytest.raises(InputError, match="each of 3 test speakers has one utterance"):
        enrol(np.array(["a", "b", "c"]), 1, rng)
    with pytest.raises(InputError, match="per_speaker=0, should be >= 1"):
        enrol(np.array(["a", "a", "b"]), 0, rng)


def test_wrong_scores_are_named():
    with pytest.raises(InputError, match="1 of 4 scores are NaN: check the embeddings"):
        identification(np.array([[0.1, np.nan], [0, 0]]), np.array([0, 1]))
    with pytest.raises(InputError, match=r"scores have shape \(3, 1\): identification needs at least two enrolled"):
        identification(np.zeros((3, 1)), np.zeros(3, int))
    for target in (np.array([0]), np.array([0, 2]), np.array([-1, 0])):
        with pytest.raises(InputError, match="should give one column of the scores"):
            identification(np.zeros((2, 2)), target)


def test_wrong_trials_are_named():
    two = np.array([0, 1])
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(InputError, match="1 of 4 scores are not finite: check the attacker"):
            Trials(np.array([[0.1, bad], [0, 0]]), two, two)
    with pytest.raises(InputError, match=r"scores have shape \(2, 1\): identification needs at least two enrolled"):
        Trials(np.zeros((2, 1)), two, np.zeros(2, int))
    for target in (np.array([0]), np.array([0, 2]), np.array([-1, 0])):
        with pytest.raises(InputError, match="should give one column of the scores"):
            Trials(np.zeros((2, 2)), two, target)
    for row in (np.array([0, 2]), np.array([-1, 0])):
        with pytest.raises(InputError, match=r"row of shape \(2,\) should give each probe, one at least, a row"):
            Trials(np.zeros((2, 2)), row, two)
    with pytest.raises(InputError, match=r"row of shape \(0,\) should give each probe, one at least"):
        Trials(np.zeros((2, 2)), two[:0], two[:0])


def test_weights_must_fit():
    with pytest.raises(InputError, match=r"weights have shape \(4, 3\), should be \[S, M\], M of \[12\] speakers"):
        rate_table([coded()], np.ones((4, 3)))


def test_attacking_some_probes_alone_leaves_everyone_enrolled():
    enrolment = attackers.enrol(np.repeat(["a", "b", "c"], 4), 2, np.random.default_rng(0))
    some = enrolment.only(enrolment.probe_speaker == 1)
    assert some.probe_speaker.tolist() == [1, 1] and set(some.probes) < set(enrolment.probes)
    assert np.array_equal(some.held, enrolment.held) and len(some.speakers) == 3
