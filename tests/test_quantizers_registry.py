import sys
from typing import get_args

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from porcupine import params
from porcupine.errors import InputError
from porcupine.quantizers import registry
from porcupine.quantizers.base import Nearest, distortion, global_scale
from porcupine.quantizers.sfvq import train_sfvq
from porcupine.quantizers.training import Training
from porcupine.quantizers.vq import train_vq

VECTORS = 1000 + 200 * np.random.default_rng(0).standard_normal((400, 3)).astype(np.float32)
TRAINING = Training(epochs=3)
APART = ("kmeans", "curve", "tree", "balanced")


def state(quantizer):
    return b"".join(array.tobytes() for array in quantizer.to_arrays().values())


def test_the_params_know_the_methods():
    assert get_args(params.Method) == registry.METHODS


@pytest.mark.parametrize("method", registry.METHODS)
def test_every_method_fits_raw_embeddings_at_all_bitrates_and_repeats(method):
    if "diveq" in method:
        pytest.importorskip("diveq", reason="the optional package diveq is not installed")
    fitted = registry.fit(method, VECTORS, bits=[4, 2], repeats=2, seed=0, training=Training(epochs=10))
    assert list(fitted) == [4, 2]
    for bits, repeats in fitted.items():
        assert len(repeats) == 2 and state(repeats[0]) != state(repeats[1])
        for one in repeats:
            codes = one.encode(VECTORS)
            assert one.codebook.shape == (2**bits, 3) and one.codebook.dtype == np.float32
            assert codes.dtype == np.int32 and codes.min() >= 0 and codes.max() < 2**bits
            assert distortion(VECTORS, one.codebook, codes) < {2: 0.85, 4: 0.6}[bits] * VECTORS.var()


def test_gradient_methods_are_their_trainers_in_embedding_units():
    scale = global_scale(VECTORS)
    unit = VECTORS / np.float32(scale)
    training = Training(epochs=3, repeats=2)
    options = {"replace_every": 2, "replace_below": 0.9, "replace_until": 1.0}
    trained = {
        "vq": {b: train_vq(unit, bits=b, training=training, seed=5, **options) for b in (2, 3)},
        "sfvq": train_sfvq(unit, bits=[2, 3], training=training, seed=5),
    }
    for method, books in trained.items():
        fitted = registry.fit(method, VECTORS, bits=[2, 3], repeats=2, seed=5, training=TRAINING, **options)
        for bits in (2, 3):
            assert all(isinstance(one, Nearest) for one in fitted[bits])
            assert np.array_equal([one.codebook for one in fitted[bits]], (scale * books[bits]).astype(np.float32))


@pytest.mark.parametrize("method", ["vq", *APART])
def test_first_repeats_do_not_change_when_more_are_asked_for(method):
    few, more = (registry.fit(method, VECTORS, bits=[3], repeats=r, seed=1, training=TRAINING)[3] for r in (1, 3))
    assert state(few[0]) == state(more[0])
    other = registry.fit(method, VECTORS, bits=[3], repeats=1, seed=2, training=TRAINING)[3]
    assert state(other[0]) != state(few[0])


def test_processes_do_not_change_a_byte():
    # More than the 1 MB from which arrays reach the processes as a memory map.
    vectors = np.random.default_rng(1).standard_normal((3000, 96)).astype(np.float32)
    one, two = (registry.fit("curve", vectors, bits=[2, 3], repeats=2, seed=0, workers=workers) for workers in (1, 2))
    for bits in (2, 3):
        assert [state(quantizer) for quantizer in one[bits]] == [state(quantizer) for quantizer in two[bits]]


def test_each_fit_has_one_thread(monkeypatch):
    # With more, matrix products may sum in another order.
    seen = []

    def fit(vectors, *, bits, seed):
        seen.extend(pool["num_threads"] for pool in threadpool_info())
        return Nearest(vectors[: 2**bits])

    monkeypatch.setitem(registry._FITS, "kmeans", fit)
    before = threadpool_info()
    registry.fit("kmeans", VECTORS, bits=[2], seed=0)
    assert seen and set(seen) == {1}
    assert threadpool_info() == before


def test_one_tree_serves_all_bitrates():
    fitted = registry.fit("tree", VECTORS, bits=[2, 4], repeats=2, seed=0)
    for short, long in zip(fitted[2], fitted[4], strict=True):
        assert np.array_equal(short.encode(VECTORS), long.encode(VECTORS) >> 2)


def test_curves_of_given_cells_are_those_of_the_same_bitrate_and_repeat():
    cells = registry.fit("balanced", VECTORS, bits=[2, 3], repeats=2, seed=0)
    curves = registry.fit("curve", VECTORS, bits=[2, 3], repeats=2, seed=0, cells=cells)
    for bits in (2, 3):
        for curve, one in zip(curves[bits], cells[bits], strict=True):
            order = np.argsort(curve.sites, axis=0)[:, 0]
            assert np.allclose(curve.sites[order], one.sites[np.argsort(one.sites, axis=0)[:, 0]], rtol=1e-5)
            assert set(np.bincount(curve.encode(VECTORS), minlength=2**bits)) <= {400 // 2**bits}


def test_cells_of_another_method_or_too_few_are_named():
    cells = registry.fit("balanced", VECTORS, bits=[2], repeats=1, seed=0)
    for method in ("kmeans", "vq"):
        with pytest.raises(InputError, match=rf"cells=\[2\] are for method='curve', not '{method}'"):
            registry.fit(method, VECTORS, bits=[2], seed=0, training=TRAINING, cells=cells)
    with pytest.raises(InputError, match=r"too few at bits=\[2, 3\], where repeats=2"):
        registry.fit("curve", VECTORS, bits=[2, 3], repeats=2, seed=0, cells=cells)


def test_mistakes_are_named_before_anything_is_fitted():
    with pytest.raises(InputError, match="method='ballanced' is not known; did you mean 'balanced'"):
        registry.fit("ballanced", VECTORS, bits=[2], seed=0)
    for method in registry.METHODS:
        with pytest.raises(InputError, match="n_codewords=1024, must be between 1 and N=400 samples"):
            registry.fit(method, VECTORS, bits=[2, 10], seed=0)


@pytest.mark.parametrize("method", ["diveq", "sf_diveq"])
def test_the_missing_package_is_named_with_its_extra(method, monkeypatch):
    monkeypatch.setitem(sys.modules, "diveq", None)
    with pytest.raises(InputError, match=r"diveq is not installed: pip install 'porcupine\[diveq\]'"):
        registry.fit(method, VECTORS, bits=[2], seed=0, training=TRAINING)


@pytest.mark.parametrize("method", ["vq", "sfvq", "diveq", "sf_diveq"])
def test_missing_torch_is_named_with_its_extra(method, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for trainer in ("diveq", "nsvq", "sfvq", "training", "vq"):
        monkeypatch.delitem(sys.modules, f"porcupine.quantizers.{trainer}", raising=False)
    with pytest.raises(InputError, match=r"torch is not installed: pip install 'porcupine\[torch\]'"):
        registry.fit(method, VECTORS, bits=[2], seed=0)
