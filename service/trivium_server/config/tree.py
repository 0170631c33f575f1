"""The settings: one frozen tree. A setting's default, range and description stand in one place, here."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from trivium_server.config.kinds import Choice, FilePath, Flag, Int, Kind, Names, Seconds, Text
from trivium_server.config.listen import ListenAddress
from trivium_server.config.machine import default_models_dir, usable_cpus

_T = TypeVar("_T")

IMAGE_FORMATS = ("jpeg", "png", "webp", "gif", "bmp", "tiff")

MAX_PROMPT_BYTES = 1024 * 1024
"""The contract's own limit on the text of a prompt; a server may only lower it."""


def _setting(default: _T, kind: Kind, about: str, *, is_computed: bool = False) -> _T:
    """is_computed: the default is that of this machine or user, and another one elsewhere."""
    return field(default=default, metadata={"kind": kind, "about": about, "is_computed": is_computed})


def _listen(text: str) -> str:
    return ListenAddress.parse(text).text


def _metrics_listen(text: str) -> str:
    if text and ListenAddress.parse(text).port is None:
        raise ValueError(text)
    return text


def _model_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}|", text):
        raise ValueError(text)
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Where the server listens, and who may connect."""

    listen: str = _setting(
        "127.0.0.1:50051",
        Text("host:port, [ipv6]:port or unix:path, with a port from 0 to 65535", _listen),
        "Address to listen on. Port 0 takes a free one, which is logged.",
    )
    reflection: Literal["auto", "on", "off"] = _setting(
        "auto", Choice(("auto", "on", "off")), "gRPC server reflection. auto: on where only this machine can connect."
    )
    tls_certificate: Path | None = _setting(
        None,
        FilePath(must_exist=True, optional=True),
        "PEM file with the server's certificate chain. It and the two below are read anew when they change.",
    )
    tls_private_key: Path | None = _setting(
        None, FilePath(must_exist=True, optional=True), "PEM file with the certificate's private key."
    )
    tls_client_ca: Path | None = _setting(
        None,
        FilePath(must_exist=True, optional=True),
        "PEM file; only clients with a certificate of these CAs connect.",
    )
    allow_insecure: bool = _setting(
        False,
        Flag(),
        "Allow plaintext on an address that other machines can reach. Then anybody who can connect can call.",
    )
    metrics_listen: str = _setting(
        "",
        Text("nothing, or host:port with a port from 0 to 65535", _metrics_listen),
        "Address of an HTTP listener with /metrics for Prometheus, and /livez and /readyz for probes. It is plaintext, "
        "and answers whoever can connect. Empty: none.",
    )
    load_reports: bool = _setting(
        True,
        Flag(),
        "Tell in the trailing metadata of each inference call how busy this replica is, as an ORCA load report, for "
        "load balancers that weight replicas.",
    )
    max_connection_age_s: float = _setting(
        3600.0,
        Seconds(1, 86400),
        "Age at which clients are asked to connect anew, so that they find new replicas; running calls may finish.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsConfig:
    """What one call, and all calls together, may take."""

    max_request_bytes: int = _setting(
        16 * 1024 * 1024, Int(64 * 1024, 256 * 1024 * 1024), "Largest request message on the wire."
    )
    max_prompt_bytes: int = _setting(
        MAX_PROMPT_BYTES, Int(1024, MAX_PROMPT_BYTES), "Most text in one prompt, in UTF-8 bytes."
    )
    default_deadline_s: float = _setting(60.0, Seconds(0.1, 86400), "Deadline of a unary call whose client set none.")
    default_stream_deadline_s: float = _setting(
        600.0, Seconds(0.1, 86400), "Deadline of a streaming call whose client set none."
    )
    max_deadline_s: float = _setting(3600.0, Seconds(0.1, 86400), "Longest deadline; a longer one is cut to this.")
    max_write_lag_s: float = _setting(
        30.0,
        Seconds(0.1, 86400),
        "How long a message of a stream may wait for its reader, who takes none meanwhile; then the stream ends. gRPC "
        "itself holds up to some MiB of a stream, so that nobody waits for a reader who is only slow.",
    )
    max_concurrent_calls: int = _setting(
        256, Int(1, 100_000), "Inference calls in progress at once, queued ones included; more are refused at once."
    )
    max_concurrent_rpcs: int = _setting(
        4096, Int(16, 1_000_000), "Fuse for all RPCs together, health checks and streams that only watch included."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainConfig:
    """How the server stops."""

    health_wait_s: float | None = _setting(
        None,
        Seconds(0, 600),
        "How long calls are still accepted after health turned NOT_SERVING, so that load balancers can move away; two "
        "health intervals and a half second is right. Default: 5, and 0 where only this machine can connect.",
    )
    grace_s: float = _setting(30.0, Seconds(0, 3600), "How long running calls may go on before they are aborted.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsConfig:
    """Which models are served."""

    dir: Path = _setting(
        default_models_dir(), FilePath(), "The model store: one folder for each model.", is_computed=True
    )
    load: tuple[str, ...] | None = _setting(
        None,
        Names("`all`, `none`, or names of models", has_all=True, has_none=True),
        "Models to load at start: names, `all` that are in the store, or `none`.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeConfig:
    """How ONNX Runtime runs a model."""

    intra_op_threads: int = _setting(
        usable_cpus(),
        Int(1, 1024),
        "Threads of one model run; by default the CPUs that this process may use.",
        is_computed=True,
    )
    spin_duration_us: int = _setting(
        200,
        Int(0, 1_000_000),
        "How long a thread that has finished its part of a model spins for more before it sleeps. 0: not at all.",
    )
    execution_providers: tuple[str, ...] = _setting(
        ("CPUExecutionProvider",),
        Names("names of ONNX Runtime execution providers"),
        "Execution providers, preferred first.",
    )
    precision: Literal["default", "exact"] = _setting(
        "default",
        Choice(("default", "exact")),
        "exact: arithmetic that equals the reference implementation token for token; slower.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationConfig:
    """How text is generated."""

    slots: int = _setting(8, Int(1, 256), "Candidate sequences that one language model decodes together.")
    max_context_tokens: int = _setting(
        4096,
        Int(16, 1_048_576),
        "Prompt and answer together, per request; a model's own limit applies where it is less.",
    )
    prefill_chunk_tokens: int = _setting(
        64, Int(1, 4096), "Tokens of a prompt that are read between two decoding steps of the others."
    )
    queue_size: int = _setting(64, Int(0, 10_000), "Candidate sequences of one model that may wait for a slot.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodingConfig:
    """How texts are embedded, ranked and classified."""

    runners: int = _setting(
        usable_cpus(),
        Int(1, 1024),
        "Batches of one text encoder that run at the same time, with one thread each; by default the CPUs that this "
        "process may use. While all of them are on bulk, one more runs short calls.",
        is_computed=True,
    )
    batch_tokens: int = _setting(
        512, Int(1, 1_048_576), "Tokens of one batch at most, padding included; a longer text runs alone."
    )
    max_callers: int = _setting(
        256, Int(1, 100_000), "Calls of one text encoder that may wait or run; more are refused at once."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesConfig:
    """How images are decoded, and looked at."""

    max_bytes: int = _setting(16 * 1024 * 1024, Int(1024, 256 * 1024 * 1024), "Largest image file, in bytes.")
    max_pixels: int = _setting(
        36_000_000,
        Int(1024, 400_000_000),
        "Most pixels of an image, width times height. The default has room for a page of A4 at 600 dpi.",
    )
    max_side: int = _setting(16_384, Int(32, 65_535), "Longest side of an image, in pixels.")
    formats: tuple[str, ...] = _setting(
        IMAGE_FORMATS,
        Names(f"a list of {', '.join(IMAGE_FORMATS)}", choices=IMAGE_FORMATS),
        "Formats that are read. Each is a decoder that callers can reach: leave out what you do not need.",
    )
    decoders: int = _setting(
        usable_cpus(),
        Int(1, 1024),
        "Large images that are decoded at the same time; by default the CPUs that this process may use. One more "
        "thread decodes small ones.",
        is_computed=True,
    )
    memory_mib: int = _setting(
        480,
        Int(32, 65_536),
        "Memory that all images together may take, being decoded or looked at, in MiB. An image waits while others "
        "have it; one that needs more than half of it to be decoded is refused.",
    )
    max_waiting: int = _setting(256, Int(0, 100_000), "Images that may wait to be decoded; more are refused at once.")
    max_lines: int = _setting(
        1000,
        Int(1, 100_000),
        "Most lines of text that are read of one image, the first in reading order. One that is longer than 32 times "
        "its height counts as several. The default has room for a page of a newspaper.",
    )
    runners: int = _setting(
        usable_cpus(),
        Int(1, 1024),
        "Images that one model looks at at the same time, with one thread each; by default the CPUs that this process "
        "may use.",
        is_computed=True,
    )
    max_callers: int = _setting(
        256, Int(1, 100_000), "Calls of one model that may wait or run; more are refused at once."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechConfig:
    """How speech is recognised, and made."""

    runners: int = _setting(
        usable_cpus(),
        Int(1, 1024),
        "Runs of one speech model at the same time, with one thread each; by default the CPUs that this process may "
        "use.",
        is_computed=True,
    )
    max_callers: int = _setting(
        256, Int(1, 100_000), "Calls of one speech model that may wait or run; more are refused at once."
    )
    max_streams: int = _setting(
        32,
        Int(1, 100_000),
        "Live streams that one model recognises at the same time; more are refused at their setup.",
    )
    max_idle_s: float = _setting(
        60.0,
        Seconds(1, 86_400),
        "How long the caller of a stream that is recognised may send nothing, not even a keep_alive; then it ends, and "
        "makes room for others.",
    )
    voice_activity_model: str = _setting(
        "",
        Text("the name of a model, or nothing", _model_name),
        "The model that finds where somebody speaks, for those that recognise speech. Empty: the first by name that is "
        "ready.",
    )
    max_audio_s: float = _setting(4 * 3600.0, Seconds(1, 86_400), "Longest recording, in seconds of sound.")
    max_file_bytes: int = _setting(
        256 * 1024 * 1024,
        Int(1024, 64 * 1024 * 1024 * 1024),
        "Largest recording that is sent in pieces; it is kept in a temporary file while it is worked on.",
    )
    max_files: int = _setting(
        32, Int(1, 100_000), "Recordings that are worked on at the same time; more are refused at once."
    )
    max_text_len: int = _setting(
        20_000,
        Int(1, 1_000_000),
        "Most characters of a text to be spoken; on a stream, of the text that is not spoken yet.",
    )
    decoders: int = _setting(
        usable_cpus(),
        Int(1, 1024),
        "Recordings that are decoded, and sound that is encoded, at the same time; by default the CPUs that this "
        "process may use.",
        is_computed=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = _setting(
        "info", Choice(("debug", "info", "warning", "error")), "The least severe messages that are logged."
    )
    format: Literal["auto", "text", "json"] = _setting(
        "auto", Choice(("auto", "text", "json")), "auto: text on a terminal, one JSON object per line otherwise."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings of a server."""

    server: ServerConfig = field(default_factory=ServerConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    drain: DrainConfig = field(default_factory=DrainConfig)
    models: ModelsConfig = field(default_factory=ModelsConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    encoding: EncodingConfig = field(default_factory=EncodingConfig)
    images: ImagesConfig = field(default_factory=ImagesConfig)
    speech: SpeechConfig = field(default_factory=SpeechConfig)
    log: LogConfig = field(default_factory=LogConfig)

    @property
    def address(self) -> ListenAddress:
        return ListenAddress.parse(self.server.listen)

    @property
    def metrics_address(self) -> ListenAddress | None:
        return ListenAddress.parse(self.server.metrics_listen) if self.server.metrics_listen else None

    @property
    def reflection_is_on(self) -> bool:
        return self.server.reflection == "on" or (self.server.reflection == "auto" and self.address.is_loopback)

    @property
    def health_wait_s(self) -> float:
        """`drain.health_wait_s`, or its default: 0 on loopback, where no load balancer watches, else 5."""
        if self.drain.health_wait_s is not None:
            return self.drain.health_wait_s
        return 0.0 if self.address.is_loopback else 5.0
