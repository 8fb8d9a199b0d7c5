import numpy as np
import pytest
import torch
from speechbrain.inference.speaker import EncoderClassifier
from speechbrain.lobes.features import Fbank
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
from speechbrain.processing.features import InputNormalization

from porcupine.encoders.speechbrain import SpeechBrain
from porcupine.errors import InputError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network():
    """The published network, narrower."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ECAPA_TDNN(80, channels=[8, 8, 8, 8, 24], attention_channels=16, lin_neurons=12)
        network(10 * torch.randn(20, 30, 80))  # fills the running statistics of the batch normalisations
    return network


@pytest.fixture(scope="module")
def folder(tmp_path_factory, network):
    folder = tmp_path_factory.mktemp("published")
    torch.save(network.state_dict(), folder / "embedding_model.ckpt")
    return folder


def waveforms():
    rng = np.random.default_rng(0)
    return [(0.1 * rng.standard_normal(length)).astype(np.float32) for length in (16_000, 9000, 16_000, 30_001)]


def test_embeddings_equal_those_of_speechbrain(folder, network):
    modules = {
        "compute_features": Fbank(n_mels=80),
        "mean_var_norm": InputNormalization(norm_type="sentence", std_norm=False),
        "embedding_model": network,
        "classifier": torch.nn.Identity(),
    }
    reference = EncoderClassifier(modules, {"label_encoder": None}, run_opts={"device": "cpu"})
    expected = [reference.encode_batch(torch.from_numpy(waveform)[None])[0, 0].numpy() for waveform in waveforms()]
    encoder = SpeechBrain(str(folder), device=CPU)
    assert encoder.dimension == 12
    np.testing.assert_allclose(encoder.embed(waveforms()), expected, rtol=1e-4, atol=1e-4)


def test_an_embedding_does_not_depend_on_its_batch(folder):
    encoder = SpeechBrain(str(folder), device=CPU)
    together = encoder.embed(waveforms())
    alone = np.concatenate([encoder.embed([waveform]) for waveform in waveforms()])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5 * np.abs(alone).max())


def test_the_hyperparameters_are_not_run(folder, tmp_path):
    (tmp_path / "embedding_model.ckpt").write_bytes((folder / "embedding_model.ckpt").read_bytes())
    (tmp_path / "hyperparams.yaml").write_text(f"x: !apply:pathlib.Path.touch [!new:pathlib.Path [{tmp_path}/ran]]")
    SpeechBrain(str(tmp_path), device=CPU)
    assert not (tmp_path / "ran").exists()


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (type(self.path).touch, (self.path,))


def test_a_checkpoint_cannot_run_code(tmp_path):
    torch.save({"x": Touch(tmp_path / "ran")}, tmp_path / "embedding_model.ckpt")
    with pytest.raises(InputError, match="not a readable file of weights"):
        SpeechBrain(str(tmp_path), device=CPU)
    assert not (tmp_path / "ran").exists()


def test_weights_of_another_network_are_an_error(tmp_path):
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "embedding_model.ckpt")
    with pytest.raises(InputError, match=r"embedding_model\.ckpt: not the weights of an ECAPA-TDNN"):
        SpeechBrain(str(tmp_path), device=CPU)


def test_a_folder_without_the_checkpoint_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"embedding_model\.ckpt"):
        SpeechBrain(str(tmp_path), device=CPU)


def test_an_unreachable_hub_says_what_to_do(monkeypatch):
    def offline(**arguments):
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    with pytest.raises(
        InputError, match=r"'speechbrain/x': .*\(no network\); connect to the network, or give a folder"
    ):
        SpeechBrain("speechbrain/x", device=CPU)


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (np.zeros(0), r"shape \(0,\) should be \[T\]"),
        (np.zeros(300), "has 2 frames, at least 5 needed"),
        (np.full(16_000, np.nan), "not finite"),
    ],
)
def test_an_unusable_waveform_is_an_error(folder, waveform, message):
    with pytest.raises(InputError, match=message):
        SpeechBrain(str(folder), device=CPU).embed([waveform.astype(np.float32)])
