"""The paper's encoder: SpeechBrain's pretrained ECAPA-TDNN (192 dimensions, trained on VoxCeleb).

Only tensors are taken from the published model: `embedding_model.ckpt`, read with ``weights_only=True``. Its
`hyperparams.yaml`, which could run any code, is not read; the published settings are written down here.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence

import numpy as np
import torch
from speechbrain.lobes.features import Fbank
from speechbrain.utils.fetching import fetch

from porcupine.encoders import ecapa
from porcupine.errors import InputError

_FILE = "embedding_model.ckpt"


class SpeechBrain:
    """Waveforms to embeddings, equal to ``EncoderClassifier.encode_batch`` of the published model.

    source : name on the Hugging Face hub, or a local folder that holds `embedding_model.ckpt`.
    Raises InputError where neither is there, or the file is something else.
    """

    name = "speechbrain"
    takes = "waveforms"

    def __init__(self, source: str, *, device: torch.device) -> None:
        network = ecapa.from_weights(_weights(source), name=f"{source}/{_FILE}")
        self._ecapa = ecapa.Ecapa(network, device=device)
        self._fbank = Fbank(n_mels=self._ecapa.bands)
        self.dimension = self._ecapa.dimension

    def embed(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Embed utterances, each by itself.

        batch : float32 [T] each, 16 kHz.
        Returns float32 [N, D], not length-normalised.
        Raises InputError where a waveform is too short or not finite.
        """
        return self._ecapa.embed([self._features(waveform) for waveform in batch])

    def _features(self, waveform: np.ndarray) -> np.ndarray:
        if waveform.ndim != 1 or not waveform.size:
            raise InputError(f"a waveform of shape {waveform.shape} should be [T], T > 0")
        with torch.inference_mode():
            return self._fbank(torch.from_numpy(np.asarray(waveform, dtype=np.float32))[None])[0].numpy()


def _weights(source: str) -> dict[str, torch.Tensor]:
    try:
        path = fetch(_FILE, source)
    except (OSError, ValueError) as error:
        raise InputError(
            f"encoder.source={source!r}: no local folder, and not to be had from the Hugging Face hub ({error}); "
            f"connect to the network, or give a folder that holds {_FILE}"
        ) from error
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise InputError(f"{path}: not a readable file of weights ({error})") from error
