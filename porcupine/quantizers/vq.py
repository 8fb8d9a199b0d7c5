"""Plain vector quantisation, trained as the paper trains its baseline: nearest codeword, MSE, Adam.

Vali & Bäckström, "Privacy PORCUPINE", Interspeech 2024, section 4.
"""

from __future__ import annotations

import numpy as np
import torch
from tqdm import tqdm

from porcupine.quantizers.base import check_vectors
from porcupine.quantizers.training import Training, nearest_in_batch, scatter_mean_gradient

JITTER = 1e-3  # standard deviation of the copies that replace unused codewords, for data of unit variance


def train_vq(
    vectors: np.ndarray,
    *,
    bits: int,
    training: Training,
    seed: int,
    replace_every: int = 100,
    replace_below: float = 0.01,
    replace_until: float = 0.8,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> np.ndarray:
    """Train R codebooks of K = 2^bits codewords.

    vectors : float [N, D], of unit variance (`base.global_scale`).
    replace_every : batches between replacements; codewords used in less than a share ``replace_below`` of them
        become jittered copies of used ones, up to the fraction ``replace_until`` of the training.
    Returns float32 [R, K, D].
    Raises InputError where K > N or vectors are not finite.
    """
    n_codewords = 2**bits
    vectors = check_vectors(vectors, n_codewords=n_codewords)
    rngs = training.generators(seed, "vq", bits)
    start = np.stack([vectors[rng.choice(len(vectors), n_codewords, replace=False)] for rng in rngs])
    codebooks = torch.from_numpy(start).to(device)
    batches_used = torch.zeros(codebooks.shape[:2], device=device)

    def gradient(batch: torch.Tensor, _: int) -> torch.Tensor:
        index = nearest_in_batch(batch, codebooks)
        used = torch.zeros_like(batches_used).scatter_(1, index, 1.0)
        batches_used.add_(used)
        return scatter_mean_gradient(batch, codebooks, index)

    def replace(step: int, n_steps: int) -> None:
        if step % replace_every or step > replace_until * n_steps:
            return
        share = (batches_used / replace_every).cpu().numpy()
        for repeat, rng in enumerate(rngs):
            replace_unused(codebooks[repeat], share[repeat] < replace_below, rng)
        batches_used.zero_()

    with tqdm(total=training.epochs, desc=f"vq {bits} bits", unit="epoch", disable=not progress) as bar:
        training.run(torch.from_numpy(vectors).to(device), codebooks, gradient, rngs=rngs, bar=bar, end_batch=replace)
    return codebooks.cpu().numpy()


def replace_unused(codebook: torch.Tensor, unused: np.ndarray, rng: np.random.Generator) -> None:
    """Overwrite the ``unused`` (bool [K]) rows of ``codebook`` [K, D] with jittered copies of used ones, in place.

    Used codewords are taken in turn, in random order, so that none is copied twice before all are copied once.
    """
    if not unused.any():
        return
    donors = rng.permutation(np.flatnonzero(~unused)) if not unused.all() else rng.permutation(len(unused))
    donors = np.resize(donors, unused.sum())
    noise = rng.standard_normal((len(donors), codebook.shape[1])).astype(np.float32)
    copies = codebook[torch.from_numpy(donors).to(codebook.device)] + JITTER * torch.from_numpy(noise).to(codebook)
    codebook[torch.from_numpy(unused).to(codebook.device)] = copies
