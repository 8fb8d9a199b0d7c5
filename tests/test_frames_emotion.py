import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, recall_score

from porcupine.errors import InputError
from porcupine.frames import emotion
from porcupine.frames.emotion import (
    THREE,
    choose_emotions,
    confusions,
    emotion_scores,
    predict_emotions,
    published_scores,
    recognise_emotions,
    utterance_statistics,
)
from porcupine.frames.folds import speaker_folds


def corpus(n_speakers=8, per_emotion=5, *, told=3.0):
    """Features in which three emotions are ``told`` deviations apart, and speakers differ as much."""
    rng = np.random.default_rng(0)
    speaker = np.repeat(np.arange(n_speakers), 3 * per_emotion)
    label = np.tile(np.repeat(np.arange(3), per_emotion), n_speakers)
    features = rng.standard_normal((len(label), 6))
    features[:, 0] += told * label
    features[:, 1] += 3 * speaker
    speakers = np.char.mod("s%d", speaker)
    return features, np.array(THREE)[label], speakers, speaker_folds(speakers, 4, rng)


def predict(features, emotions, speakers, folds, seed=0, **options):
    return predict_emotions(features, emotions, speakers, folds, seed=seed, **{"trees": 20, **options})


def scores(emotions, predicted, speakers, labels=THREE, draws=200):
    counts = confusions(emotions, predicted, speakers, labels=labels)
    return emotion_scores([counts], labels=labels, draws=draws, rng=np.random.default_rng(0))


def overall(table, figure):
    return table[table["figure"] == figure].iloc[0]


def test_statistics_by_hand():
    # Loud from frame 1 to frame 3: halfway between 0 and 8 is 4. Coefficient 1 is quiet outside the span only.
    frames = np.array([[0, 9], [6, 1], [2, 3], [8, 5], [0, 9], [0, 9]], dtype=np.float32)
    found = utterance_statistics(frames)
    assert found.shape == (19 * 2 + 6,) and found.dtype == np.float32
    mean, std, quantiles, cosines, changes, durations = np.split(found, np.cumsum([2, 2, 10, 12, 12]))
    spoken = frames[1:4]
    assert mean == pytest.approx([16 / 3, 3])
    assert std == pytest.approx(spoken.std(axis=0))
    assert quantiles.reshape(5, 2)[2] == pytest.approx([6, 3])
    assert quantiles.reshape(5, 2)[4] == pytest.approx(np.quantile(spoken, 0.9, axis=0))
    # A rise 1, 3, 5: its first cosine is (cos 30° · -2 + cos 150° · 2) / 3, its second 0.
    assert cosines.reshape(6, 2)[:2, 1] == pytest.approx([-4 * np.cos(np.pi / 6) / 3, 0], abs=1e-6)
    assert changes.reshape(6, 2)[:3] == pytest.approx(np.array([[np.sqrt(26), 2], [2, 4], [0, 0]]))
    assert durations == pytest.approx([6, 3, 2 / 3, 2 / 3, 1 / 3, 1 / 3])


def test_statistics_ignore_pauses_at_the_ends_but_for_the_length():
    rng = np.random.default_rng(0)
    spoken = rng.standard_normal((60, 5))
    spoken[:, 0] += 30
    quiet = np.zeros((40, 5))
    few, many = (utterance_statistics(np.concatenate([quiet[:n], spoken, quiet[:n]])) for n in (1, 40))
    assert (few != many).nonzero()[0].tolist() == [19 * 5]
    assert few[19 * 5] == 62 and many[19 * 5] == 140


def test_statistics_of_a_constant_offset_and_a_scale():
    frames = np.random.default_rng(0).standard_normal((50, 4))
    one, moved, larger = (utterance_statistics(f) for f in (frames, frames + 7, frames * 3))
    level = np.r_[0:4, 8:28]
    assert moved[level] == pytest.approx(one[level] + 7, rel=1e-5)
    assert np.delete(moved, level) == pytest.approx(np.delete(one, level), abs=1e-5)
    assert larger == pytest.approx(np.r_[3 * one[:-6], one[-6:]], rel=1e-5)


@pytest.mark.parametrize("frames", [np.ones((1, 3)), np.ones((70, 3)), np.repeat([[1.0, 2], [3, 4]], 5, axis=0)])
def test_statistics_of_few_frames_or_centroids_are_finite(frames):
    found = utterance_statistics(frames)
    assert found.shape == (19 * frames.shape[1] + 6,) and np.isfinite(found).all()


@pytest.mark.parametrize("frames", [np.ones((0, 3)), np.ones(3), np.full((4, 3), np.nan)])
def test_statistics_need_finite_frames(frames):
    with pytest.raises(InputError, match=r"frames of shape .* should be \[T', C\], at least one, and finite"):
        utterance_statistics(frames)


def test_emotions_are_chosen():
    assert choose_emotions(["sad", "calm", "angry", "sad"], ["angry", "sad"]).tolist() == [0, 2, 3]
    with pytest.raises(InputError, match="emotion 'hapy' is not known; did you mean 'happy'"):
        choose_emotions(["sad", "hapy"], ["angry", "sad"])
    with pytest.raises(InputError, match="emotion nan is not known"):
        choose_emotions(["sad", np.nan], ["angry", "sad"])
    with pytest.raises(InputError, match="emotion 'anger' is not known; did you mean 'angry'"):
        choose_emotions(["sad", "angry"], ["anger", "sad"])
    with pytest.raises(InputError, match="no utterance is 'happy'; the corpus has angry, sad"):
        choose_emotions(["sad", "angry"], THREE)
    with pytest.raises(InputError, match=r"emotions \['sad'\]: at least two"):
        choose_emotions(["sad", "sad"], ["sad"])


def test_separable_emotions_are_told():
    features, emotions, speakers, folds = corpus(told=8.0)
    table = scores(emotions, predict(features, emotions, speakers, folds), speakers)
    assert (table["value"] > 0.97).all()


def test_shuffled_labels_are_told_by_chance():
    features, emotions, speakers, folds = corpus(n_speakers=12, per_emotion=8)
    emotions = np.random.default_rng(3).permutation(emotions)
    table = scores(emotions, predict(features, emotions, speakers, folds), speakers)
    for figure in ("accuracy", "uar"):
        row = overall(table, figure)
        assert row["low"] < row["chance"] < row["high"] and row["chance"] == pytest.approx(1 / 3)


def test_the_forest_does_not_hear_the_tested_speakers():
    # Each speaker has one emotion only, and one feature that names the speaker: nothing general can be learnt.
    speaker = np.repeat(np.arange(12), 10)
    speakers, emotions = np.char.mod("s%02d", speaker), np.array(THREE)[speaker % 3]
    features = np.eye(12)[speaker]
    folds = speaker_folds(speakers, 6, np.random.default_rng(0))
    assert (predict(features, emotions, speakers, folds) == emotions).mean() < 0.5
    apart = np.arange(120) % 2
    with pytest.raises(InputError, match="speaker 's00' and 11 more is in training and in testing"):
        predict(features, emotions, speakers, apart)


def test_the_same_seed_predicts_the_same_with_any_number_of_workers():
    data = corpus(told=0.5)
    one, same, other = (predict(*data, **options) for options in ({}, {"workers": 2}, {"seed": 1}))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_forests_are_tested_on_what_is_heard():
    features, emotions, speakers, folds = corpus(told=8.0)
    turned = features * [-1, 1, 1, 1, 1, 1] + [16, 0, 0, 0, 0, 0]
    predicted = predict(features, emotions, speakers, folds, heard=turned)
    opposite = pd.Series(emotions).map({"angry": "sad", "happy": "happy", "sad": "angry"})
    assert (predicted == opposite).mean() > 0.95
    assert (predict(turned, emotions, speakers, folds) == emotions).mean() > 0.95


def test_learning_curves_use_nested_training_speakers(monkeypatch):
    features, emotions, speakers, folds = corpus()
    trained = []

    class Forest(emotion.RandomForestClassifier):
        def fit(self, x, y):
            trained.append({f"s{round((row - 0) / 3)}" for row in x[:, 1]})
            return super().fit(x, y)

    monkeypatch.setattr(emotion, "RandomForestClassifier", Forest)
    features[:, 1] = [3 * int(name[1:]) for name in speakers]
    for number in (1, 3, 6, None):
        predict(features, emotions, speakers, folds, training_speakers=number)
    few, some, all_six, everyone = (trained[4 * i : 4 * i + 4] for i in range(4))
    assert [len(names) for names in few + some + all_six] == [1] * 4 + [3] * 4 + [6] * 4
    assert all(a < b < c == d for a, b, c, d in zip(few, some, all_six, everyone, strict=True))
    with pytest.raises(InputError, match="training_speakers=7, must be between 1 and the 6 that fold 0 leaves"):
        predict(features, emotions, speakers, folds, training_speakers=7)


def test_one_emotion_cannot_be_told():
    features, emotions, speakers, folds = corpus()
    with pytest.raises(InputError, match="fold 0 is trained on 'sad' alone"):
        predict(features, np.full(len(emotions), "sad"), speakers, folds)


def test_unusable_features_and_folds_are_named():
    features, emotions, speakers, folds = corpus()
    with pytest.raises(InputError, match="features are not finite"):
        predict(features * np.nan, emotions, speakers, folds)
    with pytest.raises(InputError, match=r"features \(120, 6\) and \(119, 6\) should both be \[N, F\]"):
        predict(features, emotions, speakers, folds, heard=features[1:])
    with pytest.raises(InputError, match=r"as many emotions \(119\)"):
        predict(features, emotions[1:], speakers, folds)
    with pytest.raises(InputError, match="all utterances are in one fold"):
        predict(features, emotions, speakers, 0 * folds)


def test_scores_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    labels = ("angry", "calm", "happy", "sad")
    emotions, predicted = rng.choice(labels, 300, p=[0.4, 0.1, 0.2, 0.3]), rng.choice(labels[:3], 300)
    speakers = rng.choice(list("abcdefg"), 300)
    table = scores(emotions, predicted, speakers, labels)
    counts = confusions(emotions, predicted, speakers, labels=labels)
    assert counts.shape == (7, 4, 4)
    assert np.array_equal(counts.sum(axis=0), confusion_matrix(emotions, predicted, labels=labels))
    expected = precision_recall_fscore_support(emotions, predicted, labels=labels, zero_division=0)
    for figure, values in zip(("precision", "recall", "f1"), expected, strict=False):
        rows = table[table["figure"] == figure]
        assert rows["emotion"].tolist() == list(labels)
        assert rows["value"].to_numpy() == pytest.approx(values)
    assert overall(table, "accuracy")["value"] == pytest.approx((emotions == predicted).mean())
    assert overall(table, "uar")["value"] == pytest.approx(recall_score(emotions, predicted, average="macro"))
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()


def test_chance_is_what_guessing_scores():
    rng = np.random.default_rng(0)
    emotions = rng.choice(THREE, 200_000, p=[0.6, 0.3, 0.1])
    guessed = scores(emotions, rng.choice(THREE, 200_000), np.full(200_000, "a"), draws=2)
    assert guessed["value"][1:].to_numpy() == pytest.approx(guessed["chance"][1:].to_numpy(), abs=0.01)
    always = scores(emotions, np.full(200_000, "angry"), np.full(200_000, "a"), draws=2)
    assert overall(always, "accuracy")["value"] == pytest.approx(overall(always, "accuracy")["chance"])


def test_intervals_over_speakers_are_wider_where_speakers_differ():
    emotions = np.tile(np.repeat(THREE, 10), 10)
    speakers = np.repeat(list("abcdefghij"), 30)
    wrong = np.roll(emotions, 10)
    by_speaker = np.where(np.isin(speakers, list("abcde")), emotions, wrong)
    spread = np.where(np.arange(300) % 2 == 0, emotions, wrong)
    differ, alike = (overall(scores(emotions, p, speakers, draws=2000), "accuracy") for p in (by_speaker, spread))
    assert differ["value"] == alike["value"] == 0.5
    assert alike["low"] == alike["high"] == 0.5
    # Ten fair coins: a standard error of 0.16.
    assert differ["high"] - differ["low"] == pytest.approx(4 * 0.158, abs=0.12)


def test_repeats_are_averaged_and_widen_the_interval():
    right = np.eye(3, dtype=int)[None] * 4
    wrong = np.roll(right, 1, axis=2)
    table = emotion_scores([right, wrong], labels=THREE, draws=10, rng=np.random.default_rng(0))
    assert overall(table, "uar")[["value", "low", "high"]].tolist() == [0.5, 0, 1]


def test_scores_need_all_labels():
    with pytest.raises(InputError, match="no utterance is 'happy'"):
        scores(["angry", "sad"], ["angry", "happy"], ["a", "b"])
    with pytest.raises(InputError, match="emotion 'calm' is not among the labels; choose from angry, happy, sad"):
        scores(["angry", "calm"], ["angry", "angry"], ["a", "b"])


def test_published_scores_are_consistent():
    table = published_scores()
    values = table.pivot_table(index="emotion", columns="figure", values="value")
    assert table.loc[table["figure"] == "accuracy", "value"].tolist() == [0.78]
    assert values.loc["sad", ["precision", "recall", "f1"]].tolist() == [0.94, 0.84, 0.88]
    # F1 is the harmonic mean of precision and recall, each rounded.
    harmonic = 2 * values["precision"] * values["recall"] / (values["precision"] + values["recall"])
    assert values["f1"].to_numpy() == pytest.approx(harmonic.to_numpy(), abs=0.011)


def test_recognising_is_choosing_predicting_and_scoring():
    features, emotions, speakers, folds = corpus()
    wanted = ("angry", "sad")
    scored, confused = recognise_emotions(
        features, emotions, speakers, folds, wanted=wanted, draws=50, seed=3, heard=features + 0.5, trees=20
    )
    rows = choose_emotions(emotions, wanted)
    predicted = predict_emotions(
        features[rows], emotions[rows], speakers[rows], folds[rows], seed=3, heard=features[rows] + 0.5, trees=20
    )
    assert overall(scored, "accuracy")["value"] == pytest.approx((predicted == emotions[rows]).mean())
    matrix = confused.pivot(index="emotion", columns="predicted", values="count").loc[list(wanted), list(wanted)]
    assert np.array_equal(matrix, confusion_matrix(emotions[rows], predicted, labels=wanted))
    assert scored["n_utterances"].eq(len(rows)).all()
