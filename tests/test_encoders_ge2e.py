import numpy as np
import pytest
import torch

from porcupine.errors import InputError

resemblyzer = pytest.importorskip("resemblyzer", reason="the optional GE2E encoder is not installed")
GE2E = pytest.importorskip("porcupine.encoders.ge2e").GE2E


@pytest.fixture(scope="module")
def encoder():
    return GE2E(device=torch.device("cpu"))


def waveforms():
    rng = np.random.default_rng(0)
    for seconds, level in ((0.4, 0.3), (1.6, 0.1), (2.5, 0.3), (2.51, 1e-3), (7.0, 0.2)):
        time = np.arange(int(16_000 * seconds)) / 16_000
        pitch = 120 + 30 * np.sin(time)
        yield (level * (np.sin(np.cumsum(pitch) * 2e-3) + 0.1 * rng.standard_normal(len(time)))).astype(np.float32)


def test_embeddings_equal_those_of_resemblyzer(encoder):
    batch = list(waveforms())
    reference = resemblyzer.VoiceEncoder("cpu", verbose=False)
    expected = [
        reference.embed_utterance(resemblyzer.normalize_volume(waveform, -30, increase_only=True)) for waveform in batch
    ]
    embeddings = encoder.embed(batch)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings, expected, atol=1e-5)


def test_an_embedding_does_not_depend_on_its_batch(encoder, monkeypatch):
    batch = list(waveforms())
    together = encoder.embed(batch)
    np.testing.assert_allclose(np.concatenate([encoder.embed([w]) for w in batch]), together, atol=1e-5)
    monkeypatch.setattr("porcupine.encoders.ge2e._WINDOWS_AT_ONCE", 3)
    np.testing.assert_allclose(encoder.embed(batch), together, atol=1e-5)


def test_quiet_speech_is_raised(encoder):
    waveform = list(waveforms())[3]
    np.testing.assert_allclose(encoder.embed([waveform]), encoder.embed([waveform / 50]), atol=1e-4)


def test_an_empty_batch_has_no_embeddings(encoder):
    assert encoder.embed([]).shape == (0, encoder.dimension)


@pytest.mark.parametrize("waveform", [np.zeros(0), np.zeros(16_000), np.full(16_000, np.nan), np.ones((2, 16_000))])
def test_an_unusable_waveform_is_an_error(encoder, waveform):
    with pytest.raises(InputError, match=r"utterance 1 of the batch, of shape .* is empty, silent or not finite"):
        encoder.embed([np.ones(16_000, np.float32), waveform.astype(np.float32)])
