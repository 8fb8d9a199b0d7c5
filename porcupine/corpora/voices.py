"""Synthetic speakers: the embedded corpus, made offline by espeak-ng.

Every speaker is a formant synthesiser's voice with drawn attributes; every utterance is a drawn sentence in a drawn
style, with background noise. All draws of speaker i depend on (seed, i) alone, those of its utterance j on
(seed, i, j): more speakers or more utterances leave the earlier audio as it is.

    synthesize    write the shards of the corpus and return its utterance table

Attributes of a speaker: `gender`, `age` (years), `age_group`, `accent` (espeak's name), `pitch_hz` (median fundamental
frequency in neutral style), `pitch_range_semitones`, `formant_scale` (1: espeak's default, an adult male vocal tract),
`tilt_db` (spectral tilt, dB an octave), `breathiness` and `roughness` (0 … 1), `rate_wpm` (words a minute).
Formants also have their own deviation, strength and width, which are not in the table.
Attributes of an utterance: `emotion`, `snr_db` and `text`.
"""

from __future__ import annotations

import ctypes
import functools
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import soundfile
import soxr
from scipy.signal import lfilter

from porcupine.errors import InputError
from porcupine.parallel import ordered_map
from porcupine.randomness import generator
from porcupine.storage import replacing

SAMPLE_RATE_HZ = 16000
SPEAKERS_A_SHARD = 64
_DECIMALS = 6  # of the attributes; the digits beyond depend on the processor

# espeak's accents of English: file of the data folder's lang/gmw, share of the speakers.
ACCENTS = {
    "en-us": ("en-US", 0.28),
    "en-us-nyc": ("en-US-nyc", 0.10),
    "en-gb": ("en", 0.14),
    "en-gb-x-rp": ("en-GB-x-rp", 0.12),
    "en-gb-scotland": ("en-GB-scotland", 0.10),
    "en-gb-x-gbclan": ("en-GB-x-gbclan", 0.09),
    "en-gb-x-gbcwmd": ("en-GB-x-gbcwmd", 0.07),
    "en-029": ("en-029", 0.10),
}


class AgeGroup(NamedTuple):
    """Ages in years, the upper one excluded, and the share of the speakers."""

    youngest: int
    oldest: int
    share: float


AGE_GROUPS = {
    "child": AgeGroup(6, 14, 0.12),
    "young": AgeGroup(18, 30, 0.30),
    "adult": AgeGroup(30, 60, 0.38),
    "senior": AgeGroup(60, 86, 0.20),
}


class Style(NamedTuple):
    """What an emotion does to the speaker's neutral voice: factors, and dB."""

    pitch: float
    pitch_range: float
    rate: float
    level_db: float
    tilt_db: float


STYLES = {
    "neutral": Style(1.0, 1.0, 1.0, 0.0, 0.0),
    "angry": Style(1.12, 1.35, 1.10, 5.0, 1.5),
    "happy": Style(1.18, 1.60, 1.04, 2.0, 0.5),
    "sad": Style(0.92, 0.60, 0.88, -4.0, -1.5),
}

TEMPLATES = (
    "{When} the {adjective} {person} {past} {number} {adjective} {things} {place}.",
    "The {person} from {town} {past} our {adjective} {things} {place}.",
    "{Name} and the {adjective} {person} {past} the {things} {when}.",
    "Did the {adjective} {person} really {verb} your {adjective} {things} {place}?",
    "Why would {name} {verb} those {number} {things} {place} {when}?",
    "Please {verb} the {adjective} {things} {place} before {name} leaves {town}.",
    "I never thought that {name} would {verb} the {adjective} {things} {when}.",
    "We heard that {number} {adjective} {things} were left {place} {when}.",
)

WORDS = {  # separated by commas
    "adjective": "old, quiet, yellow, broken, heavy, little, famous, wooden, golden, clever, hungry, friendly, "
    "careful, empty, modern, strange, purple, gentle, noisy, honest, narrow, dusty, shiny, foreign",
    "name": "Martha, Victor, Susan, Oliver, Emma, Jacob, Helen, Patrick, Laura, Simon, Nora, Felix, Diana, Hugo, "
    "Rachel, George",
    "number": "two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, forty",
    "past": "painted, carried, followed, borrowed, cleaned, repaired, counted, collected, forgot, noticed, "
    "covered, opened, bought, delivered, watched, moved",
    "person": "farmer, teacher, doctor, sailor, baker, neighbour, singer, lawyer, student, gardener, captain, "
    "butcher, painter, driver, nurse, officer",
    "place": "behind the garden wall, near the river, under the kitchen table, across the valley, at the station, "
    "beside the church, in the cellar, on the bridge, outside the village, along the coast, by the front "
    "door, above the shop",
    "things": "baskets, letters, bicycles, blankets, apples, windows, boats, candles, chairs, parcels, tickets, "
    "horses, kettles, lanterns, pictures, ladders, jackets, bottles",
    "town": "London, Boston, Glasgow, Dublin, Denver, Oxford, Kingston, Bristol, Sydney, Chicago",
    "verb": "paint, carry, follow, borrow, clean, repair, count, collect, forget, notice, cover, open, buy, "
    "deliver, watch, move",
    "when": "this morning, last winter, on Friday, after dinner, yesterday, every summer, around midnight, before "
    "the storm, long ago, two weeks later",
}


def synthesize(
    destination: Path, *, speakers: int, utterances: int, seed: int, workers: int = 0, progress: bool = False
) -> pd.DataFrame:
    """Write the corpus as FLAC shards (16 kHz, mono, 16 bits) and return its utterance table.

    destination : folder for the shards `0000.flac` …, each with all utterances of 64 speakers one after the other.
    speakers : >= 2. utterances : of each speaker, >= 1.
    workers : processes; 0 means one a core. progress : whether to show a progress bar.
    Returns one row an utterance, sorted by `utterance`: `utterance`, `path` (relative to ``destination``), `start` and
    `stop` (samples of the shard), `speaker`, and the attributes that the module lists.
    Raises InputError where a count is too small, or where espeak-ng is missing or cannot be used.
    """
    if speakers < 2:
        raise InputError(f"speakers={speakers}, must be at least 2: privacy needs somebody to be mistaken for")
    if utterances < 1:
        raise InputError(f"utterances={utterances}, must be at least 1 a speaker")
    _espeak_files()
    shards = [range(first, min(first + SPEAKERS_A_SHARD, speakers)) for first in range(0, speakers, SPEAKERS_A_SHARD)]
    write = functools.partial(_write_shard, Path(destination), utterances=utterances, seed=seed)
    rows = ordered_map(write, shards, workers=workers, description="voices" if progress else "", unit="shard")
    return pd.DataFrame([row for shard in rows for row in shard]).round(_DECIMALS)


def _write_shard(destination: Path, members: range, *, utterances: int, seed: int) -> list[dict[str, Any]]:
    path = f"{members.start // SPEAKERS_A_SHARD:04d}.flac"
    rows: list[dict[str, Any]] = []
    position = 0
    with (
        _Espeak() as espeak,
        replacing(destination / path) as temporary,
        soundfile.SoundFile(temporary, "w", SAMPLE_RATE_HZ, 1, "PCM_16", format="FLAC", compression_level=0) as file,
    ):
        for i in members:
            speaker = _draw_speaker(seed, i)
            for j in range(utterances):
                rng = generator(seed, "utterance", i, j)
                utterance = _draw_utterance(rng)
                samples = _render(espeak, speaker, utterance, rng)
                file.write(samples)
                rows.append(
                    {
                        "utterance": f"{i:06d}-{j:04d}",
                        "path": path,
                        "start": position,
                        "stop": position + len(samples),
                        "speaker": f"{i:06d}",
                        **speaker.attributes,
                        **utterance,
                    }
                )
                position += len(samples)
    return rows


class _Speaker(NamedTuple):
    attributes: dict[str, Any]
    formants: np.ndarray  # int [9, 3]: frequency, strength and width of espeak's formants 0 … 8, per cent


def _draw_speaker(seed: int, i: int) -> _Speaker:
    rng = generator(seed, "speaker", i)
    gender = _pick(rng, ["female", "male"])
    age_group = str(rng.choice(list(AGE_GROUPS), p=[group.share for group in AGE_GROUPS.values()]))
    age = int(rng.integers(AGE_GROUPS[age_group].youngest, AGE_GROUPS[age_group].oldest))
    accent = str(rng.choice(list(ACCENTS), p=[share for _, share in ACCENTS.values()]))
    pitch_hz, formant_scale = _typical_voice(gender, age)
    formant_scale *= np.exp(0.04 * _normal(rng))
    deviation = np.exp(0.045 * _normal(rng, 9))
    strength = np.exp(0.18 * _normal(rng, 9))
    width = np.exp(0.15 * _normal(rng, 9))
    formants = np.stack([formant_scale * deviation, strength, width], axis=1)
    formants[0] = 1.0
    attributes = {
        "gender": gender,
        "age": age,
        "age_group": age_group,
        "accent": accent,
        "pitch_hz": pitch_hz * np.exp(0.13 * _normal(rng)),
        "pitch_range_semitones": 5.0 * np.exp(0.25 * _normal(rng)),
        "formant_scale": formant_scale,
        "tilt_db": 1.5 * _normal(rng),
        "breathiness": rng.beta(1.3, 4.0),
        "roughness": min(1.0, rng.beta(1.2, 5.0) + (0.15 if age_group == "senior" else 0.0)),
        "rate_wpm": (160.0 if age_group == "senior" else 178.0) * np.exp(0.09 * _normal(rng)),
    }
    return _Speaker(attributes, np.rint(100 * formants).astype(int))


def _typical_voice(gender: str, age: int) -> tuple[float, float]:
    """Return the group's median pitch in Hz and its formant scale."""
    if age < AGE_GROUPS["young"].youngest:
        grown = (age - 6) / 8
        pitch_hz, scale = (215.0, 1.20) if gender == "female" else (195.0, 1.16)
        return 285.0 + grown * (pitch_hz - 285.0), 1.36 + grown * (scale - 1.36)
    old = age >= AGE_GROUPS["senior"].youngest
    if gender == "female":
        return (180.0 if old else 205.0), 1.15
    return (126.0 if old else 115.0), 1.0


def _normal(rng: np.random.Generator, size: int | None = None) -> Any:
    """Draw from the standard normal distribution, limited to ±2.5."""
    return np.clip(rng.standard_normal(size), -2.5, 2.5)


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _draw_utterance(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "emotion": _pick(rng, list(STYLES)),
        "snr_db": rng.uniform(10.0, 40.0),
        "text": _draw_sentence(rng),
    }


def _draw_sentence(rng: np.random.Generator) -> str:
    def fill(slot: re.Match[str]) -> str:
        words = _pick(rng, WORDS[slot[1].lower()].split(", "))
        return words[0].upper() + words[1:] if slot[1][0].isupper() else words

    return re.sub(r"\{(\w+)\}", fill, _pick(rng, TEMPLATES))


def _render(espeak: _Espeak, speaker: _Speaker, utterance: Mapping[str, Any], rng: np.random.Generator) -> np.ndarray:
    """Return the utterance's samples, int16 [T] at 16 kHz."""
    voice = speaker.attributes
    style = STYLES[utterance["emotion"]]
    pitch_hz = voice["pitch_hz"] * style.pitch * np.exp(0.03 * _normal(rng))
    range_semitones = voice["pitch_range_semitones"] * style.pitch_range * np.exp(0.1 * _normal(rng))
    tilt_db = voice["tilt_db"] + style.tilt_db + 0.5 * _normal(rng)
    speech = espeak.speak(
        utterance["text"],
        accent=voice["accent"],
        timbre=_timbre(speaker, pitch_hz, range_semitones, tilt_db),
        rate_wpm=round(voice["rate_wpm"] * style.rate * np.exp(0.05 * _normal(rng))),
        seed=int(rng.integers(1, 2**31)),
    )
    speech = soxr.resample(speech, espeak.sample_rate_hz, SAMPLE_RATE_HZ)
    speech *= _shimmer(len(speech), pitch_hz, voice["roughness"], rng)
    level_db = -26.0 + style.level_db + 1.5 * _normal(rng)
    speech *= 10 ** (level_db / 20) / np.sqrt(np.mean(speech**2))
    noise = lfilter([1.0], [1.0, -rng.uniform(0.0, 0.9)], rng.standard_normal(len(speech), dtype=np.float32))
    noise *= 10 ** ((level_db - utterance["snr_db"]) / 20) / np.sqrt(np.mean(noise**2))
    mixed = speech + noise
    mixed *= min(1.0, 0.95 / np.abs(mixed).max())
    return np.rint(mixed * 32767).astype(np.int16)


def _shimmer(n_samples: int, pitch_hz: float, roughness: float, rng: np.random.Generator) -> np.ndarray:
    """Return a gain, float32 [n_samples], that falls by a random amount from one pitch period to the next."""
    n_periods = int(n_samples * pitch_hz / SAMPLE_RATE_HZ) + 2
    gains = 1.0 - roughness * rng.random(n_periods)
    periods = np.arange(n_samples) * (pitch_hz / SAMPLE_RATE_HZ)
    return np.interp(periods, np.arange(n_periods), gains).astype(np.float32)


def _timbre(speaker: _Speaker, pitch_hz: float, range_semitones: float, tilt_db: float) -> str:
    """Return the lines of an espeak voice file that make the speaker's voice."""
    # espeak's median pitch is low - 9 + 0.8 (high - low), measured.
    span_hz = pitch_hz * (2 ** (range_semitones / 12) - 1)
    low_hz = round(pitch_hz + 9 - 0.8 * span_hz)
    # Default points of espeak's equaliser (frequency in Hz, gain), tilted about the first.
    points = ((600, 170), (1200, 135), (2000, 110), (3000, 110), (5000, 110))
    tone = [(hz, min(255, round(gain * 10 ** (tilt_db * np.log2(hz / 600) / 20)))) for hz, gain in points]
    breath = np.rint(40 * speaker.attributes["breathiness"] * np.array([0.3, 0.5, 0.8, 1.0, 1.0, 1.0, 0.8, 0.6]))
    lines = [
        f"pitch {low_hz} {low_hz + round(span_hz)}",
        "tone " + " ".join(f"{hz} {gain}" for hz, gain in tone),
        "breath " + " ".join(str(int(amount)) for amount in breath),
        *(f"formant {k} {' '.join(map(str, row))}" for k, row in enumerate(speaker.formants)),
    ]
    return "\n".join(lines)


def _espeak_files() -> tuple[str, Path]:
    """Return the espeak-ng library and its data folder."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise InputError(
            "corpus voices: espeakng_loader is not installed: pip install 'porcupine[pipeline]', or name another corpus"
        ) from error
    return espeakng_loader.get_library_path(), Path(espeakng_loader.get_data_path())


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class _Espeak:
    """The espeak-ng library, such that what it says depends on the arguments of `speak` alone.

    espeak's flutter (pitch) and roughness (amplitude) run on from one utterance to the next, so both are off. Its
    breath is noise, seeded for each utterance. Reloading the voice for each utterance resets the rest.
    """

    _SYNCHRONOUS, _DO_NOT_EXIT, _RATE, _CHARACTER, _UTF8 = 2, 0x8000, 1, 1, 1
    _BUFFER_MILLISECONDS = 10_000
    _VOICE_SIZE = 4096  # characters of the voice file, empty lines at its end: rewriting is quicker than making files
    _LONGEST_PATH = 150  # characters; espeak copies paths to short buffers

    def __enter__(self) -> _Espeak:
        library, self._data = _espeak_files()
        self._espeak = ctypes.CDLL(library)
        self._espeak.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
        self.sample_rate_hz = self._espeak.espeak_Initialize(
            self._SYNCHRONOUS, self._BUFFER_MILLISECONDS, str(self._data).encode(), self._DO_NOT_EXIT
        )
        if self.sample_rate_hz <= 0:
            raise InputError(
                f"{self._data}: espeak-ng cannot read its data: reinstall espeakng_loader, in a shorter path"
            )
        self._chunks: list[bytes] = []
        self._callback = _CALLBACK(self._receive)
        self._espeak.espeak_SetSynthCallback(self._callback)
        languages = self._data / "lang" / "gmw"
        self._languages = {accent: (languages / name).read_text("utf-8") for accent, (name, _) in ACCENTS.items()}
        self._voice = tempfile.NamedTemporaryFile("w", prefix="voice", encoding="utf-8")
        if len(self._voice.name) > self._LONGEST_PATH:
            raise InputError(f"{self._voice.name}: too long a path for espeak-ng: set TMPDIR to a shorter one")
        return self

    def __exit__(self, *_: object) -> None:
        self._espeak.espeak_Terminate()
        self._voice.close()

    def _receive(self, samples: Any, count: int, _: Any) -> int:
        if samples and count > 0:
            self._chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    def speak(self, text: str, *, accent: str, timbre: str, rate_wpm: int, seed: int) -> np.ndarray:
        """Return speech, float32 [T] at `sample_rate_hz`, full scale 1.

        timbre : lines of an espeak voice file. seed : of the breath noise.
        """
        voice = f"{self._languages[accent]}\n{timbre}\nflutter 0\nroughness 8\n"
        self._voice.seek(0)
        self._voice.write(voice.ljust(self._VOICE_SIZE, "\n"))
        self._voice.flush()
        self._chunks.clear()
        encoded = text.encode()
        failed = (
            self._espeak.espeak_SetVoiceByFile(self._voice.name.encode())
            or self._espeak.espeak_SetParameter(self._RATE, rate_wpm, 0)
            or self._espeak.espeak_ng_SetRandSeed(seed)
            or self._espeak.espeak_Synth(encoded, len(encoded) + 1, 0, self._CHARACTER, 0, self._UTF8, None, None)
        )
        if failed or not self._chunks:
            raise InputError(
                f"corpus voices: espeak-ng (status {failed}) cannot say {text!r}: reinstall espeakng_loader"
            )
        return np.frombuffer(b"".join(self._chunks), np.int16).astype(np.float32) / 32768
