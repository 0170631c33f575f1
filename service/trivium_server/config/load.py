"""Reads the settings: defaults, then a TOML file, then the environment, then flags; the later one wins.

A key is `section.name`, as in `server.listen`; in the environment it is TRIVIUM_SERVER_LISTEN. Names that begin with
TRIVIUM_ and belong to no section here are left to other programs.
"""

import dataclasses
import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from trivium_server.config.kinds import Kind
from trivium_server.config.tree import Config

_PLAINTEXT = (
    "{} can be reached from other machines, and the server has no keys: plaintext is only allowed on loopback. Set "
    "server.tls_certificate and server.tls_private_key, listen on 127.0.0.1, or set server.allow_insecure = true "
    "behind a proxy that you trust"
)
_ENV_PREFIX = "TRIVIUM_"
_NOT_SETTINGS = frozenset({"TRIVIUM_CONFIG"})


class ConfigError(Exception):
    """One or more settings are wrong. `problems` has a line for each; the text has them all."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A key, with what it means and what it may be."""

    key: str
    kind: Kind
    about: str
    default: object
    is_computed: bool

    @property
    def env_name(self) -> str:
        return _ENV_PREFIX + self.key.replace(".", "_").upper()


def settings() -> Iterator[Setting]:
    """Yields every setting, in the order of the tree."""
    defaults = Config()
    for section in dataclasses.fields(Config):
        group = getattr(defaults, section.name)
        for item in dataclasses.fields(group):
            yield Setting(
                key=f"{section.name}.{item.name}",
                kind=item.metadata["kind"],
                about=item.metadata["about"],
                default=getattr(group, item.name),
                is_computed=item.metadata["is_computed"],
            )


_SETTINGS = {setting.key: setting for setting in settings()}
_SECTION_PREFIXES = tuple({f"{_ENV_PREFIX}{key.split('.')[0].upper()}_" for key in _SETTINGS})


@dataclass(frozen=True, slots=True)
class _Given:
    value: object
    source: str


def load_config(
    *, file: Path | None = None, env: Mapping[str, str] | None = None, flags: Mapping[str, object] | None = None
) -> Config:
    """Returns the checked settings.

    file: a TOML file, one table for each section. env: the environment; only names that begin with TRIVIUM_ matter.
    flags: by key, the values from the command line. Raises ConfigError that names every wrong or unknown key with where
    it came from and what is allowed.
    """
    problems: list[str] = []
    given: dict[str, _Given] = {}
    if file is not None:
        given |= _from_file(file, problems)
    given |= _from_env(env or {}, problems)
    given |= {key: _Given(value, f"flag {_flag_name(key)}") for key, value in (flags or {}).items()}
    values: dict[str, dict[str, object]] = {}
    for key, item in given.items():
        setting = _SETTINGS[key]
        section, name = key.split(".")
        try:
            values.setdefault(section, {})[name] = setting.kind.read(item.value)
        except ValueError as error:
            problems.append(f"{key} ({item.source}): {item.value!r} is not allowed; it must be {error}")
    if problems:
        raise ConfigError(problems)
    defaults = Config()
    config = dataclasses.replace(
        defaults, **{name: dataclasses.replace(getattr(defaults, name), **group) for name, group in values.items()}
    )
    problems = [
        f"{key} ({given[key].source if key in given else 'default'}): {text}" for key, text in _conflicts(config)
    ]
    if problems:
        raise ConfigError(problems)
    return config


FLAGS = {
    "server.listen": "--listen",
    "models.dir": "--models-dir",
    "models.load": "--model",
    "runtime.intra_op_threads": "--threads",
    "runtime.precision": "--precision",
    "generation.slots": "--slots",
    "log.format": "--log-format",
    "log.level": "--log-level",
}
"""The settings that have a command-line flag."""


def _flag_name(key: str) -> str:
    return FLAGS.get(key, key)


def _from_file(path: Path, problems: list[str]) -> dict[str, _Given]:
    source = f"file {path}"
    try:
        tree = tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        problems.append(f"{source}: cannot be read: {error.strerror}")
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{source}: is not TOML: {error}")
        return {}
    given = {}
    for section, group in tree.items():
        if not isinstance(group, dict):
            problems.append(_unknown(section, source))
            continue
        for name, value in group.items():
            key = f"{section}.{name}"
            if key in _SETTINGS:
                given[key] = _Given(value, source)
            else:
                problems.append(_unknown(key, source))
    return given


def _from_env(env: Mapping[str, str], problems: list[str]) -> dict[str, _Given]:
    keys = {setting.env_name: setting.key for setting in _SETTINGS.values()}
    given = {}
    for name, value in env.items():
        if not name.startswith(_ENV_PREFIX) or name in _NOT_SETTINGS:
            continue
        if name in keys:
            given[keys[name]] = _Given(value, f"environment {name}")
        elif name.startswith(_SECTION_PREFIXES):
            near = difflib.get_close_matches(name, keys, n=3)
            problems.append(f"environment {name}: is no setting{_hint(near)}")
    return given


def _unknown(key: str, source: str) -> str:
    near = difflib.get_close_matches(key, _SETTINGS, n=3, cutoff=0.5)
    return f"{key} ({source}): is no setting{_hint(near)}"


def _hint(near: list[str]) -> str:
    return f"; did you mean {', '.join(near)}?" if near else ""


def _conflicts(config: Config) -> Iterator[tuple[str, str]]:
    """Yields key and problem of settings that are each allowed but not together."""
    server, limits = config.server, config.limits
    if (server.tls_certificate is None) != (server.tls_private_key is None):
        yield "server.tls_certificate", "is set together with server.tls_private_key or not at all"
    if server.tls_client_ca and not server.tls_certificate:
        yield "server.tls_client_ca", "needs server.tls_certificate and server.tls_private_key"
    if not (config.address.is_loopback or server.tls_certificate or server.allow_insecure):
        yield "server.listen", _PLAINTEXT.format(server.listen)
    for key in ("default_deadline_s", "default_stream_deadline_s"):
        if getattr(limits, key) > limits.max_deadline_s:
            yield f"limits.{key}", f"must be at most limits.max_deadline_s, which is {limits.max_deadline_s:g}"
    if limits.max_concurrent_rpcs <= limits.max_concurrent_calls:
        most = limits.max_concurrent_calls
        problem = f"must be more than limits.max_concurrent_calls, which is {most}, so that health checks get through"
        yield "limits.max_concurrent_rpcs", problem
