import numpy as np
import pytest
from imports import ROOT, closure

from porcupine import storage
from porcupine.errors import InputError
from porcupine.quantizers import fitted, variants
from porcupine.quantizers.balanced import fit_balanced
from porcupine.quantizers.base import Nearest
from porcupine.quantizers.tour import fit_curve
from porcupine.quantizers.tree import fit_tree

VECTORS = np.random.default_rng(0).standard_normal((200, 3)).astype(np.float32)


def interval(vectors, *, bits, seed):
    return variants.resample(vectors, vectors[: 2**bits], "exact", np.random.default_rng(seed))


FITS = {
    "Nearest": lambda vectors, bits, seed: Nearest(vectors[seed : seed + 2**bits]),
    "Interval": interval,
    "PowerCells": fit_balanced,
    "Tour": fit_curve,
    "Tree": fit_tree,
}


def assert_same(one, two):
    assert type(one) is type(two)
    state, other = one.to_arrays(), two.to_arrays()
    assert list(state) == list(other)
    for name, array in state.items():
        assert array.dtype == other[name].dtype and np.array_equal(array, other[name]), name
    assert np.array_equal(one.encode(VECTORS), two.encode(VECTORS))


def test_all_kinds_are_tested():
    assert list(FITS) == list(fitted.KINDS)


@pytest.mark.parametrize("kind", FITS)
def test_what_is_saved_comes_back(kind, tmp_path):
    quantizers = {bits: [FITS[kind](VECTORS, bits=bits, seed=seed) for seed in range(2)] for bits in (3, 2)}
    fitted.save(tmp_path / "many.npz", quantizers)
    restored = fitted.load(tmp_path / "many.npz")
    assert list(restored) == [3, 2]
    for bits, repeats in quantizers.items():
        for one, two in zip(repeats, restored[bits], strict=True):
            assert_same(one, two)
    fitted.save_one(tmp_path / "one.npz", quantizers[3][1])
    assert_same(quantizers[3][1], fitted.load_one(tmp_path / "one.npz"))


def test_the_same_quantisers_give_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        fitted.save(tmp_path / f"{name}.npz", {2: [fit_curve(VECTORS, bits=2, seed=0)]})
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_files_are_read_without_torch():
    files = closure(ROOT / "porcupine" / "quantizers" / "fitted.py")
    assert "porcupine/quantizers/tree.py" in files
    for file in files:
        assert "import torch" not in (ROOT / file).read_text(encoding="utf-8"), file


def test_a_file_that_is_something_else_is_named(tmp_path):
    path = tmp_path / "broken.npz"
    book = VECTORS[:4]
    for arrays, message in (
        ({"kind": np.array("Neerest"), "codebook": book}, "kind='Neerest' is not known; did you mean 'Nearest'?"),
        ({"codebook": book}, "kind='' is not known; choose from Interval, Nearest, PowerCells, Tour, Tree"),
        ({"kind": np.array("PowerCells"), "codebook": book}, "no array sites, weights for a PowerCells"),
    ):
        storage.save_arrays(path, arrays)
        with pytest.raises(InputError) as error:
            fitted.load_one(path)
        assert message in str(error.value) and str(error.value).startswith(str(path))
        storage.save_arrays(path, {name: a if name == "kind" else a[None] for name, a in _at_two_bits(arrays).items()})
        with pytest.raises(InputError) as error:
            fitted.load(path)
        assert message in str(error.value)


def _at_two_bits(arrays):
    return {name if name == "kind" else f"{name}_b2": array for name, array in arrays.items()}


def test_one_quantiser_is_not_taken_for_many_nor_many_for_one(tmp_path):
    fitted.save_one(tmp_path / "one.npz", Nearest(VECTORS[:4]))
    with pytest.raises(InputError, match=r"no bitrate among the arrays kind, codebook: .* by load_one"):
        fitted.load(tmp_path / "one.npz")
    fitted.save(tmp_path / "many.npz", {2: [Nearest(VECTORS[:4])]})
    with pytest.raises(InputError, match="no array codebook for a Nearest, only kind, codebook_b2"):
        fitted.load_one(tmp_path / "many.npz")


class Stranger(Nearest):
    pass


@pytest.mark.parametrize(
    ("quantizers", "kinds"),
    [
        ({2: [Nearest(VECTORS[:4]), fit_curve(VECTORS, bits=2, seed=0)]}, "Nearest, Tour"),
        ({2: [Stranger(VECTORS[:4])]}, "Stranger"),
        ({}, "none"),
    ],
)
def test_only_known_quantisers_of_one_kind_are_saved(quantizers, kinds, tmp_path):
    with pytest.raises(InputError, match=f"quantisers of kind {kinds}: save one of Nearest, Interval"):
        fitted.save(tmp_path / "x.npz", quantizers)
    assert not list(tmp_path.iterdir())
