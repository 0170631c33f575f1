"""Replicas behind Envoy, as processes that a trial may kill, stop and start again; all on loopback."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

import trivium
from deploy.envoy.options import Address, Balancer, Bootstrap, Listener
from deploy.envoy.render import render
from tools.stack.admin import Admin
from tools.stack.settings import ROOT, envoy_binary, free_ports

__all__ = ["Envoy", "Fleet", "Replica", "await_that", "same", "without_pings", "without_reset_retries"]

_BOUND = ROOT / "tools/stack/bound.py"
HEALTH_INTERVAL_S = 1.0
_HEALTH_WAIT_S = 2 * HEALTH_INTERVAL_S + 0.5
_START_S = 120.0


def same(text: str) -> str:
    """The bootstrap as it is."""
    return text


def without_reset_retries(text: str) -> str:
    """The bootstrap with the usual retries only: a call that was sent already is not sent again. A control."""
    changed = text.replace(",unavailable,reset", ",unavailable")
    assert changed != text, "there is nothing to take away"
    return changed


def without_pings(text: str) -> str:
    """The bootstrap without pings to replicas: silence on a connection says nothing. A control."""
    lines = [line for line in text.splitlines(keepends=True) if "connection_keepalive" not in line or "60s" in line]
    changed = "".join(lines)
    assert changed != text, "there is nothing to take away"
    return changed


class _Process:
    """A process with a log of its own, that can be ended and begun again. It does not outlive this one."""

    def __init__(self, command: Sequence[str], log: Path, environment: dict[str, str] | None = None) -> None:
        self._command = [sys.executable, "-S", "-E", str(_BOUND), str(os.getpid()), *command]
        self._log = log
        self._environment = os.environ | (environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process, "it was started"
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    @property
    def last_words(self) -> str:
        """The end of its log."""
        return self._log.read_text()[-1000:]

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._environment, cwd=ROOT, start_new_session=True
            )

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it with SIGKILL."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def stop(self, timeout_s: float = 60.0) -> tuple[int, float]:
        """Ends it with SIGTERM; returns its exit status and how many seconds that took."""
        assert self._process
        begun = time.monotonic()
        self._process.terminate()
        return self._process.wait(timeout_s), time.monotonic() - begun

    def close(self) -> None:
        """Ends it if it runs, whatever it is doing."""
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


class Replica(_Process):
    """A server. module: what is started, with the options of `trivium serve`."""

    def __init__(self, module: str, port: int, store: Path, folder: Path, settings: dict[str, str]) -> None:
        self.port = port
        command = [sys.executable, "-m", module, "--listen", f"127.0.0.1:{port}", "--models-dir", str(store)]
        environment = {"TRIVIUM_DRAIN_HEALTH_WAIT_S": str(_HEALTH_WAIT_S)} | settings
        super().__init__(command, folder / f"replica-{port}.log", environment)

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"


class Envoy(_Process):
    """An Envoy with one plaintext listener."""

    def __init__(self, bootstrap: Bootstrap, folder: Path, change: Callable[[str], str]) -> None:
        self.target = f"127.0.0.1:{bootstrap.listeners[0].address.port}"
        self.admin = Admin(f"127.0.0.1:{bootstrap.admin_port}")
        config = folder / f"envoy-{bootstrap.admin_port}.yaml"
        config.write_text(change(render(bootstrap)))
        command = [
            str(envoy_binary()),
            "-c",
            str(config),
            "--disable-hot-restart",
            "--concurrency",
            "1",
            "-l",
            "warning",
        ]
        super().__init__(command, folder / f"envoy-{bootstrap.admin_port}.log")

    def calls_under_way(self) -> dict[int, int]:
        """Returns how many calls each replica has now, by its port."""
        return {_port(address): view.active_calls for address, view in self.admin.hosts().items()}

    def healthy(self, service: str) -> set[int]:
        """Returns the ports of the replicas that get calls of a service."""
        return {_port(address) for address, view in self.admin.hosts().items() if service in view.services}


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


class Fleet:
    """So many replicas of one model behind Envoys that share nothing. `with` starts and ends all."""

    def __init__(
        self,
        folder: Path,
        store: Path,
        model: str,
        *,
        num_replicas: int = 3,
        num_envoys: int = 1,
        module: str = "trivium_server",
        balancer: Balancer = Balancer.LEAST_REQUEST,
        change: Callable[[str], str] = same,
        settings: dict[str, str] | None = None,
        settings_of: Mapping[int, dict[str, str]] | None = None,
    ) -> None:
        """change: makes a control of the bootstrap. settings: environment variables of the servers.

        settings_of: further ones of single servers, by their numbers from 0.
        """
        self._model = model
        ports = free_ports(num_replicas + 2 * num_envoys)
        given = {"TRIVIUM_MODELS_LOAD": model} | (settings or {})
        self.replicas = [
            Replica(module, port, store, folder, given | (settings_of or {}).get(number, {}))
            for number, port in enumerate(ports[:num_replicas])
        ]
        addresses = tuple(Address("127.0.0.1", replica.port) for replica in self.replicas)
        pairs = zip(ports[num_replicas::2], ports[num_replicas + 1 :: 2], strict=True)
        self.envoys = [
            Envoy(
                Bootstrap(
                    replicas=addresses,
                    listeners=(Listener(name="plain", address=Address("127.0.0.1", port)),),
                    admin_port=admin_port,
                    balancer=balancer,
                    health_interval_s=HEALTH_INTERVAL_S,
                ),
                folder,
                change,
            )
            for port, admin_port in pairs
        ]

    def __enter__(self) -> Self:
        try:
            for process in (*self.replicas, *self.envoys):
                process.start()
            for replica in self.replicas:
                self.await_ready(replica)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends every process."""
        for process in (*self.envoys, *self.replicas):
            process.close()

    def await_ready(self, replica: Replica) -> None:
        """Waits until a replica serves the model. Raises RuntimeError with what a server said that did not start."""
        await_that(lambda: _listens(replica.port) or replica.has_ended, f"{replica.target} is listened on", _START_S)
        if replica.has_ended:
            raise RuntimeError(f"{replica.target} did not start: {replica.last_words}")
        with trivium.Client(replica.target, retry=trivium.RetryPolicy(max_attempts=1)) as client:
            client.wait_ready(_START_S, model=self._model)

    def await_healthy(self, cluster: str) -> None:
        """Waits until every Envoy sends calls to every replica. Raises TimeoutError after half a minute."""
        wanted = {replica.port for replica in self.replicas}

        def all_of(envoy: Envoy) -> bool:
            return envoy.healthy(cluster) == wanted

        for envoy in self.envoys:
            await_that(partial(all_of, envoy), f"all replicas of {cluster} are healthy")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def await_that(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Polls until it is so. Raises TimeoutError."""
    end_s = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(OSError):
            if condition():
                return
        if time.monotonic() > end_s:
            raise TimeoutError(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.05)
