"""ONNX Runtime sessions. The only module that imports onnxruntime."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

# onnxruntime 1.32 is the first whose GroupQueryAttention takes query_seqlens on CPU, which ragged batches need.
MINIMUM_VERSION = (1, 32)

_FATAL = 4

_DTYPES: Mapping[str, np.dtype[np.generic]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int8)": np.dtype(np.int8),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(bool)": np.dtype(np.bool_),
}


class SessionError(Exception):
    """A graph could not be loaded, or is not what its folder says."""


class RunEndedError(Exception):
    """A run was ended by its RunToken before it was done."""


class RunToken:
    """Ends the runs of one piece of work, whose results nobody waits for any more. For any thread.

    Runs that a thread makes within `governs` end at their graph's next node once `end` was called, and so do later ones
    at their first: with RunEndedError.
    """

    __slots__ = ("_native",)

    def __init__(self) -> None:
        self._native = ort.RunOptions()
        # An ended run is no error; what goes wrong in others is raised, and need not be on standard error too.
        self._native.log_severity_level = _FATAL

    @property
    def is_ended(self) -> bool:
        """Whether `end` was called."""
        ended: bool = self._native.terminate
        return ended

    def end(self) -> None:
        """Ends what runs, and what is yet to run. Returns at once."""
        self._native.terminate = True

    @contextmanager
    def governs(self) -> Iterator[None]:
        """Puts the runs of this thread under the token, for the time of the block."""
        outer = _TOKEN.set(self)
        try:
            yield
        finally:
            _TOKEN.reset(outer)


_TOKEN: ContextVar[RunToken | None] = ContextVar("trivium_run_token", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """Name, dtype and shape of a graph input or output; a dimension that varies is None."""

    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """How a session runs. Threads count per run.

    spin_duration_us: how long a thread spins for more work before it sleeps. Waking a sleeper costs more than the gap
    between two nodes: on two cores, single-row decoding ran 1.5 times as fast with 200 us as with 0. Longer gains
    nothing more, and takes the cores from another session that alternates with this one.
    """

    intra_op_threads: int
    spin_duration_us: int
    execution_providers: tuple[str, ...]


def available_providers() -> tuple[str, ...]:
    """Returns the execution providers that the installed onnxruntime wheel has, best first."""
    return tuple(ort.get_available_providers())


class Session:
    """A loaded graph. Runs may be concurrent; bindings belong to one thread at a time."""

    def __init__(self, graph: Path | bytes, options: SessionOptions) -> None:
        """Loads the graph at a path, or a serialized one.

        Raises SessionError with the reason, also for a provider that the wheel lacks.
        """
        _require_version()
        missing = [name for name in options.execution_providers if name not in available_providers()]
        if missing:
            raise SessionError(
                f"runtime.execution_providers: the installed onnxruntime has no {', '.join(missing)}; "
                f"it has {', '.join(available_providers())}"
            )
        native = ort.SessionOptions()
        native.intra_op_num_threads = options.intra_op_threads
        native.inter_op_num_threads = 1
        native.log_severity_level = 3
        native.add_session_config_entry("session.intra_op.allow_spinning", str(int(options.spin_duration_us > 0)))
        if options.spin_duration_us:
            native.add_session_config_entry("session.intra_op.spin_duration_us", str(options.spin_duration_us))
        source, name = (graph, "a graph") if isinstance(graph, bytes) else (str(graph), graph.name)
        try:
            self._native = ort.InferenceSession(source, native, providers=list(options.execution_providers))
        except Exception as error:  # onnxruntime raises a dozen classes that share no other base
            raise SessionError(f"{name}: {_first_line(error)}") from error
        self.execution_provider: str = self._native.get_providers()[0]
        if self.execution_provider != options.execution_providers[0]:
            # onnxruntime only logs a failed provider (a missing driver, say) and goes on with the next one.
            raise SessionError(
                f"runtime.execution_providers: {options.execution_providers[0]} did not start on this machine; "
                f"onnxruntime fell back to {self.execution_provider}"
            )
        self.inputs = {spec.name: spec for spec in map(_spec, self._native.get_inputs())}
        self.outputs = {spec.name: spec for spec in map(_spec, self._native.get_outputs())}

    def run(self, inputs: Mapping[str, NDArray[np.generic]], outputs: Sequence[str]) -> list[NDArray[np.generic]]:
        """Runs the graph once and returns these outputs, new arrays. Releases the GIL.

        Raises SessionError, and RunEndedError where a RunToken governs.
        """
        token = _TOKEN.get()
        try:
            results: list[NDArray[np.generic]] = self._native.run(
                list(outputs), dict(inputs), token._native if token else None
            )
        except Exception as error:  # as above
            raise _run_error(error, token) from error
        return results

    def binding(self) -> "Binding":
        """Returns a new set of bound inputs and outputs of the graph."""
        return Binding(self._native)


class Binding:
    """Inputs and outputs bound to numpy arrays, which onnxruntime reads and writes in place.

    Rebinding a name replaces its array. The binding keeps its arrays alive.
    """

    def __init__(self, native: ort.InferenceSession) -> None:
        self._native = native
        self._binding = native.io_binding()
        self._kept: dict[str, tuple[NDArray[np.generic], ort.OrtValue]] = {}
        self._options = ort.RunOptions()

    def bind_input(self, name: str, array: NDArray[np.generic]) -> None:
        """Binds a C-contiguous array as the input of that name."""
        self._binding.bind_ortvalue_input(name, self._keep("in:" + name, array))

    def bind_output(self, name: str, array: NDArray[np.generic]) -> None:
        """Binds a C-contiguous array, of the exact shape that the graph will produce, as the output of that name."""
        self._binding.bind_ortvalue_output(name, self._keep("out:" + name, array))

    def bind_shared(self, input_name: str, output_name: str, array: NDArray[np.generic]) -> None:
        """Binds one array as an input and an output, for graphs that update it in place."""
        value = self._keep("in:" + input_name, array)
        self._binding.bind_ortvalue_input(input_name, value)
        self._binding.bind_ortvalue_output(output_name, value)

    def run(self) -> None:
        """Runs the graph. Releases the GIL. Raises SessionError, and RunEndedError where a RunToken governs.

        After the latter, what the bound outputs hold is undefined.
        """
        token = _TOKEN.get()
        try:
            self._native.run_with_iobinding(self._binding, token._native if token else self._options)
        except Exception as error:  # as above
            raise _run_error(error, token) from error

    def _keep(self, key: str, array: NDArray[np.generic]) -> ort.OrtValue:
        value = ort.OrtValue.ortvalue_from_numpy(array)
        self._kept[key] = (array, value)
        return value


def missing_names(present: Mapping[str, TensorSpec], wanted: Sequence[str]) -> list[str]:
    """Returns those of `wanted` that the graph lacks, in order."""
    return [name for name in wanted if name not in present]


def _run_error(error: Exception, token: RunToken | None) -> Exception:
    # onnxruntime has no error of its own for a run that was terminated: it is a plain failure (its issue 20999).
    if token is not None and token.is_ended:
        return RunEndedError("nobody waits for the run any more")
    return SessionError(_first_line(error))


def _require_version() -> None:
    found = tuple(int(part) for part in ort.__version__.split(".")[:2])
    if found < MINIMUM_VERSION:
        wanted = ".".join(map(str, MINIMUM_VERSION))
        raise SessionError(f"onnxruntime {wanted} or newer is needed; {ort.__version__} is installed")


def _spec(native: ort.NodeArg) -> TensorSpec:
    dtype = _DTYPES.get(native.type)
    if dtype is None:
        raise SessionError(f"{native.name} has the unsupported type {native.type}")
    shape = tuple(dim if isinstance(dim, int) else None for dim in native.shape)
    return TensorSpec(name=native.name, dtype=dtype, shape=shape)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:500] if str(error).strip() else type(error).__name__
