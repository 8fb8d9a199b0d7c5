import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from porcupine.corpora.voices import AGE_GROUPS
from porcupine.errors import InputError
from porcupine.privacy import attributes
from porcupine.privacy.attributes import Reading, age_groups, attribute_table, fit_raw, fit_released, information_row
from porcupine.privacy.information import mutual_information

LABELS = np.array(["a", "b", "c", "d"])


@pytest.fixture
def hasty(monkeypatch):
    """Hardly train the network, where it is not what is tested."""
    monkeypatch.setattr(attributes, "STEPS", 10)


def told(readings, rows, labels, speakers=None, *, bootstrap=200, seed=0):
    table = attribute_table(
        readings, np.asarray(rows), labels, speakers, bootstrap=bootstrap, rng=np.random.default_rng(seed)
    )
    return table.set_index(["attacker", "figure"])


def raw(vectors, labels, *, seed=0):
    return fit_raw(vectors, labels, rng=np.random.default_rng(seed))


def certain(guesses, shares=(0.5, 0.5), *, attacker="bayes"):
    """A reading that is sure of one of the first labels for each release."""
    return Reading(LABELS[: len(shares)], np.array(shares), {attacker: 1e3 * np.eye(len(shares))[guesses]})


def voices(n_speakers, n_utterances, *, seed, dimension=6):
    """Utterances with a gender along the first axis, which all utterances of a speaker share."""
    rng = np.random.default_rng(seed)
    speaker = np.repeat(np.arange(n_speakers), n_utterances)
    gender = (np.arange(n_speakers) % 2)[speaker]
    vectors = rng.normal(size=(len(speaker), dimension)) + rng.normal(size=(n_speakers, dimension))[speaker]
    vectors[:, 0] += 3 * gender
    return vectors, np.array(["f", "m"])[gender], speaker


def test_age_groups_by_hand():
    ages = [0, 13.9, 14, 17, 18, 29, 30, 59, 60, 101]
    expected = ["child", "child", "teen", "teen", "young", "young", "adult", "adult", "senior", "senior"]
    assert age_groups(np.array(ages)).tolist() == expected


def test_age_groups_are_those_of_the_voices():
    for name, group in AGE_GROUPS.items():
        assert set(age_groups(np.arange(group.youngest, group.oldest))) == {name}


@pytest.mark.parametrize(
    "ages",
    [
        np.array([20, np.nan]),
        np.array([20, None], dtype=object),
        pd.Series([20, pd.NA], dtype="Int64", index=[5, 3]),
    ],
)
def test_a_missing_age_is_a_missing_group(ages):
    groups = age_groups(ages)
    assert groups[0] == "young" and pd.isna(groups[1])


@pytest.mark.parametrize("age", [-1, np.inf])
def test_an_impossible_age_is_named(age):
    with pytest.raises(InputError, match=f"age={age}, should be in years"):
        age_groups(np.array([20, age]))


def test_an_attribute_that_is_a_function_of_the_code_is_told_perfectly():
    rng = np.random.default_rng(0)
    codes, codebook = rng.integers(0, 8, 2000), rng.normal(size=(8, 5))
    labels = LABELS[codes % 4]
    reading = fit_released(codebook, codes[:1500], labels[:1500])
    table = told([reading], codes[None, 1500:], labels[1500:])
    assert sorted(set(table.index.get_level_values("attacker"))) == ["bayes", "linear"]
    assert (table[["value", "low", "high"]] == 1).all(axis=None)


@pytest.mark.parametrize("seed", range(5))
def test_labels_that_have_nothing_to_do_with_the_code_are_guessed(seed):
    rng = np.random.default_rng(seed)
    codes, codebook, labels = rng.integers(0, 8, 4000), rng.normal(size=(8, 5)), rng.choice(LABELS, 4000)
    reading = fit_released(codebook, codes[:2000], labels[:2000])
    table = told([reading], codes[None, 2000:], labels[2000:])
    assert (table["low"] < table["chance"]).all()
    uar = table.xs("uar", level="figure")
    assert (uar["chance"] == 0.25).all() and (uar["value"] < 0.28).all() and (uar["high"] > 0.25).all()


@pytest.mark.parametrize("code", [0, 3])
def test_a_constant_code_gives_exactly_chance_and_no_bits(code):
    labels = np.array(["a", "a", "a", "b", "c"] * 40)
    codes = np.full(200, code)
    reading = fit_released(np.random.default_rng(0).normal(size=(4, 5)), codes, labels)
    table = told([reading], codes[None], labels)
    for attacker in ("linear", "bayes"):
        assert table.loc[attacker, "accuracy"]["value"] == table.loc[attacker, "accuracy"]["chance"] == 0.6
        uar = table.loc[attacker, "uar"]
        assert uar["value"] == uar["chance"] == pytest.approx(1 / 3)
        assert uar["low"] == uar["high"] == uar["chance"]
    row = information_row(codes, labels, permutations=20, rng=np.random.default_rng(0))
    assert row["bits_disclosed"] == row["code_entropy"] == 0 and row["reason"] == ""


@pytest.mark.parametrize("n_codewords", [2, 8, 32])
def test_a_code_never_tells_more_than_it_holds(n_codewords):
    rng = np.random.default_rng(n_codewords)
    codes = rng.integers(0, n_codewords, 600)
    for labels in (codes * 3 + rng.integers(0, 3, 600), codes, rng.integers(0, 40, 600)):
        row = information_row(codes, labels, permutations=20, rng=rng)
        assert row["bits_disclosed"] <= min(row["code_entropy"], row["label_entropy"]) + 1e-9


def test_who_knows_the_code_is_not_misled_by_its_codewords():
    # The codewords are on the wrong side: he who only knows raw embeddings is wrong, he who saw codes is right.
    vectors, labels, speakers = voices(400, 3, seed=1)
    codes = (vectors[:, 0] > 1.5).astype(int)
    codebook = np.stack([vectors[codes == 1].mean(axis=0), vectors[codes == 0].mean(axis=0)])
    ignorant = raw(vectors[:600], labels[:600]).predict(codebook)
    informed = fit_released(codebook, codes[:600], labels[:600])
    misled, right = (told([one], codes[None, 600:], labels[600:], speakers[600:]) for one in (ignorant, informed))
    assert misled["high"].max() < 0.3 and right["low"].min() > 0.7


@pytest.mark.parametrize("seed", range(3))
def test_who_knows_the_code_does_no_worse(seed):
    vectors, labels, speakers = voices(600, 3, seed=seed)
    codebook = vectors[:16]
    codes = ((vectors[:, None] - codebook) ** 2).sum(axis=2).argmin(axis=1)
    ignorant = raw(vectors[:900], labels[:900]).predict(codebook)
    informed = fit_released(codebook, codes[:900], labels[:900])
    theirs, his = (told([one], codes[None, 900:], labels[900:], speakers[900:]) for one in (ignorant, informed))
    assert (his["high"] >= theirs["value"].max()).all() and his["low"].min() > 0.5


def test_each_figure_has_its_best_guess():
    # 60 % likelier, but four times as rare.
    reading = Reading(LABELS[:2], np.array([0.2, 0.8]), {"bayes": np.log([[0.6, 0.4], [0.9, 0.1]])})
    assert reading.guess("bayes", "uar").tolist() == ["a", "a"]
    assert reading.guess("bayes", "accuracy").tolist() == ["b", "a"]


def test_a_rare_label_is_guessed_for_the_recall_alone():
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(3000) < 0.1, "b", "a")
    vectors = rng.normal(size=(3000, 3)) + 1.5 * (labels == "b")[:, None] * [1, 0, 0]
    table = told([raw(vectors[:2000], labels[:2000]).predict(vectors[2000:])], [np.arange(1000)], labels[2000:])
    best = 0.773  # Φ(1.5 / 2), halfway between the two
    assert table.loc[("linear", "uar"), "value"] == pytest.approx(best, abs=0.03)
    assert table.loc[("mlp", "uar"), "value"] == pytest.approx(best, abs=0.05)
    accuracy = table.xs("accuracy", level="figure")
    assert (accuracy["value"] >= accuracy["chance"] - 0.005).all()


def test_frequencies_by_hand():
    reading = fit_released(np.eye(3), np.array([0, 0, 0, 1]), np.array(["a", "a", "b", "b"]))
    prior = attributes.STRENGTH
    expected = np.array([[2 + prior / 2, 1 + prior / 2], [prior / 2, 1 + prior / 2], [prior / 2, prior / 2]])
    assert reading.classes.tolist() == ["a", "b"] and reading.shares.tolist() == [0.5, 0.5]
    np.testing.assert_allclose(np.exp(reading.log_likelihoods["bayes"]), 2 * expected)


def test_counts_of_codes_teach_the_same_as_all_utterances():
    rng = np.random.default_rng(0)
    codes, codebook = rng.integers(0, 12, 3000), rng.normal(size=(14, 4)) * [1, 5, 0.1, 20]
    labels = LABELS[np.minimum(codes // 4 + rng.integers(0, 2, 3000), 3)]
    released = codebook[codes]
    deviation = released - released.mean(axis=0)
    # Whitened by the symmetric root: the same, since neither turning nor mirroring changes a regression.
    covariance = np.cov(released.T, bias=True)
    variances, axes = np.linalg.eigh(covariance + attributes.FLOOR * np.trace(covariance) / 12 * np.eye(4))
    root = axes / np.sqrt(variances) @ axes.T
    plain = LogisticRegression(C=1 / attributes.PENALTY, class_weight="balanced", tol=1e-8, max_iter=1000)
    plain.fit(deviation @ root, labels)
    expected = plain.predict_log_proba((codebook - released.mean(axis=0)) @ root)
    found = fit_released(codebook, codes, labels).log_likelihoods["linear"]
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_a_small_direction_that_holds_the_label_is_found():
    rng = np.random.default_rng(0)
    labels = rng.choice(LABELS[:2], 3000)
    vectors = rng.normal(size=(3000, 8)) * np.geomspace(10, 0.05, 8) + 100
    vectors[:, 7] = 0.05 * (labels == "b") + 0.01 * rng.normal(size=3000)
    table = told([raw(vectors[:2000], labels[:2000]).predict(vectors[2000:])], [np.arange(1000)], labels[2000:])
    assert table["value"].min() > 0.97


def test_a_network_finds_what_is_not_linear():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(3000, 3))
    labels = np.where(vectors[:, 0] * vectors[:, 1] > 0, "same", "different")
    model = raw(vectors[:2000], labels[:2000])
    table = told([model.predict(vectors[2000:])], [np.arange(1000)], labels[2000:])
    assert table.loc[("mlp", "uar"), "value"] > 0.9 and table.loc[("linear", "uar"), "value"] < 0.6
    again = raw(vectors[:2000], labels[:2000]).predict(vectors[2000:])
    for attacker, values in model.predict(vectors[2000:]).log_likelihoods.items():
        assert np.array_equal(values, again.log_likelihoods[attacker])


def test_few_utterances_and_a_label_of_one_are_enough(hasty):
    vectors, labels, _ = voices(20, 2, seed=0, dimension=30)
    labels = np.append(labels[:-1], "x")
    reading = raw(vectors, labels).predict(vectors)
    assert all(np.isfinite(values).all() for values in reading.log_likelihoods.values())
    assert np.mean(reading.guess("linear", "accuracy") == labels) > 0.8


def test_a_vector_is_read_alike_whatever_its_unit_and_origin(hasty):
    vectors, labels, _ = voices(100, 3, seed=0)
    one = raw(vectors, labels).predict(vectors[:50])
    other = raw(200 * vectors + 30, labels).predict(200 * vectors[:50] + 30)
    np.testing.assert_allclose(one.log_likelihoods["linear"], other.log_likelihoods["linear"], atol=1e-3)


def test_the_table_by_hand():
    # Two of three "a" are found and one of two "b"; one has no label. Always "a" in the second repeat.
    labels = np.array(["a", "a", "a", "b", "b", None], dtype=object)
    readings = [certain([0, 1]), certain([0, 0])]
    rows = [[0, 0, 1, 1, 0, 0], [0, 0, 1, 1, 0, 0]]
    table = told(readings, rows, labels, np.array(["s", "s", "t", "t", "u", "v"]))
    assert table.loc[("bayes", "accuracy"), "value"] == pytest.approx((3 / 5 + 3 / 5) / 2)
    assert table.loc[("bayes", "uar"), "value"] == pytest.approx((2 / 3 + 1 / 2) / 4 + 1 / 4)
    assert table["chance"].tolist() == [0.6, 0.5]
    counts = {"n_classes": 2, "n_speakers": 3, "n_samples": 5, "n_missing": 1, "n_repeats": 2}
    for name, count in counts.items():
        assert (table[name] == count).all(), name
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()


@pytest.mark.parametrize("missing", [None, np.nan, "", pd.NA])
def test_missing_labels_are_left_out(missing):
    rng = np.random.default_rng(0)
    codes, codebook, labels = rng.integers(0, 4, 300), np.eye(4), rng.choice(LABELS[:2], 300)
    holes = labels.astype(object)
    holes[::3] = missing
    known = np.arange(300) % 3 > 0
    readings = [fit_released(codebook, codes, holes), fit_released(codebook, codes[known], labels[known])]
    tables = [
        told(readings[:1], codes[None], holes, np.arange(300) // 3),
        told(readings[1:], codes[None, known], labels[known], np.arange(300)[known] // 3),
    ]
    pd.testing.assert_frame_equal(tables[0].drop(columns="n_missing"), tables[1].drop(columns="n_missing"))
    assert tables[0]["n_missing"].tolist() == [100] * 4


def test_utterances_of_one_speaker_are_no_further_evidence():
    rng = np.random.default_rng(0)
    labels, rows = np.array(["a", "b"] * 50), rng.integers(0, 2, (1, 100))
    once = told([certain([0, 1])], rows, labels)
    names = [f"{number:03d}" for number in range(100)]
    ten = told([certain([0, 1])], np.repeat(rows, 10, axis=1), np.repeat(labels, 10), np.repeat(names, 10))
    columns = ["value", "low", "high", "chance", "n_speakers"]
    pd.testing.assert_frame_equal(once[columns], ten[columns])
    alone = told([certain([0, 1])], np.repeat(rows, 10, axis=1), np.repeat(labels, 10))
    width, narrow = (table["high"] - table["low"] for table in (ten, alone))
    np.testing.assert_allclose(width / narrow, np.sqrt(10), rtol=0.3)


def test_the_interval_covers_the_truth():
    # Each speaker is told with probability .7, in all or in none of three utterances.
    covered, width = [], []
    for seed in range(50):
        rng = np.random.default_rng(seed)
        found, labels = rng.random(80) < 0.7, np.arange(80) % 2
        row = np.repeat(np.where(found, labels, 1 - labels), 3)
        table = told([certain([0, 1])], [row], np.repeat(LABELS[labels], 3), np.repeat(np.arange(80), 3), seed=seed)
        covered.append((table["low"] <= 0.7) & (table["high"] >= 0.7))
        width.append(table["high"] - table["low"])
    assert np.mean(covered) >= 0.88
    assert np.mean(width) == pytest.approx(2 * 1.96 * np.sqrt(0.3 * 0.7 / 80), rel=0.1)


def test_the_interval_holds_the_repeats():
    labels = np.array(["a", "b"] * 100)
    right, wrong = np.arange(200) % 2, 1 - np.arange(200) % 2
    table = told([certain([0, 1])] * 2, [right, wrong], labels)
    assert (table["value"] == 0.5).all() and (table["low"] == 0).all() and (table["high"] == 1).all()


def test_draws_without_a_label_do_not_forget_it():
    # Of 31 speakers one says "b" and is not found: many draws lack them, none tells more than half of the labels.
    labels = np.array(["a"] * 30 + ["b"])
    table = told([certain([0, 1])], [[0] * 31], labels)
    assert (table.loc[("bayes", "uar"), ["value", "low", "high"]] == 0.5).all()
    assert table.loc[("bayes", "accuracy"), "high"] == 1


def test_the_order_of_the_utterances_does_not_matter():
    rng = np.random.default_rng(0)
    speakers, labels = np.arange(90) // 3, rng.choice(LABELS[:2], 90)
    row = np.where(speakers < 10, 0, (labels == "b").astype(int))
    tables = [
        told([certain([0, 1])], row[None, order], labels[order], speakers[order])
        for order in (np.arange(90), rng.permutation(90))
    ]
    pd.testing.assert_frame_equal(*tables)


def test_a_label_that_training_has_and_the_test_has_not_does_no_harm():
    table = told([certain([0, 1, 2], (0.4, 0.3, 0.3))], [[0, 1, 2, 1]], np.array(["a", "b", "a", "b"]))
    assert table.loc[("bayes", "uar"), "value"] == 0.75 and (table["n_classes"] == 2).all()


def test_labels_that_cannot_be_told_are_named():
    codes, labels = np.array([0, 1, 0, 1]), np.array(["a", "b", "a", "b"])
    with pytest.raises(InputError, match=r"1 label\(s\) among 4 utterances, 'a': there is nothing to tell apart"):
        fit_released(np.eye(2), codes, np.array(["a"] * 4))
    with pytest.raises(InputError, match=r"0 label\(s\) among 4 utterances: there"):
        raw(np.zeros((4, 2)), np.array([None] * 4))
    reading = fit_released(np.eye(2), codes, labels)
    with pytest.raises(InputError, match="label 'c' is not among those of training"):
        told([reading], codes[None], np.array(["a", "b", "c", "b"]))
    with pytest.raises(InputError, match=r"1 label\(s\) among 4 utterances, 'b'"):
        told([reading], codes[None], np.array(["b", None, "b", "b"], dtype=object))
    with pytest.raises(InputError, match="1 speaker with labels"):
        told([reading], codes[None], labels, np.array(["s"] * 4))


def test_lengths_and_shapes_must_fit(hasty):
    codes, labels = np.array([0, 1, 0, 1]), np.array(["a", "b", "a", "b"])
    reading = fit_released(np.eye(2), codes, labels)
    with pytest.raises(InputError, match="3 labels do not fit 4 utterances"):
        raw(np.zeros((4, 2)), labels[:3])
    with pytest.raises(InputError, match="3 labels do not fit 4 utterances"):
        told([reading], codes[None], labels[:3])
    with pytest.raises(InputError, match=r"speakers have shape \(3,\), should be \[N=4\]"):
        told([reading], codes[None], labels, np.arange(3))
    with pytest.raises(InputError, match=r"should be \[R, P\], one row for each of 2 readings"):
        told([reading] * 2, codes[None], labels)
    with pytest.raises(InputError, match="codes run from 0 to 2"):
        told([reading], [[0, 1, 2, 1]], labels)
    with pytest.raises(InputError, match="codes run from 0 to 2"):
        fit_released(np.eye(2), np.array([0, 1, 2, 1]), labels)
    model = raw(np.random.default_rng(0).normal(size=(4, 2)), labels)
    with pytest.raises(InputError, match="releases have D=3 dimensions, the attackers know D=2"):
        model.predict(np.eye(3))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_named(bad, hasty):
    vectors, labels = np.array([[0.0, 1], [bad, 1]]), np.array(["a", "b"])
    for call in (
        lambda: raw(vectors, labels),
        lambda: fit_released(vectors, np.array([0, 1]), labels),
        lambda: raw(np.eye(2), labels).predict(vectors),
    ):
        with pytest.raises(InputError, match="are not finite in 1 of 2 rows"):
            call()


def test_information_is_that_of_the_module():
    rng = np.random.default_rng(0)
    codes, speakers = rng.integers(0, 8, 300), np.arange(300) // 3
    labels = LABELS[codes % 4].astype(object)
    labels[5] = ""
    known = np.arange(300) != 5
    row = information_row(codes, labels, speakers, permutations=30, rng=np.random.default_rng(1))
    found = mutual_information(
        codes[known], labels[known], permutations=30, rng=np.random.default_rng(1), speakers=speakers[known].astype(str)
    )
    assert (row["bits_disclosed"], row["low"], row["high"]) == (found.bits, found.low, found.high)
    assert (row["chance_bits"], row["p_value"]) == (found.chance, found.p_value)
    assert (row["n_samples"], row["n_missing"], row["n_speakers"], row["reason"]) == (299, 1, 100, "")


def test_a_refusal_is_a_row_with_the_reason():
    for codes, labels, reason in (
        (np.arange(6) % 2, np.array(["a"] * 6), "information needs at least two"),
        (np.arange(6), np.array(["a", "b"] * 3), "take fewer codes or more speakers"),
        (np.arange(6), np.array([""] * 6), "information needs at least two"),
    ):
        row = information_row(codes, labels, permutations=20, rng=np.random.default_rng(0))
        assert reason in row["reason"] and np.isnan(row["bits_disclosed"]) and np.isnan(row["p_value"])
        assert row["n_samples"] + row["n_missing"] == 6
    with pytest.raises(InputError, match="should be vectors of one length"):
        information_row(np.arange(5), np.array(["a", "b"] * 3), permutations=20, rng=np.random.default_rng(0))
