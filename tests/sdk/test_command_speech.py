"""`trivium transcribe`, `dictate`, `say` and `voices`: what they print, write and refuse."""

import itertools
import json
import signal
import subprocess
import time
import wave
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.sdk.command import TRIVIUM, Command, leave
from tests.sdk.scripted import ScriptedServer, fail, reply
from tests.sdk.speech_script import hear_file, hear_live, list_models, recognize, speak, voices, wav
from trivium import _calls
from trivium.v1 import speech_pb2

BELL = "\x07"


@pytest.fixture
def seen() -> list[Any]:
    """The files that were sent in pieces, or the messages of a live stream after its setup."""
    return []


@pytest.fixture
def speaking(tmp_path: Path, faults: ScriptedServer, seen: list[Any]) -> Command:
    faults.script(_calls.RECOGNIZE, recognize)
    faults.script(_calls.STREAM_RECOGNIZE, hear_file(seen))
    faults.script(_calls.STREAM_SYNTHESIZE, speak(seen))
    faults.script(_calls.LIST_VOICES, reply(voices("heart", "other")))
    faults.script(_calls.LIST_MODELS, list_models)
    return Command(tmp_path, faults.target)


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """A tenth of a second and a bit; its first pieces are text for the scripted server."""
    file = tmp_path / "talk.wav"
    file.write_bytes(wav(b"ab" * 1600 + b"cd" * 800, 16000))
    return file


def sent(server: ScriptedServer) -> list[Any]:
    return [call.request for call in server.received if call.path == _calls.RECOGNIZE.path]


def test_text(speaking: Command, faults: ScriptedServer, sound: Path) -> None:
    done = speaking.run("transcribe", str(sound), "--language", "en", "--prompt", "Godot")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello.\n", "")
    (request,) = sent(faults)
    assert request.audio.content == sound.read_bytes()
    config = request.config
    assert (config.model, list(config.language_codes), config.prompt) == ("ear", ["en"], "Godot")


def test_captions_and_json(speaking: Command, sound: Path) -> None:
    assert speaking.run("transcribe", str(sound), "--srt").stdout == "1\n00:00:00,500 --> 00:00:01,250\nHello.\n"
    assert speaking.run("transcribe", str(sound), "--vtt").stdout == "WEBVTT\n"
    found = json.loads(speaking.run("transcribe", str(sound), "--json", "--words").stdout)
    assert (found["file"], found["text"], found["duration_s"]) == (str(sound), "Hello.", 2.5)
    assert found["segments"][0]["words"] == [{"word": "Hello.", "start_s": 0.5, "end_s": 1.0, "confidence": 0.75}]
    assert found["info"]["model"]["name"] == "ear"


def test_output_files(speaking: Command, sound: Path, tmp_path: Path) -> None:
    captions, folder = tmp_path / "film.srt", tmp_path / "out"
    done = speaking.run("transcribe", str(sound), "-o", str(captions))
    assert (done.stdout, done.stderr) == ("", f"written: {captions}\n")
    assert captions.read_text().startswith("1\n00:00:00,500 -->")
    other = tmp_path / "other.wav"
    other.write_bytes(sound.read_bytes())
    assert speaking.run("transcribe", str(sound), str(other), "--json", "-o", str(folder)).returncode == 0
    assert sorted(path.name for path in folder.iterdir()) == ["other.json", "talk.json"]
    assert speaking.run("transcribe", str(sound), "-o", str(folder)).returncode == 0
    assert (folder / "talk.txt").read_text() == "Hello.\n"


def test_several_files_go_on_after_one_that_fails(speaking: Command, faults: ScriptedServer, sound: Path) -> None:
    refused = fail(grpc.StatusCode.INVALID_ARGUMENT, "no sound", reason="UNDECODABLE_MEDIA")
    faults.script(_calls.RECOGNIZE, refused, recognize)
    done = speaking.run("transcribe", str(sound), str(sound))
    assert done.returncode == 1
    assert f"trivium: {sound}: UNDECODABLE_MEDIA: no sound" in done.stderr
    assert done.stdout == f"==> {sound} <==\nHello.\n"


def test_standard_input_is_sound(speaking: Command, faults: ScriptedServer, sound: Path) -> None:
    with sound.open("rb") as stdin:
        done = subprocess.run(
            [TRIVIUM, "transcribe", "-"], env=speaking.environment, stdin=stdin, capture_output=True, check=False
        )
    assert done.stdout == b"Hello.\n"
    assert sent(faults)[0].audio.content == sound.read_bytes()
    assert "audio is empty" in speaking.run("transcribe", "-").stderr


def test_fields_are_named_as_options(speaking: Command, faults: ScriptedServer, sound: Path) -> None:
    from google.rpc import error_details_pb2

    violations = [
        error_details_pb2.BadRequest.FieldViolation(field=field, description="is wrong")
        for field in ("config.language_codes[0]", "config.include_word_timings", "config.task", "audio.content")
    ]
    wrong = error_details_pb2.BadRequest(field_violations=violations)
    faults.script(
        _calls.RECOGNIZE,
        fail(grpc.StatusCode.INVALID_ARGUMENT, "wrong", wrong, reason="INVALID_ARGUMENT_FIELD"),
    )
    said = speaking.run("transcribe", str(sound)).stderr
    for name in ("--language: is wrong", "--words: is wrong", "--translate: is wrong", "FILES: is wrong"):
        assert name in said


def test_bar_on_a_terminal(speaking: Command, sound: Path, seen: list[Any]) -> None:
    running = speaking.spawn("transcribe", str(sound))
    running.expect("talk.wav")
    running.expect("Hello. Again.")
    leave(running)
    assert running.exitstatus == 0
    assert seen == [sound.read_bytes()]  # in pieces, for the sake of the bar


def test_text_cannot_control_a_terminal(speaking: Command, faults: ScriptedServer, sound: Path) -> None:
    def ring(requests: Any, context: grpc.ServicerContext) -> Any:
        for response in hear_file([])(requests, context):  # type: ignore[attr-defined]  # an act returns what it likes
            for best in response.transcript.segment.alternatives:
                best.text = f"{BELL}\x1b[2J{best.text}"
            yield response

    faults.script(_calls.STREAM_RECOGNIZE, ring)
    for arguments in (["transcribe", str(sound)], ["dictate", str(sound)]):
        running = speaking.spawn(*arguments)
        running.expect("Again.")
        said = running.before + running.after
        leave(running)
        assert BELL not in said
        assert "\x1b[2J" not in said


def test_dictation_of_a_file_writes_a_line_for_each_utterance(
    speaking: Command, faults: ScriptedServer, sound: Path, seen: list[Any]
) -> None:
    faults.script(_calls.STREAM_RECOGNIZE, hear_live(seen))
    begun = time.monotonic()
    done = speaking.run("dictate", str(sound), "--pause", "1.5")
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - begun > 0.15  # played, and not sent at once
    assert done.stdout == "ab" * 1600 + "\n" + "cd" * 800 + "\n"
    assert [len(request.audio) for request in seen] == [3200, 1600]


def test_dictation_as_json(speaking: Command, faults: ScriptedServer, sound: Path, seen: list[Any]) -> None:
    faults.script(_calls.STREAM_RECOGNIZE, hear_live(seen))
    lines = speaking.run("dictate", str(sound), "--json").stdout.splitlines()
    first, second = map(json.loads, lines)
    assert (first["text"][:2], first["is_final"], first["index"], first["start_s"]) == ("ab", True, 0, 0.5)
    assert second["index"] == 1


def _growing(requests: Any, context: grpc.ServicerContext) -> Any:
    """Answers three chunks with words that grow, and the end with the final text."""
    response = speech_pb2.StreamRecognizeResponse
    next(requests)
    yield response(ready=speech_pb2.RecognitionReady())

    def update(text: str, is_final: bool) -> speech_pb2.TranscriptUpdate:
        made = speech_pb2.TranscriptSegment(alternatives=[speech_pb2.TranscriptAlternative(text=text)])
        return speech_pb2.TranscriptUpdate(segment=made, is_final=is_final)

    sequence = 1
    for words in ("it was", "it was the best", "it was the best of dimes"):
        next(requests)
        yield response(sequence=sequence, transcript=update(words, is_final=False))
        sequence += 1
    for _ in requests:
        pass
    yield response(sequence=sequence, transcript=update("It was the best of times.", is_final=True))
    yield response(sequence=sequence + 1, completed=speech_pb2.RecognitionCompleted())


def test_words_grow_dimmed_on_a_terminal_and_ctrl_c_keeps_what_was_said(
    speaking: Command, faults: ScriptedServer, tmp_path: Path
) -> None:
    file = tmp_path / "long.wav"
    file.write_bytes(wav(bytes(2 * 16000 * 60), 16000))
    faults.script(_calls.STREAM_RECOGNIZE, _growing)
    running = speaking.spawn("dictate", str(file))
    running.expect_exact("\x1b[2mit was the best of dimes")
    running.sendintr()
    running.expect_exact("It was the best of times.")
    leave(running)
    assert running.exitstatus == 0


def test_ctrl_c_in_a_pipe_keeps_what_was_said(speaking: Command, faults: ScriptedServer, tmp_path: Path) -> None:
    file = tmp_path / "long.wav"
    file.write_bytes(wav(bytes(2 * 16000 * 60), 16000))
    faults.script(_calls.STREAM_RECOGNIZE, _growing)
    running = subprocess.Popen(
        [TRIVIUM, "dictate", str(file)], env=speaking.environment, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 20
    while not any(call.path == _calls.STREAM_RECOGNIZE.path for call in faults.received):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.6)  # until three chunks of 100 ms are sent
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=20)
    assert (running.returncode, said) == (0, "It was the best of times.\n")


def test_second_ctrl_c_stops_at_once(speaking: Command, faults: ScriptedServer, tmp_path: Path) -> None:
    def deaf(requests: Any, context: grpc.ServicerContext) -> Any:
        yield from _first_of(requests)
        while context.is_active():
            time.sleep(0.01)

    file = tmp_path / "long.wav"
    file.write_bytes(wav(bytes(2 * 16000 * 60), 16000))
    faults.script(_calls.STREAM_RECOGNIZE, deaf)
    running = speaking.spawn("dictate", str(file))
    running.expect_exact("\x1b[2mhere")
    running.sendintr()
    time.sleep(0.5)
    assert running.isalive()
    running.sendintr()
    leave(running)
    assert running.exitstatus == 130
    assert faults.cancelled.wait(5)


def _first_of(requests: Any) -> Any:
    next(requests)
    yield speech_pb2.StreamRecognizeResponse(ready=speech_pb2.RecognitionReady())
    segment = speech_pb2.TranscriptSegment(alternatives=[speech_pb2.TranscriptAlternative(text="here")])
    yield speech_pb2.StreamRecognizeResponse(sequence=1, transcript=speech_pb2.TranscriptUpdate(segment=segment))


def test_end_that_the_server_announces_is_told(
    speaking: Command, faults: ScriptedServer, sound: Path, seen: list[Any]
) -> None:
    faults.script(_calls.STREAM_RECOGNIZE, hear_live(seen, go_away_after=1))
    assert "the server ends this in 8 s" in speaking.run("dictate", str(sound)).stderr


def _with_microphone(command: Command, folder: Path, source: str) -> None:
    """Puts a package of that name before all others: no machine that runs tests has a microphone."""
    (folder / "sounddevice.py").write_text(source)
    command.environment["PYTHONPATH"] = str(folder)


def test_microphone_that_is_not_there_is_explained(speaking: Command, tmp_path: Path) -> None:
    folder = tmp_path / "packages"
    folder.mkdir()
    for source, says in (
        ("raise ModuleNotFoundError(name='sounddevice')", "pip install 'clients/python[microphone]'"),
        ("raise OSError('PortAudio library not found')", "cannot be used: PortAudio library not found"),
        (
            "class PortAudioError(Exception): pass\ndef RawInputStream(**given): raise PortAudioError('no device')",
            "there is no microphone that can be used: no device",
        ),
    ):
        _with_microphone(speaking, folder, source)
        done = speaking.run("dictate")
        assert done.returncode == 1
        assert says in done.stderr


def test_microphone(speaking: Command, faults: ScriptedServer, tmp_path: Path, seen: list[Any]) -> None:
    folder = tmp_path / "packages"
    folder.mkdir()
    source = """
import threading, time

class PortAudioError(Exception): pass

class RawInputStream:
    def __init__(self, *, samplerate, channels, dtype, blocksize, callback):
        assert (samplerate, channels, dtype) == (16000, 1, "int16")
        self.callback, self.blocksize = callback, blocksize
    def start(self):
        threading.Thread(target=self.run, daemon=True).start()
    def run(self):
        while True:
            self.callback(memoryview(b"hm" * self.blocksize), self.blocksize, None, None)
            time.sleep(0.05)
    def close(self):
        pass
"""
    _with_microphone(speaking, folder, source)
    faults.script(_calls.STREAM_RECOGNIZE, hear_live(seen, utterances=2))
    done = speaking.run("dictate")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("hm" * 640 + "\n") * 2


def test_say_writes_a_file_that_others_read(speaking: Command, tmp_path: Path, seen: list[Any]) -> None:
    out = tmp_path / "out.wav"
    done = speaking.run("say", "Good morning.", "-o", str(out), "--voice", "heart", "--rate", "1.5")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{out}: 1.5 s\n", "")
    with wave.open(str(out)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24000, 1, 2)
        assert file.readframes(100).startswith(b"Good morning")
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("out.flac", speech_pb2.AUDIO_ENCODING_FLAC),
        ("out.opus", speech_pb2.AUDIO_ENCODING_OGG_OPUS),
        ("out.OGG", speech_pb2.AUDIO_ENCODING_OGG_OPUS),
        ("out.mp3", speech_pb2.AUDIO_ENCODING_MP3),
    ],
)
def test_say_asks_for_the_format_of_the_name(
    speaking: Command, faults: ScriptedServer, tmp_path: Path, name: str, encoding: int
) -> None:
    asked = []

    def keep(requests: Any, context: grpc.ServicerContext) -> Any:
        first = next(requests)
        asked.append(first.setup.config.output_format.encoding)
        yield from speak([])(itertools.chain([first], requests), context)  # type: ignore[misc]  # an act returns what it likes

    faults.script(_calls.STREAM_SYNTHESIZE, keep)
    done = speaking.run("say", "Hello.", "-o", str(tmp_path / name))
    assert done.returncode == 0, done.stderr
    assert asked == [encoding]
    assert (tmp_path / name).read_bytes() == b"Hello."


def test_say_reads_a_text_of_any_length(speaking: Command, tmp_path: Path, seen: list[Any]) -> None:
    text = "".join(f"This is sentence {number}. " for number in range(200))
    out = tmp_path / "out.flac"
    done = speaking.run("say", "-o", str(out), stdin=text)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == text.encode()
    assert "".join(request.text_fragment for request in seen) == text


def test_say_to_standard_output(speaking: Command) -> None:
    done = speaking.run("say", "Hello.", "-o", "-", "--format", "mp3")
    assert (done.returncode, done.stdout) == (0, "Hello.")


def test_say_tells_marks_as_json(speaking: Command, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    found = json.loads(speaking.run("say", "Hello.", "-o", str(out), "--json").stdout)
    assert (found["output"], found["duration_s"]) == (str(out), 1.5)
    assert found["marks"] == [
        {"kind": "SENTENCE", "value": "Hello.", "start_s": 0.0, "end_s": 1.0, "source_start": 0, "source_end": 6}
    ]


def test_failure_leaves_the_file_that_was_there(speaking: Command, faults: ScriptedServer, tmp_path: Path) -> None:
    def breaks(requests: Any, context: grpc.ServicerContext) -> Any:
        made = speak([])(requests, context)
        for _ in range(3):
            yield next(made)  # type: ignore[call-overload]  # an act returns what it likes
        context.abort(grpc.StatusCode.INTERNAL, "broken")

    faults.script(_calls.STREAM_SYNTHESIZE, breaks)
    out = tmp_path / "out.wav"
    out.write_bytes(b"before")
    done = speaking.run("say", "Hello.", "-o", str(out))
    assert done.returncode == 1
    assert "broken" in done.stderr
    assert out.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.wav"]


def test_voices(speaking: Command) -> None:
    rows = [line.split() for line in speaking.run("voices").stdout.splitlines()]
    assert rows[0] == ["VOICE", "MODEL", "LANGUAGES", "RATE", "NOTE"]
    assert rows[1] == ["heart", "mouth", "en-US", "24000", "Hz", "gender", "female"]
    found = json.loads(speaking.run("voices", "--json").stdout)
    assert [voice["name"] for voice in found] == ["heart", "other"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["transcribe"], "Missing argument"),
        (["transcribe", "none.wav"], "none.wav: there is no such file"),
        (["transcribe", "{folder}"], "it is a folder"),
        (["transcribe", "-", "-"], "standard input can be read once"),
        (["transcribe", "{sound}", "-o", "{sound}"], "it would replace the recording"),
        (["transcribe", "{sound}", "-o", "{folder}/no/such.txt"], "there is no folder"),
        (["transcribe", "{sound}", "{sound}", "-o", "{folder}/new"], "two files would both be written"),
        (["transcribe", "{sound}", "{sound}", "-o", "{sound}"], "give a folder for several files"),
        (["dictate", "none.wav"], "does not exist"),
        (["dictate", "{text}"], "it is no WAV file"),
        (["dictate", "{sound}", "--pause", "x"], "not a valid float"),
        (["say", "Hello."], "Missing option '-o'"),
        (["say", "Hello.", "-o", "out.aac"], "name it .wav, .flac, .opus, .ogg or .mp3, or give --format"),
        (["say", "Hello.", "-o", "{folder}/no/such.wav"], "there is no folder"),
        (["say", "Hello.", "-o", "{folder}", "-f", "wav"], "it is a folder"),
        (["say", " ", "-o", "out.wav"], "the text is empty"),
        (["say", "-o", "out.wav"], "the text is empty"),
        (["say", "Hello.", "-o", "-", "--json"], "cannot both go to standard output"),
        (["say", "Hello.", "-o", "out.wav", "--words"], "--words needs --json"),
    ],
)
def test_wrong_usage_is_told(
    speaking: Command, faults: ScriptedServer, sound: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    text = tmp_path / "text.wav"
    text.write_text("no sound")
    done = speaking.run(*(part.format(sound=sound, folder=tmp_path, text=text) for part in arguments))
    assert done.returncode == 2
    assert says in done.stderr
    assert faults.received == []


def test_nothing_to_speak(speaking: Command, tmp_path: Path, faults: ScriptedServer) -> None:
    def after_setup(requests: Any, context: grpc.ServicerContext) -> Any:
        next(requests)
        yield speech_pb2.StreamSynthesizeResponse(ready=speech_pb2.SynthesisReady())
        for _ in requests:
            pass
        yield speech_pb2.StreamSynthesizeResponse(sequence=1, completed=speech_pb2.SynthesisCompleted())

    faults.script(_calls.STREAM_SYNTHESIZE, after_setup)
    done = speaking.run("say", "...", "-o", str(tmp_path / "out.wav"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing that can be spoken" in done.stderr
    assert not (tmp_path / "out.wav").exists()
