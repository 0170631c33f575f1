"""Tries a stranger's model in a child process with limits before it is installed.

A graph that crashes onnxruntime, or makes it take all memory or never end, does so in the child. Run as a program,
`python -m trivium_models.probe GRAPH... BYTES SECONDS`, this module is that child.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from trivium_models.errors import InvalidModelError

# What onnxruntime, its threads and its optimiser take by themselves, and copies of the weights that it makes.
_BASE_BYTES = 4 << 30
_WEIGHT_COPIES = 6
_WAIT_S = 300
_LOAD_ERROR = 3
_MEMORY_ERROR = 4


def can_probe() -> bool:
    """Whether onnxruntime is installed; this distribution does without it, the server brings it."""
    return importlib.util.find_spec("onnxruntime") is not None


def probe_graphs(
    graphs: Sequence[Path], *, weights_bytes: int, wait_s: float = _WAIT_S, base_bytes: int = _BASE_BYTES
) -> None:
    """Loads each graph with its weights in a child; it runs no step of the model.

    The child may use base_bytes and six times the weights of address space, and wait_s seconds; limits of memory hold
    on POSIX only. Raises InvalidModelError that names what went wrong.
    """
    names = ", ".join(path.name for path in graphs)
    limits = [str(base_bytes + _WEIGHT_COPIES * weights_bytes), str(int(wait_s) + 1)]
    arguments = [sys.executable, "-m", "trivium_models.probe", *map(str, graphs), *limits]
    try:
        done = subprocess.run(arguments, capture_output=True, timeout=wait_s, check=False, stdin=subprocess.DEVNULL)  # noqa: S603 - paths of our own staging folder
    except subprocess.TimeoutExpired as error:
        raise InvalidModelError(f"{names}: onnxruntime did not load it within {wait_s:.0f} s") from error
    if done.returncode == 0:
        return
    lines = done.stdout.decode(errors="replace").strip().splitlines()
    reason = lines[-1] if lines and done.returncode == _LOAD_ERROR else ""
    if done.returncode == _MEMORY_ERROR:
        reason = "it needs more memory than its weights explain"
    if not reason:
        reason = f"onnxruntime crashed on it (status {done.returncode})"
    raise InvalidModelError(f"{names} cannot be loaded: {reason}")


def _main(arguments: Sequence[str]) -> int:
    *graphs, memory_bytes, cpu_s = arguments
    if sys.platform != "win32":
        import resource

        _limit(resource.RLIMIT_AS, int(memory_bytes))
        _limit(resource.RLIMIT_CPU, int(cpu_s))
        _limit(resource.RLIMIT_CORE, 0)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    for graph in graphs:
        try:
            onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no other base
            text = " ".join(str(error).split())
            if isinstance(error, MemoryError) or "bad_alloc" in text or "Failed to allocate memory" in text:
                return _MEMORY_ERROR
            sys.stdout.write(text[:500] + "\n")
            return _LOAD_ERROR
    return 0


def _limit(kind: int, value: int) -> None:
    import resource

    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value, value) if hard == resource.RLIM_INFINITY else (min(value, hard), hard))


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
