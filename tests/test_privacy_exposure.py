import numpy as np
import pandas as pd
import pytest

from porcupine.errors import InputError
from porcupine.privacy.attackers import Trials, bootstrap_weights, rate_table
from porcupine.privacy.exposure import FIGURES, Belief, _figures, believe, exposure_table, learn


def codes(chances, n_probes, *, trust=1.0, seed=0):
    """Draw codes of M speakers from chances [M, K]; their log-likelihoods over ``trust`` are the scores."""
    rng = np.random.default_rng(seed)
    target = np.repeat(np.arange(len(chances)), n_probes)
    row = np.array([rng.choice(chances.shape[1], p=chances[s]) for s in target])
    return Trials((np.log(chances.T) / trust).astype(np.float32), row, target)


def some_chances(n_speakers=60, n_codewords=8, *, concentration=0.7, seed=0):
    chances = np.random.default_rng(seed).dirichlet(np.full(n_codewords, concentration), n_speakers)
    return 0.99 * chances + 0.01 / n_codewords


def information(chances):
    """I(S; C) in bits, exactly."""
    return (chances * np.log2(chances / chances.mean(axis=0))).sum(axis=1).mean()


def raw(n_speakers=60, n_probes=3, *, spread=0.5, seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((n_speakers, 6))
    target = np.repeat(np.arange(n_speakers), n_probes)
    seen = centers[target] + spread * rng.standard_normal((len(target), 6))
    return Trials(-((seen[:, None] - centers) ** 2).sum(axis=2), np.arange(len(target)), target)


def draws(trials, n_draws=100):
    return bootstrap_weights(trials, n_draws, np.random.default_rng(3))


def exposure(*trials, groups=None):
    nobody = pd.DataFrame(index=range(trials[0].values.shape[1]))
    return exposure_table(trials, nobody if groups is None else groups, draws(trials[0]))


def test_bits_by_hand():
    # Posteriors of the first release with trust 2: 1, 2 and 1 of 4. Expected of speaker 0: 3/4 of its bits given the
    # first release, 1/4 of those given the second, whose posteriors are equal.
    trials = Trials(np.log([[1, np.sqrt(2), 1], [3, 3, 3]]), np.array([0, 0, 1]), np.array([0, 1, 1]))
    shows = np.array([[0.75, 0.5, 0], [0.25, 0.5, 1]])
    learnt = learn(trials, Belief(np.full(3, 2.0), shows))
    assert learnt["bits"].tolist() == pytest.approx([np.log2(3 / 4), np.log2(6 / 4) / 2, np.nan], nan_ok=True)
    assert learnt["expected"].tolist() == pytest.approx(
        [0.75 * np.log2(3 / 4), 0.5 * np.log2(6 / 4), np.nan], nan_ok=True
    )
    assert learnt["top1"].tolist() == pytest.approx([0, (1 + 1 / 3) / 2, np.nan], nan_ok=True)


def test_a_constant_score_tells_nothing():
    row = np.arange(120) % 7
    everyone = exposure(Trials(np.full((7, 60), 3.3, dtype=np.float32), row, np.repeat(np.arange(60), 2))).loc[0]
    assert (
        everyone[["bits_learnt", "bits_low", "bits_high", "exposed", "exposed_low", "exposed_high"]].tolist() == [0] * 6
    )
    assert everyone[["top1", "top1_low", "top1_high", "chance"]].tolist() == pytest.approx([1 / 60] * 4)


@pytest.mark.parametrize("scale", [1e-3, 1, 1e3])
def test_one_code_a_speaker_tells_everything(scale):
    target = np.repeat(np.arange(64), 2)
    everyone = exposure(Trials((scale * np.eye(64)).astype(np.float32), target, target)).loc[0]
    assert everyone[["bits_learnt", "bits_low", "exposed", "exposed_high"]].tolist() == pytest.approx([6] * 4, abs=1e-3)
    assert everyone["top1"] == 1


def test_raw_embeddings_tell_much_and_do_not_promise():
    everyone = exposure(raw()).loc[0]
    assert 2 < everyone["bits_low"] < everyone["bits_learnt"] < everyone["bits_high"] < np.log2(60)
    assert everyone["top1_low"] > 10 * everyone["chance"]
    assert everyone[["exposed", "exposed_low", "exposed_high"]].isna().all()


@pytest.mark.parametrize("trust", [0.02, 1, 30])
def test_bits_come_up_to_the_disclosure_and_not_above(trust):
    # The right scores, but for their scale: the bound is tight.
    chances = some_chances()
    everyone = exposure(codes(chances, 60, trust=trust)).loc[0]
    assert everyone["bits_learnt"] == pytest.approx(information(chances), abs=0.02)
    assert believe(codes(chances, 60, trust=trust)).trust == pytest.approx(np.full(60, trust), rel=0.1)


def test_wrong_scores_tell_less():
    chances, rng = some_chances(), np.random.default_rng(9)
    right = codes(chances, 20)
    wrong = Trials(right.values + rng.standard_normal(right.values.shape), right.row, right.target)
    assert 0 < exposure(wrong).loc[0, "bits_learnt"] < exposure(right).loc[0, "bits_learnt"] - 0.1


def test_scores_that_mislead_are_not_trusted():
    trials = codes(some_chances(), 20)
    everyone = exposure(Trials(-trials.values, trials.row, trials.target)).loc[0]
    assert everyone[["bits_learnt", "bits_low", "bits_high"]].tolist() == [0] * 3 and everyone["top1"] < 1 / 60


@pytest.mark.parametrize("trials", [raw(), codes(some_chances(), 5)])
def test_shuffled_targets_tell_nothing(trials):
    covered = []
    for seed in range(20):
        shuffled = np.random.default_rng(seed).permutation(trials.target)
        everyone = exposure(Trials(trials.values, trials.row, shuffled)).loc[0]
        covered.append(everyone["bits_low"] <= 0 <= everyone["bits_high"])
        covered.append(everyone["top1_low"] <= everyone["chance"] <= everyone["top1_high"])
        assert everyone["bits_learnt"] < 0.02 and not everyone["exposed"] > 0.25
    assert np.mean(covered) >= 0.85


def test_neither_scale_nor_shift_of_a_release_matters():
    trials = codes(some_chances(), 10)
    moved = Trials(40 * trials.values + np.arange(8, dtype=np.float32)[:, None], trials.row, trials.target)
    pd.testing.assert_frame_equal(exposure(trials), exposure(moved), rtol=1e-3)


def test_what_is_believed_of_speakers_does_not_depend_on_their_own_probes():
    trials = codes(some_chances(), 5)
    odd = trials.target % 2 == 1
    other = Trials(trials.values, np.where(odd, (trials.row + 3) % 8, trials.row), trials.target)
    one, two = believe(trials), believe(other)
    assert np.array_equal(one.trust[1::2], two.trust[1::2]) and np.array_equal(one.shows[:, 1::2], two.shows[:, 1::2])
    assert not np.array_equal(one.trust[::2], two.trust[::2]) and not np.array_equal(one.shows, two.shows)


def test_what_speakers_show_is_found_from_right_scores():
    # Scores may have lost the frequency of each code: the shares bring it back.
    chances = some_chances(n_speakers=400, n_codewords=4) * [8, 4, 2, 1]
    chances /= chances.sum(axis=1, keepdims=True)
    trials = codes(chances, 30)
    ratios = Trials(trials.values - np.log(chances.mean(axis=0), dtype=np.float32)[:, None], trials.row, trials.target)
    for one in (trials, ratios):
        assert np.abs(believe(one).shows.T - chances).mean() < 0.02


def test_the_most_exposed_are_known_beforehand():
    # Speakers 0 and 1 of 200 have a code that hardly anybody else has: 6.6 bits. All others have any of 6.
    chances = np.full((200, 7), 0.999 / 6)
    chances[:, 6] = 0.001
    chances[:2] = 0.001 / 6
    chances[:2, 6] = 0.999
    trials = codes(chances, 4)
    learnt = learn(trials, believe(trials))
    assert set(learnt["expected"].nlargest(2).index) == {0, 1}
    everyone = exposure(trials).loc[0]
    assert everyone["exposed"] == pytest.approx(np.log2(200 / 2), abs=0.5)
    assert everyone["bits_learnt"] < 0.2 and everyone["exposed_low"] <= everyone["exposed"] <= everyone["exposed_high"]


def test_nobody_is_exposed_by_chance():
    # Scores of no use, yet some trust in them: those who happen to be found are not those of whom it was expected.
    rng = np.random.default_rng(0)
    values, target = rng.standard_normal((30, 200)), np.repeat(np.arange(200), 2)
    shows = np.exp(2 * values) / np.exp(2 * values).sum(axis=0)
    found, promised = [], []
    for _ in range(20):
        learnt = learn(Trials(values, rng.integers(0, 30, 400), target), Belief(np.full(200, 2.0), shows))
        found.append(learnt["bits"][learnt["expected"].nlargest(2).index].mean())
        promised.append(learnt["expected"].nlargest(2).mean())
    assert np.mean(found) < 0 < 2 < np.mean(promised)


def test_draws_are_as_good_as_copies():
    rng = np.random.default_rng(1)
    learnt = pd.DataFrame(rng.standard_normal((300, 3)), columns=["bits", "expected", "top1"])
    drawn = rng.integers(0, 3, (1, 300))
    once = np.ones((1, 300))
    copies = learnt.loc[np.repeat(np.arange(300), drawn[0])]
    figures = _figures([learnt], np.vstack([once, drawn]))
    ends = _figures([copies.reset_index(drop=True)], np.ones((1, len(copies))))
    for figure, name in FIGURES.items():
        assert figures[f"{figure}_low"] == figures[f"{figure}_high"] == pytest.approx(ends[name])
    assert figures["exposed"] == pytest.approx(learnt.nlargest(3, "expected")["bits"].mean())


@pytest.mark.parametrize(("n_speakers", "n_exposed"), [(2, 1), (100, 1), (101, 2), (700, 7)])
def test_one_in_a_hundred_is_exposed(n_speakers, n_exposed):
    rising = np.arange(n_speakers) ** 2
    learnt = pd.DataFrame({"bits": rising, "expected": rising, "top1": 0})
    assert _figures([learnt], np.ones((2, n_speakers)))["exposed"] == pytest.approx(rising[-n_exposed:].mean())


def test_rows_of_the_table():
    trials = codes(some_chances(), 3)
    labels = np.array(["f"] * 20 + ["m"] * 30 + ["x"] + [None, "", np.nan] * 3, dtype=object)
    table = exposure(trials, groups=pd.DataFrame({"gender": labels, "age": 40}, index=np.arange(60) + 7))
    keys = table[["attribute", "group", "among"]].agg("/".join, axis=1)
    genders = [f"gender/{group}/{among}" for group in "fmx" for among in ("everyone", "group")]
    assert keys.tolist() == ["//everyone", *genders, "age/40/everyone", "age/40/group"]
    assert table["n_speakers"].tolist() == [60, 60, 20, 60, 30, 60, 1, 60, 60]
    assert table["n_attacked"].tolist() == [60, 20, 20, 30, 30, 1, 1, 60, 60]
    figures = table.drop(columns=["attribute", "group", "among", "n_speakers", "n_attacked"])
    assert figures.loc[5:6].isna().all(axis=None) and figures.drop([5, 6]).notna().all(axis=None)
    for same in (7, 8):
        pd.testing.assert_series_equal(figures.loc[0], figures.loc[same], check_names=False)
    assert table.loc[0, "top1"] == pytest.approx(rate_table([trials], draws(trials))["value"][0])


def test_a_group_is_measured_by_its_own_probes_among_all_or_its_own():
    trials = codes(some_chances(), 3)
    inside = np.arange(60) % 3 == 0
    table = exposure(trials, groups=pd.DataFrame({"third": np.where(inside, "first", None)}))
    belief = believe(trials)
    everyone, group = learn(trials, belief)[inside], learn(trials.among(inside), belief.among(inside))
    for row, learnt in ((1, everyone), (2, group)):
        assert table.loc[row, "bits_learnt"] == pytest.approx(learnt["bits"].mean())
        assert table.loc[row, "top1"] == pytest.approx(learnt["top1"].mean())
        assert table.loc[row, "exposed"] == pytest.approx(learnt["bits"][learnt["expected"].idxmax()])
    assert table["chance"].tolist() == [1 / 60, 1 / 60, 1 / 20]


def test_a_code_that_is_the_gender_tells_nothing_within_a_gender():
    gender = np.arange(60) % 2
    trials = codes(np.array([[0.99, 0.01], [0.01, 0.99]])[gender], 20)
    table = exposure(trials, groups=pd.DataFrame({"gender": np.array(["f", "m"])[gender]}))
    bits = table.set_index(["group", "among"])["bits_learnt"]
    for group in "fm":
        assert bits[group, "everyone"] == pytest.approx(1 - 0.08, abs=0.05)
        assert bits[group, "group"] == pytest.approx(0, abs=1e-6)


def test_speakers_who_are_not_attacked_are_candidates_only():
    trials = codes(some_chances(), 3)
    seen = trials.target < 40
    some = Trials(trials.values, trials.row[seen], trials.target[seen])
    learnt = learn(some, believe(some))
    assert learnt.index[learnt["bits"].isna()].tolist() == list(range(40, 60))
    row = exposure(some).loc[0]
    assert (row["n_speakers"], row["n_attacked"], row["chance"]) == (60, 40, 1 / 60)
    assert row["bits_learnt"] == pytest.approx(learnt["bits"].mean())


def test_a_single_attacked_speaker_is_only_counted():
    one = exposure(Trials(np.eye(4), np.array([0, 0]), np.array([0, 0])))
    assert one.loc[0, ["n_speakers", "n_attacked"]].tolist() == [4, 1] and one.loc[0, "bits_learnt":].isna().all()


def test_repeats_are_averaged():
    trials = [codes(some_chances(seed=seed), 3, seed=seed) for seed in range(3)]
    table, alone = exposure(*trials), [exposure(one).loc[0] for one in trials]
    for figure, name in FIGURES.items():
        values = [one[name] for one in alone]
        assert table.loc[0, name] == pytest.approx(np.mean(values))
        assert table.loc[0, f"{figure}_low"] <= min(values) and max(values) <= table.loc[0, f"{figure}_high"]


def test_groups_must_fit():
    with pytest.raises(InputError, match="groups have 59 rows, should be one for each of 60 enrolled speakers"):
        exposure(raw(), groups=pd.DataFrame({"gender": ["f"] * 59}))
