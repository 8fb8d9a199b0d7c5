from dataclasses import replace

import numpy as np
import pytest

from porcupine.errors import InputError
from porcupine.privacy import threats
from porcupine.privacy.attackers import bootstrap_weights, enrol, rate_table
from porcupine.quantizers.base import Nearest
from porcupine.quantizers.kmeans import fit_kmeans

ALL = ("cosine", "plda", "mlp", "bayes")


def evidence(attackers=ALL, *, per_speaker=2, utterances=4, seed=0):
    """Two hundred speakers in eight dimensions, half of them attacked: far apart, close to themselves."""
    rng = np.random.default_rng(seed)
    speakers = np.repeat(np.arange(200), utterances)
    vectors = rng.standard_normal((200, 8))[speakers] + 0.2 * rng.standard_normal((len(speakers), 8))
    known = speakers < 100
    enrolment = enrol(speakers[~known], per_speaker, rng)
    return threats.Evidence(
        vectors[known], speakers[known], vectors[~known], enrolment, per_speaker, tuple(attackers), seed
    )


def attack(threat, found, quantizer, own=None):
    codes, background = quantizer.encode(found.utterances), quantizer.encode(found.background)
    return threats.of_codes(threat, found, quantizer.codebook, codes, background, own)


def top1(trials):
    weights = bootstrap_weights(trials, 200, np.random.default_rng(0))
    return rate_table([trials], weights).set_index("figure").loc["top1"]


def test_raw_embeddings_identify_well_above_chance():
    for trials in threats.of_vectors(evidence()).values():
        assert trials.values.shape == (200, 100) and trials.row.tolist() == list(range(200))
        assert top1(trials)["low"] > 0.7  # chance is 0.01


def test_who_tries_under_which_threat():
    found = evidence()
    quantizer = fit_kmeans(found.background.astype(np.float32), bits=4, seed=0)
    assert set(threats.of_vectors(found)) == set(attack("ignorant", found, quantizer)) == {"cosine", "plda", "mlp"}
    for threat, own in (("informed", None), ("semi-informed", quantizer)):
        trials = attack(threat, found, quantizer, own)
        assert set(trials) == {"plda", "mlp", "bayes"}
        assert all(one.values.shape == (16, 100) for one in trials.values())


def test_the_informed_are_no_weaker_than_the_ignorant_within_the_interval():
    found = evidence()
    quantizer = fit_kmeans(found.background.astype(np.float32), bits=5, seed=0)
    ignorant, informed = (attack(threat, found, quantizer) for threat in ("ignorant", "informed"))
    best, least = (
        max(top1(one)["high"] for one in informed.values()),
        max(top1(one)["value"] for one in ignorant.values()),
    )
    assert best >= least > 0.05


def test_a_quantiser_of_his_own_that_is_the_same_makes_him_informed():
    found = evidence(["plda", "bayes"])
    quantizer = fit_kmeans(found.background.astype(np.float32), bits=4, seed=0)
    informed, semi = attack("informed", found, quantizer), attack("semi-informed", found, quantizer, quantizer)
    for name in informed:
        assert np.allclose(informed[name].values, semi[name].values, atol=1e-5)


def test_a_constant_code_gives_exactly_chance():
    found = evidence()
    quantizer = Nearest(np.zeros((1, 8), np.float32))
    for threat, own in (("informed", None), ("semi-informed", quantizer)):
        for trials in attack(threat, found, quantizer, own).values():
            rates = rate_table([trials], np.ones((1, 100))).set_index("figure")["value"]
            assert rates.to_dict() == pytest.approx({"top1": 0.01, "top5": 0.05, "top10": 0.1, "eer": 0.5})


def test_shuffled_speakers_give_chance_within_the_interval():
    found = evidence()
    shuffled = np.random.default_rng(1).permutation(found.enrolment.probe_speaker)
    found = replace(found, enrolment=replace(found.enrolment, probe_speaker=shuffled))
    quantizer = fit_kmeans(found.background.astype(np.float32), bits=4, seed=0)
    for trials in attack("informed", found, quantizer).values():
        rate = top1(trials)
        assert rate["low"] <= 0.01 <= rate["high"]


def test_without_pairs_to_learn_from_the_others_try():
    found = evidence()
    found = replace(found, background_speakers=np.arange(len(found.background)))
    quantizer = fit_kmeans(found.background.astype(np.float32), bits=3, seed=0)
    assert set(threats.of_vectors(found)) == set(attack("ignorant", found, quantizer)) == {"cosine"}
    assert set(attack("informed", found, quantizer)) == {"bayes"}


def test_the_same_seed_gives_the_same_scores():
    first, second = (threats.of_vectors(evidence())["mlp"].values for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("threat", ["semi-informed", "clairvoyant"])
def test_a_threat_that_cannot_be(threat):
    found = evidence(["cosine"])
    with pytest.raises(InputError, match=f"threat='{threat}'"):
        attack(threat, found, Nearest(np.zeros((2, 8), np.float32)))


def test_releases_that_are_vectors_are_met_as_such():
    found = evidence(("cosine", "plda"))
    probes = found.utterances[found.enrolment.probes]
    raw, same = threats.of_vectors(found), threats.of_releases("ignorant", found, probes, found.background)
    assert all(np.array_equal(raw[name].values, same[name].values) for name in ("cosine", "plda"))
    # Moved far away, they tell the ignorant attacker little, and the informed one as much as before.
    moved = [
        threats.of_releases(threat, found, probes + 20, found.background + 20) for threat in ("ignorant", "informed")
    ]
    assert set(moved[1]) == {"plda"} and top1(moved[1]["plda"])["value"] == top1(raw["plda"])["value"]
    assert top1(moved[0]["plda"])["value"] < 0.1
    with pytest.raises(InputError, match="semi-informed"):
        threats.of_releases("semi-informed", found, probes, found.background)
