"""The pinned Envoy as a process."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.envoy.options import Address, Bootstrap, Listener
from deploy.envoy.render import render
from tools.stack.settings import envoy_binary, free_ports


@contextmanager
def running_envoy(server: str, folder: Path) -> Iterator[tuple[str, int]]:
    """An Envoy before that server (host:port), in plaintext where the manifests have TLS.

    Gives where it listens, and the port of its administration; it is killed in the end.
    """
    port, admin = free_ports(2)
    listen = Address("127.0.0.1", port)
    config = folder / "envoy.yaml"
    config.write_text(
        render(
            Bootstrap(
                replicas=(Address.parse(server),),
                listeners=(Listener(name="tls", address=listen),),
                admin_port=admin,
            )
        )
    )
    command = [str(envoy_binary()), "--config-path", str(config), "--concurrency", "1", "--disable-hot-restart"]
    with (folder / "envoy.log").open("wb") as log:
        process = subprocess.Popen([*command, "--drain-time-s", "20"], stdout=log, stderr=log)
    try:
        yield f"{listen.host}:{listen.port}", admin
    finally:
        process.kill()
        process.wait(10)
