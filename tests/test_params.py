from pathlib import Path

import pytest
import yaml

from porcupine import params
from porcupine.errors import InputError

ROOT = Path(__file__).parents[1]


def test_the_committed_params_are_valid_and_complete():
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    loaded = params.load(ROOT / "params.yaml")
    assert loaded.model_dump(mode="json") == content | {"corpus": content["corpus"] | {"path": str(loaded.corpus.path)}}


def test_every_random_stage_has_its_seed_in_the_file():
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    seeds = [content[section]["seed"] for section in content if "seed" in content[section]]
    assert len(seeds) == len(set(seeds)) == 11
    assert "seed" in content["corpus"]["voices"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"codebook": {}}, "codebook={} is not a known key; did you mean 'codebooks'?"),
        ({"codebooks": {"epoch": 3}}, "codebooks.epoch=3 is not a known key; did you mean 'epochs'?"),
        (
            {"corpus": {"voices": {"speakres": 3}}},
            "corpus.voices.speakres=3 is not a known key; did you mean 'speakers'?",
        ),
        ({"corpus": {"name": "librispeach"}}, "corpus.name='librispeach' is not known; did you mean 'librispeech'?"),
        ({"codebooks": {"bits": [40]}}, "codebooks.bits.0=40: input should be less than or equal to 16"),
        ({"codebooks": {"bits": [4, 4]}}, "codebooks: bits=[4, 4] names something twice"),
        ({"encoder": {"epochs": "many"}}, "encoder.epochs='many': input should be a valid integer"),
        ({"encoder": {"bottleneck": {"bits": 1}}}, "encoder.bottleneck: bits=1 should be 0 (no bottleneck) or 2 … 16"),
        ({"manifest": {"min_seconds": 70}}, "manifest: min_seconds=70.0 should be <= max_seconds=60.0"),
        ({"manifest": {"test_fraction": 1.5}}, "manifest.test_fraction=1.5: input should be less than 1"),
        ({"compute": {"device": "gpu"}}, "compute.device='gpu' is not known; did you mean 'cpu'?"),
        ({"figures": {"xyz": 1}}, "figures.xyz=1 is not a known key; choose from dpi, seed"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(content, message):
    with pytest.raises(InputError) as error:
        params.check(content, name="params.yaml")
    assert f"params.yaml: {message}" in str(error.value)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(InputError) as error:
        params.check({"codebook": {}, "attack": {"seed": -1}})
    assert len(str(error.value).splitlines()) == 2


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.yaml"):
        params.load(tmp_path / "nowhere.yaml")
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(InputError, match=r"broken\.yaml: not a readable YAML"):
        params.load(tmp_path / "broken.yaml")


def test_an_empty_file_means_all_defaults(tmp_path):
    (tmp_path / "params.yaml").write_text("")
    assert params.load(tmp_path / "params.yaml") == params.Params()
