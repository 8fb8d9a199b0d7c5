"""ECAPA-TDNN: log-mel features to speaker embeddings.

    build    untrained network
    Ecapa    network -> embeddings; save and load

The network is SpeechBrain's. Its shape can be read off its weights, so that a file of weights is all there is to save.
Source: Desplanques, Thienpondt & Demuynck, "ECAPA-TDNN", Interspeech 2020.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN

from porcupine import storage
from porcupine.errors import InputError

MIN_FRAMES = 5
"""The widest convolution mirrors 4 frames at each end, and must find them."""

_FRAMES_AT_ONCE = 20_000


class Ecapa:
    """A trained network, ready to embed.

    network : in evaluation mode from here on, on ``device``.
    """

    name = "ecapa"
    takes = "features"

    def __init__(self, network: ECAPA_TDNN, *, device: torch.device) -> None:
        self.network = network.eval().to(device)
        self.device = device
        self.bands: int = network.blocks[0].conv.conv.in_channels
        self.dimension: int = network.fc.conv.out_channels

    def embed(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Embed utterances, each by itself: utterances of one length share a forward pass and none is padded.

        batch : log-mel features, float [T', F] each, T' >= 5.
        Returns float32 [N, D], not length-normalised.
        Raises InputError where an utterance has the wrong number of bands, is too short, or is not finite.
        """
        by_length: dict[int, list[int]] = defaultdict(list)
        for i, features in enumerate(batch):
            check_features(features, self.bands, f"utterance {i} of the batch")
            by_length[len(features)].append(i)
        embeddings = np.empty((len(batch), self.dimension), dtype=np.float32)
        for length, members in by_length.items():
            step = max(1, _FRAMES_AT_ONCE // length)
            for first in range(0, len(members), step):
                chosen = members[first : first + step]
                stacked = torch.from_numpy(np.stack([batch[i] for i in chosen])).to(self.device)
                with torch.inference_mode():
                    embeddings[chosen] = forward(self.network, stacked).cpu().numpy()
        return embeddings

    def save(self, path: str | Path) -> None:
        """Write the weights as safetensors."""
        state = {key: value.cpu().contiguous() for key, value in self.network.state_dict().items()}
        with storage.replacing(path) as temporary:
            safetensors.torch.save_file(state, temporary)

    @classmethod
    def load(cls, path: str | Path, *, device: torch.device) -> Ecapa:
        """Read what `save` wrote. Raises InputError where the file is missing or something else."""
        try:
            state = safetensors.torch.load_file(path)
        except (OSError, safetensors.SafetensorError) as error:
            raise InputError(f"{path}: not a readable safetensors file ({error}): train the encoder first") from error
        return cls(from_weights(state, name=str(path)), device=device)


def check_features(features: np.ndarray, bands: int, name: str) -> None:
    """Raise InputError unless ``features`` is finite and [T', bands], T' >= 5."""
    if features.ndim != 2 or features.shape[1] != bands:
        raise InputError(
            f"{name} has features of shape {features.shape}: the encoder takes [frames, {bands}]; "
            f"make features with features.bands={bands}, or train the encoder on these"
        )
    if len(features) < MIN_FRAMES:
        raise InputError(f"{name} has {len(features)} frames, at least {MIN_FRAMES} needed: raise manifest.min_seconds")
    if not np.isfinite(features).all():
        raise InputError(f"{name} has features that are not finite: make them with porcupine.features.log_mel")


def forward(network: ECAPA_TDNN, features: torch.Tensor) -> torch.Tensor:
    """Embed features [N, T', F], each band less its mean over the utterance, as [N, D]."""
    features = features.float()
    return network(features - features.mean(dim=1, keepdim=True)).squeeze(1)


def build(*, bands: int, channels: int, dimension: int) -> ECAPA_TDNN:
    """Return an untrained network, drawn from torch's generator.

    bands : F, of the features.
    channels : C, width of the convolutions, a multiple of 8; the last is 3 C wide. The published network has 1024.
    dimension : D, of the embedding.
    """
    narrow = min(128, channels)
    return ECAPA_TDNN(
        bands,
        channels=[channels] * 4 + [3 * channels],
        lin_neurons=dimension,
        attention_channels=narrow,
        se_channels=narrow,
    )


def from_weights(state: Mapping[str, torch.Tensor], *, name: str) -> ECAPA_TDNN:
    """Build the network whose shape the weights tell, with these weights.

    name : of their source, for errors.
    Raises InputError where they are of another network.
    """
    try:
        channels, bands, _ = state["blocks.0.conv.conv.weight"].shape
        res2net_blocks = [key for key in state if re.fullmatch(r"blocks\.1\.res2net_block.*\.conv\.conv\.weight", key)]
        network = ECAPA_TDNN(
            bands,
            channels=[channels] * 4 + [state["mfa.conv.conv.weight"].shape[0]],
            lin_neurons=state["fc.conv.weight"].shape[0],
            attention_channels=state["asp.tdnn.conv.conv.weight"].shape[0],
            se_channels=state["blocks.1.se_block.conv1.conv.weight"].shape[0],
            res2net_scale=1 + len(res2net_blocks),
        )
        network.load_state_dict(state)
    except (KeyError, ValueError, RuntimeError, AttributeError) as error:
        raise InputError(f"{name}: not the weights of an ECAPA-TDNN ({str(error).splitlines()[0]})") from error
    return network
