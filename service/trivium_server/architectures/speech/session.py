"""Sessions of models that hear and speak."""

from pathlib import Path

from trivium_server.config import Config
from trivium_server.runtime.session import Session, SessionOptions


def open_session(path: Path, config: Config) -> Session:
    """Loads a graph, for runs of one thread each. Raises SessionError."""
    # Cores are kept busy by as many runs; more threads in a run would only wait for each other.
    options = SessionOptions(
        intra_op_threads=1, spin_duration_us=0, execution_providers=config.runtime.execution_providers
    )
    return Session(path, options)
