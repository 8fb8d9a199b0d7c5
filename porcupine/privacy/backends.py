"""Attackers that learn: how much likelier a release is to come from one speaker than from another.

ATTACKERS         their names, and what each does
THREATS           what they know
training_pairs    utterances of the attacker's own speakers -> of each, what he holds beside what is released
fit               attacker, pairs -> Backend: held embeddings, releases -> scores
bayes             codes held -> scores of codes, by counting

A release is what becomes known of an utterance: its embedding, or the codeword of its code. Of each of M speakers the
attacker holds e, the mean embedding of a few other utterances. A threat is a matter of the pairs that he learns from:
what he holds, raw, beside releases of one kind or another. Scores are natural logarithms of likelihood ratios,
log p(y|e) - log p(y) of the release y, but for cosine; higher means likelier the same speaker.

- plda, of releases that vary freely: e and y share a speaker and have a noise each, all Gaussian (two-covariance
  PLDA). The noise is what the utterances of one speaker differ by, shrunk towards equal variances; the speakers'
  covariance is that of their means where the noise is white, shrunk as Ledoit and Wolf do. How much the noise is
  shrunk, whether vectors get unit length, and how far to trust the ratio are what identifies speakers left out best.
- plda, of codes, which are releases that repeat: a quantiser moves an embedding much farther than the utterances of a
  speaker differ, and in directions of its own, so that covariances mislead. Here e is Gaussian around the codeword,
  with one variance for all directions, the likeliest one, and p(e) is the mixture over the codewords. Who knows the
  codewords and that variance knows nearly all there is to know: a codebook like it teaches the variance as well.
- mlp: the inner product of two networks, of e and of y, that start from plda and learn what it misses. Their loss is
  InfoNCE, to pick the partner of e or y out of a batch, which bounds the information between e and y: it measures the
  very disclosure that is attacked. Speakers left out decide when to stop, or not to start.

References: Brümmer & de Villiers, "The speaker partitioning problem", Odyssey 2010 (two-covariance PLDA).
Garcia-Romero & Espy-Wilson, "Analysis of i-vector length normalization", Interspeech 2011. Ledoit & Wolf, Journal of
Multivariate Analysis 88, 2004. Van den Oord et al., "Representation learning with contrastive predictive coding",
arXiv 1807.03748, 2018 (InfoNCE).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from scipy.linalg import eigh, svd
from scipy.optimize import minimize_scalar
from scipy.spatial.distance import cdist
from scipy.special import logsumexp, softmax
from sklearn.covariance import ledoit_wolf
from threadpoolctl import threadpool_limits

from porcupine.errors import InputError, extra, nearest
from porcupine.privacy.observations import FAR, NEAR, code_prior
from porcupine.privacy.occupancy import count_codes
from porcupine.randomness import generator

ATTACKERS = {
    "cosine": "angle between what is held and what is released, about the mean of all that is held",
    "plda": "Gaussian speakers with Gaussian noise, learnt from pairs; for codes, Gaussian noise around the codeword",
    "mlp": "two networks, started from plda and trained to pick the partner of each half of a pair out of many",
    "bayes": "codes alone: counts those of the utterances held, and expects more like them",
}
THREATS = {
    "ignorant": "has learnt from raw embeddings, as if nothing were quantised",
    "informed": "has learnt from embeddings quantised by the codebook that is attacked",
    "semi-informed": "has learnt from embeddings quantised by a codebook of that kind, fitted to what he holds",
}

REPEATED = 0.01  # share of releases that equal others, from which on they are codes
SHRINKAGES = (0.03, 0.1, 0.3, 0.6, 0.8)  # of the noise, towards equal variances
FOLDS = 3  # of the speakers, each left out once
VALIDATED = 300  # pairs of a fold that choose
FLOOR = 1e-6  # variance of the noise, in variances of the releases
VARIANCE_PAIRS = 2000  # from which the variance around the codewords is learnt
LEFT_OUT = 0.2  # share of the speakers that decide when the networks stop
LEFT_OUT_PAIRS = 1000  # of them
HIDDEN = 64  # units of a network
BATCH = 256  # pairs
STEPS, EPOCHS = 200, 10  # at most
CHECK, PATIENCE = 20, 3  # steps between looks at the speakers left out; looks without a gain
LEARNING_RATE, WEIGHT_DECAY = 3e-4, 1e-2


class Pairs(NamedTuple):
    """T utterances, each beside others of its speaker.

    probe : int [T], their rows; held : float64 [T, D], mean of the others; speaker : int [T], 0, 1, …
    """

    probe: np.ndarray
    held: np.ndarray
    speaker: np.ndarray


def training_pairs(vectors: np.ndarray, speakers: np.ndarray, per_speaker: int, rng: np.random.Generator) -> Pairs:
    """Pair each utterance with the mean of others of its speaker, drawn at random.

    vectors : float [N, D]; speakers : [N]; of a speaker with U >= 2 utterances, min(per_speaker, U - 1) are drawn.
    Raises InputError where shapes or numbers are unusable, or fewer than two speakers have two utterances.
    """
    vectors, speakers = _vectors(vectors, "vectors"), np.asarray(speakers)
    if speakers.shape != vectors.shape[:1]:
        raise InputError(f"speakers {speakers.shape} should name the speaker of each of N={len(vectors)} vectors")
    if per_speaker < 1:
        raise InputError(f"per_speaker={per_speaker}, should be >= 1: the attacker needs an utterance of each speaker")
    speaker = np.unique(speakers.astype(str), return_inverse=True)[1]
    starts = np.cumsum(np.bincount(speaker))[:-1]
    chosen = [rows for rows in np.split(np.argsort(speaker, kind="stable"), starts) if len(rows) > 1]
    if len(chosen) < 2:
        raise InputError(f"{len(chosen)} speaker(s) with two utterances: an attacker needs two or more to learn from")
    held = []
    for rows in chosen:
        for i in range(len(rows)):
            others = rng.choice(len(rows) - 1, size=min(per_speaker, len(rows) - 1), replace=False)
            held.append(vectors[rows[others + (others >= i)]].mean(axis=0))
    n_utterances = [len(rows) for rows in chosen]
    return Pairs(np.concatenate(chosen), np.stack(held), np.repeat(np.arange(len(chosen)), n_utterances))


class Backend(ABC):
    """Scores are inner products of features of what is held and features of what is released."""

    @abstractmethod
    def held_features(self, held: np.ndarray) -> np.ndarray:
        """float64 [M, D] -> [M, F]."""

    @abstractmethod
    def release_features(self, releases: np.ndarray) -> np.ndarray:
        """float64 [Q, D] -> [Q, F]."""

    def among(self, codebook: np.ndarray, released: np.ndarray) -> Self:
        """The same, where releases are known to be codewords [K, D], as frequent as among those [T, D] learnt from."""
        return self

    def scores(self, held: np.ndarray, releases: np.ndarray) -> np.ndarray:
        """Compare each release with each speaker; higher means likelier the same.

        held : float [M, D], mean embedding of each speaker; releases : float [Q, D], embeddings or decoded codes.
        Returns float32 [Q, M]. Raises InputError where these are not finite or differ in D.
        """
        held = _vectors(held, "held")
        releases = _vectors(releases, "releases", dimension=held.shape[1])
        with threadpool_limits(1):
            return (self.release_features(releases) @ self.held_features(held).T).astype(np.float32)


def fit(
    attacker: str,
    held: np.ndarray,
    released: np.ndarray,
    speakers: np.ndarray,
    *,
    seed: int,
    codebook: np.ndarray | None = None,
) -> Backend:
    """Learn what makes a release likely for a speaker, from pairs of the attacker's own speakers.

    attacker : cosine, plda or mlp.
    held : float [T, D], of `training_pairs`; released : float [T, D], the other utterance of each pair as it would be
        released; speakers : [T].
    codebook : float [K, D], codewords that are attacked, where they are known; else those among ``released`` are
        expected. Only an attacker who has learnt from codes has use for them.
    Raises InputError where the attacker is not one of these, shapes or numbers are unusable, or there is one speaker.
    """
    if attacker not in _FITS:
        raise InputError(f"attacker={attacker!r} does not learn from pairs{nearest(attacker, _FITS)}")
    held = _vectors(held, "held")
    released, speakers = _vectors(released, "released", dimension=held.shape[1]), np.asarray(speakers)
    if len(released) != len(held) or speakers.shape != held.shape[:1]:
        raise InputError(f"held {held.shape}, released {released.shape} and speakers {speakers.shape} are not T pairs")
    speaker = np.unique(speakers.astype(str), return_inverse=True)[1]
    if not speaker.any():
        raise InputError(f"{len(held)} pairs of one speaker: an attacker needs two or more to learn from")
    known = None if codebook is None else _vectors(codebook, "codewords", dimension=held.shape[1])
    if attacker == "mlp":
        with extra("torch"):
            import torch  # noqa: F401, before threads are limited: the limit holds for libraries that are loaded
    with threadpool_limits(1):  # with more threads sums have another order, and results other bytes
        model = _FITS[attacker](held, released, speaker, generator(seed, "backend"))
    return model if known is None else model.among(known, released)


def bayes(
    held_codes: np.ndarray,
    held_speaker: np.ndarray,
    n_speakers: int,
    n_codewords: int,
    codebook: np.ndarray | None = None,
) -> np.ndarray:
    """Score each code by how often each speaker is to be expected to give it, and how often all are.

    held_codes : int [H], of the utterances held; held_speaker : int [H], 0 … M-1, each at least once.
    codebook : float [K, D], where known; codes near those held are then expected, too.
    The codes of a speaker come from a Dirichlet prior that suits those held (`observations.code_prior`). One code a
    speaker does not say how much they vary: it then weighs as much as the prior, which is near that code.
    Returns float32 [K, M], log p(c|codes held) - log p(c). Raises InputError where codes or speakers do not fit.
    """
    held_codes, held_speaker = np.asarray(held_codes), np.asarray(held_speaker)
    if held_codes.ndim != 1 or held_codes.shape != held_speaker.shape:
        raise InputError(f"held_codes {held_codes.shape} and held_speaker {held_speaker.shape} differ in length")
    count_codes(held_codes, n_codewords)
    n_held = count_codes(held_speaker, n_speakers)
    if not n_held.all():
        raise InputError(f"{(n_held == 0).sum()} of {n_speakers} speakers have no code held: leave them out")
    held = np.zeros((n_speakers, n_codewords), dtype=int)
    np.add.at(held, (held_speaker, held_codes), 1)
    prior = code_prior(held, codebook)[0] if n_held.max() > 1 else _near(held, codebook)
    chances = (held + prior) / (held + prior).sum(axis=1, keepdims=True)
    return np.log(chances / chances.mean(axis=0)).T.astype(np.float32)


@dataclass(frozen=True)
class Cosine(Backend):
    """Cosine about ``center``, float [D]; what equals the centre scores 0 with everyone."""

    center: np.ndarray

    def held_features(self, held: np.ndarray) -> np.ndarray:
        """See `Backend`."""
        return _unit(held - self.center)

    def release_features(self, releases: np.ndarray) -> np.ndarray:
        """See `Backend`."""
        return _unit(releases - self.center)


@dataclass(frozen=True)
class Gaussian(Backend):
    """e and y jointly Gaussian: each of D coordinates of e correlates with one of y, and with nothing else.

    center : float [D], about which vectors get unit length; None where they keep theirs.
    held_mean, release_mean : float [D]; held_basis, release_basis : float [D, D], to coordinates of unit variance.
    correlation : float [D]; trust : factor of the log-likelihood ratio.
    """

    center: np.ndarray | None
    held_mean: np.ndarray
    release_mean: np.ndarray
    held_basis: np.ndarray
    release_basis: np.ndarray
    correlation: np.ndarray
    trust: float = 1.0

    def held_features(self, held: np.ndarray) -> np.ndarray:
        """See `Backend`."""
        linear, square = self._features(held, self.held_mean, self.held_basis)
        constant = -self.trust * np.log1p(-(self.correlation**2)).sum() / 2
        return np.hstack([linear, square + constant, np.ones_like(square)])

    def release_features(self, releases: np.ndarray) -> np.ndarray:
        """See `Backend`."""
        linear, square = self._features(releases, self.release_mean, self.release_basis)
        return np.hstack([linear, np.ones_like(square), square])

    def _features(self, vectors: np.ndarray, mean: np.ndarray, basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        coordinates = (_lengths(vectors, self.center) - mean) @ basis
        weights = self.trust * self.correlation / (1 - self.correlation**2)
        return coordinates * np.sqrt(weights), -(coordinates**2) @ (weights * self.correlation)[:, None] / 2


@dataclass(frozen=True)
class Codewords(Backend):
    """e Gaussian around the codeword of its release, with one variance for all directions.

    center : float [D], any; codebook : float [K, D], what releases there are; shares : float [K], how often;
    precision : 1 / variance.
    """

    center: np.ndarray
    codebook: np.ndarray
    shares: np.ndarray
    precision: float = 0.0

    def held_features(self, held: np.ndarray) -> np.ndarray:
        """See `Backend`."""
        everyone = logsumexp(self.precision * self.nearness(held), axis=1, b=self.shares, keepdims=True)
        return np.hstack([np.sqrt(self.precision) * self._offset(held), -everyone, np.ones_like(everyone)])

    def release_features(self, releases: np.ndarray) -> np.ndarray:
        """See `Backend`."""
        offset = np.sqrt(self.precision) * self._offset(releases)
        square = -(offset**2).sum(axis=1, keepdims=True) / 2
        return np.hstack([offset, np.ones_like(square), square])

    def nearness(self, held: np.ndarray) -> np.ndarray:
        """Half of the squared distances from e to the codewords, negative, up to a term of e. [M, D] -> [M, K]."""
        codewords = self._offset(self.codebook)
        return self._offset(held) @ codewords.T - (codewords**2).sum(axis=1) / 2

    def _offset(self, vectors: np.ndarray) -> np.ndarray:
        return vectors - self.center

    def among(self, codebook: np.ndarray, released: np.ndarray) -> Self:
        """See `Backend`. A codeword that was not met counts as met once, like all others once more."""
        code = np.unique(np.vstack([codebook, released]), axis=0, return_inverse=True)[1].ravel()
        count = np.bincount(code[len(codebook) :], minlength=code.max() + 1)[code[: len(codebook)]] + 1
        return replace(self, codebook=codebook, shares=count / count.sum())


@dataclass(frozen=True)
class Towers(Backend):
    """Features of ``base``, F of them, and what a network with H hidden units adds to those of either side.

    held_scale, release_scale : size of the features; held_layers, release_layers : weights [F - 2, H], of all but the
    last two, biases [H], weights [H, F] and biases [F].
    """

    base: Backend
    held_scale: float
    release_scale: float
    held_layers: Sequence[np.ndarray]
    release_layers: Sequence[np.ndarray]

    def held_features(self, held: np.ndarray) -> np.ndarray:
        """See `Backend`."""
        return self._tower(self.base.held_features(held), self.held_scale, self.held_layers)

    def release_features(self, releases: np.ndarray) -> np.ndarray:
        """See `Backend`."""
        return self._tower(self.base.release_features(releases), self.release_scale, self.release_layers)

    @staticmethod
    def _tower(features: np.ndarray, scale: float, layers: Sequence[np.ndarray]) -> np.ndarray:
        into, bias, out, offset = layers
        return features + scale * (np.maximum(features[:, :-2] / scale @ into + bias, 0) @ out + offset)

    def among(self, codebook: np.ndarray, released: np.ndarray) -> Self:
        """See `Backend`."""
        return replace(self, base=self.base.among(codebook, released))


def _fit_cosine(held: np.ndarray, released: np.ndarray, speaker: np.ndarray, rng: np.random.Generator) -> Backend:
    return Cosine(held.mean(axis=0))


def _fit_plda(held: np.ndarray, released: np.ndarray, speaker: np.ndarray, rng: np.random.Generator) -> Backend:
    codebook, code, count = np.unique(released, axis=0, return_inverse=True, return_counts=True)
    if len(codebook) > (1 - REPEATED) * len(released):
        return _fit_gaussian(held, released, speaker, rng)
    return _fit_codewords(held, code.ravel(), Codewords(held.mean(axis=0), codebook, count / count.sum()), rng)


def _fit_codewords(held: np.ndarray, code: np.ndarray, model: Codewords, rng: np.random.Generator) -> Codewords:
    """Learn the precision, by maximum likelihood of the codes. code : int [T]."""
    if len(model.codebook) == 1:
        return model
    pairs = rng.permutation(len(held))[:VARIANCE_PAIRS]
    nearness = model.nearness(held[pairs])
    own = nearness[np.arange(len(pairs)), code[pairs]]
    unit = 1 / model.codebook.var(axis=0).mean()

    def cost(log_precision: float) -> float:
        precision = unit * np.exp(log_precision)
        return -np.mean(precision * own - logsumexp(precision * nearness, axis=1, b=model.shares))

    return replace(model, precision=unit * np.exp(minimize_scalar(cost, bounds=(-8, 8), method="bounded").x))


def _fit_gaussian(held: np.ndarray, released: np.ndarray, speaker: np.ndarray, rng: np.random.Generator) -> Gaussian:
    """Choose shrinkage, lengths and trust by the speakers left out of each fold, and learn from all."""
    place = rng.permutation(speaker.max() + 1)[speaker] % FOLDS
    if speaker.max() + 1 < 2 * FOLDS:
        return next(_two_covariance(held, released, speaker, SHRINKAGES[-1:], unit=False))
    tables: dict[tuple[bool, float], list[np.ndarray]] = {}
    for fold in range(FOLDS):
        rest, out = place != fold, rng.permutation(np.flatnonzero(place == fold))[:VALIDATED]
        rival = ~_same_speaker(speaker[out])
        for unit in (False, True):
            models = _two_covariance(held[rest], released[rest], speaker[rest], SHRINKAGES, unit=unit)
            for shrinkage, model in zip(SHRINKAGES, models, strict=True):
                scores = np.where(rival, model.scores(held[out], released[out]), -np.inf)
                scores -= scores.max(axis=1, keepdims=True)
                tables.setdefault((unit, shrinkage), []).append(scores)

    def best_trust(scores: list[np.ndarray]) -> tuple[float, float]:
        def cost(log_trust: float) -> float:
            trusted = (np.float32(np.exp(log_trust)) * table for table in scores)
            return sum(float(np.sum(np.log(np.exp(table).sum(axis=1)) - np.diag(table))) for table in trusted)

        found = minimize_scalar(cost, bounds=(-3, 1), method="bounded", options={"xatol": 0.01})
        return float(found.fun), float(np.exp(found.x))

    (_, trust), (unit, shrinkage) = min((best_trust(scores), choice) for choice, scores in tables.items())
    model = next(_two_covariance(held, released, speaker, [shrinkage], unit=unit))
    return replace(model, trust=trust)


def _two_covariance(
    held: np.ndarray, released: np.ndarray, speaker: np.ndarray, shrinkages: Sequence[float], *, unit: bool
) -> Iterator[Gaussian]:
    """Learn the model of e = s + noise and y = s + noise, for each shrinkage of the noise."""
    center = held.mean(axis=0) if unit else None
    held, released = _lengths(held, center), _lengths(released, center)
    held_mean, release_mean = held.mean(axis=0), released.mean(axis=0)
    held, released = held - held_mean, released - release_mean
    _, speaker, n_utterances = np.unique(speaker, return_inverse=True, return_counts=True)
    means, noise = _within(released, speaker, n_utterances)
    held_noise = _within(held, speaker, n_utterances)[1]
    floor = FLOOR * np.mean(released**2)
    variances, directions = eigh(noise)
    for shrinkage in shrinkages:
        shrunk = (1 - shrinkage) * np.maximum(variances, 0) + shrinkage * variances.mean() + floor
        white = directions / np.sqrt(shrunk)
        between = ledoit_wolf(means @ white, assume_centered=True)[0] - np.mean(1 / n_utterances) * np.eye(len(white))
        between, rotation = eigh(between)
        between, white = np.maximum(between, 0), white @ rotation

        # Means of other utterances vary less within a speaker than independent ones would: their noise has the
        # directions of what they vary by, and the size that their whole variance leaves.
        shape = white.T @ _shrunk(held_noise, shrinkage, floor) @ white
        size = np.maximum(np.mean((held @ white) ** 2) - between.mean(), FLOOR) / np.trace(shape) * len(shape)
        held_variances, held_directions = eigh(np.diag(between) + size * shape)
        held_basis = held_directions / np.sqrt(held_variances)
        release_basis = 1 / np.sqrt(between + 1)
        left, correlation, right = _decompose(held_basis.T * between * release_basis)
        yield Gaussian(
            center, held_mean, release_mean, white @ held_basis @ left, white * release_basis @ right.T, correlation
        )


def _decompose(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Singular value decomposition; by the slower method where the quick one, rarely, does not converge."""
    try:
        return svd(matrix)
    except np.linalg.LinAlgError:
        return svd(matrix, lapack_driver="gesvd")


def _within(vectors: np.ndarray, speaker: np.ndarray, n_utterances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of the speakers [S, D], and covariance [D, D] of their utterances about them."""
    means = np.zeros((len(n_utterances), vectors.shape[1]))
    np.add.at(means, speaker, vectors)
    means /= n_utterances[:, None]
    offset = vectors - means[speaker]
    return means, offset.T @ offset / max(len(vectors) - len(means), 1)


def _shrunk(covariance: np.ndarray, shrinkage: float, floor: float) -> np.ndarray:
    equal = shrinkage * np.trace(covariance) / len(covariance) + floor
    return (1 - shrinkage) * covariance + equal * np.eye(len(covariance))


def _fit_mlp(held: np.ndarray, released: np.ndarray, speaker: np.ndarray, rng: np.random.Generator) -> Backend:
    import torch  # here, since other attackers need not wait for it
    from torch.nn.functional import cross_entropy

    names = rng.permutation(speaker.max() + 1)
    left_out = np.isin(speaker, names[: round(LEFT_OUT * len(names))])
    if len(np.unique(speaker[left_out])) < 2:
        return _fit_plda(held, released, speaker, rng)
    base = _fit_plda(held[~left_out], released[~left_out], speaker[~left_out], rng)
    features = base.held_features(held), base.release_features(released)
    scales = [float(np.sqrt(np.mean(side[:, :-2] ** 2))) for side in features]
    if not min(scales):
        return base
    inputs = [torch.from_numpy(side.astype(np.float32)) for side in features]
    n_features = inputs[0].shape[1]

    def layers() -> list[torch.Tensor]:
        into = torch.from_numpy(rng.standard_normal((n_features - 2, HIDDEN)) / np.sqrt(n_features - 2)).float()
        zeros = torch.zeros(HIDDEN), torch.zeros(HIDDEN, n_features), torch.zeros(n_features)
        return [layer.requires_grad_() for layer in (into, *zeros)]

    networks = [layers(), layers()]

    def loss(rows: np.ndarray) -> torch.Tensor:
        sides = []
        for side, scale, (into, bias, out, offset) in zip(inputs, scales, networks, strict=True):
            own = side[rows]
            sides.append(own + scale * (torch.relu(own[:, :-2] / scale @ into + bias) @ out + offset))
        scores = sides[0] @ sides[1].T
        scores = scores.masked_fill(torch.from_numpy(_same_speaker(speaker[rows])), -torch.inf)
        partner = torch.arange(len(rows))
        return (cross_entropy(scores, partner) + cross_entropy(scores.T, partner)) / 2

    parameters = [layer for network in networks for layer in network]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    training = np.flatnonzero(~left_out)
    validation = rng.permutation(np.flatnonzero(left_out))[:LEFT_OUT_PAIRS]
    batch = min(BATCH, len(training))
    least, best_step, best = np.inf, 0, networks
    for step in range(min(STEPS, EPOCHS * len(training) // batch) + 1):
        if step % CHECK == 0:
            with torch.no_grad():
                found = float(loss(validation))
            if found < least:
                least, best_step = found, step
                best = [[layer.detach().clone() for layer in network] for network in networks]
            if step - best_step >= CHECK * PATIENCE:
                break
        optimizer.zero_grad()
        loss(rng.choice(training, batch, replace=False)).backward()
        optimizer.step()
    if not best_step:
        return base
    held_layers, release_layers = ([layer.double().numpy() for layer in network] for network in best)
    return Towers(base, scales[0], scales[1], held_layers, release_layers)


_FITS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray, np.random.Generator], Backend]] = {
    "cosine": _fit_cosine,
    "plda": _fit_plda,
    "mlp": _fit_mlp,
}


def _same_speaker(speaker: np.ndarray) -> np.ndarray:
    """Whether two pairs are of one speaker, but not one pair: neither partners nor rivals. int [T] -> bool [T, T]."""
    return (speaker[:, None] == speaker) & ~np.eye(len(speaker), dtype=bool)


def _near(held: np.ndarray, codebook: np.ndarray | None) -> np.ndarray:
    """Prior of the weight of one code, of codes near the one held: int [M, K] -> float [M, K]."""
    n_speakers, n_codewords = held.shape
    population = (held.sum(axis=0) + 1) / (n_speakers + n_codewords)
    if codebook is None:
        return np.broadcast_to(population, held.shape)
    if np.ndim(codebook) != 2 or len(codebook) != n_codewords:
        raise InputError(f"codebook has shape {np.shape(codebook)}, should be [K={n_codewords}, D]")
    squares = cdist(codebook, codebook, "sqeuclidean")
    nearest_squares = np.sort(squares, axis=1)[:, :2].max(axis=1)  # of one codeword, itself
    variance = max(NEAR[0] * nearest_squares.mean(), np.finfo(float).tiny)
    alike = softmax(np.log(population) - squares / (2 * variance), axis=1)
    return FAR * population + (1 - FAR) * alike[held.argmax(axis=1)]


def _vectors(vectors: np.ndarray, name: str, *, dimension: int | None = None) -> np.ndarray:
    """Return vectors as float64 [N, D]. Raises InputError where they are not that, none, or not finite."""
    vectors = np.asarray(vectors, dtype=np.float64)
    if vectors.ndim != 2 or not vectors.size or dimension not in (None, vectors.shape[1]):
        raise InputError(f"{name} have shape {vectors.shape}, should be [N, D{f'={dimension}' if dimension else ''}]")
    bad = ~np.isfinite(vectors).all(axis=1)
    if bad.any():
        raise InputError(f"{bad.sum()} of {len(vectors)} {name} are not finite, first in row {bad.argmax()}: drop them")
    return vectors


def _lengths(vectors: np.ndarray, center: np.ndarray | None) -> np.ndarray:
    return vectors if center is None else _unit(vectors - center)


def _unit(vectors: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, norm, where=norm != 0, out=np.zeros_like(vectors))
