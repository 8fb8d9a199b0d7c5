import numpy as np

from porcupine.published import DOI, N_TEST, published_values


def value(metric, method, bits):
    table = published_values()
    row = table[(table["metric"] == metric) & (table["method"] == method) & (table["bits"] == bits)]
    return row["value"].item()


def test_the_paper_s_numbers_stand_at_their_place():
    assert value("kl_bits", "vq", 4) == 109.5
    assert value("kl_bits", "sfvq", 10) == 0.049
    assert value("worst_case_plus_one_bits", "sfvq", 7) == 8.09
    assert value("average_bits", "vq", 10) == 9.616
    assert value("std", "sfvq", 8) == 8.62


def test_the_vq_worst_case_at_ten_bits_is_an_empty_code():
    # log2(M / (0 + 1)): the published +1 hides that the true value is infinite.
    assert abs(value("worst_case_plus_one_bits", "vq", 10) - np.log2(N_TEST)) < 0.01


def test_every_row_is_there_once():
    table = published_values()
    assert not table.duplicated(["metric", "method", "bits"]).any()
    assert table.groupby(["metric", "method"])["bits"].apply(list).map(lambda bits: bits == [*range(4, 11)]).all()
    assert table.isna().sum().sum() == 0


def test_sfvq_beats_vq_and_equally_likely_codes_beat_both():
    wide = published_values().pivot(index=["metric", "bits"], columns="method", values="value")
    for metric in ("kl_bits", "worst_case_plus_one_bits", "std"):
        assert (wide.loc[metric, "sfvq"] < wide.loc[metric, "vq"]).all()
    for metric in ("kl_bits", "worst_case_plus_one_bits"):
        assert (wide.loc[metric, "ideal"] < wide.loc[metric, "sfvq"]).all()
    assert (wide.loc["average_bits", "sfvq"] > wide.loc["average_bits", "vq"]).all()


def test_average_disclosure_stays_below_the_bits_and_the_worst_case_above():
    table = published_values().set_index("metric")
    average, worst = table.loc["average_bits"], table.loc["worst_case_plus_one_bits"]
    assert (average["value"] < average["bits"]).all()
    assert (worst["value"] > worst["bits"]).all()


def test_disclosure_rises_with_the_bits():
    table = published_values()
    for metric in ("average_bits", "worst_case_plus_one_bits"):
        for _, rows in table[table["metric"] == metric].groupby("method"):
            assert rows.sort_values("bits")["value"].is_monotonic_increasing


def test_only_the_ideal_rows_are_not_the_paper_s():
    table = published_values()
    assert set(table.loc[table["source"] == "simulated", "method"]) == {"ideal"}
    assert table.loc[table["method"] != "ideal", "source"].str.endswith(DOI).all()
