import sys

import numpy as np
import pytest
from scipy.linalg import svd
from scipy.stats import multivariate_normal
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from porcupine.errors import InputError
from porcupine.privacy import backends
from porcupine.privacy.attackers import identification, top_n_rate
from porcupine.privacy.backends import bayes, fit, training_pairs
from porcupine.privacy.verification import equal_error_rate

LEARN = ("cosine", "plda", "mlp")


def covariance(dimension, seed, *, spread=1.0):
    """Of random directions, with variances of 1 : 10 : 100 and so on, times ``spread``."""
    rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((dimension, dimension)))[0]
    return spread * rotation @ np.diag(np.geomspace(0.1, 1, dimension)) @ rotation.T


def talk(n_speakers, n_utterances, between, within, seed):
    """Gaussian speakers with Gaussian utterances, away from the origin. Returns float [N, D] and int [N]."""
    rng = np.random.default_rng(seed)
    zero = np.zeros(len(between))
    speaker = np.repeat(np.arange(n_speakers), n_utterances)
    said = rng.multivariate_normal(zero, within, len(speaker))
    return 3 + rng.multivariate_normal(zero, between, n_speakers)[speaker] + said, speaker


class World:
    """Speakers to learn from; others of whom two utterances are held and a third is released; a coarse quantiser."""

    def __init__(self, dimension=16, *, seed=0, n_speakers=150, n_codewords=16, shuffled=False):
        between, noise = np.eye(dimension), covariance(dimension, 9, spread=0.25)
        background, speaker = talk(n_speakers, 5, between, noise, seed)
        if shuffled:
            speaker = np.random.default_rng(seed).permutation(speaker)
        self.pairs = training_pairs(background, speaker, 2, np.random.default_rng(seed))
        self.released = background[self.pairs.probe]
        attacked = talk(100, 3, between, noise, seed + 1)[0].reshape(100, 3, dimension)
        self.held, self.probes = attacked[:, :2].mean(axis=1), attacked[:, 2]
        self.kmeans = KMeans(n_codewords, n_init=1, random_state=0).fit(background)
        self.codebook = self.kmeans.cluster_centers_
        self.coded = self.codebook[self.kmeans.predict(self.released)]
        self.codes = self.kmeans.predict(self.probes)

    def fit(self, attacker, released, **options):
        return fit(attacker, self.pairs.held, released, self.pairs.speaker, **({"seed": 0} | options))

    def score(self, attacker, released, *, quantised, **options):
        """Scores of the probes [P, M]."""
        learnt = self.fit(attacker, released, **options)
        return (
            learnt.scores(self.held, self.codebook)[self.codes] if quantised else learnt.scores(self.held, self.probes)
        )


@pytest.fixture(scope="module")
def world():
    return World()


def bits(scores):
    """Mean of log2 of the posterior of the true speaker over the prior."""
    own = np.diag(scores).astype(float)
    return np.mean(own - np.log(np.mean(np.exp(scores.astype(float)), axis=1))) / np.log(2)


def top1(scores):
    return top_n_rate(identification(scores, np.arange(len(scores))), 1).mean()


def eer(scores):
    return equal_error_rate(scores.ravel(), np.eye(len(scores), dtype=bool).ravel())


def closed_form(held, releases, covariance_held, covariance_release, shared):
    """log p(y|e) - log p(y) of zero means, by densities."""
    gain = shared @ np.linalg.inv(covariance_held)
    given = covariance_release - gain @ shared
    everyone = multivariate_normal(np.zeros(len(shared)), covariance_release).logpdf(releases)
    rows = [multivariate_normal(gain @ e, given).logpdf(releases) - everyone for e in held]
    return np.stack(rows, axis=1)


# Pairs


def test_pairs_by_hand():
    vectors = np.array([[1.0], [10], [100], [2], [20], [5]])
    pairs = training_pairs(vectors, np.array(list("aaabbc")), 2, np.random.default_rng(0))
    assert pairs.probe.tolist() == [0, 1, 2, 3, 4]
    assert pairs.speaker.tolist() == [0, 0, 0, 1, 1]
    assert pairs.held[:, 0].tolist() == [55, 50.5, 5.5, 20, 2]


def test_pairs_are_means_of_as_many_others_drawn_at_random():
    rng = np.random.default_rng(1)
    vectors, speaker = np.exp2(np.tile(np.arange(6.0), 40))[:, None], np.repeat(np.arange(40), 6)
    pairs = training_pairs(vectors, speaker, 3, rng)
    members = (3 * pairs.held[:, 0]).round().astype(int)[:, None] >> np.arange(6) & 1
    assert (members.sum(axis=1) == 3).all()
    assert not members[np.arange(240), pairs.probe % 6].any()
    assert members.mean(axis=0) == pytest.approx(np.full(6, 0.5), abs=0.1)


def test_pairs_keep_to_the_rows_of_a_shuffled_table():
    vectors, speaker = np.arange(30.0)[:, None], np.random.default_rng(2).permutation(np.repeat(np.arange(10), 3))
    pairs = training_pairs(vectors, speaker, 5, np.random.default_rng(3))
    assert sorted(pairs.probe) == list(range(30))
    for row, held, index in zip(pairs.probe, pairs.held[:, 0], pairs.speaker, strict=True):
        own = np.flatnonzero(speaker == speaker[row])
        assert index == speaker[row]
        assert held == pytest.approx((own.sum() - row) / 2)


# What the attackers score


def test_cosine_by_hand():
    learnt = fit("cosine", np.array([[1.0, 1], [3, 3]]), np.zeros((2, 2)), np.arange(2), seed=0)
    held = np.array([[3.0, 2], [2, 5], [1, 1]])
    assert learnt.scores(held, np.array([[4.0, 2], [2, 2]])).ravel() == pytest.approx([1, 0, -np.sqrt(0.5), 0, 0, 0])


def test_plda_is_the_likelihood_ratio_of_the_two_covariance_model():
    between, within = covariance(4, 0), covariance(4, 1, spread=0.5)
    vectors, speaker = talk(1500, 4, between, within, 2)
    pairs = training_pairs(vectors, speaker, 2, np.random.default_rng(3))
    learnt = fit("plda", pairs.held, vectors[pairs.probe], pairs.speaker, seed=0)
    fresh = talk(150, 3, between, within, 4)[0].reshape(150, 3, 4)
    held, released = fresh[:, :2].mean(axis=1), fresh[:, 2]
    expected = closed_form(held - 3, released - 3, between + within / 2, between + within, between)
    found = learnt.scores(held, released)
    assert np.polyfit(expected.ravel(), found.ravel(), 1) == pytest.approx([1, 0], abs=0.1)
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.995


def test_plda_gives_either_side_its_own_noise_and_mean():
    between, within, added = covariance(4, 0), covariance(4, 1, spread=0.3), covariance(4, 5, spread=1.0)
    vectors, speaker = talk(1500, 4, between, within, 6)
    rng = np.random.default_rng(7)
    pairs = training_pairs(vectors, speaker, 1, rng)

    def release(x):
        return x + 10 + rng.multivariate_normal(np.zeros(4), added, len(x))

    learnt = fit("plda", pairs.held, release(vectors[pairs.probe]), pairs.speaker, seed=0)
    fresh = talk(150, 2, between, within, 8)[0].reshape(150, 2, 4)
    released = release(fresh[:, 1])
    expected = closed_form(fresh[:, 0] - 3, released - 13, between + within, between + within + added, between)
    found = learnt.scores(fresh[:, 0], released)
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.99
    assert np.polyfit(expected.ravel(), found.ravel(), 1) == pytest.approx([1, 0], abs=0.15)


def test_plda_of_codes_is_the_posterior_of_the_codeword():
    # e = codeword + noise, and codewords of unlike shares: Bayes' rule gives the score.
    rng = np.random.default_rng(10)
    codebook, shares, deviation = rng.standard_normal((5, 3)), np.array([0.4, 0.3, 0.15, 0.1, 0.05]), 0.7
    code = rng.choice(5, 4000, p=shares)
    held = codebook[code] + deviation * rng.standard_normal((4000, 3))
    learnt = fit("plda", held, codebook[code], np.arange(4000) // 2, seed=0)
    some = held[:20]
    likelihood = np.exp(-((some[:, None] - codebook) ** 2).sum(axis=2) / (2 * deviation**2))
    expected = np.log(likelihood / (likelihood @ shares)[:, None]).T
    assert learnt.scores(some, codebook) == pytest.approx(expected, rel=0.05, abs=0.1)
    assert learnt.scores(some, codebook).shape == (5, 20)


def test_plda_of_few_speakers_in_many_dimensions():
    # As many as a small corpus has: whitening by what 40 speakers differ by must not do harm.
    between, within = np.eye(64), covariance(64, 11, spread=8.0)
    background, speaker = talk(40, 12, between, within, 12)
    pairs = training_pairs(background, speaker, 2, np.random.default_rng(13))
    fresh = talk(80, 3, between, within, 14)[0].reshape(80, 3, 64)
    held, released = fresh[:, :2].mean(axis=1), fresh[:, 2]
    found = {
        name: fit(name, pairs.held, background[pairs.probe], pairs.speaker, seed=0).scores(held, released)
        for name in LEARN
    }
    assert top1(found["plda"]) > top1(found["cosine"]) + 0.05
    assert eer(found["plda"]) < eer(found["cosine"])
    assert bits(found["plda"]) > 3
    assert top1(found["mlp"]) > top1(found["cosine"])


@pytest.mark.parametrize("attacker", ["plda", "mlp"])
def test_informed_is_at_least_as_strong_as_ignorant(world, attacker):
    ignorant, informed = (world.score(attacker, seen, quantised=True) for seen in (world.released, world.coded))
    assert top1(informed) >= top1(ignorant) - 0.02
    assert eer(informed) <= eer(ignorant) + 0.01
    assert bits(informed) > bits(ignorant) + 0.1
    cosine = world.score("cosine", world.released, quantised=True)
    assert eer(informed) <= eer(cosine) + 0.01
    assert top1(informed) >= top1(cosine) - 0.02


def test_who_knows_the_codewords_learns_the_rest_from_another_codebook(world):
    other = KMeans(16, n_init=1, random_state=1).fit(World(seed=50).released)
    coded = other.cluster_centers_[other.predict(world.released)]
    for attacker in ("plda", "mlp"):
        blind, seeing = (
            world.score(attacker, coded, quantised=True, codebook=known) for known in (None, world.codebook)
        )
        informed = world.score(attacker, world.coded, quantised=True)
        assert bits(seeing) > bits(blind) + 0.1, attacker
        assert bits(seeing) == pytest.approx(bits(informed), abs=0.15), attacker


def test_codewords_known_are_as_frequent_as_met(world):
    learnt = world.fit("plda", world.coded, codebook=np.vstack([world.codebook, np.full(16, 9.0)]))
    count = np.bincount(world.kmeans.predict(world.released), minlength=17) + 1
    assert learnt.shares == pytest.approx(count / count.sum())


def test_mlp_learns_what_plda_misses():
    # Half of the codes are decoded to the codeword of another one.
    world = World(n_codewords=8, n_speakers=600)
    wrong = np.array([1, 0, 3, 2, 4, 5, 6, 7])
    decoded = world.codebook[wrong]
    released = decoded[world.kmeans.predict(world.released)]
    found = {name: world.fit(name, released).scores(world.held, decoded)[world.codes] for name in ("plda", "mlp")}
    assert bits(found["mlp"]) > bits(found["plda"]) + 0.3


# Anchors


@pytest.mark.parametrize("attacker", LEARN)
def test_a_constant_release_gives_everyone_the_same_score(world, attacker):
    constant = np.broadcast_to(world.pairs.held.mean(axis=0), world.released.shape)
    learnt = world.fit(attacker, constant)
    assert (learnt.scores(world.held, constant[:3]) == 0).all()


@pytest.mark.parametrize("attacker", ["plda", "mlp"])
@pytest.mark.parametrize("quantised", [False, True])
def test_who_learns_from_shuffled_speakers_claims_next_to_nothing(world, attacker, quantised):
    shuffled = World(shuffled=True)
    for one, low, high in ((world, 1.5, 7), (shuffled, -0.1, 0.4)):
        found = one.score(attacker, one.coded if quantised else one.released, quantised=quantised)
        assert low < bits(found) < high


@pytest.mark.parametrize("attacker", LEARN)
def test_the_same_seed_gives_the_same_bytes_on_any_number_of_threads(world, attacker):
    for released in (world.released, world.coded):
        found = []
        for threads in (1, 2):
            with threadpool_limits(threads):
                learnt = world.fit(attacker, released, seed=5)
            found.append(learnt.scores(world.held, world.codebook))
        assert found[0].dtype == np.float32
        assert np.array_equal(*found)


@pytest.mark.parametrize("attacker", LEARN)
@pytest.mark.parametrize("n_codewords", [2, 4])
def test_fewer_codewords_than_dimensions(attacker, n_codewords):
    world = World(n_codewords=n_codewords)
    found = world.score(attacker, world.coded, quantised=True)
    assert np.isfinite(found).all()
    assert top1(found) > 1.5 / 100


@pytest.mark.parametrize("attacker", LEARN)
@pytest.mark.parametrize("n_speakers", [2, 4, 7])
def test_very_few_speakers(attacker, n_speakers):
    vectors, speaker = talk(n_speakers, 2, np.eye(12), 0.1 * np.eye(12), 15)
    pairs = training_pairs(vectors, speaker, 2, np.random.default_rng(16))
    found = fit(attacker, pairs.held, vectors[pairs.probe], pairs.speaker, seed=0).scores(pairs.held, vectors)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("attacker", LEARN)
def test_utterances_that_never_vary(attacker):
    names = np.repeat(np.arange(30), 3)
    vectors = np.random.default_rng(17).standard_normal((30, 6))[names]
    vectors += 1e-9 * np.arange(90)[:, None]  # not codes
    found = fit(attacker, vectors, vectors, names, seed=0).scores(vectors[::3], vectors[::3])
    assert np.isfinite(found).all()
    assert top1(found) == 1


# Counting


def test_bayes_by_hand():
    # Two speakers who keep to one code each: its share of the predictive chances, against that of both together.
    scores = bayes(np.array([0] * 20 + [1] * 20), np.repeat([0, 1], 20), 2, 3)
    assert scores.shape == (3, 2) and scores.dtype == np.float32
    assert scores[:2] == pytest.approx(np.where(np.eye(2), np.log(2), scores[0, 1]), abs=0.03)
    assert scores[0, 1] < -2
    assert scores[2] == pytest.approx([0, 0], abs=1e-6)


def test_bayes_is_a_ratio_to_the_population(world):
    rng = np.random.default_rng(18)
    for n_held, codebook in ((1, None), (1, world.codebook), (3, None), (3, world.codebook)):
        scores = bayes(rng.integers(16, size=40 * n_held), np.repeat(np.arange(40), n_held), 40, 16, codebook)
        assert np.exp(scores.astype(float)).mean(axis=1) == pytest.approx(np.ones(16), rel=1e-5)


def test_bayes_with_one_code_of_each_expects_it_again_and_near_ones():
    line = np.arange(5.0)[:, None]
    scores = bayes(np.arange(5), np.arange(5), 5, 5, line)
    assert (np.diff(scores[:4, 0]) < 0).all()
    assert (scores.argmax(axis=1) == np.arange(5)).all()
    blind = bayes(np.arange(5), np.arange(5), 5, 5)
    assert blind == pytest.approx(np.where(np.eye(5), blind[0, 0], blind[0, 1]))
    assert blind[0, 0] > 0 > blind[0, 1]


def test_bayes_finds_speakers_by_codes(world):
    rng = np.random.default_rng(19)
    codes = world.kmeans.predict(np.repeat(world.held, 4, axis=0) + 0.1 * rng.standard_normal((400, 16)))
    found = bayes(codes, np.repeat(np.arange(100), 4), 100, 16, world.codebook)[world.codes]
    assert top1(found) > 0.06
    assert eer(found) < 0.3


# Names and errors


def test_the_names_are_those_of_the_parameters():
    assert tuple(backends.ATTACKERS) == (*LEARN, "bayes")
    assert tuple(backends.THREATS) == ("ignorant", "informed", "semi-informed")
    assert all(backends.ATTACKERS.values()) and all(backends.THREATS.values())


def test_pairs_that_cannot_be_made():
    vectors, rng = np.zeros((4, 2)), np.random.default_rng(0)
    with pytest.raises(InputError, match=r"1 speaker\(s\) with two utterances"):
        training_pairs(vectors, np.array(list("aabc")), 2, rng)
    with pytest.raises(InputError, match="per_speaker=0"):
        training_pairs(vectors, np.array(list("aabb")), 0, rng)
    with pytest.raises(InputError, match=r"speakers \(3,\)"):
        training_pairs(vectors, np.array(list("aab")), 1, rng)
    with pytest.raises(InputError, match="1 of 4 vectors are not finite, first in row 2"):
        training_pairs(np.where(np.arange(4)[:, None] == 2, np.nan, vectors), np.array(list("aabb")), 1, rng)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"attacker": "pdla"}, "attacker='pdla' does not learn from pairs; did you mean 'plda'"),
        ({"attacker": "bayes"}, "attacker='bayes' does not learn"),
        ({"released": np.zeros((4, 3))}, r"released have shape \(4, 3\), should be \[N, D=2\]"),
        ({"released": np.zeros((5, 2))}, "not T pairs"),
        ({"speakers": np.arange(3)}, "not T pairs"),
        ({"speakers": np.zeros(4)}, "4 pairs of one speaker"),
        ({"held": np.full((4, 2), np.inf)}, "4 of 4 held are not finite"),
        ({"held": np.zeros(4)}, r"held have shape \(4,\)"),
        ({"codebook": np.zeros((4, 3))}, "codewords have shape"),
    ],
)
def test_what_cannot_be_learnt_from(given, message):
    usable = {
        "attacker": "plda",
        "held": np.eye(4)[:, :2],
        "released": np.ones((4, 2)),
        "speakers": np.array([0, 0, 1, 1]),
        "seed": 0,
    }
    with pytest.raises(InputError, match=message):
        fit(**(usable | given))


@pytest.mark.parametrize(
    ("held", "releases", "message"),
    [
        (np.zeros((3, 5)), np.zeros((2, 4)), r"releases have shape \(2, 4\), should be \[N, D=5\]"),
        (np.zeros((0, 5)), np.zeros((2, 5)), "held have shape"),
        (np.full((3, 5), np.nan), np.zeros((2, 5)), "3 of 3 held are not finite"),
    ],
)
def test_what_cannot_be_scored(held, releases, message):
    learnt = fit("cosine", np.eye(5), np.eye(5), np.arange(5), seed=0)
    with pytest.raises(InputError, match=message):
        learnt.scores(held, releases)


@pytest.mark.parametrize(
    ("codes", "speaker", "codebook", "message"),
    [
        ([0, 1, 4], [0, 0, 1], None, "codes"),
        ([0, 1], [0, 0, 1], None, "differ in length"),
        ([0, 1, 2], [0, 0, 0], None, "1 of 2 speakers have no code held"),
        ([0, 1], [0, 1], np.zeros((3, 2)), r"codebook has shape \(3, 2\), should be \[K=4, D\]"),
        ([0, 0, 1], [0, 0, 1], np.zeros((3, 2)), r"codebook has shape \(3, 2\), should be \[K=4, D\]"),
    ],
)
def test_codes_that_cannot_be_counted(codes, speaker, codebook, message):
    with pytest.raises(InputError, match=message):
        bayes(np.array(codes), np.array(speaker), 2, 4, codebook)


def test_missing_torch_is_named_with_its_extra(world, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"torch is not installed: pip install 'porcupine\[torch\]'"):
        world.fit("mlp", world.released)


def test_a_decomposition_that_does_not_converge_is_made_another_way(monkeypatch):
    def quick_one_fails(matrix, lapack_driver="gesdd"):
        if lapack_driver == "gesdd":
            raise np.linalg.LinAlgError("SVD did not converge")
        return svd(matrix, lapack_driver=lapack_driver)

    matrix = np.random.default_rng(0).standard_normal((6, 6))
    monkeypatch.setattr(backends, "svd", quick_one_fails)
    left, values, right = backends._decompose(matrix)
    assert np.allclose(left * values @ right, matrix) and (np.diff(values) < 0).all()
