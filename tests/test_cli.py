import json
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from imports import ROOT
from pipeline import environment
from typer.testing import CliRunner

from porcupine import cli, files
from porcupine.cli import tasks
from porcupine.quantizers import fitted, registry

TRAIN, TEST = np.random.default_rng(0).standard_normal((2, 400, 4)).astype(np.float32)


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def done(*arguments):
    """The record of a command that works."""
    found = run(*arguments, "--json")
    assert found.exit_code == 0, found.output
    assert not found.stderr
    return json.loads(found.stdout)


def content(folder):
    return {path.relative_to(folder): path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def assert_refused(folder, *arguments, code=1):
    """The command names what is wrong in one line and leaves the folder as it was; that line."""
    before = content(folder)
    found = run(*arguments)
    assert isinstance(found.exception, SystemExit), found.exception
    assert found.exit_code == code and not found.stdout
    assert content(folder) == before
    if code == 1:
        assert found.stderr.startswith(f"porcupine {arguments[0]}: ") and found.stderr.count("\n") == 1
    return found.stderr


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with train.npy, test.npy and codebook.npz of 3 bits."""
    monkeypatch.chdir(tmp_path)
    np.save("train.npy", TRAIN)
    np.save("test.npy", TEST)
    fitted.save_one("codebook.npz", registry.fit("kmeans", TRAIN, bits=[3], seed=0)[3][0])
    return tmp_path


def test_it_is_installed_as_porcupine():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"porcupine": f"{cli.__name__}:app"}


def test_its_methods_are_those_of_the_library():
    assert {method.value for method in cli.Method} == set(registry.METHODS)


@pytest.mark.parametrize("method", ["balanced", "curve", "tree", "kmeans"])
def test_fit_and_encode_do_what_the_library_does(method, folder, monkeypatch):
    monkeypatch.setattr("porcupine.quantizers.samples.BLOCK_ENTRIES", 100)
    record = done("fit", "train.npy", "-o", "book.npz", "--method", method, "--bits", 3, "--seed", 5)
    wanted = registry.fit(method, TRAIN, bits=[3], seed=5)[3][0]
    assert record == {
        "command": "fit",
        "input": "train.npy",
        "output": "book.npz",
        "method": method,
        "bits": 3,
        "seed": 5,
        "n_samples": 400,
        "dimension": 4,
        "n_codewords": 8,
    }
    assert np.array_equal(fitted.load_one("book.npz").codebook, wanted.codebook)
    record = done("encode", "test.npy", "-c", "book.npz", "-o", "codes.npy")
    assert record["n_samples"] == 400
    codes = np.load("codes.npy")
    assert codes.dtype == np.int32 and np.array_equal(codes, wanted.encode(TEST))
    done("decode", "codes.npy", "-c", "book.npz", "-o", "vectors.npy")
    vectors = np.load("vectors.npy")
    assert vectors.dtype == np.float32 and np.array_equal(vectors, wanted.decode(codes))


def test_the_same_command_gives_the_same_bytes(folder):
    for name in ("one.npz", "two.npz"):
        done("fit", "train.npy", "-o", name, "--bits", 2)
    assert (folder / "one.npz").read_bytes() == (folder / "two.npz").read_bytes()
    assert fitted.load_provenance("one.npz")["data"]["sha256"] == fitted.digest(TRAIN)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".parquet", ".safetensors"])
def test_codes_and_vectors_pass_through_every_format(suffix, folder):
    quantizer = fitted.load_one("codebook.npz")
    for name, source, command in (("codes", "test.npy", "encode"), ("vectors", f"codes{suffix}", "decode")):
        done(command, source, "-c", "codebook.npz", "-o", f"{name}{suffix}")
    codes = files.read_codes(f"codes{suffix}:codes" if suffix != ".npy" else "codes.npy")
    assert np.array_equal(codes, quantizer.encode(TEST))
    assert np.array_equal(files.read_vectors(f"vectors{suffix}").whole(), quantizer.decode(codes))


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.uint64, ">i4"])
def test_codes_are_of_any_integer_type(dtype, folder):
    np.save("codes.npy", np.arange(8).astype(dtype))
    done("decode", "codes.npy", "-c", "codebook.npz", "-o", "vectors.npy")
    assert np.array_equal(np.load("vectors.npy"), fitted.load_one("codebook.npz").codebook)


def test_show_tells_where_a_codebook_comes_from(folder):
    done("fit", "train.npy", "-o", "tree.npz", "--method", "tree", "--bits", 2, "--seed", 7)
    record = done("show", "tree.npz")
    assert [record[name] for name in ("kind", "n_codewords", "dimension")] == ["Tree", 4, 4]
    assert record["provenance"]["params"] == {"bits": 2, "seed": 7}
    assert "params: bits 2, seed 7" in run("show", "tree.npz").stdout
    assert done("show", "codebook.npz")["provenance"] == {}


def test_an_audit_fits_to_one_half_and_measures_the_other(folder):
    record = done("audit", "test.npy", "-o", "report", "--bits", 3, "--seed", 2)
    assert record["n_samples"] == record["n_train"] == 200
    rows = ~tasks._half(400, "", None, seed=2)
    quantizer = registry.fit("balanced", TEST[~rows], bits=[3], seed=2)[3][0]
    codes = quantizer.encode(TEST[rows])
    table = pd.read_csv("report/codes.csv")
    assert table["samples"].tolist() == np.bincount(codes, minlength=8).tolist()
    assert record["distortion"] == pytest.approx(np.mean((TEST[rows] - quantizer.decode(codes)) ** 2), rel=1e-6)
    assert "fitted to 200 others, drawn at random with seed 2" in (folder / "report/report.html").read_text()
    assert set(record["files"]) == {path.name for path in (folder / "report").iterdir()}


def test_an_audit_of_vectors_and_of_their_codes_agree(folder):
    done("encode", "test.npy", "-c", "codebook.npz", "-o", "codes.npy")
    of_vectors = done("audit", "test.npy", "-c", "codebook.npz", "-o", "one")
    of_codes = done("audit", "codes.npy", "--bits", 3, "-o", "two")
    assert of_vectors.pop("distortion") > 0 and of_codes.pop("distortion") is None
    different = {name for name in of_codes if of_codes[name] != of_vectors[name]}
    assert different == {"input", "output", "measured"}
    assert of_codes["n_samples"] == 400


def test_an_audit_respects_speakers_and_looks_into_groups(folder):
    speakers = np.repeat(np.arange(100), 4)
    table = pd.DataFrame({"who": speakers, "gender": np.where(speakers % 2, "f", "m"), "clip": np.arange(400)})
    table.to_csv("labels.csv", index=False)
    labels = ("--labels", "labels.csv", "--speakers", "who")
    record = done("audit", "test.npy", "-o", "report", "--bits", 2, *labels, "--groups", "gender")
    assert record["n_samples"] == 200 and record["n_speakers"] == 50 and record["n_groups"] == 2
    line = assert_refused(folder, "audit", "test.npy", "-o", "other", "--bits", "2", *labels)
    assert "column 'clip' has 200 different labels" in line


def test_no_speaker_is_on_both_sides():
    speaker = np.array(["a", "b", "a", "c", None, "", "b", "a", np.nan, "d"], dtype=object)
    for seed in range(20):
        half = tasks._half(10, "", speaker, seed)
        assert 1 <= half.sum() <= 5
        for name in "abcd":
            assert len(set(half[speaker == name])) == 1
    assert len({tasks._half(10, "", speaker, seed)[[4, 5, 8]].tobytes() for seed in range(20)}) > 2  # apart


def test_at_most_so_many_are_fitted_to(monkeypatch):
    monkeypatch.setattr(tasks, "MOST_FITTED", 30)
    assert tasks._half(100, "", None, seed=0).sum() == 30


BAD = {
    "missing.npy": None,
    "format.csv": b"1,2\n",
    "ints.npy": np.arange(40).reshape(10, 4),
    "flat.npy": TRAIN[:, 0],
    "empty.npy": TRAIN[:0],
    "nan.npy": np.where(np.arange(400)[:, None] == 399, np.nan, TRAIN),
    "equal.npy": np.ones((400, 4), np.float32),
    "truncated.npy": b"\x93NUMPY",
    "complex.npy": TRAIN.astype(complex),
    "flags.npy": TRAIN > 0,
    "scalar.npy": np.float32(1),
}


def put(name, bad):
    if isinstance(bad, bytes):
        Path(name).write_bytes(bad)
    elif bad is not None:
        np.save(name, bad)


@pytest.mark.parametrize("name", BAD)
def test_bad_vectors_are_refused(name, folder):
    put(name, BAD[name])
    assert name in assert_refused(folder, "fit", name, "-o", "book.npz")
    assert name in assert_refused(folder, "audit", name, "-o", "report")
    if name != "equal.npy":
        assert name in assert_refused(folder, "encode", name, "-c", "codebook.npz", "-o", "codes.npy")


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("high.npy", np.arange(9)),
        ("low.npy", np.array([-1, 0])),
        ("floats.npy", np.arange(8.0)),
        ("two.npy", np.zeros((2, 2), int)),
        ("empty.npy", np.zeros(0, int)),
        ("missing.npy", None),
    ],
)
def test_bad_codes_are_refused(name, bad, folder):
    put(name, bad)
    assert name in assert_refused(folder, "decode", name, "-c", "codebook.npz", "-o", "vectors.npy")
    assert name in assert_refused(folder, "audit", name, "--bits", 3, "-o", "report")


@pytest.mark.parametrize(
    "arrays_of",
    [
        None,
        b"PK\x03\x04 nothing else",
        {"codebook": TRAIN[:8]},
        {"kind": np.array("Nearest"), "codebook": TRAIN[:8, 0]},
        {"kind": np.array("Nearest"), "codebook": TRAIN[:8].astype(int)},
        {"kind": np.array("PowerCells"), "codebook": TRAIN[:8], "sites": TRAIN[:8], "weights": TRAIN[:7, 0]},
        {"kind": np.array("Tree"), **dict.fromkeys(("codebook", "sizes", "sites", "weights", "thresholds"), TRAIN)},
    ],
)
def test_bad_codebooks_are_refused(arrays_of, folder):
    if isinstance(arrays_of, dict):
        np.savez("bad.npz", **arrays_of)
    else:
        put("bad.npz", arrays_of)
    np.save("codes.npy", np.arange(8))
    assert "bad.npz" in assert_refused(folder, "encode", "test.npy", "-c", "bad.npz", "-o", "new.npy")
    assert "bad.npz" in assert_refused(folder, "decode", "codes.npy", "-c", "bad.npz", "-o", "new.npy")
    assert "bad.npz" in assert_refused(folder, "audit", "test.npy", "-c", "bad.npz", "-o", "report")
    assert "bad.npz" in assert_refused(folder, "show", "bad.npz")


def test_what_does_not_fit_together_is_refused(folder):
    np.save("wide.npy", np.ones((10, 5), np.float32))
    np.save("codes.npy", np.arange(8))
    (folder / "two.csv").write_text("speaker\na\nb\n")
    (folder / "full").mkdir()
    (folder / "full" / "mine.txt").touch()
    book, report = ("-c", "codebook.npz"), ("-o", "report")
    for arguments, message in (
        (("encode", "wide.npy", *book, "-o", "codes.npy"), "wide.npy: vectors of D=5 dimensions, but codebook.npz is"),
        (("audit", "wide.npy", *book, *report), "wide.npy: vectors of D=5 dimensions, but codebook.npz is"),
        (("fit", "train.npy", "-o", "book.npz", "--bits", "9"), "train.npy: n_codewords=512, must be between"),
        (("fit", "train.npy", "-o", "book.npy"), "book.npy: cannot write format '.npy': use .npz"),
        (("encode", "test.npy", *book, "-o", "missing/codes.npy"), "missing/codes.npy: folder missing is missing"),
        (("encode", "test.npy", *book, "-o", "test.npy"), "test.npy: is an input"),
        (("decode", "codes.npy", *book, "-o", "codebook.npz"), "codebook.npz: is an input"),
        (("audit", "test.npy", "-o", "train.npy"), "is a file: name a folder"),
        (("audit", "test.npy", "-o", "full"), "holds mine.txt, which no earlier audit wrote"),
        (("audit", "codes.npy", *report), "codes.npy: holds codes, of how many?"),
        (("audit", "test.npy", *report, "--labels", "two.csv"), "two.csv: 2 rows for the 400 samples of test.npy"),
        (("audit", "codes.npy", "--bits", "3", *report, "--labels", "none.csv"), "none.csv: no such file"),
    ):
        assert message in assert_refused(folder, *arguments)
    (folder / "two.csv").write_text("speaker\n" + "a\n" * 400)
    labels = ("--labels", "two.csv", "--speakers")
    assert "no column 'speakr'; did you mean 'speaker'?" in assert_refused(
        folder, "audit", "test.npy", *report, *labels, "speakr"
    )
    assert "1 speakers cannot be halved" in assert_refused(folder, "audit", "test.npy", *report, *labels, "speaker")


def test_a_folder_of_others_is_refused_before_the_work(folder, monkeypatch):
    monkeypatch.setattr(tasks, "of_vectors", None)
    assert "holds codebook.npz and more" in assert_refused(folder, "audit", "test.npy", "-o", ".")


def test_an_audit_of_the_training_vectors_is_refused(folder):
    done("fit", "train.npy", "-o", "book.npz", "--bits", 2)
    line = assert_refused(folder, "audit", "train.npy", "-c", "book.npz", "-o", "report")
    assert "book.npz was fitted to these very vectors" in line


@pytest.mark.parametrize(
    "arguments",
    [
        ("fit", "train.npy"),
        ("fit", "train.npy", "-o", "book.npz", "--method", "magic"),
        ("fit", "train.npy", "-o", "book.npz", "--bits", "0"),
        ("audit", "test.npy", "-o", "report", "-c", "codebook.npz", "--bits", "3"),
        ("audit", "test.npy", "-o", "report", "--speakers", "speaker"),
        ("nothing",),
    ],
)
def test_wrong_usage_is_told_apart(arguments, folder):
    assert "Usage:" in assert_refused(folder, *arguments, code=2)


def test_a_missing_package_is_named(folder, monkeypatch):
    for name in ("diveq", "sfvq", "training", "vq"):  # imported by other tests, perhaps
        monkeypatch.delitem(sys.modules, f"porcupine.quantizers.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    line = assert_refused(folder, "fit", "train.npy", "-o", "book.npz", "--method", "vq", "--bits", "2")
    assert "pip install 'porcupine[torch]'" in line


def test_a_full_disk_is_told_in_one_line(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(files._WRITERS, ".npy", full)
    line = assert_refused(folder, "encode", "test.npy", "-c", "codebook.npz", "-o", "codes.npy")
    assert "No space left on device" in line


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    fitted.save_one(folder / "codebook.npz", registry.fit("kmeans", TRAIN, bits=[3], seed=0)[3][0])
    return folder


CONTENT = {"fit": "codebook", "encode": "codes", "decode": "vectors"}

odd = arrays.arrays(
    dtype=st.one_of(
        arrays.floating_dtypes(), arrays.integer_dtypes(), arrays.boolean_dtypes(), arrays.complex_number_dtypes()
    ),
    shape=arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # squares of values near the largest float32
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(array=odd, command=st.sampled_from(["fit", "encode", "decode"]))
@example(array=np.full((5, 4), 3e38, dtype=np.float32), command="fit")
@example(array=np.full((5, 4), 3e38, dtype=np.float32), command="encode")
@example(array=np.arange(5, dtype=np.uint64), command="decode")
def test_any_array_is_used_or_refused(array, command, shared):
    source, target = shared / "in.npy", shared / "out.npz"
    np.save(source, array)
    target.unlink(missing_ok=True)
    more = ("--bits", "1") if command == "fit" else ("-c", shared / "codebook.npz")
    if array.ndim != (1 if command == "decode" else 2) or not array.size:
        assert_refused(shared, command, source, "-o", target, *more)
    elif run(command, source, "-o", target, *more).exit_code == 0:
        assert len(files.read(f"{target}:{CONTENT[command]}"))
    else:
        assert_refused(shared, command, source, "-o", target, *more)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_codebook_with_wrong_bytes_is_used_or_refused(data, shared):
    whole = (shared / "codebook.npz").read_bytes()
    wrong = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 3)) if wrong else 0):
        wrong[data.draw(st.integers(0, len(wrong) - 1))] = data.draw(st.integers(0, 255))
    (shared / "wrong.npz").write_bytes(wrong)
    np.save(shared / "in.npy", TEST)
    (shared / "out.npy").unlink(missing_ok=True)
    arguments = ("encode", shared / "in.npy", "-c", shared / "wrong.npz", "-o", shared / "out.npy")
    if run(*arguments).exit_code:
        assert_refused(shared, *arguments)


def test_quiet_says_nothing_and_others_say_one_line(folder):
    arguments = ("encode", "test.npy", "-c", "codebook.npz", "-o", "codes.npy")
    assert run(*arguments).stdout == "codes.npy: 400 codes of 8\n"
    assert run(*arguments, "--quiet").output == ""


def test_progress_goes_to_stderr(folder, monkeypatch):
    monkeypatch.setattr(cli, "_shows", lambda quiet: not quiet)  # as on a terminal
    arguments = ("encode", "test.npy", "-c", "codebook.npz", "-o", "codes.npy")
    assert "encode: 100%" in run(*arguments).stderr
    assert not run(*arguments, "--quiet").stderr


@pytest.mark.parametrize("command", ["fit", "encode", "decode", "audit", "show"])
def test_help_has_examples_that_parse(command):
    found = run(command, "--help")
    assert found.exit_code == 0 and f"porcupine {command} " in found.stdout.split("Examples")[1]


def test_help_and_version_import_little():
    script = (
        "import sys, typer.testing; from porcupine import cli;"
        "runner = typer.testing.CliRunner();"
        "assert not any(runner.invoke(cli.app, a).exit_code for a in (['--help'], ['fit', '--help'], ['--version']));"
        "print(*sorted({'numpy', 'pandas', 'torch', 'sklearn', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


def test_version_is_that_of_the_package():
    assert run("--version").stdout == f"porcupine {metadata.version('porcupine')}\n"


def test_a_shell_completes_commands_options_and_methods():
    script = """
    source <(porcupine --show-completion bash)
    for words in "porcupine enc" "porcupine fit --met" "porcupine fit --method bal"; do
        COMP_WORDS=($words); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _porcupine_completion porcupine; echo "${COMPREPLY[@]}"
    done
    """
    shell = subprocess.run(["bash", "-c", script], env=environment(), capture_output=True, text=True, check=True)
    assert shell.stdout.split() == ["encode", "--method", "balanced"], shell.stderr
