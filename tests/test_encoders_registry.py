import sys

import numpy as np
import pytest
import torch

from porcupine.encoders import ecapa, registry
from porcupine.errors import InputError
from porcupine.params import Encoder

CPU = torch.device("cpu")


class Lengths:
    """Embeds an utterance as its length, and keeps the sizes of its batches, and the threads that it may use."""

    name, takes, dimension = "lengths", "waveforms", 1

    def __init__(self):
        self.batches, self.threads = [], set()

    def embed(self, batch):
        self.batches.append(len(batch))
        self.threads.add(torch.get_num_threads())
        return np.array([[len(waveform)] for waveform in batch], dtype=np.float32)


def test_a_stream_is_embedded_in_order_and_in_pieces(monkeypatch):
    monkeypatch.setattr(registry, "_BUFFER_BYTES", 800)
    encoder = Lengths()
    lengths = [60, 50, 1, 2, 3, 200, 5]
    embeddings = registry.embed_all(encoder, (np.zeros(length) for length in lengths))
    assert embeddings[:, 0].tolist() == lengths
    assert encoder.batches == [2, 4, 1]


@pytest.mark.parametrize("threads", [1, 2])
def test_it_takes_the_threads_that_it_is_given(threads):
    encoder, before = Lengths(), torch.get_num_threads()
    registry.embed_all(encoder, [np.zeros(3)], threads=threads)
    assert encoder.threads == {threads} and torch.get_num_threads() == before


def test_an_empty_stream_has_no_embeddings():
    assert registry.embed_all(Lengths(), []).shape == (0, 1)


def test_the_encoder_trained_here_is_loaded_from_its_weights(tmp_path):
    network = ecapa.build(bands=6, channels=8, dimension=5)
    ecapa.Ecapa(network, device=CPU).save(tmp_path / "weights.safetensors")
    encoder = registry.load(Encoder(), weights=tmp_path / "weights.safetensors", device=CPU)
    assert (encoder.name, encoder.takes, encoder.dimension) == ("ecapa", "features", 5)


def test_the_encoder_trained_here_needs_weights():
    with pytest.raises(InputError, match="'ecapa' is trained here: give its weights"):
        registry.load(Encoder(), weights=None, device=CPU)


def test_ge2e_comes_with_its_weights():
    pytest.importorskip("resemblyzer", reason="the optional GE2E encoder is not installed")
    encoder = registry.load(Encoder(name="ge2e"), weights=None, device=CPU)
    assert (encoder.name, encoder.takes, encoder.dimension) == ("ge2e", "waveforms", 256)


def test_a_missing_package_is_named_with_the_extra_that_has_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "porcupine.encoders.ge2e", raising=False)
    monkeypatch.setitem(sys.modules, "resemblyzer", None)
    with pytest.raises(InputError, match=r"'ge2e' needs the package 'resemblyzer': install porcupine\[ge2e\]"):
        registry.load(Encoder(name="ge2e"), weights=None, device=CPU)


def test_speechbrain_is_loaded_from_its_source(tmp_path):
    network = ecapa.build(bands=80, channels=8, dimension=5)
    torch.save(network.state_dict(), tmp_path / "embedding_model.ckpt")
    encoder = registry.load(Encoder(name="speechbrain", source=str(tmp_path)), weights=None, device=CPU)
    assert (encoder.name, encoder.takes, encoder.dimension) == ("speechbrain", "waveforms", 5)
