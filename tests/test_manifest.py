import numpy as np
import pandas as pd
import pytest
import soundfile

from porcupine.audio import SAMPLE_RATE_HZ
from porcupine.errors import InputError
from porcupine.manifest import Inspection, Limits, build, inspect, split

LIMITS = Limits(min_seconds=0.5, max_seconds=2.0, silence_dbfs=-60)
FRACTIONS = {"encoder_fraction": 0.2, "test_fraction": 0.25}


def noise(seconds=1.0, *, level=0.5, seed=0):
    return level * np.random.default_rng(seed).uniform(-1, 1, int(seconds * SAMPLE_RATE_HZ))


def write(path, samples, subtype="PCM_16"):
    soundfile.write(path, samples, SAMPLE_RATE_HZ, subtype=subtype)
    return path


def look(path, start=0, stop=-1):
    return inspect(path, start, stop, LIMITS)


def table(speakers, clips=1):
    ids = [f"{speaker}/{i}" for speaker in speakers for i in range(clips)]
    return pd.DataFrame(
        {
            "utterance": ids,
            "path": [f"{name}.wav" for name in ids],
            "start": 0,
            "stop": -1,
            "speaker": [name.split("/")[0] for name in ids],
        }
    )


def usable(n):
    return [Inspection(seconds=1.0, peak_dbfs=-6.0, digest=f"{i:016x}", fault=None) for i in range(n)]


def names(n):
    return [f"s{i:03d}" for i in range(n)]


def test_a_good_clip_is_measured(tmp_path):
    samples = np.zeros(SAMPLE_RATE_HZ)
    samples[100] = -0.5
    found = look(write(tmp_path / "good.wav", samples))
    assert found.fault is None
    assert found.seconds == 1
    assert found.peak_dbfs == -6.021
    assert len(found.digest) == 16


def test_faults_are_told(tmp_path):
    nan = noise()
    nan[5] = np.nan
    garbage = tmp_path / "garbage.wav"
    garbage.write_bytes(write(tmp_path / "whole.wav", noise()).read_bytes()[:20])
    faults = {
        "too short: 0.25 s": write(tmp_path / "short.wav", noise(0.25)),
        "too long: 2.50 s": write(tmp_path / "long.wav", noise(2.5)),
        "silent: peak -inf dBFS": write(tmp_path / "zeros.wav", np.zeros(SAMPLE_RATE_HZ)),
        "silent: peak -6": write(tmp_path / "quiet.wav", noise(level=0.0005)),
        "not finite": write(tmp_path / "nan.wav", nan, "FLOAT"),
        "garbage.wav: cannot be decoded": garbage,
        "missing.wav: no such file": tmp_path / "missing.wav",
        "empty.wav: holds no samples": write(tmp_path / "empty.wav", np.zeros(0)),
    }
    for fault, path in faults.items():
        assert fault in look(path).fault
    assert (
        "start=9000, stop=99000 is not an excerpt of its 16000 samples" in look(tmp_path / "nan.wav", 9000, 99000).fault
    )


def test_an_excerpt_is_judged_alone(tmp_path):
    path = write(tmp_path / "half.wav", np.concatenate([np.zeros(SAMPLE_RATE_HZ), noise()]))
    assert look(path, 0, SAMPLE_RATE_HZ).fault.startswith("silent")
    assert look(path, SAMPLE_RATE_HZ).fault is None
    assert look(path, SAMPLE_RATE_HZ).digest == look(write(tmp_path / "alone.wav", noise())).digest


def test_digests_are_equal_for_exact_duplicates_alone(tmp_path):
    samples = np.round(noise() * 2**15).astype(np.int16)
    wav, flac = (look(write(tmp_path / f"a.{ending}", samples)) for ending in ("wav", "flac"))
    assert wav.digest == flac.digest
    changed = samples.copy()
    changed[77] += 1
    assert look(write(tmp_path / "b.wav", changed)).digest != wav.digest


def test_faulty_clips_are_dropped_with_their_reason(tmp_path):
    utterances = table(names(10), clips=2)
    for i, path in enumerate(utterances["path"]):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        write(tmp_path / path, noise(0.6, seed=i))
    write(tmp_path / "s001/0.wav", noise(0.1))
    (tmp_path / "s002/1.wav").unlink()
    inspections = [look(tmp_path / path) for path in utterances["path"]]
    kept, dropped = build(utterances, inspections, **FRACTIONS, seed=0)
    assert dropped.columns.tolist() == ["utterance", "path", "speaker", "reason"]
    assert dropped["utterance"].tolist() == ["s001/0", "s002/1"]
    assert dropped["speaker"].tolist() == ["s001", "s002"]
    assert dropped["reason"].tolist() == ["too short: 0.10 s", f"{tmp_path / 's002/1.wav'}: no such file"]
    assert kept.columns.tolist() == [*utterances.columns, "seconds", "peak_dbfs", "digest", "role"]
    assert kept["utterance"].tolist() == [name for name in utterances["utterance"] if name not in ("s001/0", "s002/1")]
    assert kept.index.tolist() == list(range(18)) and dropped.index.tolist() == [0, 1]
    assert (kept["seconds"] == 0.6).all() and kept["digest"].is_unique


def test_without_faults_nothing_is_dropped():
    kept, dropped = build(table(names(10)), usable(10), **FRACTIONS, seed=0)
    assert len(kept) == 10 and dropped.empty
    assert dropped.columns.tolist() == ["utterance", "path", "speaker", "reason"]


def test_a_speaker_without_usable_clips_is_in_no_split():
    inspections = usable(11)
    inspections[4] = Inspection(np.nan, np.nan, "", "too short: 0.10 s")
    kept, dropped = build(table(names(11)), inspections, **FRACTIONS, seed=0)
    assert dropped["speaker"].tolist() == ["s004"]
    assert kept["role"].tolist() == [
        split([name for name in names(11) if name != "s004"], **FRACTIONS, seed=0)[name] for name in kept["speaker"]
    ]


def test_each_speaker_has_one_role():
    kept, _ = build(table(names(40), clips=3), usable(120), **FRACTIONS, seed=5)
    assert (kept.groupby("speaker")["role"].nunique() == 1).all()
    assert kept.drop_duplicates("speaker")["role"].value_counts().to_dict() == {"train": 24, "test": 8, "encoder": 8}


@pytest.mark.parametrize(
    ("n", "encoder_fraction", "test_fraction", "sizes"),
    [
        (100, 0.15, 0.25, (15, 64, 21)),
        (6000, 0.15, 0.25, (900, 3825, 1275)),
        (8, 0.25, 0.5, (2, 3, 3)),
        (4, 0, 0.5, (0, 2, 2)),
    ],
)
def test_sizes_of_the_splits(n, encoder_fraction, test_fraction, sizes):
    roles = list(split(names(n), encoder_fraction=encoder_fraction, test_fraction=test_fraction, seed=0).values())
    assert tuple(roles.count(role) for role in ("encoder", "train", "test")) == sizes


def test_without_an_encoder_to_train_no_speaker_is_set_apart():
    kept, _ = build(table(names(20)), usable(20), encoder_fraction=0, test_fraction=0.25, seed=0)
    assert kept["role"].value_counts().to_dict() == {"train": 15, "test": 5}


def test_roles_depend_on_the_set_of_speakers_and_the_seed():
    speakers = names(50)
    roles = split(speakers, **FRACTIONS, seed=1)
    assert split(speakers[::-1], **FRACTIONS, seed=1) == roles
    assert split(np.array(speakers * 3), **FRACTIONS, seed=1) == roles
    assert split(speakers, **FRACTIONS, seed=2) != roles


def test_every_speaker_may_be_tested():
    tested = {
        name for seed in range(40) for name, role in split(names(20), **FRACTIONS, seed=seed).items() if role == "test"
    }
    assert tested == set(names(20))


def test_too_few_speakers_are_refused():
    with pytest.raises(InputError, match=r"8 speaker\(s\) give the 'encoder' split 1, it needs at least 2"):
        split(names(8), encoder_fraction=0.15, test_fraction=0.5, seed=0)
    with pytest.raises(
        InputError, match=r"4 speaker\(s\) give the 'test' split 1, .* change manifest.encoder_fraction"
    ):
        build(table(names(4)), usable(4), encoder_fraction=0, test_fraction=0.25, seed=0)
    with pytest.raises(InputError, match="give the 'train' split 1"):
        split(names(5), encoder_fraction=0, test_fraction=0.8, seed=0)


def test_nothing_usable_is_an_error_with_the_first_reason():
    faults = [Inspection(np.nan, np.nan, "", f"file {i}: no such file") for i in range(3)]
    with pytest.raises(InputError, match="none of 3 clips is usable; the first: file 0: no such file"):
        build(table(names(3)), faults, **FRACTIONS, seed=0)
