"""Silero VAD: how likely it is that somebody speaks, 32 ms at a time.

Source: github.com/snakers4/silero-vad, src/silero_vad/utils_vad.py, OnnxWrapper. The windows of one sound run one after
the other, each with what the run before remembers. Windows of several sounds that wait run together: it gives the same
numbers to the bit, and takes a third of the time (measured: 83 us for each of 8, 270 us for one alone).
"""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from trivium_server.architectures.folder_files import FolderFiles
from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.architectures.speech.folder import open_graph
from trivium_server.architectures.speech_capabilities import SAMPLE_RATE_HZ, VOICE_WINDOW, SpeechMeter
from trivium_server.config import Config
from trivium_server.errors import CallAborted, UnsupportedFeature
from trivium_server.runtime.batch_forming import BatchPolicy
from trivium_server.runtime.batcher import Batcher, BatcherClosedError, BatcherStats
from trivium_server.runtime.session import Session
from trivium_server.runtime.workload import Workload

Floats = NDArray[np.float32]

# Samples before a window that the model sees again.
_CONTEXT = 64
_STATE = (2, 128)
_INPUTS = ("input", "state", "sr")
_OUTPUTS = ("output", "stateN")
_RATE = np.array(SAMPLE_RATE_HZ, np.int64)

# Live sound comes with a few windows at a time, and goes ahead of what comes with more than this many, as files do.
_LIVE_WINDOWS = 32
# A file's sound is handed over in such pieces: 8 ms of work.
_PIECE_WINDOWS = 64


class _Memory:
    """What is remembered of one sound between two runs."""

    __slots__ = ("context", "state")

    def __init__(self) -> None:
        self.context = np.zeros(_CONTEXT, np.float32)
        self.state = np.zeros(_STATE, np.float32)


class _Work:
    """Windows of one sound, shape (n, VOICE_WINDOW), n at least 1."""

    __slots__ = ("length", "memory", "windows")

    def __init__(self, memory: _Memory, windows: Floats) -> None:
        self.memory = memory
        self.windows = windows
        self.length = len(windows)


class VoiceActivityModel:
    """Implements capabilities.ServedModel and speech_capabilities.VoiceActivityDetector."""

    def __init__(self, name: str, session: Session, *, max_streams: int) -> None:
        """max_streams: sounds of which something may wait at the same time."""
        self.execution_provider = session.execution_provider
        self._name = name
        self._session = session
        self._batcher: Batcher[_Work, Floats] = Batcher(
            self._run,
            model=name,
            # A sound that has fewer windows than others of its batch drops out; nothing is padded.
            policy=BatchPolicy(budget_tokens=_LIVE_WINDOWS, max_padding=1.0),
            num_runners=1,
            max_callers=max_streams,
        )

    @property
    def stats(self) -> BatcherStats:
        """For tests and telemetry: what waits and runs. Its tokens are windows."""
        return self._batcher.stats

    @property
    def workload(self) -> Workload:
        return self._batcher.workload

    async def warm_up(self) -> None:
        """Raises SessionError."""
        blank = np.zeros((1, VOICE_WINDOW), np.float32)
        await asyncio.to_thread(self._run, [_Work(_Memory(), blank)])
        self._batcher.start()

    async def close(self, grace_s: float) -> None:
        await self._batcher.close(grace_s)

    def open_voice_stream(self) -> "SileroStream":
        return SileroStream(self)

    async def listen(self, memory: _Memory, windows: Floats, *, deadline_s: float, meter: SpeechMeter) -> Floats:
        """Returns the probability of each window; memory is up to date then. As SileroStream.push raises."""
        try:
            caller = self._batcher.open(deadline_s)
        except BatcherClosedError as error:
            raise CallAborted(self._name) from error
        with caller:
            (outcome,) = await caller.all([_Work(memory, windows)])
            meter.compute_s += caller.stats.compute_s
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _run(self, works: Sequence[_Work]) -> list[Floats | Exception]:
        """Runs the first window of all, then the second of those that have one, and so on."""
        # The longest first: those that drop out are at the end.
        order = sorted(range(len(works)), key=lambda index: -works[index].length)
        sounds = [works[index] for index in order]
        found = np.zeros((len(works), sounds[0].length), np.float32)
        state = np.stack([work.memory.state for work in sounds], axis=1)
        context = np.stack([work.memory.context for work in sounds])
        for place in range(sounds[0].length):
            while sounds[-1].length <= place:
                _keep(sounds, state, context)
            if len(sounds) < len(context):
                state, context = np.ascontiguousarray(state[:, : len(sounds)]), context[: len(sounds)]
            seen = np.concatenate([context, np.stack([work.windows[place] for work in sounds])], axis=1)
            probabilities, after = self._session.run({"input": seen, "state": state, "sr": _RATE}, _OUTPUTS)
            found[: len(sounds), place] = probabilities[:, 0]
            state, context = after.astype(np.float32, copy=False), seen[:, -_CONTEXT:]
        while sounds:
            _keep(sounds, state, context)
        return [_outcome(found[order.index(index), : work.length].copy()) for index, work in enumerate(works)]


def _keep(sounds: list[_Work], state: Floats, context: Floats) -> None:
    """Ends the last sound: writes down what is to be remembered of it."""
    last = len(sounds) - 1
    memory = sounds.pop().memory
    memory.state, memory.context = state[:, last].copy(), context[last].copy()


def _outcome(probabilities: Floats) -> Floats | Exception:
    if np.isfinite(probabilities).all():
        return probabilities
    return UnsupportedFeature("audio", "what the model of voice activity makes of it is not finite")


class SileroStream:
    """Implements speech_capabilities.VoiceStream."""

    def __init__(self, model: VoiceActivityModel) -> None:
        self._model = model
        self._memory = _Memory()

    async def push(self, samples: Floats, *, deadline_s: float, meter: SpeechMeter) -> Floats:
        """See VoiceStream. A push that failed or was cancelled leaves the memory as it may be: push no more."""
        windows = samples.reshape(-1, VOICE_WINDOW)
        found = [
            await self._model.listen(
                self._memory, windows[first : first + _PIECE_WINDOWS], deadline_s=deadline_s, meter=meter
            )
            for first in range(0, len(windows), _PIECE_WINDOWS)
        ]
        return np.concatenate(found) if found else np.zeros(0, np.float32)


def load(files: FolderFiles, name: str, config: Config, progress: Callable[[float], None]) -> VoiceActivityModel:
    """Loads a folder. progress: called with 0 to 1. Raises ModelFolderError and SessionError."""
    described = files.table("config.json")
    for key, own in (("sampling_rate", SAMPLE_RATE_HZ), ("window", VOICE_WINDOW), ("context", _CONTEXT)):
        if described.integer(key, low=1, high=1 << 20) not in {own, None}:
            raise ModelFolderError(f"config.json: {key} must be {own}")
    session = open_graph(files, "model", config, inputs=_INPUTS, outputs=_OUTPUTS)
    progress(1.0)
    return VoiceActivityModel(name, session, max_streams=config.speech.max_streams + config.speech.max_callers)
