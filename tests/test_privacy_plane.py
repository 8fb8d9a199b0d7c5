import numpy as np
import pandas as pd
import pytest

from porcupine.errors import InputError
from porcupine.privacy.occupancy import average_bits, count_codes, worst_case_bits
from porcupine.privacy.plane import COLUMNS, Cell, pareto_front, plane_table, utility
from porcupine.privacy.randomised_response import added_distortion, disclosure, randomise
from porcupine.quantizers.base import distortion, global_scale, nearest_codewords

EPSILONS = (0, 0.5, 2, 6, np.inf)


def system(n_codewords=8, *, n_samples=500, dimension=4, repeats=1, seed=0):
    """Vectors off the origin, and a cell of codebooks drawn from them: no codeword is the mean of its cell."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n_samples, dimension)) * np.arange(1, dimension + 1) + 20
    books = np.stack([vectors[rng.permutation(n_samples)[:n_codewords]] for _ in range(repeats)])
    codes = np.stack([nearest_codewords(vectors, book) for book in books])
    return vectors, Cell("kmeans", int(np.log2(n_codewords)), books, codes)


def rates(*rows):
    """Rows of variant, bits, epsilon, figure, value; the rest follows from the value."""
    table = pd.DataFrame(rows, columns=["variant", "bits", "epsilon", "figure", "value"])
    return table.assign(low=table["value"] - 0.1, high=table["value"] + 0.1, chance=0.01)


NO_RATES = rates().drop(columns="value").assign(value=[])


def test_the_front_by_hand():
    #   (0, 9) and (3, 1) lead in one; (1, 5) is between; (2, 5) is beaten by (1, 5), (3, 2) by (3, 1).
    cost, harm = [0, 1, 2, 3, 3], [9, 5, 5, 1, 2]
    assert pareto_front(np.array(cost), np.array(harm)).tolist() == [True, True, False, True, False]


def test_equal_points_stay_together():
    assert pareto_front(np.array([1, 1, 2, 2]), np.array([1, 1, 2, 2])).tolist() == [True, True, False, False]


def test_what_is_not_known_is_neither_on_the_front_nor_beats_any():
    cost, harm = np.array([0, 1, np.nan, 2, np.inf]), np.array([np.nan, 2, 0, np.inf, 1])
    assert pareto_front(cost, harm).tolist() == [False, True, False, False, True]


def test_the_front_is_what_is_left_when_each_point_is_compared_to_each():
    rng = np.random.default_rng(0)
    cost, harm = rng.integers(0, 12, (2, 60))
    expected = [
        not any((a <= c and b <= h) and (a < c or b < h) for a, b in zip(cost, harm, strict=True))
        for c, h in zip(cost, harm, strict=True)
    ]
    assert 0 < sum(expected) < 60 and pareto_front(cost, harm).tolist() == expected
    assert np.array_equal(pareto_front(harm, cost), expected)


def test_a_front_of_nothing_is_empty():
    assert pareto_front(np.array([]), np.array([])).shape == (0,)


def test_utility_by_hand():
    # Mean 0, variance 5; codewords ±2 are 1 off each vector, the wrong ones 3 and 5; all signs are right.
    vectors, codebook, codes = np.array([[-3.0], [-1], [1], [3]]), np.array([[-2.0], [2]]), np.array([0, 0, 1, 1])
    found = utility(vectors, codebook, codes, epsilons=[np.inf, np.log(3), 0])
    wrong = (25 + 9 + 9 + 25) / 4 / 5
    np.testing.assert_allclose(found.mse, [0.2, 0.75 * 0.2 + 0.25 * wrong, 0.5 * 0.2 + 0.5 * wrong])
    np.testing.assert_allclose(found.cosine, [1, 0.75 - 0.25, 0], atol=1e-12)


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_utility_is_the_sum_over_all_reports(epsilon):
    vectors, cell = system()
    codebook, codes = cell.codebooks[0], cell.codes[0]
    keep = 1 / (1 + 7 * np.exp(-epsilon))
    chance = np.where(np.arange(8) == codes[:, None], keep, (1 - keep) / 7)
    center = vectors.mean(axis=0)
    errors = ((vectors[:, None] - codebook) ** 2).mean(axis=2)
    cosines = (vectors - center) @ (codebook - center).T
    cosines /= np.linalg.norm(vectors - center, axis=1)[:, None] * np.linalg.norm(codebook - center, axis=1)
    found = utility(vectors, codebook, codes, epsilons=[epsilon])
    assert found.mse[0] == pytest.approx((chance * errors).sum(axis=1).mean() / vectors.var(axis=0).mean())
    assert found.cosine[0] == pytest.approx((chance * cosines).sum(axis=1).mean())


def test_utility_is_the_mean_over_reports():
    vectors, cell = system()
    codebook, codes = cell.codebooks[0], cell.codes[0]
    drawn = [randomise(codes, 8, 1.0, np.random.default_rng(seed)) for seed in range(200)]
    found = utility(vectors, codebook, codes, epsilons=[1.0])
    reported = [utility(vectors, codebook, one) for one in drawn]
    assert np.mean([one.mse for one in reported]) == pytest.approx(found.mse[0], rel=0.01)
    assert np.mean([one.cosine for one in reported]) == pytest.approx(found.cosine[0], abs=0.01)


def test_noise_adds_what_it_is_said_to_where_codewords_are_means():
    vectors, cell = system()
    codes = cell.codes[0]
    means = np.stack([vectors[codes == code].mean(axis=0) for code in range(8)])
    found = utility(vectors, means, codes, epsilons=[1.0, np.inf])
    added = added_distortion(count_codes(codes, 8) / len(codes), means, 1.0)
    variance = global_scale(vectors) ** 2
    assert found.mse[1] == pytest.approx(distortion(vectors, means, codes) / variance)
    assert (found.mse[0] - found.mse[1]) * variance == pytest.approx(added)


def test_vectors_decoded_without_loss_keep_all_and_their_mean_nothing():
    vectors = np.random.default_rng(0).normal(size=(16, 3)) + 5
    kept = utility(vectors, vectors, np.arange(16))
    assert kept.mse[0] == pytest.approx(0, abs=1e-12) and kept.cosine[0] == pytest.approx(1)
    lost = utility(vectors, np.stack([vectors.mean(axis=0)] * 2), np.zeros(16, dtype=int))
    assert lost.mse[0] == pytest.approx(1) and lost.cosine[0] == pytest.approx(0, abs=1e-9)


def test_unit_and_origin_do_not_matter():
    vectors, cell = system()
    one = utility(vectors, cell.codebooks[0], cell.codes[0], epsilons=EPSILONS)
    other = utility(30 * vectors - 7, 30 * cell.codebooks[0] - 7, cell.codes[0], epsilons=EPSILONS)
    np.testing.assert_allclose(one.mse, other.mse, rtol=1e-5)
    np.testing.assert_allclose(one.cosine, other.cosine, atol=1e-5)


def test_a_row_for_the_raw_embedding_and_for_each_system_and_noise():
    vectors, cell = system()
    table = plane_table(vectors, [cell, cell._replace(variant="tree")], NO_RATES, epsilons=[1, 2])
    assert table.columns.tolist() == COLUMNS
    assert table["variant"].tolist() == ["raw", *["kmeans"] * 3, *["tree"] * 3]
    assert table["bits"].tolist() == [0, *[3] * 6]
    assert table["epsilon"].tolist() == [np.inf, *[np.inf, 2, 1] * 2]
    raw = table.iloc[0]
    assert (raw["mse"], raw["cosine"]) == (0, 1)
    assert table.loc[0, ["worst_case_bits", "average_bits"]].isna().all()
    assert table[["top1", "top1_low", "top1_high", "chance"]].isna().all(axis=None)


def test_points_are_means_over_the_repeats():
    vectors, cell = system(repeats=3)
    table = plane_table(vectors, [cell], NO_RATES, epsilons=[1.5]).set_index("epsilon").iloc[1:]
    for epsilon in (np.inf, 1.5):
        alone = [utility(vectors, *one, epsilons=[epsilon]) for one in zip(cell.codebooks, cell.codes, strict=True)]
        assert table.loc[epsilon, "mse"] == pytest.approx(np.mean([one.mse for one in alone]))
        assert table.loc[epsilon, "cosine"] == pytest.approx(np.mean([one.cosine for one in alone]))
        told = [disclosure(count_codes(codes, 8) / 500, epsilon) for codes in cell.codes]
        assert table.loc[epsilon, "worst_case_bits"] == pytest.approx(np.mean([one.worst for one in told]))
        assert table.loc[epsilon, "average_bits"] == pytest.approx(np.mean([one.average for one in told]))
    counts = count_codes(cell.codes, 8)
    assert table.loc[np.inf, "worst_case_bits"] == pytest.approx(worst_case_bits(counts).mean())
    assert table.loc[np.inf, "average_bits"] == pytest.approx(average_bits(counts).mean())


def test_noise_costs_utility_and_saves_privacy():
    vectors, cell = system()
    table = plane_table(vectors, [cell], NO_RATES, epsilons=[0.5, 1, 3, 8]).iloc[1:]
    assert (np.diff(table["mse"]) > 0).all() and (np.diff(table["cosine"]) < 0).all()
    assert (np.diff(table["worst_case_bits"]) < 0).all() and (np.diff(table["average_bits"]) < 0).all()
    assert (table["worst_case_bits"] <= table["epsilon"] / np.log(2)).all()


def test_an_empty_code_is_infinitely_bad_without_noise():
    vectors, cell = system()
    table = plane_table(vectors, [cell._replace(codes=np.minimum(cell.codes, 6))], NO_RATES, epsilons=[1])
    assert table["worst_case_bits"].iloc[1] == np.inf and np.isfinite(table["worst_case_bits"].iloc[2])


def test_the_strongest_attacker_counts():
    vectors, cell = system()
    known = rates(
        ("kmeans", 3, 1.0, "top1", 0.2),
        ("kmeans", 3, np.inf, "top1", 0.3),
        ("kmeans", 3, np.inf, "top1", 0.5),
        ("kmeans", 3, np.inf, "top5", 0.9),
        ("kmeans", 4, np.inf, "top1", 0.8),
        ("tree", 3, np.inf, "top1", 0.7),
        ("raw", 0, np.inf, "top1", 0.95),
    )
    table = plane_table(vectors, [cell], known, epsilons=[1, 2]).set_index(["variant", "epsilon"])
    found = {("raw", np.inf): 0.95, ("kmeans", np.inf): 0.5, ("kmeans", 1): 0.2}
    for key, value in found.items():
        row = table.loc[key, ["top1", "top1_low", "top1_high", "chance"]].tolist()
        assert row == pytest.approx([value, value - 0.1, value + 0.1, 0.01])
    assert np.isnan(table.loc[("kmeans", 2), "top1"]) and len(table) == 4


def test_attributes_are_told_from_the_code_itself():
    vectors, cell = system()
    known = pd.DataFrame(
        [
            ("kmeans", 3, "gender", "uar", 0.7),
            ("kmeans", 3, "gender", "uar", 0.8),
            ("kmeans", 3, "gender", "accuracy", 0.9),
            ("kmeans", 3, "emotion", "uar", 0.3),
            ("raw", 0, "gender", "uar", 0.95),
        ],
        columns=["variant", "bits", "attribute", "figure", "value"],
    )
    table = plane_table(vectors, [cell], NO_RATES, epsilons=[1], attributes=known)
    assert table.columns.tolist() == [*COLUMNS, "emotion_uar", "gender_uar"]
    np.testing.assert_array_equal(table["gender_uar"], [0.95, 0.8, np.nan])
    np.testing.assert_array_equal(table["emotion_uar"], [np.nan, 0.3, np.nan])
    none = plane_table(vectors, [cell], NO_RATES, attributes=known.iloc[:0])
    assert none.columns.tolist() == COLUMNS and len(none) == 2


def test_tables_that_were_written_and_read_fit(tmp_path):
    vectors, cell = system()
    for known in (NO_RATES, rates(("kmeans", 3, np.inf, "top1", 0.5), ("kmeans", 3, 0.1, "top1", 0.2))):
        known.to_csv(tmp_path / "rates.csv", index=False, float_format="%.10g")
        read = plane_table(vectors, [cell], pd.read_csv(tmp_path / "rates.csv"), epsilons=[0.1])
        pd.testing.assert_frame_equal(read, plane_table(vectors, [cell], known, epsilons=[0.1]))
    assert read["top1"].tolist()[1:] == [0.5, 0.2]


def test_what_does_not_fit_is_named():
    vectors, cell = system()
    book, codes = cell.codebooks[0], cell.codes[0]
    with pytest.raises(InputError, match=r"cost \(2,\) and harm \(3,\) should be vectors of one length"):
        pareto_front(np.zeros(2), np.zeros(3))
    with pytest.raises(InputError, match=r"codes \(499,\) do not fit"):
        utility(vectors, book, codes[1:])
    with pytest.raises(InputError, match=r"codebook \(8, 3\) and codes \(500,\) do not fit"):
        utility(vectors, book[:, :3], codes)
    with pytest.raises(InputError, match="should lie in 0 … K-1=3"):
        utility(vectors, book[:4], codes)
    with pytest.raises(InputError, match="are not finite in 1 of 500 rows"):
        utility(np.where(np.arange(500)[:, None] == 7, np.nan, vectors), book, codes)
    with pytest.raises(InputError, match="all 500 vectors are equal"):
        utility(np.ones_like(vectors), book, codes)
    with pytest.raises(InputError, match=r"epsilon=-1.0, should be >= 0"):
        plane_table(vectors, [cell], NO_RATES, epsilons=[-1])
    with pytest.raises(InputError, match="kmeans at 3 bits: 1 codebooks and codes of 2 repeats"):
        plane_table(vectors, [cell._replace(codes=np.stack([codes, codes]))], NO_RATES)
    with pytest.raises(InputError, match="the table of top1 lacks the column 'epsilon'"):
        plane_table(vectors, [cell], NO_RATES.drop(columns="epsilon"))
    with pytest.raises(InputError, match="the table of uar lacks the column 'attribute'"):
        plane_table(vectors, [cell], NO_RATES, attributes=NO_RATES)
