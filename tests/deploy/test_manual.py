"""docs/operations.md says what is so: its commands, figures, times, names and links."""

import importlib.util
import itertools
import math
import re
import shlex
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.envoy_process import running_envoy
from tests.deploy.manifests import ROOT, Overlay, container, pod
from tests.deploy.test_schemas import VERSIONS
from tests.serving import wait_until
from trivium_server.config import settings
from trivium_server.telemetry.metrics import Metric

MANUAL = ROOT / "docs/operations.md"
VERBS = {"apply", "create", "delete", "describe", "diff", "exec", "get", "logs", "port-forward", "rollout", "wait"}
KINDS = {"deploy": "Deployment", "deployment": "Deployment", "job": "Job", "hpa": "HorizontalPodAutoscaler"}


def section(title: str) -> str:
    [found] = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", MANUAL.read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


def rows(title: str) -> list[list[str]]:
    """The cells of the tables of a section, without their heads."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row, after in zip(cells, [*cells[1:], []], strict=True) if not _rules(row) and not _rules(after)]


def _rules(row: list[str]) -> bool:
    return bool(row) and set("".join(row)) == {"-"}


def commands() -> Iterator[list[str]]:
    """The words of every command of blocks and of text, each part of a pipe for itself."""
    text = MANUAL.read_text()
    lines = re.findall(r"^\$ (.*)$", text, re.MULTILINE) + re.findall(r"`([^`\n]+)`", text)
    for line in lines:
        for part in re.split(r" \| | > | -- ", line):
            if re.match(r"(kubectl|make|trivium|python|docker|curl|deploy)[ /].*", part) and "](" not in part:
                yield shlex.split(part)


def of(program: str) -> list[list[str]]:
    found = [words[1:] for words in commands() if words[0] == program]
    assert found
    return found


def test_kubectl_is_asked_for_what_there_is() -> None:
    production = Overlay.build("production")
    for words in of("kubectl"):
        options = [words[at + 1] for at, word in enumerate(words) if word in ("-k", "-f")]
        assert all((ROOT / path).exists() for path in options), words
        assert not options or "-n" not in words
        assert options or words[:2] == ["-n", "trivium"], words
        verb, *rest = words if options else words[2:]
        assert verb in VERBS
        named = [tuple(word.split("/")) for word in rest if re.fullmatch(r"[a-z]+/[a-z-]+", word)]
        named += [(kind, name) for kind, name in itertools.pairwise(rest) if kind in KINDS]
        for kind, name in named:
            assert production.the(KINDS[kind], name), words
        for label in (rest[at + 1] for at, word in enumerate(rest) if word == "-l"):
            assert production.selected({"matchLabels": dict([label.split("=")])})


def test_make_has_the_targets() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {words[0] for words in of("make")} <= targets


def test_trivium_has_the_commands() -> None:
    for words in of("trivium"):
        names = [word for word in words if re.fullmatch(r"[a-z]+", word)]
        asked = [word for word in words if word.startswith("--")]
        done = subprocess.run(["trivium", *names, "--help"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, words
        assert all(option in done.stdout for option in asked), words


def test_programs_and_files_are_there() -> None:
    assert all(importlib.util.find_spec(words[1]) for words in of("python"))
    assert all((ROOT / words[0]).is_file() for words in commands() if words[0].startswith("deploy/"))
    for options in re.findall(r"`(--[a-z-]+)(?: [a-z]+)?`", section("Settings that matter") + section("Incidents")):
        assert f'"{options}"' in (ROOT / "deploy/envoy/__main__.py").read_text()


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", MANUAL.read_text())
    assert links
    assert [link for link in links if not (MANUAL.parent / link).exists()] == []


def test_figures_are_those_that_are_kept() -> None:
    measured = rows("How many")
    assert len(measured) > 5
    for _, figures, file in measured:
        [name] = re.findall(r"\]\((.*)\)", file)
        kept = set(re.findall(r"\d+(?:\.\d+)?", (MANUAL.parent / name).read_text()))
        found = set(re.findall(r"\d+\.\d+|\d{3,}", figures))
        assert found, figures
        assert found <= kept, figures


def test_the_example_of_sizing_is_right() -> None:
    found = re.search(r"1000 / \((\d+) \S 0\.7\) = ([\d.]+), so (\d+)", section("How many"))
    assert found
    assert f"{1000 / (int(found[1]) * 0.7):.1f}" == found[2]
    assert math.ceil(float(found[2])) + 1 == int(found[3])


def test_times_of_a_drain_are_those_of_the_manifests() -> None:
    production = Overlay.build("production")
    server, envoy = (production.the("Deployment", name) for name in ("trivium-server", "trivium-envoy"))
    text = production.config_file(server, "config", "trivium.toml")
    wait_s, grace_s = (
        int(re.findall(rf"^{key} = (\d+)$", text, re.MULTILINE)[0]) for key in ("health_wait_s", "grace_s")
    )
    gives_up_s = int(container(envoy)["lifecycle"]["preStop"]["exec"]["command"][-1])
    ends = {0, 1, wait_s, wait_s + grace_s, gives_up_s}
    ends |= {pod(each)["terminationGracePeriodSeconds"] for each in (server, envoy)}
    assert [row[0] for row in rows("What a pod does when it goes")] == [f"{end} s" for end in sorted(ends)]


def test_metrics_of_servers_are_there() -> None:
    named = set(re.findall(r"\btrivium_[a-z_]+\b", MANUAL.read_text())) - {"trivium_server"}
    assert len(named) > 5
    # Those of histograms are asked for by their parts.
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in named} <= {metric.value.name for metric in Metric}


@pytest.mark.alone
def test_metrics_of_envoy_are_there(tmp_path: Path) -> None:
    named = set(re.findall(r"\benvoy_[a-z_]+\b", MANUAL.read_text())) - {"envoy_cluster_name"}
    assert len(named) > 2
    with running_envoy("127.0.0.1:9", tmp_path) as (_, admin):
        assert wait_until(lambda: bool(_scraped(admin)), 60)
        text = _scraped(admin)
    assert named <= set(re.findall(r"^([a-z_]+)[{ ]", text, re.MULTILINE))
    assert re.search(r'^envoy_cluster_membership_healthy\{.*envoy_cluster_name="any"', text, re.MULTILINE)


def _scraped(admin: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/stats/prometheus", timeout=10) as response:
            return str(response.read().decode())
    except OSError:
        return ""


def test_settings_are_there() -> None:
    sections = "|".join({setting.key.split(".")[0] for setting in settings()})
    named = set(re.findall(rf"`((?:{sections})\.[a-z_]+)`", MANUAL.read_text())) - {"drain.sh"}
    assert len(named) > 5
    assert named <= {setting.key for setting in settings()}


def test_versions_of_kubernetes_are_those_that_tests_use() -> None:
    assert f"Kubernetes {VERSIONS[0]} or newer" in MANUAL.read_text()
    assert f"({' and '.join(VERSIONS)})" in section("Not tested")


def test_there_is_help_for_enough_incidents() -> None:
    assert len(rows("Incidents")) >= 12
