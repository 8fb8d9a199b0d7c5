import numpy as np
import pandas as pd
from tables import attacked, rates_table

from porcupine.report import attacks


def lines(table):
    return table.splitlines()


def test_the_strongest_attacker_in_percent():
    rates = rates_table()
    told = lines(attacks.rates_table(rates))
    assert told[0] == "| codes | bits | top-1 % | top-5 % | top-10 % | EER % | strongest, by top-1 |"
    assert len(told) == 2 + 1 + 4 + 1
    strongest = rates.query("variant == 'raw' and attacker == 'plda'").set_index("figure")
    cells = [
        f"{100 * row['value']:.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
        for row in (strongest.loc[name] for name in ("top1", "top5", "top10", "eer"))
    ]
    assert told[2] == f"| raw | – | {' | '.join(cells)} | plda, informed |"
    assert told[3].startswith("| vq | 3 | ") and told[6].startswith("| sfvq-exact-interval | 4 | ")
    assert told[-1] == "| *chance* | | 2 | 10 | 20 | 50 | |"


def test_variants_keep_their_order_whoever_is_the_strongest():
    rates = rates_table().replace({"threat": {"informed": "a", "ignorant": "b"}})
    reversed_threats = rates.sort_values("threat", kind="stable", ignore_index=True)
    names = [line.split(" | ")[:2] for line in lines(attacks.rates_table(reversed_threats))[2:-1]]
    assert names == [["| raw", "–"], *([f"| {name}", b] for name in ("vq", "sfvq-exact-interval") for b in "34")]


def test_a_column_for_each_attacker_and_threat_model():
    rates = rates_table()
    told = lines(attacks.threats_table(rates[(rates["variant"] != "raw") | (rates["threat"] == "ignorant")], bits=4))
    assert told[0] == "| | cosine, ignorant | plda, informed |"
    assert [line.split(" | ")[0] for line in told[2:]] == ["| raw", "| vq", "| sfvq-exact-interval"]
    assert told[2].endswith(" | – |")  # the raw embedding was attacked with one threat model alone


def test_exposure_is_that_of_the_attacker_who_learns_most():
    row = {"variant": "vq", "bits": 6, "n_speakers": 50, "n_attacked": 20, "chance": 0.02}
    row |= dict.fromkeys(("top1", "top1_low", "top1_high", "exposed", "exposed_low", "exposed_high"), 0.5)
    rows = [
        row
        | {"attacker": attacker, "threat": "informed", "attribute": attribute, "group": group, "among": among}
        | {"bits_learnt": bits, "bits_low": 0.0, "bits_high": 2.0}
        for attacker, bits in (("plda", 1.25), ("mlp", 1.0))
        for attribute, group, among in (("", "", "everyone"), *(("gender", "female", x) for x in ("everyone", "group")))
    ]
    table = pd.DataFrame(rows)
    told = lines(attacks.exposure_table(table, bits=6))
    assert told[2:] == [
        "| vq | all | everyone (50) | 20 | 1.25 [0.00, 2.00] | 0.50 [0.50, 0.50] | 50.0 [50.0, 50.0] | 2 |",
        "| vq | gender: female | group (50) | 20 | 1.25 [0.00, 2.00] | 0.50 [0.50, 0.50] | 50.0 [50.0, 50.0] | 2 |",
    ]
    as_stored = table.assign(attribute=table["attribute"].replace("", np.nan), group=np.nan)
    assert lines(attacks.exposure_table(as_stored, bits=6))[2] == told[2]


def test_attributes_stand_beside_chance_and_information():
    row = {"variant": "vq", "bits": 6, "attribute": "gender", "figure": "uar", "low": 0.6, "high": 0.8, "chance": 0.5}
    attributes = pd.DataFrame([row | {"value": 0.65}, row | {"value": 0.7}])
    told = {"variant": "vq", "bits": 6, "attribute": "gender", "bits_disclosed": 0.2, "low": 0.1, "high": 0.3}
    information = pd.DataFrame([told | {"p_value": 0.005}])
    assert lines(attacks.attributes_table(attributes, information, bits=6))[2:] == [
        "| vq | 70.0 [60.0, 80.0]; 0.20 [0.10, 0.30] bits, p 0.005 |",
        "| *chance* | 50; 0 bits |",
    ]


def test_groups_show_their_floor_and_empty_codes_as_infinite():
    row = {"bits": 6, "attribute": "gender", "metric": "worst_case_bits", "standard_error": 0.1}
    row |= {"floor_mean": 6.5, "floor_low": 6.25, "floor_high": 7.0}
    rows = [
        row | {"variant": "vq", "part": "all", "group": np.nan, "n_speakers": 100, "value": 8.0},
        row | {"variant": "vq", "part": "group", "group": "male", "n_speakers": 60, "value": np.inf},
    ]
    told = lines(attacks.groups_table(pd.DataFrame(rows), bits=6))
    assert told == [
        "| | vq | *floor, uniform within it* |",
        "|---|---|---|",
        "| all (100) | 8.00 ± 0.10 | 6.50 [6.25, 7.00] |",
        "| gender: male (60) | ∞ | 6.50 [6.25, 7.00] |",
    ]


def test_observations_go_from_below_to_above():
    row = {"variant": "tree", "bits": 6, "n": 2, "n_speakers": 9, "lower": 1.0, "lower_low": 0.5, "lower_high": 1.5}
    row |= {"upper": 3.0, "exposed": 2.0, "top1": 0.25, "chance": 0.1, "one_code_top1": 0.5}
    row |= {"one_code_lower": 2.0, "one_code_lower_low": 1.0, "one_code_lower_high": 2.5}
    assert lines(attacks.observations_table(pd.DataFrame([row]), bits=6))[2] == (
        "| tree | 2 | 9 | 1.00 [0.50, 1.50] | 3.00 | 2.00 | 25.0 | 10 | 2.00 [1.00, 2.50] | 50.0 |"
    )


def test_randomised_response_has_a_row_for_each_epsilon():
    row = {"variant": "vq", "bits": 6, "mse": 0.5, "worst_case_bits": np.nan, "average_bits": 5.5}
    row |= {"top1": 0.1, "top1_low": 0.05, "top1_high": 0.15}
    plane = pd.DataFrame([row | {"epsilon": np.inf}, row | {"epsilon": 2.0, "worst_case_bits": 1.5}])
    assert lines(attacks.randomised_table(plane, bits=6))[2:] == [
        "| vq | none | 0.500 | ∞ | 5.50 | 10.0 [5.0, 15.0] |",
        "| vq | 2 | 0.500 | 1.50 | 5.50 | 10.0 [5.0, 15.0] |",
    ]


def test_long_tables_show_a_few_variants_or_all_where_none_of_these_is_there():
    rates = rates_table().replace({"variant": {"sfvq-exact-interval": "kmeans"}})
    assert "kmeans" not in attacks.threats_table(rates, bits=4)
    assert "kmeans" in attacks.threats_table(rates.query("variant != 'vq'"), bits=4)


def test_rates_of_few_speakers_carry_a_warning():
    few = attacks.section(attacked(rates=rates_table().assign(n_attacked=2)), bits=4)
    assert "other utterances of 2 of them" in few and "With 2 attacked speakers" in few
    page = attacks.section(attacked(rates=rates_table()), bits=4)
    assert "say little" not in page and "all 50 test speakers\n\n150 other utterances of 50 of them" in page
