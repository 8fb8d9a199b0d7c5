"""Published values of Privacy PORCUPINE, to compare a run with.

Vali & Bäckström, "Privacy PORCUPINE", Interspeech 2024, Fig. 3: ECAPA-TDNN embeddings of Common Voice 16.1, one mean
embedding a speaker, codebooks trained on 79 984 speakers, metrics on 10 240 others, means of 20 repeats.
The paper prints no table: the values were read from the vector paths of the figure, so the last digit is uncertain.
The rows of method "ideal" are not the paper's: they simulate K equally likely codes for 10 240 samples.

    published_values  the table
    DOI, N_TRAIN, N_TEST, REPEATS
"""

from __future__ import annotations

import pandas as pd

DOI = "10.21437/Interspeech.2024-117"
N_TRAIN = 79_984
N_TEST = 10_240
REPEATS = 20

_BITS = (4, 5, 6, 7, 8, 9, 10)
_VALUES = {
    ("kl_bits", "vq"): (109.5, 42.2, 15.7, 6.56, 2.32, 0.611, 1.93),
    ("kl_bits", "sfvq"): (21.8, 10.8, 3.98, 1.09, 0.334, 0.118, 0.049),
    ("kl_bits", "ideal"): (2.82, 1.63, 0.76, 0.30, 0.116, 0.044, 0.015),
    ("worst_case_plus_one_bits", "vq"): (6.41, 7.56, 8.04, 9.19, 10.10, 11.28, 13.32),
    ("worst_case_plus_one_bits", "sfvq"): (4.58, 5.75, 6.91, 8.09, 9.24, 10.62, 12.86),
    ("worst_case_plus_one_bits", "ideal"): (4.10, 5.17, 6.28, 7.45, 8.72, 10.20, 11.99),
    ("average_bits", "vq"): (3.841, 4.873, 5.898, 6.898, 7.899, 8.900, 9.616),
    ("average_bits", "sfvq"): (3.971, 4.969, 5.972, 6.974, 7.966, 8.946, 9.907),
    ("std", "vq"): (285.5, 130.6, 58.6, 29.8, 14.9, 7.44, 6.97),
    ("std", "sfvq"): (128.7, 64.8, 31.0, 14.9, 8.62, 5.45, 3.56),
}
_UNITS = {"kl_bits": "bits", "worst_case_plus_one_bits": "bits", "average_bits": "bits", "std": "samples"}


def published_values() -> pd.DataFrame:
    """Return the published values, one row a metric × method × bits.

    Columns: `metric` (kl_bits; worst_case_plus_one_bits, which is log2(M / (min count + 1)); average_bits; std);
    `method` (vq; sfvq, with the paper's resampling; ideal); `bits`; `value`; `unit` (bits or samples); `n_test`, M;
    `source` (address of the paper, or "simulated" for ideal).
    """
    return pd.DataFrame(
        [
            {
                "metric": metric,
                "method": method,
                "bits": bits,
                "value": value,
                "unit": _UNITS[metric],
                "n_test": N_TEST,
                "source": "simulated" if method == "ideal" else f"https://doi.org/{DOI}",
            }
            for (metric, method), values in _VALUES.items()
            for bits, value in zip(_BITS, values, strict=True)
        ]
    )
