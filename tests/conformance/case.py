"""A case, and how the files in `cases` spell it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import yaml
from google.protobuf import json_format
from google.protobuf.message import Message

from tests.conformance.contract import RPCS, Rpc
from tests.conformance.expectation import Expectation, parse_expectation
from tests.conformance.script import Step, parse_steps
from tests.conformance.values import Loader

__all__ = ["CASES_FOLDER", "Case", "ServerKind", "case_names", "load_cases", "parse_case"]

CASES_FOLDER = Path(__file__).parent / "cases"
_KEYS = {"name", "about", "server", "server_tls", "script", "client", "call", "act", "expect"}
_CALL_KEYS = {"method", "requests", "timeout_s", "idle_timeout_s", "request_id", "metadata"}


class ServerKind(StrEnum):
    """Who answers: the server of the suite, Trivium's own, or nobody, on a port where nothing listens."""

    SCRIPTED = "scripted"
    REAL = "real"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a server does, what is called, and what the caller must see.

    group: the behaviour that its file is named after. server_tls: None for plain text, else "server" or "mutual".
    client, call_options and act go to the runner as they are.
    """

    name: str
    about: str
    group: str
    server: ServerKind
    server_tls: str | None
    scripts: tuple[tuple[Step, ...], ...]
    client: Mapping[str, object]
    rpc: Rpc
    requests: tuple[Message, ...]
    call_options: Mapping[str, object]
    act: Mapping[str, object]
    expect: Expectation


def load_cases(
    is_wanted: Callable[[str, str], bool] = lambda _name, _group: True, folder: Path = CASES_FOLDER
) -> list[Case]:
    """Reads the files, and of them the cases whose name and group are wanted. ValueError for what is no case."""
    return [case for path in sorted(folder.glob("*.yaml")) for case in _read_file(path, is_wanted)]


def case_names(folder: Path = CASES_FOLDER) -> list[str]:
    """Returns the names of all cases, and makes none of their values, of which some must be fetched."""
    contents = [yaml.load(path.read_text(encoding="utf-8"), _NameLoader) for path in sorted(folder.glob("*.yaml"))]
    return [str(entry["name"]) for content in contents for entry in content["cases"]]


class _NameLoader(yaml.CSafeLoader):
    """Leaves out what has a tag."""


_NameLoader.add_multi_constructor("!", lambda _loader, _suffix, _node: None)


def _read_file(path: Path, is_wanted: Callable[[str, str], bool]) -> Iterator[Case]:
    with path.open(encoding="utf-8") as file:
        content = yaml.load(file, Loader)
    for entry in content["cases"]:
        try:
            if is_wanted(entry["name"], path.stem):
                yield parse_case(entry, path.stem)
        except (ValueError, TypeError, KeyError, AssertionError, json_format.ParseError) as error:
            raise ValueError(f"{path.name}: {entry.get('name')}: {error!r}") from error


def parse_case(entry: Mapping[str, object], group: str) -> Case:
    """Reads one case. ValueError for a key that there is not."""
    _check_keys(entry, _KEYS)
    call = entry["call"]
    assert isinstance(call, dict)
    _check_keys(call, _CALL_KEYS)
    rpc = RPCS[call["method"]]
    server = ServerKind(str(entry.get("server", "scripted")))
    scripts = entry.get("script", [])
    assert isinstance(scripts, list)
    assert bool(scripts) is (server is ServerKind.SCRIPTED), "a script is for the scripted server"
    return Case(
        name=str(entry["name"]),
        about=str(entry["about"]).strip(),
        group=group,
        server=server,
        server_tls=_text(entry.get("server_tls")),
        scripts=tuple(parse_steps(script, rpc) for script in scripts),
        client=_mapping(entry.get("client")),
        rpc=rpc,
        requests=tuple(json_format.ParseDict(request, rpc.request()) for request in _flattened(call["requests"])),
        call_options={key: value for key, value in call.items() if key not in ("method", "requests")},
        act=_mapping(entry.get("act")),
        expect=parse_expectation(_mapping(entry["expect"])),
    )


def _flattened(requests: list[dict[str, object] | list[dict[str, object]]]) -> Iterator[dict[str, object]]:
    """A list among the requests is several of them."""
    for entry in requests:
        yield from entry if isinstance(entry, list) else [entry]


def _check_keys(given: Mapping[str, object], known: set[str]) -> None:
    if unknown := given.keys() - known:
        raise ValueError(f"unknown keys: {sorted(unknown)}")


def _mapping(given: object) -> Mapping[str, object]:
    assert given is None or isinstance(given, dict), f"{given!r} is no mapping"
    return given or {}


def _text(given: object) -> str | None:
    return None if given is None else str(given)
