import json

import numpy as np
import pandas as pd
import pytest

from porcupine import report
from porcupine.privacy import attackers, summary
from porcupine.privacy.certificate import by_audit, by_construction

VARIANTS = ("vq", "sfvq-exact-interval")
ATTACK_COLUMNS = [
    *("variant", "bits", "figure", "value", "low", "high", "chance", "n_speakers", "n_attacked", "n_probes")
]
EMPTY_ATTACK = pd.DataFrame(columns=ATTACK_COLUMNS)
CERTIFICATE_COLUMNS = [
    *("variant", "bits", "way", "bits_certified", "k", "k_ideal", "mse", "n_evidence", "alpha", "population", "reason")
]
NO_CERTIFICATES = pd.DataFrame(columns=CERTIFICATE_COLUMNS)


def metrics_table(bits=(3, 4), n_test=400, repeats=3):
    """What the metrics stage writes; the highest code of plain VQ is empty at the highest bitrate in one repeat."""
    rng = np.random.default_rng(0)
    tables = []
    for variant in VARIANTS:
        for b in bits:
            codes = rng.integers(0, 2**b, (repeats, n_test))
            if variant == "vq" and b == max(bits):
                codes[1] = np.minimum(codes[1], 2**b - 2)
            rows = summary.occupancy_table(codes, 2**b, n_train=1000, simulations=100, bootstrap=10, rng=rng)
            mse = {"metric": "mse", "unit": "", "mean": 0.25, "low": 0.2, "high": 0.3, "n_infinite": 0}
            tables.append(pd.concat([rows, pd.DataFrame([mse])]).assign(variant=variant, bits=b))
    return pd.concat(tables, ignore_index=True)


def attack_table(bits=(3, 4)):
    rng = np.random.default_rng(1)
    target = np.repeat(np.arange(50), 3)
    scores = rng.uniform(-0.5, 0.5, (150, 50))
    scores[np.arange(150), target] += 0.4
    tallied = attackers.tally(scores, target)
    rates = attackers.attack_table([tallied], attackers.bootstrap_weights(tallied, 20, rng))
    cells = [("raw", 0), *((variant, b) for variant in VARIANTS for b in bits)]
    return pd.concat([rates.assign(variant=v, bits=b) for v, b in cells], ignore_index=True)[ATTACK_COLUMNS]


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


def value(table, metric, variant="vq", bits=4, column="mean"):
    return table.set_index(["metric", "variant", "bits"]).loc[(metric, variant, bits), column]


def test_the_headline_is_that_of_the_highest_bitrate():
    metrics, attack = metrics_table(), attack_table()
    record = report.headline(metrics, attack, n_train=1000, n_test=400)
    assert list(record) == ["bits", "n_train", "n_test", "raw", *VARIANTS]
    assert (record["bits"], record["n_train"], record["n_test"]) == (4, 1000, 400)
    entry = record["sfvq-exact-interval"]
    assert list(entry) == ["worst_case_bits", "worst_case_plus_one_bits", "cv_over_limit", "top1", "eer"]
    for name in ("worst_case_bits", "cv_over_limit"):
        assert entry[name] == pytest.approx(value(metrics, name, "sfvq-exact-interval"), abs=1e-6)
    assert record["raw"]["top1"] == pytest.approx(attack["value"].iloc[0], abs=1e-6)


def test_the_headline_leaves_out_bitrates_that_the_sample_is_too_small_for():
    # 8 bits from 400 samples: even uniform codes have empty cells.
    record = report.headline(metrics_table(bits=(3, 4, 8)), EMPTY_ATTACK, n_train=1000, n_test=400)
    assert record["bits"] == 4
    assert report.headline(metrics_table(bits=(8,)), EMPTY_ATTACK, n_train=1000, n_test=400)["bits"] == 8


def test_an_infinite_headline_is_null_with_a_reason():
    record = report.headline(metrics_table(), attack_table(), n_train=1000, n_test=400)
    assert record["vq"]["worst_case_bits"] is None
    assert record["vq"]["worst_case_bits_reason"] == "infinite: some codes are empty in 1 repeats"
    assert "cv_over_limit_reason" not in record["vq"]
    json.dumps(record, allow_nan=False)


def test_the_headline_of_vectors_without_labels_has_no_attack():
    record = report.headline(metrics_table(), EMPTY_ATTACK, n_train=1000, n_test=400)
    assert "raw" not in record
    assert list(record["sfvq-exact-interval"]) == ["worst_case_bits", "worst_case_plus_one_bits", "cv_over_limit"]


def tradeoff_metrics(variants=("vq", "tree")):
    values = {
        ("vq", "mse"): 2.0,
        ("vq", "cv_over_limit"): 3.456,
        ("tree", "mse"): 2.1,
        ("tree", "cv_over_limit"): 0.987,
    }
    rows = [
        {"variant": variant, "bits": bits, "metric": metric, "mean": bits * value}
        for bits in (1, 2)
        for (variant, metric), value in values.items()
        if variant in variants
    ]
    return pd.DataFrame(rows)


def test_distortion_stands_against_uniformity():
    # By hand: 2.1 / 2 of plain VQ's distortion at each bitrate.
    assert report.tradeoff_table(tradeoff_metrics()).splitlines() == [
        "| | 1 bits | 2 bits |",
        "|---|---|---|",
        "| vq | 1.000 / 3.46 | 1.000 / 6.91 |",
        "| tree | 1.050 / 0.99 | 1.050 / 1.97 |",
    ]


def test_without_plain_vq_the_distortion_is_absolute():
    assert report.tradeoff_table(tradeoff_metrics(["tree"])).splitlines()[2:] == [
        "| tree | 2.100 / 0.99 | 4.200 / 1.97 |"
    ]
    page = report.summary(
        metrics_table().query("variant != 'vq'"), EMPTY_ATTACK, NO_CERTIFICATES, corpus="voices", n_test=400
    )
    assert "distortion, squared embedding units / spread" in page


def test_a_cell_is_mean_quantiles_and_error():
    metrics = metrics_table()
    columns = ("mean", "low", "high", "standard_error")
    mean, low, high, error = (f"{value(metrics, 'std', column=column):.3g}" for column in columns)
    lines = report.occupancy_table(metrics, "std").splitlines()
    assert lines[0] == "| | 3 bits | 4 bits |"
    assert lines[1] == "|---|---|---|"
    assert lines[2].startswith("| vq | ") and lines[2].endswith(f" | {mean} [{low}, {high}] ± {error} |")
    assert lines[3].startswith("| sfvq-exact-interval | ")
    assert len(lines) == 6


def test_floors_close_the_table():
    metrics = metrics_table()
    lines = report.occupancy_table(metrics, "kl_bits", digits=2).splitlines()
    for line, label, prefix in (
        (lines[-2], "floor, uniform codes", "floor"),
        (lines[-1], "floor, calibrated on the training set", "calibrated"),
    ):
        rows = metrics[(metrics["metric"] == "kl_bits") & (metrics["bits"] == 4)]
        mean, low, high = rows[f"{prefix}_mean"].mean(), rows[f"{prefix}_low"].min(), rows[f"{prefix}_high"].max()
        assert line.startswith(f"| *{label}* | ")
        assert line.endswith(f" | {mean:.2g} [{low:.2g}, {high:.2g}] |")


def test_a_metric_without_floors_has_none():
    lines = report.occupancy_table(metrics_table(), "mse").splitlines()
    assert lines[2:] == [f"| {variant} | 0.25 [0.2, 0.3] | 0.25 [0.2, 0.3] |" for variant in VARIANTS]


def test_empty_codes_show_as_infinite():
    metrics = metrics_table()
    assert report.occupancy_table(metrics, "worst_case_bits").splitlines()[2].endswith(" (∞ in 1) |")
    all_infinite = metrics.assign(n_infinite=3, mean=np.nan, low=np.nan, high=np.nan)
    assert report.occupancy_table(all_infinite, "worst_case_bits").splitlines()[2] == "| vq | ∞ | ∞ |"


def test_floors_with_empty_codes_show_how_often():
    metrics = metrics_table().assign(floor_infinite=0.25, calibrated_infinite=1.0, calibrated_mean=np.nan)
    *_, floor, calibrated = report.occupancy_table(metrics, "worst_case_bits").splitlines()
    assert floor.count(" (∞ in 25 %)") == 2
    assert calibrated.endswith("| ∞ | ∞ |")
    nearly = report.occupancy_table(metrics.assign(floor_infinite=0.998), "worst_case_bits")
    assert nearly.count(" (∞ in 99.8 %)") == 2


def test_the_attack_in_percent():
    attack = attack_table()
    by_figure = attack[attack["variant"] == "raw"].set_index("figure")
    lines = report.attack_table(attack).splitlines()
    assert lines[0] == "| codes | bits | top-1 % | top-5 % | EER % |"
    assert len(lines) == 2 + 1 + 4 + 1
    row = by_figure.loc["top1"]
    top1 = f"{100 * row['value']:.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
    assert lines[2].startswith(f"| raw | – | {top1} | ")
    assert lines[3].startswith("| vq | 3 | ") and lines[6].startswith("| sfvq-exact-interval | 4 | ")
    assert lines[-1] == "| *chance* | | 2 | 10 | 50 |"
    certain = attack.assign(chance=attack["chance"].replace(0.1, 1.0))
    assert report.attack_table(certain).splitlines()[-1] == "| *chance* | | 2 | 100 | 50 |"


def test_the_summary_holds_everything():
    metrics, attack = metrics_table(), attack_table()
    page = report.summary(metrics, attack, certificates_table(), corpus="voices", n_test=400)
    assert page.startswith("# Results on `voices`, 400 test samples\n\n")
    for metric, title in report.SECTIONS.items():
        assert f"## {title}\n\n{report.occupancy_table(metrics, metric)}\n" in page
    assert (
        "## Distortion against uniformity\n\nMeans over the repeats: distortion, relative to that of `vq` / spread"
        in page
    )
    assert f"allows).\n\n{report.tradeoff_table(metrics)}\n" in page
    table, sentence = (
        told(certificates_table(), bits=4) for told in (report.certificate_table, report.certificate_sentence)
    )
    assert "## May these codes be released? Certificates at 4 bits\n\nAt 95 % confidence no code" in page
    assert f"\n\n{table}\n\n{sentence}\n\n## Worst-case" in page
    assert "all 50 test speakers\n\n150 other utterances of 50 of them" in page
    assert page.endswith(report.attack_table(attack) + "\n")
    assert "nan" not in page


def test_the_headline_of_certificates_names_bits_and_speakers_or_why_not():
    record = report.certificate_headline(certificates_table(), bits=4)
    assert list(record) == ["bits", "vq", "tree", "curve-interval", "other"]
    assert record["tree"] == {"audit_bits": 5.2, "audit_k": 200, "construction_bits": 4.567, "construction_k": 300}
    assert record["vq"] == {"audit_bits": None, "audit_k": 0, "audit_reason": "infinite: some reason"}
    assert record["other"]["construction_k"] is None
    json.dumps(record, allow_nan=False)


def test_certificates_as_a_table_round_upwards_and_end_in_the_reasons():
    assert report.certificate_table(certificates_table(), bits=4).splitlines()[2:] == [
        "| vq | audit | none | none | 0.1 | 400 |",
        "| tree | audit | 5.20 | 200 | 0.1 | 400 |",
        "| tree | construction | 4.57 | 300 | 0.3 | 700 |",
        "| curve-interval | construction | 4.57 | 300 | 0.2 | 700 |",
        "| other | construction | none | none | none | 700 |",
        "| *ideal* | | 4 | 625 | | |",
        "",
        "- vq, by audit: infinite: some reason.",
        "- other, by construction: 7 vectors tie at a threshold.",
    ]
    binding = certificates_table().query("variant == 'tree'")
    for reason in ("", np.nan):
        table = report.certificate_table(binding.assign(reason=reason), bits=4)
        assert table.endswith("| *ideal* | | 4 | 625 | | |")


@pytest.mark.parametrize(
    "made",
    [by_construction(np.full(8, 90), n_further=10_000), by_audit(np.full(8, 50), n_further=10_000, alpha=0.1)],
    ids=lambda made: made.way,
)
def test_the_sentence_is_that_of_the_certificate(made):
    row = ("tree", 3, made.way, made.bits, made.k, 1250, 0.1, made.n_evidence, made.alpha, made.n_further, "")
    table = pd.DataFrame([row], columns=CERTIFICATE_COLUMNS)
    assert report.certificate_sentence(table, bits=3) == f"> `tree`, 3 bits: {made}"


def test_the_sentence_is_of_the_least_distortion_by_construction_never_of_the_best_audit():
    table = certificates_table()
    assert report.certificate_sentence(table, bits=4).startswith("> `curve-interval`, 4 bits: ")
    audits = table.query("way == 'audit'")
    assert report.certificate_sentence(audits, bits=4).startswith("> `tree`, 4 bits: ")
    assert report.certificate_sentence(audits.query("variant == 'vq'"), bits=4) == ""


def test_without_an_attack_the_summary_says_why():
    page = report.summary(metrics_table(), EMPTY_ATTACK, NO_CERTIFICATES, corpus="vectors", n_test=400)
    assert page.endswith(
        "## Who is it?\n\nNo attack: it needs speaker labels, and test speakers with at least two utterances.\n"
    )
    assert "Certificates at 4 bits\n\nNone: a certificate counts speakers" in page


def test_tables_survive_storage(tmp_path):
    written = {
        "metrics": metrics_table(),
        "attack": attack_table(),
        "certificates": certificates_table(),
        "empty": EMPTY_ATTACK,
        "none": NO_CERTIFICATES,
    }
    for name, table in written.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    metrics, attack, certificates, empty, none = (pd.read_csv(tmp_path / f"{name}.csv") for name in written)
    assert report.summary(metrics, attack, certificates, corpus="voices", n_test=400) == report.summary(
        metrics_table(), attack_table(), certificates_table(), corpus="voices", n_test=400
    )
    assert report.certificate_headline(certificates, bits=3) == report.certificate_headline(
        certificates_table(), bits=3
    )
    assert "## May these codes" in report.summary(metrics, empty, none, corpus="voices", n_test=400)
    assert report.headline(metrics, empty, n_train=9, n_test=9)["vq"]["worst_case_bits"] is None


def test_rates_of_few_speakers_carry_a_warning():
    few = attack_table().assign(n_attacked=2)
    page = report.summary(metrics_table(), few, NO_CERTIFICATES, corpus="folder", n_test=400)
    assert "other utterances of 2 of them" in page and "With 2 attacked speakers" in page
    assert "say little" not in report.summary(
        metrics_table(), attack_table(), NO_CERTIFICATES, corpus="folder", n_test=400
    )
