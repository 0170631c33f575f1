"""Replicas of `trivium serve` and the Envoy before them, kept running together until they are told to end."""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from deploy.envoy.options import Address, Bootstrap, DownstreamTls, Listener, UpstreamTls
from deploy.envoy.render import render
from tools.certificates import pem
from tools.stack.admin import Admin
from tools.stack.program import Program
from tools.stack.settings import ROOT, StackSettings, envoy_binary, free_ports
from tools.stack.state import ReplicaState, StackState, Stage

__all__ = ["Stack"]

_CERTIFICATE_NAME = "trivium.test"
_LOOK_EVERY_S = 0.3
_LAST_CALLS_S = 10.0
# Serves as soon as its server answers, so its health tells nothing about readiness.
_WITHOUT_MODELS = frozenset({"trivium.v1.ModelService"})
_STAGES = {"listening": Stage.LOADING, "ready": Stage.READY, "draining": Stage.DRAINING}


class Stack:
    """Runs on one event loop: `run` until `end`; `kill` does not wait for anything. Raises FileNotFoundError."""

    def __init__(self, settings: StackSettings) -> None:
        self._settings = settings
        folder = settings.folder
        self._write_certificates()
        tls_port, web_port, admin_port, *ports = free_ports(3 + settings.replicas)
        tls_port, web_port = settings.tls_port or tls_port, settings.web_port or web_port
        self.state = StackState(
            file=folder / "stack.json",
            supervisor=os.getpid(),
            tls_target=f"https://127.0.0.1:{tls_port}",
            web_target=f"http://127.0.0.1:{web_port}",
            admin=f"127.0.0.1:{admin_port}",
            root_certificate=folder / "root.pem",
            replicas=[
                ReplicaState(number=number, address=f"127.0.0.1:{port}") for number, port in enumerate(ports, start=1)
            ],
        )
        self._admin = Admin(self.state.admin)
        config = folder / "envoy.yaml"
        config.write_text(render(self._bootstrap(tls_port, web_port, admin_port)))
        self._replicas = [self._replica(replica) for replica in self.state.replicas]
        self._envoy = self._proxy(config)
        self._ending = asyncio.Event()

    async def run(self) -> None:
        """Starts everything, and returns when everything has ended."""
        self._say("stack", f"{self._settings.replicas} replicas; logs and certificates are in {self._settings.folder}")
        async with asyncio.TaskGroup() as tasks:
            proxy = tasks.create_task(self._envoy.run())
            replicas = [tasks.create_task(replica.run()) for replica in self._replicas]
            watch = tasks.create_task(self._watch())
            await self._ending.wait()
            await self._let_calls_end()
            self._envoy.end()
            await asyncio.wait([proxy])
            for replica in self._replicas:
                replica.end()
            await asyncio.wait(replicas)
            watch.cancel()
        self._say("stack", "ended")

    def end(self) -> None:
        """Makes `run` drain and return."""
        self._ending.set()

    def kill(self) -> None:
        """Makes `run` return at once; calls are cut."""
        self._ending.set()
        for program in (self._envoy, *self._replicas):
            program.kill()

    async def _let_calls_end(self) -> None:
        self._say("envoy", "draining: calls under way go on")
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.to_thread(self._admin.drain)
            async with asyncio.timeout(_LAST_CALLS_S):
                while await asyncio.to_thread(self._admin.active_calls):  # noqa: ASYNC110  # Envoy tells when asked
                    await asyncio.sleep(_LOOK_EVERY_S)

    async def _watch(self) -> None:
        """Tells what Envoy thinks of the replicas."""
        was_ready = False
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                is_ready = await asyncio.to_thread(self._admin.is_ready)
                hosts = await asyncio.to_thread(self._admin.hosts)
            except OSError:
                is_ready, hosts = False, {}
            if is_ready and not was_ready:
                self._say("envoy", f"serving {self.state.tls_target} and {self.state.web_target} (gRPC-Web, JSON)")
            was_ready = is_ready
            for replica in self.state.replicas:
                view = hosts.get(replica.address)
                self._look_at(replica, view.services - _WITHOUT_MODELS if view else frozenset())

    def _look_at(self, replica: ReplicaState, services: frozenset[str]) -> None:
        """services: those that Envoy would choose the replica for now."""
        before, replica.services = frozenset(replica.services), sorted(services)
        # By then Envoy has asked for its health once more, so what it knows is all that there is.
        has_settled = time.monotonic() - replica.staged_s > 1.5 * self._settings.health_interval_s
        if replica.stage is Stage.READY and services and has_settled:
            replica.enter(Stage.SERVING)
            self._say_of(replica, f"serving {_short(services)}")
        elif replica.stage in {Stage.SERVING, Stage.DRAINING, Stage.GONE} and services != before:
            if gone := before - services:
                self._say_of(replica, f"out of rotation for {_short(gone)}")
            if come := services - before:
                self._say_of(replica, f"in rotation for {_short(come)}")

    def _replica(self, replica: ReplicaState) -> Program:
        def on_line(line: bytes) -> None:
            try:
                entry = json.loads(line)
            except ValueError:
                return
            stage = _STAGES.get(entry.get("message"))
            if stage:
                replica.enter(stage)
                fields = [f"{key} {entry[key]}" for key in ("models", "failed", "in_flight") if entry.get(key)]
                self._say_of(replica, "  ".join([str(stage), *fields]))

        def on_start(pid: int) -> None:
            replica.pid, replica.starts = pid, replica.starts + 1
            replica.enter(Stage.STARTING)
            self._say_of(replica, f"starting, process {pid}, on {replica.address}")

        def on_exit(code: int, again_s: float | None) -> None:
            replica.pid = 0
            replica.enter(Stage.GONE)
            self._say_of(replica, _parting(code, again_s))

        settings = self._settings
        command = ["trivium", "serve", "--listen", replica.address, "--log-format", "json"]
        for model in settings.models:
            command += ["--model", model]
        own = {
            "SERVER_TLS_CERTIFICATE": settings.folder / "server.pem",
            "SERVER_TLS_PRIVATE_KEY": settings.folder / "server_key.pem",
            "SERVER_TLS_CLIENT_CA": settings.folder / "root.pem",
            "DRAIN_HEALTH_WAIT_S": settings.health_wait_s,
            "RUNTIME_INTRA_OP_THREADS": settings.threads,
            "ENCODING_RUNNERS": settings.threads,
        }
        return self._program(
            command,
            log=f"replica-{replica.number}.log",
            own={f"TRIVIUM_{key}": str(value) for key, value in own.items()},
            on_start=on_start,
            on_line=on_line,
            on_exit=on_exit,
        )

    def _proxy(self, config: Path) -> Program:
        def on_start(pid: int) -> None:
            self.state.envoy = pid
            self._say("envoy", f"starting, process {pid}")

        def on_exit(code: int, again_s: float | None) -> None:
            self.state.envoy = 0
            self._say("envoy", _parting(code, again_s))

        command = [str(envoy_binary()), "--config-path", str(config), "--concurrency", "2", "--log-level", "warning"]
        command += ["--disable-hot-restart", "--drain-time-s", "5", "--drain-strategy", "immediate"]
        return self._program(
            command, log="envoy.log", own={}, on_start=on_start, on_line=lambda _: None, on_exit=on_exit
        )

    def _program(
        self,
        command: list[str],
        *,
        log: str,
        own: dict[str, str],
        on_start: Callable[[int], None],
        on_line: Callable[[bytes], None],
        on_exit: Callable[[int, float | None], None],
    ) -> Program:
        # Settings that the caller has for a server of theirs are not for these.
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("TRIVIUM_")}
        path = f"{ROOT / '.venv/bin'}{os.pathsep}{inherited.get('PATH', os.defpath)}"
        return Program(
            command,
            log=self._settings.folder / log,
            environment=inherited | {"PATH": path} | own,
            on_start=on_start,
            on_line=on_line,
            on_exit=on_exit,
        )

    def _write_certificates(self) -> None:
        folder = self._settings.folder
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("root", "server", "server_key", "client", "client_key"):
            file = folder / f"{name}.pem"
            file.touch(mode=0o600)
            file.write_text(pem(name))

    def _bootstrap(self, tls_port: int, web_port: int, admin_port: int) -> Bootstrap:
        settings = self._settings
        file = {name: str(settings.folder / f"{name}.pem") for name in ("root", "server", "server_key", "client")}
        return Bootstrap(
            replicas=tuple(Address.parse(replica.address) for replica in self.state.replicas),
            listeners=(
                Listener(
                    name="tls",
                    address=Address("127.0.0.1", tls_port),
                    tls=DownstreamTls(certificate=file["server"], private_key=file["server_key"]),
                ),
                Listener(name="web", address=Address("127.0.0.1", web_port)),
            ),
            admin_port=admin_port,
            balancer=settings.balancer,
            upstream_tls=UpstreamTls(
                ca=file["root"],
                name=_CERTIFICATE_NAME,
                certificate=file["client"],
                private_key=str(settings.folder / "client_key.pem"),
            ),
            allowed_origins=settings.allowed_origins,
            health_interval_s=settings.health_interval_s,
        )

    def _say_of(self, replica: ReplicaState, what: str) -> None:
        self._say(f"replica {replica.number}", what)

    def _say(self, who: str, what: str) -> None:
        self.state.say(who, what)


def _short(services: frozenset[str]) -> str:
    return ", ".join(sorted(name.rpartition(".")[2].removesuffix("Service") for name in services))


def _parting(code: int, again_s: float | None) -> str:
    how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    return f"gone ({how})" + ("" if again_s is None else f"; starts again in {again_s:g} s")
