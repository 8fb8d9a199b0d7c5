"""Training of the speaker encoder: ECAPA-TDNN with an additive angular margin softmax.

A `Bottleneck` may stand between embedding and classifier, so that the encoder learns to be quantised.
Source: Xiang et al., "Margin matters", APSIPA 2019, as implemented by SpeechBrain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN, Classifier
from speechbrain.nnet.losses import AdditiveAngularMargin, LogSoftmaxWrapper
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from porcupine.encoders import ecapa
from porcupine.encoders.ecapa import Ecapa
from porcupine.errors import InputError
from porcupine.params import Encoder
from porcupine.privacy import verification
from porcupine.quantizers.bottleneck import Bottleneck
from porcupine.quantizers.sfvq import INITIAL_BITS
from porcupine.randomness import generator

_VALIDATION_UTTERANCES = 1000
_GROWN_AT = 0.6  # share of the steps after which the curve of a bottleneck has all its corners


def train_ecapa(
    features: Sequence[np.ndarray],
    speakers: Sequence[str],
    params: Encoder,
    *,
    hop_seconds: float,
    device: torch.device,
    on_epoch: Callable[[dict[str, float]], None] = lambda record: None,
    description: str = "",
) -> tuple[Ecapa, Bottleneck | None]:
    """Train on most speakers, and verify the others after each epoch.

    features : N utterances, log-mel, float [T', F] each; read again each epoch, so they may stay on disk.
    speakers : N labels.
    hop_seconds : between frames of the features.
    on_epoch : given, after each epoch, ``epoch`` (from 1), ``loss`` (mean, in nats, distortion included), ``eer`` (by
        cosine, of all pairs of about 1000 utterances of held-out speakers at most, before they are quantised) and
        ``learning_rate`` (last of the epoch).
    description : label of the progress bar; empty for no bar.
    Returns the encoder after the last epoch, and the quantiser trained inside it, None where bottleneck.bits is 0.
    The same arguments give the same bytes on the same CPU, whatever the number of its cores.
    Raises InputError where speakers or utterances are too few, features are unusable or the loss is not finite.
    """
    if len(features) != len(speakers):
        raise InputError(f"{len(features)} utterances of features and {len(speakers)} speaker labels should match")
    labels, names = pd.factorize(np.asarray(speakers, dtype=object))
    training, validation = _split(labels, len(names), params)
    bands = features[0].shape[-1]
    for i in np.concatenate([training, validation]):
        ecapa.check_features(features[i], bands, f"utterance {i}")
    crop = max(ecapa.MIN_FRAMES, round(params.crop_seconds / hop_seconds))
    classes = pd.factorize(labels[training])[0]

    with _deterministic(params.seed, device), threadpool_limits(params.threads):
        network = ecapa.build(bands=bands, channels=params.channels, dimension=params.dimension).to(device)
        classifier = Classifier(params.dimension, out_neurons=int(classes.max()) + 1).to(device)
        loss_of = LogSoftmaxWrapper(AdditiveAngularMargin(margin=params.margin, scale=params.scale))
        batches = max(1, len(training) // params.batch_size)
        bottleneck = _bottleneck(params, n_batches=params.epochs * batches, n_crops=params.epochs * len(training))
        trained = [*network.parameters(), *classifier.parameters()]
        groups: list[dict[str, Any]] = [{"params": trained, "lr": params.learning_rate}]
        if bottleneck:
            bottleneck.to(device)
            groups.append({"params": [bottleneck.curve], "lr": params.bottleneck.learning_rate})
        optimizer = torch.optim.Adam(groups)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=[group["lr"] for group in groups], epochs=params.epochs, steps_per_epoch=batches
        )
        with tqdm(total=params.epochs * batches, desc=description, unit="step", disable=not description) as bar:
            for epoch in range(1, params.epochs + 1):
                rng = generator(params.seed, "epoch", epoch)
                network.train()
                losses = []
                for chosen in np.array_split(rng.permutation(len(training)), batches):
                    crops = np.stack([_crop(features[i], crop, rng) for i in training[chosen]])
                    targets = torch.from_numpy(classes[chosen]).to(device)
                    embeddings = ecapa.forward(network, torch.from_numpy(crops).to(device))
                    passed = bottleneck(embeddings) if bottleneck else embeddings
                    loss = loss_of(classifier(passed.unsqueeze(1)), targets.unsqueeze(1))
                    if bottleneck:
                        distortion = (passed - embeddings).square().mean() / bottleneck.scale**2
                        loss = loss + params.bottleneck.weight * distortion
                    losses.append(loss.item())
                    if not np.isfinite(losses[-1]):
                        step = (epoch - 1) * batches + len(losses)
                        raise InputError(
                            f"the loss is {losses[-1]} at step {step} of {params.epochs * batches}: "
                            f"lower encoder.learning_rate={params.learning_rate}"
                        )
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    rate = float(schedule.get_last_lr()[0])
                    schedule.step()
                    bar.update()
                eer = _validate(network, [features[i] for i in validation], labels[validation], device)
                on_epoch({"epoch": epoch, "loss": float(np.mean(losses)), "eer": eer, "learning_rate": rate})
    return Ecapa(network, device=device), bottleneck.eval() if bottleneck else None


def _bottleneck(params: Encoder, *, n_batches: int, n_crops: int) -> Bottleneck | None:
    bits = params.bottleneck.bits
    if not bits:
        return None
    if n_crops < 2**bits:
        raise InputError(
            f"encoder.bottleneck.bits={bits}: {2**bits} codes cannot be calibrated on the {n_crops} crops of the "
            "training: ask for fewer bits or more epochs"
        )
    grow_every = round(_GROWN_AT * n_batches / max(1, bits - INITIAL_BITS))
    return Bottleneck(params.dimension, bits=bits, grow_every=max(1, grow_every))


def _split(labels: np.ndarray, n_speakers: int, params: Encoder) -> tuple[np.ndarray, np.ndarray]:
    n_validation = max(2, round(params.validation_fraction * n_speakers))
    if n_speakers - n_validation < 2:
        raise InputError(
            f"{n_speakers} speakers, of whom {n_validation} are held out, leave fewer than 2 to train the encoder on: "
            "raise manifest.encoder_fraction or use a pretrained encoder"
        )
    order = generator(params.seed, "validation speakers").permutation(n_speakers)[:n_validation]
    of_each = max(2, _VALIDATION_UTTERANCES // n_validation)
    validation = np.concatenate([np.flatnonzero(labels == speaker)[:of_each] for speaker in order])
    if np.bincount(labels[validation]).max() < 2:
        raise InputError(
            f"none of the {n_validation} held-out speakers has two utterances: raise encoder.validation_fraction, "
            "or use a corpus with several utterances a speaker"
        )
    return np.flatnonzero(~np.isin(labels, order)), validation


def _crop(features: np.ndarray, frames: int, rng: np.random.Generator) -> np.ndarray:
    start = rng.integers(max(1, len(features) - frames + 1))
    return np.take(features, np.arange(start, start + frames), axis=0, mode="wrap")


def _validate(network: ECAPA_TDNN, features: list[np.ndarray], labels: np.ndarray, device: torch.device) -> float:
    embeddings = Ecapa(network, device=device).embed(features)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    first, second = np.triu_indices(len(labels), k=1)
    scores = (embeddings @ embeddings.T)[first, second]
    return verification.equal_error_rate(scores, labels[first] == labels[second])


@contextmanager
def _deterministic(seed: int, device: torch.device) -> Iterator[None]:
    """Draw weights from ``seed``, and forbid operations whose result varies (on CUDA, warn of them)."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
