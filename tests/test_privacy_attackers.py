import numpy as np
import pandas as pd
import pytest

from porcupine.errors import InputError
from porcupine.privacy import attackers
from porcupine.privacy.attackers import attack_table, bootstrap_weights, cosine_scores, enrol, identification, tally
from porcupine.privacy.verification import equal_error_rate

FIGURES = ["top1", "top5", "eer"]


def voices(n_speakers=40, n_utterances=5, *, spread=0.6, seed=0):
    """Synthetic utterances: a Gaussian speaker and Gaussian sessions, in 8 dimensions off the origin."""
    rng = np.random.default_rng(seed)
    speaker = np.repeat(np.arange(n_speakers), n_utterances)
    centers = rng.standard_normal((n_speakers, 8))
    return 5 + centers[speaker] + spread * rng.standard_normal((len(speaker), 8)), np.char.mod("s%03d", speaker)


def attacked(embeddings, speakers, per_speaker=2, probes=None):
    enrolment = enrol(speakers, per_speaker, np.random.default_rng(1))
    probes = embeddings if probes is None else probes
    scores = cosine_scores(
        probes[enrolment.probes], enrolment.mean_embeddings(embeddings), center=embeddings.mean(axis=0)
    )
    return scores, enrolment.probe_speaker


def rates(scores, target):
    counted = tally(scores, target)
    weights = bootstrap_weights(counted, 100, np.random.default_rng(2))
    return attack_table([counted], weights).set_index("figure")


def random_scores(n_speakers, n_probes, seed=0):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, n_speakers, n_probes)
    scores = rng.uniform(-0.8, 0.4, (n_probes, n_speakers)).astype(np.float32)
    scores[np.arange(n_probes), target] += rng.uniform(0, 0.6, n_probes).astype(np.float32)
    return scores, target


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


def test_cosines_by_hand():
    center = np.array([1.0, 1.0])
    scores = cosine_scores(np.array([[2.0, 1], [1, 1], [4, 5]]), np.array([[3.0, 1], [0, 1], [1, 2]]), center=center)
    np.testing.assert_allclose(scores, [[1, -1, 0], [0, 0, 0], [0.6, -0.6, 0.8]], atol=1e-6)


def test_ties_are_broken_at_random():
    # By hand: the true speaker of the first probe ties with two others, that of the second is fourth.
    ranks = identification(np.array([[0.5, 0.5, 0.5, 0.1], [0.5, 0.5, 0.5, 0.1]]), np.array([0, 3]))
    assert (ranks.above.tolist(), ranks.tied.tolist()) == ([0, 3], [2, 0])
    expected = {1: [1 / 3, 0], 2: [2 / 3, 0], 3: [1, 0], 4: [1, 1]}
    for n, rate in expected.items():
        assert attackers.top_n_rate(ranks, n) == pytest.approx(rate)


def test_raw_embeddings_identify_above_chance():
    result = rates(*attacked(*voices()))
    assert (result.loc[["top1", "top5"], "low"] > 4 * result.loc[["top1", "top5"], "chance"]).all()
    assert result.loc["eer", "high"] < 0.25
    assert result["chance"].tolist() == [1 / 40, 5 / 40, 0.5]
    assert result["n_speakers"].unique().tolist() == [40] and result["n_probes"].unique().tolist() == [120]


def test_noisier_voices_are_safer():
    clear, noisy = (rates(*attacked(*voices(spread=spread)))["value"] for spread in (0.3, 1.5))
    assert clear["top1"] > noisy["top1"] and clear["top5"] > noisy["top5"] and clear["eer"] < noisy["eer"]


def test_a_constant_code_gives_exactly_chance():
    embeddings, speakers = voices()
    code = np.tile(embeddings[7], (len(embeddings), 1))
    result = rates(*attacked(embeddings, speakers, probes=code))
    assert result["value"].tolist() == pytest.approx([1 / 40, 5 / 40, 0.5], abs=1e-12)


def test_a_code_at_the_center_gives_exactly_chance():
    embeddings, speakers = voices()
    code = np.tile(embeddings.mean(axis=0), (len(embeddings), 1))
    scores, target = attacked(embeddings, speakers, probes=code)
    assert (scores == 0).all()
    assert rates(scores, target)["value"].tolist() == pytest.approx([1 / 40, 5 / 40, 0.5])


def test_a_code_that_is_the_identity_gives_everything_away():
    target = np.repeat(np.arange(10), 3)
    identity = np.eye(10)
    scores = cosine_scores(identity[target], identity, center=np.zeros(10))
    assert rates(scores, target)["value"].tolist() == [1, 1, 0]


def test_shuffled_labels_give_chance():
    scores, target = attacked(*voices(50, 6))
    result = rates(scores, np.random.default_rng(3).permutation(target))
    for figure in FIGURES:
        row = result.loc[figure]
        assert row["low"] <= row["chance"] <= row["high"], figure


def test_the_interval_covers_chance_as_often_as_it_says():
    covered = []
    for seed in range(50):
        target = np.repeat(np.arange(20), 10)
        row = rates(np.random.default_rng(seed).uniform(-1, 1, (200, 20)).astype(np.float32), target).loc["top5"]
        covered.append(row["low"] <= row["chance"] <= row["high"])
    assert 0.85 <= np.mean(covered) <= 1


@pytest.mark.parametrize(("n_speakers", "n_probes"), [(2, 5), (7, 60), (60, 300)])
def test_rates_with_unit_weights_are_the_direct_ones(n_speakers, n_probes):
    scores, target = random_scores(n_speakers, n_probes)
    result = attackers.rates(tally(scores, target), np.ones((1, n_speakers)))
    ranks = identification(scores, target)
    for n in (1, 5):
        assert result[f"top{n}"] == pytest.approx([attackers.top_n_rate(ranks, n).mean()])
    same = target[:, None] == np.arange(n_speakers)
    assert result["eer"] == pytest.approx([equal_error_rate(scores.ravel(), same.ravel())], abs=1e-3)


def test_weights_are_as_good_as_copies_of_the_probes():
    scores, target = random_scores(6, 80)
    weights = np.array([[1, 0, 3, 2, 1, 0], [0, 1, 0, 0, 0, 5]])
    weighted = attackers.rates(tally(scores, target), weights)
    for i, weight in enumerate(weights):
        copies = np.repeat(np.arange(80), weight[target])
        copied = attackers.rates(tally(scores[copies], target[copies]), np.ones((1, 6)))
        for figure in FIGURES:
            assert weighted[figure][i] == pytest.approx(copied[figure][0]), figure


def test_resampled_speakers_are_attacked_ones():
    scores, _ = random_scores(5, 9)
    counted = tally(scores, np.array([0, 0, 2, 2, 2, 4, 4, 4, 4]))
    weights = bootstrap_weights(counted, 1000, np.random.default_rng(0))
    assert (weights.sum(axis=1) == 3).all()
    assert (weights[:, [1, 3]] == 0).all()
    assert weights[:, [0, 2, 4]].mean(axis=0) == pytest.approx(np.ones(3), abs=0.1)


def test_the_table_spans_repeats():
    tallies = [tally(*random_scores(10, 50, seed)) for seed in range(3)]
    weights = bootstrap_weights(tallies[0], 50, np.random.default_rng(0))
    table = attack_table(tallies, weights)
    assert table.columns.tolist() == [
        "figure",
        "value",
        "low",
        "high",
        "chance",
        "n_speakers",
        "n_attacked",
        "n_probes",
    ]
    assert table["figure"].tolist() == FIGURES
    alone = [attack_table([one], weights) for one in tallies]
    np.testing.assert_allclose(table["value"], np.mean([one["value"] for one in alone], axis=0))
    assert (table["low"] >= np.min([one["low"] for one in alone], axis=0)).all()
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    pd.testing.assert_frame_equal(table, attack_table(tallies, weights))


def test_chance_is_at_most_certain():
    assert rates(*random_scores(3, 30))["chance"].tolist() == [1 / 3, 1, 0.5]


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
        tally(np.array([[0.1, np.nan], [0, 0]]), np.array([0, 1]))
    with pytest.raises(InputError, match=r"scores have shape \(3, 1\): identification needs at least two enrolled"):
        tally(np.zeros((3, 1)), np.zeros(3, int))
    for target in (np.array([0]), np.array([0, 2]), np.array([-1, 0])):
        with pytest.raises(InputError, match="should give one column of the scores"):
            tally(np.zeros((2, 2)), target)


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_embeddings_that_are_not_finite_are_not_scored_as_the_center(bad):
    scores = cosine_scores(np.array([[bad, 1.0], [1, 0]]), np.eye(2), center=np.zeros(2))
    with pytest.raises(InputError, match="scores are NaN: check the embeddings"):
        identification(scores, np.array([0, 1]))


def test_dimensions_must_fit():
    with pytest.raises(InputError, match=r"probes have shape \(4, 3\), should be \[N, D=2\]"):
        cosine_scores(np.ones((4, 3)), np.ones((4, 2)), center=np.zeros(2))
    with pytest.raises(InputError, match=r"enrolled have shape \(2,\), should be \[N, D=2\]"):
        cosine_scores(np.ones((4, 2)), np.ones(2), center=np.zeros(2))


def test_the_table_tells_how_many_speakers_were_attacked():
    # Five enrolled speakers, probes of two.
    tallied = tally(np.random.default_rng(0).uniform(-1, 1, (6, 5)), np.array([0, 0, 0, 3, 3, 3]))
    table = attackers.attack_table([tallied], attackers.bootstrap_weights(tallied, 10, np.random.default_rng(1)))
    assert (table["n_speakers"] == 5).all() and (table["n_attacked"] == 2).all() and (table["n_probes"] == 6).all()
