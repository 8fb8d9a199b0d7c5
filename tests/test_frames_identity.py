import numpy as np
import pytest
import torch

from porcupine.errors import InputError
from porcupine.frames.identity import enrol_by_content, train_identifier
from porcupine.privacy.attackers import identification, top_n_rate

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("one_thread")


def corpus(n_speakers=5, n_utterances=6, *, apart=1.0, seed=0):
    """Frames that sway at a speed of the speaker's own, on another mean each."""
    rng = np.random.default_rng(seed)
    speaker = np.repeat(np.arange(n_speakers), n_utterances)
    frames = []
    for label in speaker:
        time = np.arange(rng.integers(30, 60))
        sway = np.sin(time * (0.3 + 0.25 * label * apart) + rng.uniform(0, 6))[:, None]
        frames.append(100 + 5 * (sway * [1, 2, 0, 1] + 0.3 * rng.standard_normal((len(time), 4))))
    return frames, speaker


def train(frames, speaker, seed=0, **options):
    options = {"epochs": 12, "crop_frames": 25, "batch_size": 8, "learning_rate": 0.01} | options
    return train_identifier(frames, speaker, seed=seed, device=CPU, **options)


def top1(scores, speaker):
    return top_n_rate(identification(scores, speaker), 1).mean()


def test_speakers_are_told_by_other_utterances():
    records = []
    identifier = train(*corpus(), on_epoch=records.append)
    frames, speaker = corpus(seed=1)
    scores = identifier.scores(frames)
    assert scores.shape == (30, 5) and scores.dtype == np.float32
    assert np.exp(scores).sum(axis=1) == pytest.approx(np.ones(30), abs=1e-5)
    assert top1(scores, speaker) > 0.9
    assert [record["epoch"] for record in records] == list(range(1, 13))
    assert records[-1]["loss"] < records[0]["loss"] and records[-1]["accuracy"] > 0.8


def test_speakers_who_do_not_differ_are_told_by_chance():
    identifier = train(*corpus(apart=0.0), epochs=4)
    frames, speaker = corpus(apart=0.0, n_utterances=40, seed=1)
    # 200 guesses with a chance of 0.2: a standard error of 0.03.
    assert top1(identifier.scores(frames), speaker) == pytest.approx(0.2, abs=0.1)


def test_an_informed_attacker_tells_more():
    rng = np.random.default_rng(0)
    (frames, speaker), (probes, probe_speaker) = corpus(), corpus(seed=1)
    hidden, hidden_probes = (
        [-3 * one[:, ::-1] + rng.standard_normal(one.shape) for one in x] for x in (frames, probes)
    )
    ignorant, informed = (train(x, speaker).scores(hidden_probes) for x in (frames, hidden))
    assert top1(informed, probe_speaker) > 0.8 > 0.5 > top1(ignorant, probe_speaker)


def test_the_same_seed_gives_the_same_scores_and_leaves_the_global_state_alone():
    data = corpus()
    before = torch.random.get_rng_state()
    one = train(*data, epochs=2).scores(data[0])
    torch.rand(3)  # what others drew before must not matter
    assert np.array_equal(train(*data, epochs=2).scores(data[0]), one)
    assert not np.array_equal(train(*data, epochs=2, seed=1).scores(data[0]), one)
    torch.random.set_rng_state(before)
    train(*data, epochs=1)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_scores_of_an_utterance_do_not_depend_on_the_others():
    frames, speaker = corpus()
    identifier = train(frames, speaker, epochs=1)
    together = identifier.scores(frames)
    assert identifier.scores(frames[7:8]) == pytest.approx(together[7:8], abs=1e-5)


def test_short_and_constant_frames_can_be_trained_on():
    frames, speaker = corpus()
    frames[3] = frames[3][:1]
    frames = [np.c_[one, np.full(len(one), 2.0)].astype(np.float16) for one in frames]
    identifier = train(frames, speaker, epochs=1)
    assert np.isfinite(identifier.scores([frames[3], frames[0]])).all()


def test_contents_are_held_or_attacked():
    rng = np.random.default_rng(0)
    speakers, texts = np.repeat(list("abcd"), 6), np.tile(["x", "y", "z"], 8)
    enrolment = enrol_by_content(speakers, texts, rng)
    assert not set(texts[enrolment.held]) & set(texts[enrolment.probes])
    assert np.array_equal(np.sort(np.r_[enrolment.held, enrolment.probes]), np.arange(24))
    assert np.array_equal(enrolment.speakers[enrolment.held_speaker], speakers[enrolment.held])
    assert np.array_equal(enrolment.speakers[enrolment.probe_speaker], speakers[enrolment.probes])
    assert len(enrolment.held) == 16  # 2 of 3 contents: half of them, rounded to even
    draws = {tuple(enrol_by_content(speakers, texts, rng, held_share=0.1).held) for _ in range(30)}
    assert len(draws) == 3 and all(len(held) == 8 for held in draws)


def test_numbers_can_be_contents():
    enrolment = enrol_by_content(["a", "a", "b", "b"], np.array([1, 2, 1, 2]), np.random.default_rng(0))
    assert enrolment.held_speaker.tolist() == enrolment.probe_speaker.tolist() == [0, 1]


def test_contents_that_do_not_divide_are_named():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match=r"1 content\(s\) of 2 speaker\(s\): at least two of each"):
        enrol_by_content(["a", "b"], ["x", "x"], rng)
    with pytest.raises(InputError, match=r"speaker '[ab]' says none of the 1 contents .* held_share=0\.5"):
        enrol_by_content(["a", "a", "b"], ["x", "x", "y"], rng)
    with pytest.raises(InputError, match="1 contents for 2 utterances"):
        enrol_by_content(["a", "b"], ["x"], rng)


def test_unusable_frames_and_labels_are_named():
    frames, speaker = corpus()
    with pytest.raises(InputError, match="30 utterances of frames and 29 speaker labels"):
        train(frames, speaker[1:])
    with pytest.raises(InputError, match=r"speakers \[1 2 3 4 5\] should be 0 … M - 1"):
        train(frames, speaker + 1)
    with pytest.raises(InputError, match="M >= 2"):
        train(frames, 0 * speaker)
    with pytest.raises(InputError, match=r"utterance 2 has frames of shape \(\d+, 3\), should be \[T' >= 1, 4\]"):
        train([*frames[:2], frames[2][:, :3], *frames[3:]], speaker)
    with pytest.raises(InputError, match="utterance 4 has frames that are not finite"):
        train([*frames[:4], frames[4] * np.nan, *frames[5:]], speaker)
    identifier = train(frames, speaker, epochs=1)
    with pytest.raises(InputError, match=r"utterance 0 has frames of shape \(0, 4\)"):
        identifier.scores([frames[0][:0]])
    with pytest.raises(InputError, match="no utterances"):
        identifier.scores([])
