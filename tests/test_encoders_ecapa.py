import numpy as np
import pytest
import safetensors.torch
import torch
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN

from porcupine.encoders import ecapa
from porcupine.encoders.ecapa import Ecapa
from porcupine.errors import InputError

CPU = torch.device("cpu")


def random_encoder(bands=6, channels=8, dimension=5):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ecapa.build(bands=bands, channels=channels, dimension=dimension)
        network(torch.randn(20, 30, bands))  # fills the running statistics of the batch normalisations
    return Ecapa(network, device=CPU)


def utterances(lengths, bands=6):
    rng = np.random.default_rng(1)
    return [rng.standard_normal((length, bands)).astype(np.float32) for length in lengths]


def test_an_embedding_does_not_depend_on_its_batch():
    encoder = random_encoder()
    batch = utterances([40, 5, 40, 17, 400, 41, 17])
    together = encoder.embed(batch)
    alone = np.concatenate([encoder.embed([features]) for features in batch])
    assert together.dtype == np.float32
    assert together.shape == (7, 5)
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5 * np.abs(alone).max())


def test_long_groups_are_split(monkeypatch):
    encoder = random_encoder()
    batch = utterances([40] * 7)
    whole = encoder.embed(batch)
    monkeypatch.setattr(ecapa, "_FRAMES_AT_ONCE", 90)
    np.testing.assert_allclose(encoder.embed(batch), whole, rtol=1e-5, atol=1e-5 * np.abs(whole).max())


def test_a_constant_gain_does_not_matter():
    encoder = random_encoder()
    batch = utterances([30])
    louder = [batch[0] + np.linspace(1, 3, 6, dtype=np.float32)]
    np.testing.assert_allclose(encoder.embed(louder), encoder.embed(batch), atol=1e-4)


def test_an_empty_batch_has_no_embeddings():
    assert random_encoder().embed([]).shape == (0, 5)


def test_half_precision_features_are_taken():
    encoder = random_encoder()
    batch = [features.astype(np.float16) for features in utterances([30])]
    np.testing.assert_array_equal(encoder.embed(batch), encoder.embed([batch[0].astype(np.float32)]))


def test_a_saved_encoder_loads_as_it_was(tmp_path):
    encoder = random_encoder()
    encoder.save(tmp_path / "weights.safetensors")
    loaded = Ecapa.load(tmp_path / "weights.safetensors", device=CPU)
    assert (loaded.bands, loaded.dimension) == (6, 5)
    np.testing.assert_array_equal(loaded.embed(utterances([30, 40])), encoder.embed(utterances([30, 40])))


def test_any_shape_is_read_off_the_weights():
    options = {"attention_channels": 7, "se_channels": 3, "res2net_scale": 4}
    original = ECAPA_TDNN(9, lin_neurons=11, channels=[8, 8, 8, 8, 20], **options).eval()
    rebuilt = ecapa.from_weights(original.state_dict(), name="test").eval()
    features = torch.randn(2, 30, 9)
    torch.testing.assert_close(rebuilt(features), original(features))


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.safetensors: not a readable safetensors file .*train the encoder"):
        Ecapa.load(tmp_path / "gone.safetensors", device=CPU)


@pytest.mark.parametrize("drop", ["fc.conv.weight", "asp_bn.norm.running_mean", "blocks.0.conv.conv.weight"])
def test_weights_of_another_network_are_an_error(tmp_path, drop):
    state = random_encoder().network.state_dict()
    del state[drop]
    safetensors.torch.save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"other\.safetensors: not the weights of an ECAPA-TDNN"):
        Ecapa.load(tmp_path / "other.safetensors", device=CPU)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (
            np.zeros((20, 7)),
            r"utterance 1 of the batch has features of shape \(20, 7\): the encoder takes \[frames, 6\]",
        ),
        (np.zeros((4, 6)), "has 4 frames, at least 5 needed"),
        (np.full((20, 6), np.nan), "not finite"),
    ],
)
def test_unusable_features_are_an_error(features, message):
    with pytest.raises(InputError, match=message):
        random_encoder().embed([np.zeros((20, 6)), features])
