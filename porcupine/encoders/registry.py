"""All speaker encoders behind one interface, by name.

    load         parameters -> encoder
    embed_all    encoder, stream of utterances -> embeddings, in the stream's order

An encoder is anything that offers what `SpeakerEncoder` lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from porcupine.errors import InputError
from porcupine.params import Encoder

_BUFFER_BYTES = 2**28


class SpeakerEncoder(Protocol):
    """What every encoder offers. An embedding does not depend on the batch that the utterance came in."""

    @property
    def name(self) -> str:
        """As in params.yaml."""

    @property
    def dimension(self) -> int:
        """D."""

    @property
    def takes(self) -> str:
        """``features`` (log-mel, float [T', F]) or ``waveforms`` (float [T], 16 kHz)."""

    def embed(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Embed utterances of any lengths as float32 [N, D], as the model gives them."""


def load(encoder: Encoder, *, weights: Path | None, device: torch.device) -> SpeakerEncoder:
    """Return the encoder that the parameters name, ready to embed.

    weights : what training wrote, for the encoder that is trained here; the pretrained ones bring their own.
    Raises InputError where weights, or the packages that the encoder needs, are missing or unreadable.
    """
    try:
        return _load(encoder, weights, device)
    except ModuleNotFoundError as error:
        extra = "ge2e" if encoder.name == "ge2e" else "pipeline"
        raise InputError(
            f"encoder.name={encoder.name!r} needs the package {error.name!r}: install porcupine[{extra}]"
        ) from error


def _load(encoder: Encoder, weights: Path | None, device: torch.device) -> SpeakerEncoder:
    # Imported here: where one encoder is used, the packages of another may be absent.
    if encoder.name == "ecapa":
        from porcupine.encoders.ecapa import Ecapa

        if weights is None:
            raise InputError("encoder.name='ecapa' is trained here: give its weights, or name a pretrained encoder")
        return Ecapa.load(weights, device=device)
    if encoder.name == "ge2e":
        from porcupine.encoders.ge2e import GE2E

        return GE2E(device=device)
    from porcupine.encoders.speechbrain import SpeechBrain

    return SpeechBrain(encoder.source, device=device)


def embed_all(
    encoder: SpeakerEncoder,
    arrays: Iterable[np.ndarray],
    *,
    total: int | None = None,
    threads: int = 1,
    description: str = "",
) -> np.ndarray:
    """Embed a stream of utterances in bounded memory, many at a time.

    arrays : what the encoder takes.
    total : their number, for the progress bar.
    threads : of the CPU; another number gives other last digits.
    description : label of the progress bar; empty for no bar.
    Returns float32 [N, D], in the order of the arrays.
    """
    with tqdm(total=total, desc=description, unit="clip", disable=not description) as bar:
        embeddings = [np.empty((0, encoder.dimension), dtype=np.float32)]
        for batch in _buffers(arrays):
            with threadpool_limits(threads):
                embeddings.append(encoder.embed(batch))
            bar.update(len(batch))
    return np.concatenate(embeddings)


def _buffers(arrays: Iterable[np.ndarray]) -> Iterator[list[np.ndarray]]:
    buffer: list[np.ndarray] = []
    held = 0
    for array in arrays:
        buffer.append(np.array(array))  # copied, as a system may refuse thousands of open memory maps
        held += array.nbytes
        if held >= _BUFFER_BYTES:
            yield buffer
            buffer, held = [], 0
    if buffer:
        yield buffer
