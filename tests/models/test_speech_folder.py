"""Folders of models that hear and speak: what is found out about them, and what is refused."""

import random
from pathlib import Path

import onnx
import onnxruntime as ort
import pytest

from tests.models.speech_folders import GRAPHS, HIBARI, MOONSHINE, TASKS, VOICE, Graphs, write_folder, write_ort
from tests.models.zero_graph import write_graph
from trivium_models.errors import InvalidModelError
from trivium_models.folder_check import check_folder
from trivium_models.ort_check import check_ort_graph
from trivium_models.store import Store


@pytest.mark.parametrize("kind", GRAPHS)
def test_task_follows_from_the_kind(tmp_path: Path, kind: str) -> None:
    facts = check_folder(write_folder(tmp_path / "theirs", kind))
    assert (facts.architecture, facts.task) == ("speech", TASKS[kind])
    assert facts.default_graph == ("model.onnx" if kind == "silero_vad" else None)
    assert facts.limits.context_length == 0


@pytest.mark.parametrize("place", ["{}.ort", "{}.onnx", "onnx/{}.onnx"])
def test_moonshine_is_known_in_every_place(tmp_path: Path, place: str) -> None:
    # As a hub has it: without settings of ours.
    folder = write_folder(tmp_path / "theirs", "moonshine", config={"trivium": None}, place=place)
    facts = check_folder(folder)
    assert (facts.architecture, facts.task) == ("speech", "recognize_speech")
    assert facts.graphs == (place.format("encoder_model"), place.format("decoder_model_merged"))


@pytest.mark.parametrize(
    ("kind", "missing", "words"),
    [
        ("moonshine", "encoder_model.onnx", "theirs has no encoder_model.ort or encoder_model.onnx or onnx/"),
        ("moonshine", "decoder_model_merged.onnx", "theirs has no decoder_model_merged.ort or"),
        ("moonshine", "tokenizer.json", "has no tokenizer.json"),
        ("moonshine", "generation_config.json", "generation_config.json cannot be read"),
        ("whisper", "encoder_model.onnx", "theirs has no encoder_model.onnx"),
        ("whisper", "decoder_model.onnx", "theirs has no decoder_model.onnx"),
        ("whisper", "tokenizer.json", "has no tokenizer.json"),
        ("whisper", "preprocessor_config.json", "preprocessor_config.json cannot be read"),
        ("whisper", "generation_config.json", "generation_config.json"),
        ("silero_vad", "model.onnx", "theirs has no model.onnx"),
        ("hibari", "model.onnx", "theirs has no model.onnx"),
        ("hibari", "oov.onnx", "theirs has no oov.onnx"),
        ("hibari", "oov.json", "oov.json cannot be read"),
    ],
)
def test_folder_that_lacks_something_is_told_what(tmp_path: Path, kind: str, missing: str, words: str) -> None:
    with pytest.raises(InvalidModelError) as caught:
        check_folder(write_folder(tmp_path / "theirs", kind, without=missing))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("moonshine", {"trivium": []}, "trivium must be an object"),
        ("moonshine", {"trivium": {"max_segment_seconds": 0}}, "max_segment_seconds must be more than nothing"),
        ("moonshine", {"trivium": {"max_tokens_per_second": "6"}}, "max_tokens_per_second must be a finite number"),
        ("silero_vad", {"window": 0}, "window must be a positive whole number"),
        ("silero_vad", {"context": None}, "context must be a positive whole number"),
        ("silero_vad", {"sampling_rate": "16k"}, "sampling_rate must be a positive whole number"),
        ("hibari", {"voices": []}, "has no voices"),
        ("hibari", {"voices": ["heart"]}, "voices must be a list of objects"),
        ("hibari", {"voices": [VOICE, {"name": "emma"}]}, "voices[1]: language must be a string"),
        ("hibari", {"vocab": {}}, "has no vocab"),
        ("hibari", {"hop": -300}, "hop must be a positive whole number"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(
    tmp_path: Path, kind: str, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(InvalidModelError) as caught:
        check_folder(write_folder(tmp_path / "theirs", kind, config=changes))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "files", "words"),
    [
        ("moonshine", {"generation_config.json": {"eos_token_id": 2}}, "decoder_start_token_id must be"),
        ("whisper", {"preprocessor_config.json": {"feature_size": 80}}, "n_fft must be a positive whole number"),
        ("hibari", {"oov.json": {"in": [], "out": ["b"], "maxlen": 4}}, "has no letters or no phonemes"),
        ("hibari", {"oov.json": {"in": ["a"], "out": ["b"]}}, "maxlen must be a positive whole number"),
    ],
)
def test_other_files_that_make_no_sense_are_refused(
    tmp_path: Path, kind: str, files: dict[str, object], words: str
) -> None:
    with pytest.raises(InvalidModelError) as caught:
        check_folder(write_folder(tmp_path / "theirs", kind, files=files))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "graphs", "words"),
    [
        (
            "moonshine",
            {"encoder_model": ({"input_features": None}, {"last_hidden_state": None})},
            "theirs/encoder_model.onnx takes input_features, but not input_values",
        ),
        (
            "moonshine",
            {"decoder_model_merged": ({"input_ids": None, "encoder_hidden_states": None}, {"logits": None})},
            "but not use_cache_branch",
        ),
        (
            # As optimum exports it: the decoder computes keys and values of the encoder by itself.
            "whisper",
            {"encoder_model": ({"input_features": None}, {"last_hidden_state": None})},
            "theirs/encoder_model.onnx gives last_hidden_state, but not present.0.encoder.key",
        ),
        ("silero_vad", {"model": ({"input": None, "h": None, "c": None}, {"output": None})}, "but not state"),
        ("silero_vad", {"model": ({"input": None, "state": None}, {"output": None})}, "but not stateN"),
        (
            "hibari",
            {"model": (HIBARI["model"][0], dict.fromkeys(("lh", "theta", "ln", "lr", "phi", "f0")))},
            "theirs/model.onnx gives lh, theta, ln, lr, phi, f0, but not durations",
        ),
        ("hibari", {"oov": ({"words": None}, {"ids": None})}, "theirs/oov.onnx takes words, but not chars"),
    ],
)
def test_graph_of_another_kind_is_refused(tmp_path: Path, kind: str, graphs: Graphs, words: str) -> None:
    with pytest.raises(InvalidModelError) as caught:
        check_folder(write_folder(tmp_path / "theirs", kind, graphs=graphs))
    assert words in str(caught.value)


def test_model_is_pulled_from_a_folder_in_one_precision(tmp_path: Path) -> None:
    theirs = write_folder(tmp_path / "their-moonshine", "moonshine", place="onnx/{}.onnx")
    for name in ("encoder_model", "decoder_model_merged"):
        graph = theirs / "onnx" / f"{name}.onnx"
        graph.with_name(f"{name}_fp16.onnx").write_bytes(graph.read_bytes())
    store = Store(tmp_path / "store")
    installed = store.pull(str(theirs))
    assert installed.manifest is not None
    assert (installed.manifest.card.architecture, installed.manifest.card.task) == ("speech", "recognize_speech")
    graphs = {entry.path for entry in installed.manifest.files if entry.path.endswith(".onnx")}
    assert graphs == {"onnx/encoder_model.onnx", "onnx/decoder_model_merged.onnx"}
    assert store.verify("their-moonshine").problems == ()


def test_graph_of_either_format_is_loaded_once_before_it_is_installed(tmp_path: Path) -> None:
    theirs = write_folder(tmp_path / "theirs", "moonshine", place="{}.ort")
    store = Store(tmp_path / "store")
    assert store.pull(str(theirs)).manifest is not None
    # It still takes and gives what it should, by an operator that nothing knows.
    content = (theirs / "encoder_model.ort").read_bytes()
    assert content.count(b"Identity") >= 1
    (theirs / "encoder_model.ort").write_bytes(content.replace(b"Identity", b"Identify"))
    assert check_folder(theirs).task == "recognize_speech"
    with pytest.raises(InvalidModelError, match=r"cannot be loaded: "):
        store.pull(str(theirs), name="broken")
    assert store.find("broken") is None


@pytest.mark.parametrize("content", [b"", b"\x00" * 3, b"ORTM" * 2, b"\x08\x00\x00\x00ORTM", b"\x00" * 64])
def test_file_that_is_no_graph_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "graph.ort").write_bytes(content)
    with pytest.raises(InvalidModelError, match=r"graph\.ort"):
        check_ort_graph(tmp_path / "graph.ort")


def test_damaged_graph_is_read_or_refused_but_never_more(tmp_path: Path) -> None:
    graph = tmp_path / "graph.ort"
    write_ort(graph, {"input_values": [1, 4]}, {"last_hidden_state": [1, 4]})
    content, chance, num_refused = graph.read_bytes(), random.Random(11), 0
    for kept in [*range(0, len(content), 7), *([len(content)] * 2000)]:
        damaged = bytearray(content[:kept])
        if kept == len(content):
            for place in chance.choices(range(kept), k=4):
                damaged[place] = chance.randrange(256)
        graph.write_bytes(damaged)
        try:
            check_ort_graph(graph)
        except InvalidModelError:
            num_refused += 1
    assert 100 < num_refused < 2000


def test_names_are_those_that_onnxruntime_reads(tmp_path: Path) -> None:
    path = tmp_path / "graph.ort"
    write_ort(path, MOONSHINE["decoder_model_merged"][0], MOONSHINE["decoder_model_merged"][1])
    header, session = check_ort_graph(path), ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert list(header.inputs) == [value.name for value in session.get_inputs()]
    assert list(header.outputs) == [value.name for value in session.get_outputs()]


def test_onnx_file_under_the_other_name_is_refused(tmp_path: Path) -> None:
    write_graph(tmp_path / "graph.onnx", {"x": [1]}, {"y": [1]})
    assert onnx.load(tmp_path / "graph.onnx").graph.node
    (tmp_path / "graph.onnx").rename(tmp_path / "graph.ort")
    with pytest.raises(InvalidModelError, match="is not a graph in ONNX Runtime's format"):
        check_ort_graph(tmp_path / "graph.ort")
