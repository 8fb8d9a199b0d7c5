"""GE2E: the pretrained encoder that comes inside the package resemblyzer, many utterances at once.

resemblyzer reads its weights with torch.load, which since torch 2.6 refuses pickled code unless told otherwise.
Source: Wan et al., "Generalized end-to-end loss for speaker verification", ICASSP 2018.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from resemblyzer import VoiceEncoder, normalize_volume, wav_to_mel_spectrogram
from resemblyzer.hparams import audio_norm_target_dBFS, model_embedding_size

from porcupine.errors import InputError

_WINDOWS_AT_ONCE = 256


class GE2E:
    """Waveforms to embeddings, equal to resemblyzer's ``embed_utterance`` after its ``normalize_volume``.

    Quiet utterances are raised to -30 dBFS, as resemblyzer's own preprocessing does. Its cutting of pauses is left out:
    on 2 500 clips of speechocean762 it raised the equal error rate from 5.7 to 6.8 %.
    """

    name = "ge2e"
    takes = "waveforms"
    dimension = model_embedding_size

    def __init__(self, *, device: torch.device) -> None:
        self._network = VoiceEncoder(device, verbose=False).eval()

    def embed(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Embed utterances as the mean of their windows of 1.6 s, which are batched.

        batch : float32 [T] each, 16 kHz.
        Returns float32 [N, 256] of unit norm.
        Raises InputError where a waveform is empty, silent or not finite.
        """
        windows, owners = [], []
        for i, waveform in enumerate(batch):
            if waveform.ndim != 1 or not waveform.any() or not np.isfinite(waveform).all():
                raise InputError(
                    f"utterance {i} of the batch, of shape {waveform.shape}, is empty, silent or not finite: "
                    "drop the clips that audio.fault names"
                )
            own = _windows(normalize_volume(waveform, audio_norm_target_dBFS, increase_only=True))
            windows += own
            owners += [i] * len(own)
        means = np.zeros((len(batch), self.dimension), dtype=np.float32)
        for first in range(0, len(windows), _WINDOWS_AT_ONCE):
            chosen = slice(first, first + _WINDOWS_AT_ONCE)
            with torch.inference_mode():
                mels = torch.from_numpy(np.stack(windows[chosen])).to(self._network.device)
                np.add.at(means, owners[chosen], self._network(mels).cpu().numpy())
        return means / np.linalg.norm(means, axis=1, keepdims=True)


def _windows(waveform: np.ndarray) -> list[np.ndarray]:
    spans, slices = VoiceEncoder.compute_partial_slices(len(waveform), rate=1.3, min_coverage=0.75)
    padded = np.pad(waveform, (0, max(0, spans[-1].stop - len(waveform))))
    mel = wav_to_mel_spectrogram(padded)
    return [mel[span] for span in slices]
