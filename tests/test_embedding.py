import numpy as np
import pandas as pd
import pytest

from porcupine.embedding import cap_clips, speaker_means
from porcupine.errors import InputError


def manifest(**clips):
    """So many clips of each speaker."""
    speakers = [speaker for speaker, n in clips.items() for _ in range(n)]
    ids = [f"{speaker}/{i:03d}" for speaker, n in clips.items() for i in range(n)]
    return pd.DataFrame({"utterance": ids, "speaker": speakers}).sort_values("utterance", ignore_index=True)


def test_no_speaker_keeps_more_than_the_cap():
    clips = manifest(b=7, a=3, c=4)
    kept = cap_clips(clips, 4, seed=0)
    assert kept["speaker"].value_counts().to_dict() == {"a": 3, "b": 4, "c": 4}
    assert kept["utterance"].is_monotonic_increasing and kept["utterance"].is_unique
    assert kept.index.tolist() == list(range(11))
    assert kept["utterance"].isin(clips["utterance"]).all()
    pd.testing.assert_frame_equal(cap_clips(clips, 7, seed=0), clips)


def test_the_draw_follows_the_seed():
    clips = manifest(a=50, b=50)
    one, same, other = (cap_clips(clips, 5, seed=seed)["utterance"].tolist() for seed in (0, 0, 1))
    assert one == same and one != other
    numbers = [[name[2:] for name in one if name[0] == speaker] for speaker in "ab"]
    assert numbers[0] != numbers[1]


def test_the_draw_of_a_speaker_does_not_depend_on_the_others():
    alone = cap_clips(manifest(b=30), 6, seed=3)
    among = cap_clips(manifest(a=40, b=30, c=2), 6, seed=3)
    assert among.loc[among["speaker"] == "b", "utterance"].tolist() == alone["utterance"].tolist()


def test_speaker_means_by_hand():
    # Not normalised: the long vector weighs more.
    embeddings = np.array([[1, 0], [10, 10], [0, 3], [20, 0]], dtype=np.float32)
    means, table = speaker_means(embeddings, pd.DataFrame({"speaker": ["b", "a", "b", "a"]}))
    assert means.dtype == np.float32
    assert means.tolist() == [[15, 5], [0.5, 1.5]]
    assert table.to_dict("list") == {"speaker": ["a", "b"], "n_clips": [2, 2]}


def test_columns_that_describe_the_speaker_are_kept():
    utterances = pd.DataFrame(
        {
            "utterance": ["1", "2", "3"],
            "speaker": ["a", "a", "b"],
            "gender": ["female", "female", "male"],
            "age": [30.0, 30.0, np.nan],
            "accent": ["welsh", "welsh", None],
            "emotion": ["happy", "sad", "sad"],
            "seconds": [2.0, np.nan, 3.0],
            "text": ["yes", None, "no"],
        }
    )
    _, table = speaker_means(np.ones((3, 2)), utterances)
    assert table.columns.tolist() == ["speaker", "n_clips", "gender", "age", "accent"]
    assert table["gender"].tolist() == ["female", "male"]
    assert table["age"].iloc[0] == 30 and pd.isna(table["age"].iloc[1])
    assert table["accent"].iloc[0] == "welsh" and pd.isna(table["accent"].iloc[1])


def test_speakers_that_are_numbers_keep_their_columns():
    # As text 10 sorts before 9, as a number after it.
    utterances = pd.DataFrame({"speaker": [9, 10, 9], "gender": ["female", "male", "female"]})
    means, table = speaker_means(np.array([[1.0], [5], [3]]), utterances)
    assert means.ravel().tolist() == [5, 2]
    assert table[["speaker", "gender"]].to_numpy().tolist() == [["10", "male"], ["9", "female"]]


def test_means_do_not_depend_on_the_order_of_the_rows():
    rng = np.random.default_rng(0)
    embeddings, utterances = rng.integers(-9, 9, (60, 4)).astype(np.float32), manifest(a=20, b=25, c=15)
    order = rng.permutation(60)
    means, table = speaker_means(embeddings, utterances)
    shuffled, shuffled_table = speaker_means(embeddings[order], utterances.iloc[order])
    assert np.array_equal(means, shuffled)
    pd.testing.assert_frame_equal(table, shuffled_table)


def test_many_large_embeddings_are_summed_without_loss():
    # 0.1 added 10⁵ times in float32 would be off by about a percent.
    means, _ = speaker_means(np.full((100_000, 1), 0.1, np.float32), pd.DataFrame({"speaker": ["a"] * 100_000}))
    assert means[0, 0] == np.float32(0.1)


def test_embeddings_and_utterances_must_fit():
    with pytest.raises(InputError, match="3 embeddings do not fit 2 utterances"):
        speaker_means(np.ones((3, 2)), pd.DataFrame({"speaker": ["a", "b"]}))
