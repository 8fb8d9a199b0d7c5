"""The schemas of the params files: one section a stage, every key typed, bounded and known.

    Params          of `params.yaml`: speaker embeddings that are quantised
    FrameParams     of `kmeans-audio/params.yaml`, which says `system: kmeans-audio`: sound that is quantised
    load, check     file, mapping -> the one or the other

A key that is unknown, misspelt or out of range is an InputError that names it, its value and the nearest valid one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from porcupine.errors import InputError, nearest

Seed = Annotated[int, Field(ge=0, lt=2**63)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]

CorpusName = Literal["voices", "folder", "vectors", "librispeech", "common_voice", "crema_d", "ravdess"]
EncoderName = Literal["ecapa", "ge2e", "speechbrain"]
Method = Literal["vq", "sfvq", "kmeans", "curve", "tree", "balanced", "diveq", "sf_diveq"]
Mode = Literal["faithful", "exact"]
Encoding = Literal["nearest", "interval"]
Threat = Literal["ignorant", "informed", "semi-informed"]
Attacker = Literal["cosine", "plda", "mlp", "bayes"]


class Section(BaseModel):
    """A section of `params.yaml`: immutable, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Compute(Section):
    """Where the work runs."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: Annotated[int, Field(ge=0)] = 0


class Voices(Section):
    """Size of the embedded synthetic corpus."""

    speakers: Annotated[int, Field(ge=2)] = 6000
    utterances: PositiveInt = 3
    seed: Seed = 0


class Corpus(Section):
    """Which recordings, and where they are."""

    name: CorpusName = "voices"
    path: Path = Path("data/own")
    mirror: str | None = None
    subsets: tuple[str, ...] = ()
    voices: Voices = Voices()

    @property
    def has_audio(self) -> bool:
        """Whether the corpus holds recordings; ready-made vectors enter the pipeline at the codebooks."""
        return self.name != "vectors"


class Manifest(Section):
    """Which clips are kept, and who is in which split."""

    min_seconds: Annotated[float, Field(ge=0)] = 2.0
    max_seconds: PositiveFloat = 60.0
    silence_dbfs: Annotated[float, Field(le=0)] = -60.0
    encoder_fraction: Fraction = 0.15
    test_fraction: Fraction = 0.4
    seed: Seed = 0

    @model_validator(mode="after")
    def _ordered(self) -> Manifest:
        if self.min_seconds > self.max_seconds:
            raise ValueError(f"min_seconds={self.min_seconds} should be <= max_seconds={self.max_seconds}")
        return self


class Features(Section):
    """Log-mel spectrogram."""

    bands: PositiveInt = 80
    window_seconds: PositiveFloat = 0.025
    hop_seconds: PositiveFloat = 0.010


class Bottleneck(Section):
    """Quantiser inside the encoder, trained with it."""

    bits: Annotated[int, Field(ge=0, le=16)] = 0
    learning_rate: PositiveFloat = 0.1
    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0

    @model_validator(mode="after")
    def _curve(self) -> Bottleneck:
        if self.bits == 1:
            raise ValueError("bits=1 should be 0 (no bottleneck) or 2 … 16, for a curve of at least 4 corners")
        return self


class Encoder(Section):
    """Which speaker encoder, how it is trained where it is trained here, and on how many threads of the CPU it runs."""

    name: EncoderName = "ecapa"
    source: str = "speechbrain/spkrec-ecapa-voxceleb"
    channels: Annotated[int, Field(ge=8, multiple_of=8)] = 32
    dimension: PositiveInt = 192
    epochs: PositiveInt = 10
    batch_size: Annotated[int, Field(ge=2)] = 64
    crop_seconds: PositiveFloat = 1.0
    learning_rate: PositiveFloat = 0.01
    margin: Annotated[float, Field(ge=0, lt=1.5)] = 0.2
    scale: PositiveFloat = 30.0
    validation_fraction: Fraction = 0.1
    bottleneck: Bottleneck = Bottleneck()
    threads: PositiveInt = 1
    seed: Seed = 0

    @property
    def trained_here(self) -> bool:
        """Whether the encoder needs speakers of the corpus to train on."""
        return self.name == "ecapa"


class Embeddings(Section):
    """What one sample is."""

    unit: Literal["speaker", "utterance"] = "speaker"
    max_clips: PositiveInt = 100
    seed: Seed = 0


class VQ(Section):
    """Replacement of codewords that plain VQ hardly uses."""

    replace_every: PositiveInt = 100
    replace_below: Annotated[float, Field(ge=0, le=1)] = 0.01
    replace_until: Annotated[float, Field(ge=0, le=1)] = 0.8


class Codebooks(Section):
    """Training of the codebooks; epochs to replacement are for the methods trained by gradient."""

    methods: Annotated[tuple[Method, ...], Field(min_length=1)] = ("vq", "sfvq", "kmeans", "curve", "tree", "balanced")
    bits: Annotated[tuple[Annotated[int, Field(ge=2, le=16)], ...], Field(min_length=1)] = (4, 5, 6, 7, 8)
    repeats: PositiveInt = 5
    epochs: PositiveInt = 100
    batch_size: PositiveInt = 64
    learning_rate: PositiveFloat = 0.01
    halve_at: tuple[Fraction, ...] = (0.6, 0.8)
    vq: VQ = VQ()
    seed: Seed = 0

    @model_validator(mode="after")
    def _distinct(self) -> Codebooks:
        for key in ("methods", "bits"):
            values = getattr(self, key)
            if len(set(values)) < len(values):
                raise ValueError(f"{key}={list(values)} names something twice")
        return self


class Resample(Section):
    """Occurrence normalisation."""

    modes: Annotated[tuple[Mode, ...], Field(min_length=1)] = ("faithful", "exact")
    seed: Seed = 0


class Codes(Section):
    """How vectors become codes."""

    encodings: Annotated[tuple[Encoding, ...], Field(min_length=1)] = ("nearest", "interval")


class Attack(Section):
    """Who attacks, knowing what."""

    threats: Annotated[tuple[Threat, ...], Field(min_length=1)] = ("ignorant", "informed", "semi-informed")
    attackers: Annotated[tuple[Attacker, ...], Field(min_length=1)] = ("cosine", "plda", "mlp", "bayes")
    enrolment: PositiveInt = 2
    repeats: PositiveInt = 1
    epsilons: tuple[PositiveFloat, ...] = (1.0, 2.0, 4.0)
    bootstrap: PositiveInt = 200
    seed: Seed = 0


class Attributes(Section):
    """What else is read from a code."""

    names: tuple[str, ...] = ("gender", "age_group", "accent", "emotion")
    bootstrap: PositiveInt = 200
    permutations: PositiveInt = 200
    seed: Seed = 0


class Disclosure(Section):
    """Groups of speakers, and several utterances of one."""

    held: Annotated[int, Field(ge=2)] = 2
    observed: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1, 2, 5, 10, 20)
    sequences: PositiveInt = 4
    simulations: Annotated[int, Field(ge=100)] = 1000
    bootstrap: PositiveInt = 200
    seed: Seed = 0


class Metrics(Section):
    """Occupancy metrics and their floors."""

    simulations: Annotated[int, Field(ge=100)] = 1000
    bootstrap: PositiveInt = 200
    seed: Seed = 0


class Certificate(Section):
    """What may be promised of every code."""

    alpha: Fraction = 0.05
    population: PositiveInt = 10_000
    calibration_fraction: Fraction = 0.7
    seed: Seed = 0


class Figures(Section):
    """Looks."""

    dpi: Annotated[int, Field(ge=30, le=1200)] = 120
    seed: Seed = 0


class Frames(Section):
    """Mel-frequency cepstra."""

    coefficients: PositiveInt = 20
    bands: PositiveInt = 40
    window_seconds: PositiveFloat = 0.025
    hop_seconds: PositiveFloat = 0.010

    @model_validator(mode="after")
    def _few(self) -> Frames:
        if self.coefficients > self.bands:
            raise ValueError(f"coefficients={self.coefficients} should be <= bands={self.bands}")
        return self


class Folds(Section):
    """Cross-validation by speakers."""

    number: Annotated[int, Field(ge=2)] = 6
    seed: Seed = 0


class Noise(Section):
    """Noise on the frames."""

    mechanism: Literal["laplace", "gaussian"] = "laplace"
    sensitivity: PositiveFloat = 0.5
    epsilon: PositiveFloat = 0.8
    delta: Fraction = 1e-5
    bound: PositiveFloat | None = None
    seed: Seed = 0


class FrameCodebooks(Section):
    """K-means over frames."""

    sizes: Annotated[tuple[Annotated[int, Field(ge=2, le=2**16)], ...], Field(min_length=1)] = (16, 64, 256)
    rounds: PositiveInt = 10
    seed: Seed = 0

    @model_validator(mode="after")
    def _powers(self) -> FrameCodebooks:
        for size in self.sizes:
            if size & (size - 1) or self.sizes.count(size) > 1:
                raise ValueError(f"sizes={list(self.sizes)} should be powers of two, each once")
        return self


class Emotion(Section):
    """Random forests that recognise emotions."""

    few: Annotated[tuple[str, ...], Field(min_length=2)] = ("angry", "happy", "sad")
    trees: PositiveInt = 300
    curve: tuple[PositiveInt, ...] = (3, 6, 12, 18)
    bootstrap: PositiveInt = 1000
    seed: Seed = 0


class Identity(Section):
    """Networks and attackers that recognise speakers."""

    threats: Annotated[tuple[Literal["ignorant", "informed"], ...], Field(min_length=1)] = ("ignorant", "informed")
    attackers: Annotated[tuple[Attacker, ...], Field(min_length=1)] = ("cosine", "plda", "mlp", "bayes")
    held_share: Fraction = 0.5
    epochs: PositiveInt = 40
    crop_seconds: PositiveFloat = 1.0
    learning_rate: PositiveFloat = 0.003
    bootstrap: PositiveInt = 1000
    seed: Seed = 0


class Rebuild(Section):
    """Sound from quantised frames."""

    clips: PositiveInt = 6
    pitched: PositiveInt = 2
    listen: PositiveInt = 3
    rounds: PositiveInt = 8
    seed: Seed = 0


class Shared(Section):
    """Sections of both systems."""

    compute: Compute = Compute()
    corpus: Corpus = Corpus()
    manifest: Manifest = Manifest()
    encoder: Encoder = Encoder()


class Params(Shared):
    """All of `params.yaml`."""

    features: Features = Features()
    embeddings: Embeddings = Embeddings()
    codebooks: Codebooks = Codebooks()
    resample: Resample = Resample()
    codes: Codes = Codes()
    attack: Attack = Attack()
    attributes: Attributes = Attributes()
    disclosure: Disclosure = Disclosure()
    metrics: Metrics = Metrics()
    certificate: Certificate = Certificate()
    figures: Figures = Figures()


class FrameParams(Shared):
    """All of `kmeans-audio/params.yaml`."""

    system: Literal["kmeans-audio"]
    encoder: Encoder = Encoder(name="ge2e")
    folds: Folds = Folds()
    frames: Frames = Frames()
    noise: Noise = Noise()
    frame_codebooks: FrameCodebooks = FrameCodebooks()
    emotion: Emotion = Emotion()
    identity: Identity = Identity()
    rebuild: Rebuild = Rebuild()
    codebooks: Codebooks = Codebooks(methods=("balanced",), repeats=1)
    figures: Figures = Figures()

    @model_validator(mode="after")
    def _pretrained(self) -> FrameParams:
        if self.encoder.trained_here or not self.corpus.has_audio:
            raise ValueError(
                f"encoder.name={self.encoder.name!r}, corpus.name={self.corpus.name!r}: sound is quantised and "
                "recognised by a pretrained encoder here: choose ge2e or speechbrain, and a corpus of recordings"
            )
        return self


def load(path: str | Path = "params.yaml") -> Params | FrameParams:
    """Read and check a params file.

    Raises InputError with one line for each thing wrong: the key, its value, what it must be.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not a readable YAML file ({error})") from error
    return check({} if content is None else content, name=str(path))


def check(content: Any, *, name: str = "params") -> Params | FrameParams:
    """Validate a mapping of sections. Raises InputError as `load` does."""
    schema: type[Params | FrameParams] = FrameParams if isinstance(content, dict) and "system" in content else Params
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        lines = [_explain(fault, schema) for fault in error.errors()]
        raise InputError("\n".join(f"{name}: {line}" for line in lines)) from error


def _explain(fault: Any, schema: type[BaseModel]) -> str:
    location = fault["loc"]
    key = ".".join(str(part) for part in location)
    if fault["type"] == "extra_forbidden":
        fields = _fields(schema, location[:-1])
        return f"{key}={fault['input']!r} is not a known key{nearest(str(location[-1]), fields)}"
    if fault["type"] == "literal_error":
        valid = fault["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return f"{key}={fault['input']!r} is not known{nearest(str(fault['input']), valid)}"
    message = fault["msg"].removeprefix("Value error, ")
    value = "" if fault["type"] == "value_error" else f"={fault['input']!r}"
    return f"{f'{key}{value}: ' if key else ''}{message[0].lower()}{message[1:]}"


def _fields(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    for part in location:
        annotation = model.model_fields[part].annotation
        model = next((a for a in get_args(annotation) if isinstance(a, type)), annotation)  # type: ignore[assignment]
    return list(model.model_fields)
