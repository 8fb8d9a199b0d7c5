import numpy as np
import pytest

from porcupine.errors import InputError
from porcupine.quantizers.curve import project

L_SHAPE = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 2.0]])


def plain_projection(vectors, curve):
    """Every segment for every sample, in float64."""
    segments, shares, points = [], [], []
    for x in vectors.astype(np.float64):
        best = None
        for k in range(len(curve) - 1):
            a, d = curve[k].astype(np.float64), curve[k + 1].astype(np.float64) - curve[k]
            share = np.clip((x - a) @ d / (d @ d), 0, 1)
            distance = np.sum((x - a - share * d) ** 2)
            if best is None or distance < best[0] - 1e-12:
                best = distance, k, share, a + share * d
        segments.append(best[1])
        shares.append(best[2])
        points.append(best[3])
    return np.array(segments), np.array(shares), np.array(points)


def test_projection_by_hand():
    vectors = np.array([[1.0, -1.0], [5.0, 0.5], [-3.0, 0.0], [9.0, 9.0]])
    projection = project(vectors, L_SHAPE)
    assert projection.position.tolist() == [0.25, 1.25, 0, 2]
    assert projection.point.tolist() == [[1, 0], [4, 0.5], [0, 0], [4, 2]]


@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_projection_agrees_with_a_plain_search_of_all_segments(offset):
    rng = np.random.default_rng(0)
    vectors = (rng.standard_normal((500, 6)) + offset).astype(np.float32)
    curve = (rng.standard_normal((20, 6)) + offset).astype(np.float32)
    segment, share, point = plain_projection(vectors, curve)
    projection = project(vectors, curve)
    np.testing.assert_allclose(projection.position, segment + share, atol=1e-5)
    np.testing.assert_allclose(projection.point, point, atol=1e-4 + 1e-6 * offset)
    np.testing.assert_allclose(projection.corners @ curve, point, atol=1e-4 + 1e-6 * offset)


def test_the_published_search_looks_at_two_segments_only():
    # The nearest corner of (5, 1.2) is the end of a far detour; its segments miss the long one that passes close by.
    curve = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 9.0], [5.0, 2.0], [0.0, 9.0]])
    vectors = np.array([[5.0, 0.95]])
    assert project(vectors, curve).position.tolist() == [0.5]
    assert project(vectors, curve, search="adjacent").position.tolist() == [3.0]


def test_the_published_search_is_never_nearer_than_the_whole_one():
    rng = np.random.default_rng(1)
    vectors, curve = rng.standard_normal((800, 5)), rng.standard_normal((16, 5))
    far, near = (
        np.linalg.norm(vectors - project(vectors, curve, search=search).point, axis=1) for search in ("adjacent", "all")
    )
    assert (near <= far + 1e-6).all() and (near < far - 1e-3).any()


def test_rank_orders_samples_that_clamp_onto_one_corner():
    # All three clamp onto the outer side of the corner (4, 0); the curve turns from right to up there.
    vectors = np.array([[4.2, -1.0], [5.0, -1.0], [5.0, -0.1]])
    projection = project(vectors, L_SHAPE)
    assert projection.position.tolist() == [1, 1, 1]
    assert np.argsort(projection.rank).tolist() == [0, 1, 2]


def test_rank_refines_position_without_ties():
    rng = np.random.default_rng(2)
    vectors, curve = rng.standard_normal((3000, 4)), rng.standard_normal((12, 4))
    projection = project(vectors, curve)
    order = np.argsort(projection.rank)
    assert (np.diff(projection.position[order]) >= 0).all()
    assert len(np.unique(projection.position)) < 0.95 * 3000
    assert len(np.unique(projection.rank)) == 3000


def test_scaling_or_moving_everything_changes_no_rank():
    rng = np.random.default_rng(3)
    vectors, curve = rng.standard_normal((200, 3)), rng.standard_normal((8, 3))
    np.testing.assert_allclose(project(vectors, curve).rank, project(64 * vectors + 8, 64 * curve + 8).rank, atol=1e-3)


def test_a_segment_of_no_length_is_a_point():
    projection = project(np.array([[1.0, 1.0]]), np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]))
    assert projection.point.tolist() == [[0, 0]] and np.isfinite(projection.rank).all()


def test_one_dimension_works():
    assert project(np.array([[0.5], [2.5]]), np.array([[0.0], [1.0], [3.0]])).position.tolist() == [0.5, 1.75]


def test_a_curve_that_does_not_fit_is_an_error():
    with pytest.raises(InputError, match=r"curve of shape \(3, 2\) does not fit vectors of shape \(5, 4\)"):
        project(np.ones((5, 4)), L_SHAPE)
    with pytest.raises(InputError, match=r"want \[K>=2, D\]"):
        project(np.ones((5, 2)), L_SHAPE[:1])


def test_a_sample_at_a_corner_belongs_to_the_segment_before_it():
    # The published walk along the curve goes segment by segment, so that ties must not be broken by rounding.
    rng = np.random.default_rng(0)
    curve, vectors = rng.standard_normal((9, 32)), 3 * rng.standard_normal((4000, 32))
    projection = project(vectors.astype(np.float32), curve.astype(np.float32), search="adjacent")
    inner = (projection.position % 1 == 0) & (projection.position > 0)
    assert inner.sum() > 300
    assert (projection.segment[inner] == projection.position[inner] - 1).all()
