"""Tables as the stages write them, small."""

import numpy as np
import pandas as pd

from porcupine.privacy import summary
from porcupine.privacy.attackers import Trials, bootstrap_weights, rate_table
from porcupine.report import attacks

VARIANTS = ("vq", "sfvq-exact-interval")
CERTIFICATE_COLUMNS = [
    *("variant", "bits", "way", "bits_certified", "k", "k_ideal", "mse", "n_evidence", "alpha", "population", "reason")
]
NO_CERTIFICATES = pd.DataFrame(columns=CERTIFICATE_COLUMNS)


def metrics_table(bits=(3, 4), n_test=400, repeats=3, variants=VARIANTS):
    """What the metrics stage writes; the highest code of plain VQ is empty at the highest bitrate in one repeat."""
    rng = np.random.default_rng(0)
    tables = []
    for variant in variants:
        for b in bits:
            codes = rng.integers(0, 2**b, (repeats, n_test))
            if variant == "vq" and b == max(bits):
                codes[1] = np.minimum(codes[1], 2**b - 2)
            rows = summary.occupancy_table(codes, 2**b, n_train=1000, simulations=100, bootstrap=10, rng=rng)
            mse = {"metric": "mse", "unit": "", "mean": 0.25, "low": 0.2, "high": 0.3, "n_infinite": 0}
            tables.append(pd.concat([rows, pd.DataFrame([mse])]).assign(variant=variant, bits=b))
    return pd.concat(tables, ignore_index=True)


def rates_table(bits=(3, 4)):
    """What the attack stage writes: two attackers, of whom the second always finds more."""
    rng = np.random.default_rng(1)
    target = np.repeat(np.arange(50), 3)
    tables = []
    for attacker, threat, lead in (("cosine", "ignorant", 0.3), ("plda", "informed", 0.6)):
        scores = rng.uniform(-0.5, 0.5, (150, 50))
        scores[np.arange(150), target] += lead
        trials = Trials(scores, np.arange(150), target)
        rates = rate_table([trials], bootstrap_weights(trials, 20, rng))
        noisy = rates.query("figure != 'eer'").assign(epsilon=2.0, value=0.0)
        cells = [("raw", 0), *((variant, b) for variant in VARIANTS for b in bits)]
        for variant, b in cells:
            names = {"variant": variant, "bits": b, "threat": threat, "attacker": attacker}
            tables.append(rates.assign(epsilon=np.inf, **names))
            tables += [noisy.assign(**names)] if variant != "raw" else []
    return pd.concat(tables, ignore_index=True)


NO_RATES = rates_table().iloc[:0]


def certificates_table(bits=(3, 4)):
    """What the certificate stage writes: an audit that binds, one that does not, and two certificates by construction.

    The curve has less distortion than the tree, and the audited codes less than both.
    """
    cells = [
        ("vq", "audit", None, 0, 0.1, 400, "infinite: some reason"),
        ("tree", "audit", 5.2, 200, 0.1, 400, ""),
        ("tree", "construction", 4.567, 300, 0.3, 700, ""),
        ("curve-interval", "construction", 4.567, 300, 0.2, 700, ""),
        ("other", "construction", None, None, None, 700, "7 vectors tie at a threshold"),
    ]
    rows = [
        (*cell[:1], b, *cell[1:4], 10_000 // 2**b, *cell[4:6], 0.05, 10_000, cell[6]) for b in bits for cell in cells
    ]
    return pd.DataFrame(rows, columns=CERTIFICATE_COLUMNS).astype({"k": "Int64"})


def attacked(**tables):
    """What the stages of attacks write; what is not given is empty."""
    return attacks.Tables(**{name: tables.get(name, pd.DataFrame()) for name in attacks.Tables._fields})
