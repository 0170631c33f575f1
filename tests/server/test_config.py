"""Settings: where they come from, what they may be, and what is said when they are wrong."""

from pathlib import Path

import pytest

from trivium_server.config import Config, ConfigError, ListenAddress, as_toml, load_config, settings


def problems_of(**given: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(**given)  # type: ignore[arg-type]  # a table of cases by name
    return caught.value.problems


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "trivium.toml"
    file.write_text("[generation]\nslots = 2\nqueue_size = 3\nprefill_chunk_tokens = 4\n")
    env = {"TRIVIUM_GENERATION_QUEUE_SIZE": "30", "TRIVIUM_GENERATION_PREFILL_CHUNK_TOKENS": "40"}
    config = load_config(file=file, env=env, flags={"generation.prefill_chunk_tokens": "400"})
    generation = config.generation
    assert (generation.slots, generation.queue_size, generation.prefill_chunk_tokens) == (2, 30, 400)
    assert generation.max_context_tokens == Config().generation.max_context_tokens


def test_all_problems_are_told_at_once_with_key_and_source(tmp_path: Path) -> None:
    file = tmp_path / "trivium.toml"
    file.write_text('[server]\nlistn = "x"\n[generation]\nslots = 0\n')
    problems = problems_of(file=file, env={"TRIVIUM_LOG_LEVEL": "loud"}, flags={"runtime.precision": "half"})
    assert len(problems) == 4
    text = "\n".join(problems)
    assert f"server.listn (file {file}): is no setting; did you mean server.listen" in text
    assert f"generation.slots (file {file}): 0 is not allowed; it must be a whole number from 1 to 256" in text
    assert "log.level (environment TRIVIUM_LOG_LEVEL): 'loud' is not allowed" in text
    assert "runtime.precision (flag --precision): 'half' is not allowed; it must be one of default, exact" in text


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("generation.slots", [1, 256, "8"], [0, 257, -1, "", "many", 1.5, True, "1e2", None]),
        ("generation.queue_size", [0, 10_000], [-1, 10_001]),
        ("generation.prefill_chunk_tokens", [1, 4096], [0, 4097]),
        ("generation.max_context_tokens", [16, 1_048_576], [15, 1_048_577]),
        ("runtime.intra_op_threads", [1, 1024], [0, 1025]),
        ("runtime.spin_duration_us", [0, "200", 1_000_000], [-1, 1_000_001, "long", True]),
        ("runtime.execution_providers", [["CPUExecutionProvider"], "A,B"], [[], "", [1], "a b"]),
        ("limits.default_deadline_s", [0.1, 3600], [0, 3601, "nan", "inf", float("nan"), -1, "soon", True]),
        ("limits.max_request_bytes", [65536, 268435456], [65535, 268435457]),
        ("limits.max_prompt_bytes", [1024, 1048576], [1023, 1048577]),
        ("limits.max_concurrent_calls", [1, 4095], [0, 100_001]),
        ("drain.health_wait_s", [0, 600], [-0.1, 601]),
        ("drain.grace_s", [0, 3600], [-1, 3601]),
        ("server.reflection", ["auto", "on", "off", "OFF"], ["yes", "", 1]),
        ("server.tls_certificate", [""], ["/no/such/file"]),
        ("models.load", ["all", "none", [], ["a", "b"], "a,b"], ["", "a b", ["../etc"], 7]),
        ("images.max_bytes", [1024, 268435456], [1023, 268435457]),
        ("images.max_pixels", [1024, 400_000_000], [1023, 400_000_001]),
        ("images.max_side", [32, 65_535], [31, 65_536]),
        ("images.formats", [["jpeg"], "png,tiff"], [[], "", "heic", ["jpeg", "svg"], 7]),
        ("images.decoders", [1, 1024], [0, 1025]),
        ("images.memory_mib", [32, 65_536], [31, 65_537]),
        ("images.max_waiting", [0, 100_000], [-1, 100_001]),
        ("images.max_lines", [1, 100_000], [0, 100_001]),
        ("images.runners", [1, 1024], [0, 1025]),
        ("images.max_callers", [1, 100_000], [0, 100_001]),
        ("speech.runners", [1, 1024], [0, 1025]),
        ("speech.max_callers", [1, 100_000], [0, 100_001]),
        ("speech.max_streams", [1, 100_000], [0, 100_001]),
        ("speech.max_idle_s", [1, 86_400], [0.9, 86_401]),
        ("speech.voice_activity_model", ["", "silero-vad"], ["a b", "../etc", "-", 7]),
        ("speech.max_audio_s", [1, 86_400], [0.9, 86_401]),
        ("speech.max_file_bytes", [1024, 2**36], [1023, 2**36 + 1]),
        ("speech.max_files", [1, 100_000], [0, 100_001]),
        ("speech.max_text_len", [1, 1_000_000], [0, 1_000_001]),
        ("speech.decoders", [1, 1024], [0, 1025]),
        ("log.format", ["auto", "text", "json"], ["xml"]),
    ],
)
def test_every_value_is_checked_at_both_ends(key: str, good: list[object], bad: list[object]) -> None:
    for value in good:
        load_config(flags={key: value})
    for value in bad:
        assert any(line.startswith(f"{key} ") for line in problems_of(flags={key: value})), value


@pytest.mark.parametrize(
    ("text", "is_loopback"),
    [
        ("127.0.0.1:0", True),
        ("localhost:50051", True),
        ("[::1]:65535", True),
        ("unix:/run/trivium.sock", True),
        ("0.0.0.0:50051", False),
        ("[::]:1", False),
        ("example.org:443", False),
    ],
)
def test_only_this_machine_is_loopback(text: str, *, is_loopback: bool) -> None:
    assert ListenAddress.parse(text).is_loopback is is_loopback


@pytest.mark.parametrize(
    "text", ["", "50051", ":1", "host", "host:", "host:65536", "::1:5", "[::1]", "[zz]:1", "unix:", "a b:1"]
)
def test_bad_addresses_are_refused(text: str) -> None:
    assert "server.listen" in problems_of(flags={"server.listen": text})[0]


def test_plaintext_for_other_machines_is_refused_unless_allowed(tmp_path: Path) -> None:
    (problem,) = problems_of(env={"TRIVIUM_SERVER_LISTEN": "0.0.0.0:50051"})
    assert "server.listen (environment TRIVIUM_SERVER_LISTEN)" in problem
    assert "plaintext is only allowed on loopback" in problem
    assert "server.allow_insecure" in problem
    load_config(flags={"server.listen": "0.0.0.0:1", "server.allow_insecure": True})
    pem = tmp_path / "pem"
    pem.touch()
    load_config(
        flags={"server.listen": "0.0.0.0:1", "server.tls_certificate": str(pem), "server.tls_private_key": str(pem)}
    )
    (problem,) = problems_of(flags={"server.tls_certificate": str(pem)})
    assert "together with server.tls_private_key" in problem


def test_reflection_and_health_wait_follow_the_address() -> None:
    local, public = load_config(), load_config(flags={"server.listen": "[::]:1", "server.allow_insecure": True})
    assert (local.reflection_is_on, local.health_wait_s) == (True, 0.0)
    assert (public.reflection_is_on, public.health_wait_s) == (False, 5.0)
    assert load_config(flags={"drain.health_wait_s": 2}).health_wait_s == 2.0
    assert not load_config(flags={"server.reflection": "off"}).reflection_is_on


def test_unknown_environment_names_are_errors_only_in_our_sections() -> None:
    load_config(env={"TRIVIUM_API_KEY": "x", "TRIVIUM_SERVER": "x", "PATH": "x", "TRIVIUM_CONFIG": "x"})
    (problem,) = problems_of(env={"TRIVIUM_SERVER_LISTN": "x"})
    assert problem.startswith("environment TRIVIUM_SERVER_LISTN: is no setting; did you mean TRIVIUM_SERVER_LISTEN")


@pytest.mark.parametrize("content", [b"[server", b"\xff\xfe", b"server = 1"])
def test_a_file_that_is_no_settings_file_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "trivium.toml"
    file.write_bytes(content)
    assert str(file) in problems_of(file=file)[0]
    assert "cannot be read" in problems_of(file=tmp_path / "missing.toml")[0]


def test_printed_settings_read_back_the_same(tmp_path: Path) -> None:
    config = load_config(
        flags={"models.load": "none", "runtime.execution_providers": "A,B", "server.listen": "[::1]:0"}
    )
    file = tmp_path / "trivium.toml"
    file.write_text(as_toml(config))
    assert load_config(file=file) == config
    file.write_text(as_toml(Config()))
    assert load_config(file=file) == Config()


def test_what_was_worked_out_for_this_machine_is_printed_as_a_comment() -> None:
    lines = as_toml(Config()).splitlines()
    assert f'# dir = "{Config().models.dir}"' in lines
    assert f"# intra_op_threads = {Config().runtime.intra_op_threads}" in lines
    assert "slots = 8" in lines
    assert "# health_wait_s =" in lines
    given = as_toml(load_config(flags={"models.dir": "/srv/models", "runtime.intra_op_threads": 1000}))
    assert 'dir = "/srv/models"' in given.splitlines()
    assert "intra_op_threads = 1000" in given.splitlines()


def test_every_setting_explains_itself() -> None:
    for setting in settings():
        assert setting.about.endswith((".", "5, and 0 where only this machine can connect.")), setting.key
        assert setting.kind.allowed, setting.key


def test_health_checks_always_get_past_the_fuse() -> None:
    (problem,) = problems_of(flags={"limits.max_concurrent_calls": 4096})
    assert problem.startswith("limits.max_concurrent_rpcs (default): must be more than limits.max_concurrent_calls")
