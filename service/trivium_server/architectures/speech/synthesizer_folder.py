"""What the folder of a synthesizer says of its voice: config.json."""

from collections.abc import Mapping
from dataclasses import dataclass

from trivium_server.architectures.folder_files import FolderFiles, Table
from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.architectures.speech_capabilities import Voice

_CONFIG_FILE = "config.json"
_MAX_RATE_HZ = 192_000
# The graph works on all phonemes of a piece at once; beyond this its memory is no longer small.
_MAX_PHONEMES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesizerSetting:
    """A voice, and what its graph takes and gives.

    numbers: of the phonemes that it knows. pad: stands at both ends. max_phonemes: of one run. hop: samples of a frame.
    """

    numbers: Mapping[str, int]
    pad: int
    max_phonemes: int
    hop: int
    sample_rate_hz: int
    voice: Voice

    @property
    def is_british(self) -> bool:
        return self.voice.language_codes == ("en-GB",)


def read_setting(files: FolderFiles) -> SynthesizerSetting:
    """Raises ModelFolderError."""
    config = files.table(_CONFIG_FILE)
    sample_rate_hz = config.integer("sampling_rate", low=1, high=_MAX_RATE_HZ)
    hop = config.integer("hop", low=1, high=_MAX_RATE_HZ)
    if sample_rate_hz is None or hop is None:
        raise config.error("sampling_rate and hop", "must be there")
    if config.integer("n_fft", low=1, high=_MAX_RATE_HZ) not in {None, 4 * hop}:
        raise config.error("n_fft", f"must be four hops, {4 * hop}")
    return SynthesizerSetting(
        numbers=_numbers(config),
        pad=config.integer("pad_id", low=0, high=1 << 16) or 0,
        max_phonemes=config.integer("max_phonemes", low=1, high=_MAX_PHONEMES) or _MAX_PHONEMES,
        hop=hop,
        sample_rate_hz=sample_rate_hz,
        voice=_voice(files, config),
    )


def _numbers(config: Table) -> Mapping[str, int]:
    vocabulary = config.table("vocab")
    numbers = {each: number for each, number in vocabulary.items() if isinstance(number, int) and len(each) == 1}
    if not numbers or len(numbers) < len(vocabulary):
        raise config.error("vocab", "must have a whole number for each phoneme, which is one character")
    return numbers


def _voice(files: FolderFiles, config: Table) -> Voice:
    whole = files.json(_CONFIG_FILE)
    voices = whole.get("voices") if isinstance(whole, dict) else None
    # A graph of this kind speaks with one voice.
    if not isinstance(voices, list) or len(voices) != 1 or not isinstance(voices[0], dict):
        raise config.error("voices", "must be a list of one object")
    voice = Table(f"{_CONFIG_FILE} voices", voices[0])
    name, language = voice.text("name", ""), voice.text("language", "")
    if not name or not language.startswith("en"):
        raise ModelFolderError(f"{_CONFIG_FILE}: voices must have a name, and a language that is English")
    gender = voice.text("gender", "")
    return Voice(
        name=name,
        display_name=voice.text("display_name", name.capitalize()),
        language_codes=(language,),
        traits=(("gender", gender),) if gender else (),
    )
