import json

import numpy as np
import pandas as pd
import pytest
from tables import (
    CERTIFICATE_COLUMNS,
    NO_CERTIFICATES,
    NO_RATES,
    VARIANTS,
    attacked,
    certificates_table,
    metrics_table,
    rates_table,
)

from porcupine.privacy.certificate import by_audit, by_construction
from porcupine.report import attacks, certificates, occupancy
from porcupine.report.headline import headline
from porcupine.report.page import summary


def value(table, metric, variant="vq", bits=4, column="mean"):
    return table.set_index(["metric", "variant", "bits"]).loc[(metric, variant, bits), column]


def test_the_headline_is_that_of_the_highest_bitrate():
    metrics, rates = metrics_table(), rates_table()
    record = headline(metrics, rates, n_train=1000, n_test=400)
    assert list(record) == ["bits", "n_train", "n_test", "raw", *VARIANTS]
    assert (record["bits"], record["n_train"], record["n_test"]) == (4, 1000, 400)
    entry = record["sfvq-exact-interval"]
    assert list(entry) == ["worst_case_bits", "cv_over_limit", "mse", "top1"]
    for name in ("worst_case_bits", "cv_over_limit"):
        assert entry[name] == pytest.approx(value(metrics, name, "sfvq-exact-interval"), abs=1e-6)
    strongest = rates.query("variant == 'raw' and figure == 'top1' and attacker == 'plda'")["value"].item()
    assert record["raw"]["top1"] == pytest.approx(strongest, abs=1e-6)


def test_the_headline_leaves_out_bitrates_that_the_sample_is_too_small_for():
    # 8 bits from 400 samples: even uniform codes have empty cells.
    record = headline(metrics_table(bits=(3, 4, 8)), NO_RATES, n_train=1000, n_test=400)
    assert record["bits"] == 4
    assert headline(metrics_table(bits=(8,)), NO_RATES, n_train=1000, n_test=400)["bits"] == 8


def test_the_headline_names_a_few_of_many_variants():
    names = ("sfvq", "vq", "sfvq-faithful-nearest", "kmeans", "tree", "balanced")
    record = headline(metrics_table(variants=names), NO_RATES, n_train=1000, n_test=400)
    assert list(record)[3:] == ["vq", "sfvq-faithful-nearest", "balanced"]


def test_an_infinite_headline_is_null_with_a_reason():
    record = headline(metrics_table(), rates_table(), n_train=1000, n_test=400)
    assert record["vq"]["worst_case_bits"] is None
    assert record["vq"]["worst_case_bits_reason"] == "infinite: some codes are empty in 1 repeats"
    assert "cv_over_limit_reason" not in record["vq"]
    json.dumps(record, allow_nan=False)


def test_the_headline_of_vectors_without_labels_has_no_attack():
    record = headline(metrics_table(), NO_RATES, n_train=1000, n_test=400)
    assert "raw" not in record
    assert list(record["sfvq-exact-interval"]) == ["worst_case_bits", "cv_over_limit", "mse"]


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
    assert occupancy.tradeoff_table(tradeoff_metrics()).splitlines() == [
        "| | 1 bits | 2 bits |",
        "|---|---|---|",
        "| vq | 1.000 / 3.46 | 1.000 / 6.91 |",
        "| tree | 1.050 / 0.99 | 1.050 / 1.97 |",
    ]


def test_without_plain_vq_the_distortion_is_absolute():
    assert occupancy.tradeoff_table(tradeoff_metrics(["tree"])).splitlines()[2:] == [
        "| tree | 2.100 / 0.99 | 4.200 / 1.97 |"
    ]
    page = summary(metrics_table().query("variant != 'vq'"), NO_CERTIFICATES, attacked(), corpus="voices", n_test=400)
    assert "distortion, squared embedding units / spread" in page


def test_a_cell_is_mean_quantiles_and_error():
    metrics = metrics_table()
    columns = ("mean", "low", "high", "standard_error")
    mean, low, high, error = (f"{value(metrics, 'std', column=column):.3g}" for column in columns)
    lines = occupancy.metric_table(metrics, "std").splitlines()
    assert lines[0] == "| | 3 bits | 4 bits |"
    assert lines[1] == "|---|---|---|"
    assert lines[2].startswith("| vq | ") and lines[2].endswith(f" | {mean} [{low}, {high}] ± {error} |")
    assert lines[3].startswith("| sfvq-exact-interval | ")
    assert len(lines) == 6


def test_floors_close_the_table():
    metrics = metrics_table()
    lines = occupancy.metric_table(metrics, "kl_bits", digits=2).splitlines()
    for line, label, prefix in (
        (lines[-2], "floor, uniform codes", "floor"),
        (lines[-1], "floor, calibrated on the training set", "calibrated"),
    ):
        rows = metrics[(metrics["metric"] == "kl_bits") & (metrics["bits"] == 4)]
        mean, low, high = rows[f"{prefix}_mean"].mean(), rows[f"{prefix}_low"].min(), rows[f"{prefix}_high"].max()
        assert line.startswith(f"| *{label}* | ")
        assert line.endswith(f" | {mean:.2g} [{low:.2g}, {high:.2g}] |")


def test_a_metric_without_floors_has_none():
    lines = occupancy.metric_table(metrics_table(), "mse").splitlines()
    assert lines[2:] == [f"| {variant} | 0.25 [0.2, 0.3] | 0.25 [0.2, 0.3] |" for variant in VARIANTS]


def test_empty_codes_show_as_infinite():
    metrics = metrics_table()
    assert occupancy.metric_table(metrics, "worst_case_bits").splitlines()[2].endswith(" (∞ in 1) |")
    all_infinite = metrics.assign(n_infinite=3, mean=np.nan, low=np.nan, high=np.nan)
    assert occupancy.metric_table(all_infinite, "worst_case_bits").splitlines()[2] == "| vq | ∞ | ∞ |"


def test_floors_with_empty_codes_show_how_often():
    metrics = metrics_table().assign(floor_infinite=0.25, calibrated_infinite=1.0, calibrated_mean=np.nan)
    *_, floor, calibrated = occupancy.metric_table(metrics, "worst_case_bits").splitlines()
    assert floor.count(" (∞ in 25 %)") == 2
    assert calibrated.endswith("| ∞ | ∞ |")
    nearly = occupancy.metric_table(metrics.assign(floor_infinite=0.998), "worst_case_bits")
    assert nearly.count(" (∞ in 99.8 %)") == 2


def test_the_summary_holds_everything():
    metrics, who = metrics_table(), attacked(rates=rates_table())
    page = summary(metrics, certificates_table(), who, corpus="voices", n_test=400)
    assert page.startswith("# Results on `voices`, 400 test samples\n\n")
    for metric, title in occupancy.SECTIONS.items():
        assert f"## {title}\n\n{occupancy.metric_table(metrics, metric)}\n" in page
    assert (
        "## Distortion against uniformity\n\nMeans over the repeats: distortion, relative to that of `vq` / spread"
        in page
    )
    assert f"allows).\n\n{occupancy.tradeoff_table(metrics)}\n" in page
    table, sentence = (told(certificates_table(), bits=4) for told in (certificates.table, certificates.sentence))
    assert "## May these codes be released? Certificates at 4 bits\n\nAt 95 % confidence no code" in page
    assert f"\n\n{table}\n\n{sentence}\n\n## Worst-case" in page
    assert page.endswith(attacks.section(who, bits=4) + "\n")
    assert "nan" not in page


def test_the_headline_of_certificates_names_bits_and_speakers_or_why_not():
    record = certificates.headline(certificates_table(), bits=4)
    # The audit of the tree is not among those shown.
    assert list(record) == ["bits", "vq", "tree", "curve-interval", "other"]
    assert record["vq"] == {"audit_bits": None, "audit_k": 0, "audit_reason": "infinite: some reason"}
    assert record["tree"] == {"construction_bits": 4.567, "construction_k": 300}
    assert record["other"]["construction_k"] is None
    json.dumps(record, allow_nan=False)


def test_where_none_of_the_shown_variants_is_certified_the_headline_has_all():
    record = certificates.headline(certificates_table().query("variant != 'vq'"), bits=4)
    assert record["tree"] == {"audit_bits": 5.2, "audit_k": 200, "construction_bits": 4.567, "construction_k": 300}


def test_certificates_as_a_table_round_upwards_and_end_in_the_reasons():
    assert certificates.table(certificates_table(), bits=4).splitlines()[2:] == [
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
        table = certificates.table(binding.assign(reason=reason), bits=4)
        assert table.endswith("| *ideal* | | 4 | 625 | | |")


@pytest.mark.parametrize(
    "made",
    [by_construction(np.full(8, 90), n_further=10_000), by_audit(np.full(8, 50), n_further=10_000, alpha=0.1)],
    ids=lambda made: made.way,
)
def test_the_sentence_is_that_of_the_certificate(made):
    row = ("tree", 3, made.way, made.bits, made.k, 1250, 0.1, made.n_evidence, made.alpha, made.n_further, "")
    table = pd.DataFrame([row], columns=CERTIFICATE_COLUMNS)
    assert certificates.sentence(table, bits=3) == f"> `tree`, 3 bits: {made}"


def test_the_sentence_is_of_the_least_distortion_by_construction_never_of_the_best_audit():
    table = certificates_table()
    assert certificates.sentence(table, bits=4).startswith("> `curve-interval`, 4 bits: ")
    audits = table.query("way == 'audit'")
    assert certificates.sentence(audits, bits=4).startswith("> `tree`, 4 bits: ")
    assert certificates.sentence(audits.query("variant == 'vq'"), bits=4) == ""


def test_without_an_attack_the_summary_says_why():
    page = summary(metrics_table(), NO_CERTIFICATES, attacked(), corpus="vectors", n_test=400)
    assert page.endswith(
        "## Who is it?\n\nNo attack: it needs speaker labels, and test speakers with at least two utterances.\n"
    )
    assert "Certificates at 4 bits\n\nNone: a certificate counts speakers" in page


def test_tables_survive_storage(tmp_path):
    written = {
        "metrics": metrics_table(),
        "rates": rates_table(),
        "certified": certificates_table(),
        "empty": NO_RATES,
        "none": NO_CERTIFICATES,
    }
    for name, table in written.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    metrics, rates, certified, empty, none = (pd.read_csv(tmp_path / f"{name}.csv") for name in written)
    assert summary(metrics, certified, attacked(rates=rates), corpus="voices", n_test=400) == summary(
        metrics_table(), certificates_table(), attacked(rates=rates_table()), corpus="voices", n_test=400
    )
    assert certificates.headline(certified, bits=3) == certificates.headline(certificates_table(), bits=3)
    assert "## May these codes" in summary(metrics, none, attacked(rates=empty), corpus="voices", n_test=400)
    assert headline(metrics, empty, n_train=9, n_test=9)["vq"]["worst_case_bits"] is None
