import numpy as np
import pandas as pd
import pytest
import torch

from porcupine.encoders.training import train_ecapa
from porcupine.errors import InputError
from porcupine.params import Bottleneck, Encoder

CPU = torch.device("cpu")
TINY = Encoder(
    channels=8, dimension=6, epochs=6, batch_size=8, crop_seconds=0.2, learning_rate=0.02, validation_fraction=0.3
)
SQUEEZED = TINY.model_copy(update={"bottleneck": Bottleneck(bits=4)})


def easy_corpus(speakers=8, utterances=6, bands=5):
    """Each speaker sways in their own pair of bands."""
    rng = np.random.default_rng(0)
    features, labels = [], []
    for speaker in range(speakers):
        direction = rng.standard_normal(bands)
        for _ in range(utterances):
            length = rng.integers(15, 40)
            sway = np.sin(np.arange(length) * (0.5 + 0.2 * speaker))[:, None]
            features.append((2 * sway * direction + 0.1 * rng.standard_normal((length, bands))).astype(np.float16))
            labels.append(f"s{speaker}")
    return features, labels


def train(features, labels, params=TINY, **options):
    return train_both(features, labels, params, **options)[0]


def train_both(features, labels, params=TINY, **options):
    return train_ecapa(features, labels, params, hop_seconds=0.01, device=CPU, **options)


def test_an_easy_task_is_learnt():
    records = []
    encoder = train(*easy_corpus(), on_epoch=records.append)
    assert [record["epoch"] for record in records] == [1, 2, 3, 4, 5, 6]
    assert records[-1]["loss"] < 0.5 * records[0]["loss"]
    assert records[-1]["eer"] < 0.2
    assert records[-1]["learning_rate"] < max(record["learning_rate"] for record in records) <= 0.02
    assert encoder.embed(easy_corpus()[0]).shape == (48, 6)


def test_training_again_gives_the_same_bytes(tmp_path):
    state = torch.random.get_rng_state()
    for name in ("a", "b"):
        torch.rand(3)  # what others drew before must not matter
        train(*easy_corpus()).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    train(*easy_corpus(), TINY.model_copy(update={"seed": 1})).save(tmp_path / "c")
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()
    torch.random.set_rng_state(state)


@pytest.mark.parametrize("threads", [1, 2])
def test_it_takes_the_threads_that_it_is_given(threads):
    # Whatever the number of cores: with another number of threads sums have another order.
    before, seen = torch.get_num_threads(), set()
    params = TINY.model_copy(update={"epochs": 1, "threads": threads})
    train(*easy_corpus(), params, on_epoch=lambda _: seen.add(torch.get_num_threads()))
    assert seen == {threads} and torch.get_num_threads() == before


@pytest.mark.parametrize("params", [TINY, SQUEEZED])
def test_global_state_is_left_alone(params):
    before = torch.random.get_rng_state()
    train(*easy_corpus(), params.model_copy(update={"epochs": 1}))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()


def test_an_encoder_learns_to_be_quantised():
    features, labels = easy_corpus()
    records = []
    encoder, bottleneck = train_both(features, labels, SQUEEZED, on_epoch=records.append)
    assert records[-1]["loss"] < 0.6 * records[0]["loss"] and records[-1]["eer"] < 0.2
    assert not bottleneck.training and bottleneck.corners == len(bottleneck.codebook) == 16
    # 6 epochs of 4 batches, two doublings: the last at 14 of 24 steps.
    assert bottleneck.grow_every == 7
    embeddings = torch.from_numpy(encoder.embed(features))
    bottleneck.calibrate(embeddings)
    codes = bottleneck.encode(embeddings).numpy()
    assert np.bincount(codes).tolist() == [3] * 16
    speaker, code = pd.factorize(np.array(labels))[0][:, None], codes[:, None]
    same = speaker == speaker.T
    assert (code == code.T)[same].mean() > 5 * (code == code.T)[~same].mean()


def test_training_with_a_bottleneck_again_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        for part, trained in zip(("encoder", "bottleneck"), train_both(*easy_corpus(), SQUEEZED), strict=True):
            trained.save(tmp_path / f"{part}-{name}")
    for part in ("encoder", "bottleneck"):
        assert (tmp_path / f"{part}-a").read_bytes() == (tmp_path / f"{part}-b").read_bytes()


def test_there_is_no_bottleneck_unless_asked_for():
    assert train_both(*easy_corpus(), TINY.model_copy(update={"epochs": 1}))[1] is None


def test_more_codes_than_crops_are_an_error():
    params = TINY.model_copy(update={"bottleneck": Bottleneck(bits=8)})
    with pytest.raises(
        InputError, match=r"encoder\.bottleneck\.bits=8: 256 codes cannot be calibrated on the 216 crops"
    ):
        train(*easy_corpus(), params)


def test_the_held_out_speakers_are_not_trained_on():
    features, labels = easy_corpus(speakers=5)
    params = TINY.model_copy(update={"epochs": 1})

    def train_without(speaker):
        changed = [f * 0 if label == speaker else f for f, label in zip(features, labels, strict=True)]
        records = []
        train(changed, labels, params, on_epoch=records.append)
        return records[0]

    everyone = train_without(None)
    losses = [train_without(speaker)["loss"] for speaker in sorted(set(labels))]
    assert losses.count(everyone["loss"]) == 2


def test_too_few_speakers_are_an_error():
    features, labels = easy_corpus(speakers=3)
    with pytest.raises(InputError, match="3 speakers, of whom 2 are held out, leave fewer than 2"):
        train(features, labels)


def test_single_utterances_cannot_be_verified():
    features, _ = easy_corpus(speakers=8, utterances=1)
    with pytest.raises(InputError, match="none of the 2 held-out speakers has two utterances"):
        train(features, [f"s{i}" for i in range(8)])


def test_labels_must_match_features():
    features, labels = easy_corpus()
    with pytest.raises(InputError, match="48 utterances of features and 47 speaker labels"):
        train(features, labels[1:])


def test_features_of_another_width_are_named():
    features, labels = easy_corpus()
    features[10] = features[10][:, :4]
    with pytest.raises(
        InputError, match=r"utterance 10 has features of shape \(\d+, 4\): the encoder takes \[frames, 5\]"
    ):
        train(features, labels)


def test_a_loss_that_is_not_finite_says_what_to_do():
    with pytest.raises(InputError, match=r"the loss is nan at step \d+ of 24: lower encoder\.learning_rate=1e\+30"):
        train(*easy_corpus(), TINY.model_copy(update={"learning_rate": 1e30}))
