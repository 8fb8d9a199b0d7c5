import numpy as np
import pytest

from porcupine.errors import InputError
from porcupine.frames.folds import require_disjoint, speaker_folds


def corpus(n_speakers=23, n_utterances=4):
    speakers = np.repeat(np.char.mod("s%02d", np.arange(n_speakers)), n_utterances)
    return np.random.default_rng(0).permutation(speakers)


def folds(speakers, n_folds=5, seed=0, **options):
    return speaker_folds(speakers, n_folds, np.random.default_rng(seed), **options)


def test_each_speaker_is_in_one_fold_and_folds_are_even():
    speakers = corpus()
    fold = folds(speakers)
    of_speaker = {name: set(fold[speakers == name]) for name in speakers}
    assert all(len(found) == 1 for found in of_speaker.values())
    assert sorted(np.bincount([found.pop() for found in of_speaker.values()])) == [4, 4, 5, 5, 5]
    for k in range(5):
        require_disjoint(speakers[fold != k], speakers[fold == k])


@pytest.mark.parametrize("n_folds", [2, 3, 5, 7, 23])
def test_each_gender_is_spread_evenly(n_folds):
    speakers = corpus()
    gender = np.where(np.char.endswith(speakers, ("3")) | (speakers < "s09"), "female", "male").astype(object)
    gender[speakers == "s20"] = np.nan
    fold = folds(speakers, n_folds, gender=gender)
    for chosen in (speakers != "", gender == "female", gender == "male"):
        sizes = np.bincount([fold[speakers == name][0] for name in np.unique(speakers[chosen])], minlength=n_folds)
        assert sizes.max() - sizes.min() <= 1


def test_the_draw_depends_on_the_speakers_and_the_seed_not_on_the_order():
    speakers = corpus()
    fold = folds(speakers)
    order = np.random.default_rng(1).permutation(len(speakers))
    assert np.array_equal(folds(speakers[order]), fold[order])
    assert not np.array_equal(folds(speakers, seed=1), fold)


@pytest.mark.parametrize("n_folds", [1, 24])
def test_impossible_numbers_of_folds_are_named(n_folds):
    with pytest.raises(InputError, match=rf"n_folds={n_folds}, must be between 2 and the 23 speakers"):
        folds(corpus(), n_folds)


def test_genders_must_match():
    with pytest.raises(InputError, match="3 genders for 92 utterances"):
        folds(corpus(), gender=["male"] * 3)


def test_leaked_speakers_are_named():
    require_disjoint(["a", "b"], ["c"])
    with pytest.raises(InputError, match="speaker 'b' and 1 more is in training and in testing"):
        require_disjoint(["a", "c", "b", "b"], np.array(["b", "d", "c"]))
