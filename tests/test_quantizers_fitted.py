import hashlib
import json
import platform
from importlib import metadata

import numpy as np
import pytest
from imports import ROOT, closure

from porcupine import storage
from porcupine.errors import InputError
from porcupine.quantizers import fitted, variants
from porcupine.quantizers.balanced import fit_balanced
from porcupine.quantizers.base import Nearest
from porcupine.quantizers.samples import Samples
from porcupine.quantizers.tour import fit_curve
from porcupine.quantizers.training import Training
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


def test_the_provenance_says_where_a_quantiser_comes_from(tmp_path):
    record = fitted.provenance(VECTORS, method="balanced", bits=2, seed=7)
    path = tmp_path / "one.npz"
    quantizer = fit_balanced(VECTORS, bits=2, seed=7)
    fitted.save_one(path, quantizer, record)
    assert fitted.load_provenance(path) == record
    assert record["method"] == "balanced" and record["params"] == {"bits": 2, "seed": 7}
    assert record["data"] == {
        "sha256": hashlib.sha256(VECTORS.tobytes()).hexdigest(),
        "n_samples": 200,
        "dimension": 3,
    }
    assert record["versions"].items() >= {"numpy": np.__version__, "python": platform.python_version()}.items()
    assert record["versions"]["porcupine"] == metadata.version("porcupine")
    assert_same(quantizer, fitted.load_one(path))


def test_the_record_adds_one_array_of_text_and_nothing_without_one(tmp_path):
    one, two = tmp_path / "one.npz", tmp_path / "two.npz"
    fitted.save_one(one, Nearest(VECTORS[:4]))
    assert list(storage.load_arrays(one)) == ["kind", "codebook"]
    assert fitted.load_provenance(one) == {}
    fitted.save_one(two, Nearest(VECTORS[:4]), {"höhe": 2})
    assert set(storage.load_arrays(two)) == {"kind", "codebook", "provenance"}
    assert json.loads(str(storage.load_arrays(two)["provenance"])) == {"höhe": 2}


def test_equal_inputs_give_equal_bytes_whatever_their_order_and_type(tmp_path):
    options = [{"bits": 2, "seed": 7}, {"seed": np.int64(7), "bits": np.int8(2)}]
    for name, params in zip(("one", "two"), options, strict=True):
        record = fitted.provenance(VECTORS, method="curve", **params)
        fitted.save_one(tmp_path / f"{name}.npz", fit_curve(VECTORS, bits=2, seed=7), record)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_the_digest_is_that_of_the_values_in_order(tmp_path, monkeypatch):
    expected = fitted.digest(VECTORS)
    np.save(tmp_path / "v.npy", VECTORS)
    same = {
        "wider": VECTORS.astype(np.float64),
        "columns first": np.asfortranarray(VECTORS),
        "big-endian": VECTORS.astype(">f4"),
        "shards": [VECTORS[:50], VECTORS[50:]],
        "a map": np.load(tmp_path / "v.npy", mmap_mode="r"),
        "samples": Samples(VECTORS),
    }
    for name, vectors in same.items():
        assert fitted.digest(vectors) == expected, name
    for other in (VECTORS[::-1], VECTORS[:-1], VECTORS + np.float32(1e-6)):
        assert fitted.digest(other) != expected
    blocks = Samples.blocks
    monkeypatch.setattr(Samples, "blocks", lambda self: blocks(self, entries=7 * 3))
    assert fitted.digest(VECTORS) == expected


def test_params_that_can_be_kept_and_those_that_cannot(tmp_path):
    training = Training(epochs=3)
    record = fitted.provenance(VECTORS, method="vq", training=training, halve_at=np.array([0.5]), device=None)
    assert record["params"]["training"]["epochs"] == 3
    assert record["params"]["halve_at"] == [0.5] and record["params"]["device"] is None
    for value in (float("nan"), object(), Training):
        with pytest.raises(InputError, match="a record of bits, seed cannot be kept as JSON: "):
            fitted.provenance(VECTORS, method="vq", bits=2, seed=value)
    with pytest.raises(InputError, match="a record of when cannot be kept as JSON: "):
        fitted.save_one(tmp_path / "x.npz", Nearest(VECTORS[:4]), {"when": {1, 2}})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["{", "[1]", "3"])
def test_a_record_that_is_something_else_is_named(text, tmp_path):
    path = tmp_path / "x.npz"
    arrays = {"kind": np.array("Nearest"), "codebook": VECTORS[:4], "provenance": np.array(text)}
    storage.save_arrays(path, arrays)
    with pytest.raises(InputError, match=r"x\.npz: its provenance is not .*: fit the quantiser again"):
        fitted.load_provenance(path)
