"""The blocking client's faces for the models of a server and for its operator."""

from collections.abc import Iterator

from trivium import _calls
from trivium._assembly import LoadAssembly, WatchAssembly
from trivium._call_settings import ModelMemory, quiet_stream_options, unary_options
from trivium._metadata import Metadata
from trivium._retry import Deadline
from trivium._sync_transport import SyncStream, SyncTransport
from trivium.admin.v1 import admin_pb2
from trivium.admin_info import LoadProgress, ServerInfo
from trivium.models import Capability, Model, ModelEvent
from trivium.settings import CallOptions
from trivium.v1 import models_pb2

__all__ = ["AdminClient", "LoadStream", "ModelsClient", "WatchStream"]


class WatchStream(SyncStream[models_pb2.WatchModelsRequest, models_pb2.WatchModelsResponse, ModelEvent]):
    """The models of a server and every change of one, until the caller stops. Iterate it; see TextStream for the rest.

    Raises TruncatedStream where the server ends it.
    """

    def __iter__(self) -> Iterator[ModelEvent]:
        return self._events()


class LoadStream(SyncStream[admin_pb2.LoadModelRequest, admin_pb2.LoadModelResponse, LoadProgress]):
    """The progress of a load. Iterate it; see TextStream for the rest. Closing it does not stop the load."""

    def __iter__(self) -> Iterator[LoadProgress]:
        return self._events()


def list_models(
    transport: SyncTransport, capability: Capability | None, options: CallOptions, deadline: Deadline
) -> list[Model]:
    """Reads all pages of ListModels, within one deadline."""
    models, page_token = transport.unary(_calls.list_models(capability, ""), options, deadline)
    while page_token:
        page, page_token = transport.unary(_calls.list_models(capability, page_token), options, deadline)
        models += page
    return models


class ModelChoice:
    """Which model of a capability is meant where a call names none. Thread-safe."""

    def __init__(self, transport: SyncTransport, capability: Capability, *, takes_default: bool = True) -> None:
        self._transport = transport
        self._capability = capability
        self._memory = ModelMemory(transport.settings.default_model if takes_default else None)

    def name(self, options: CallOptions, deadline: Deadline) -> str:
        """Returns its name, within the deadline of the call."""
        return self._memory.recall() or self._memory.learn(self._ask(options, deadline))

    def _ask(self, options: CallOptions, deadline: Deadline) -> str:
        # A stream may go on without limit; finding its model may not.
        within = deadline.at_most(self._transport.settings.timeout_s)
        models = list_models(self._transport, self._capability, options, within)
        return _calls.choose_model(models, self._capability)


class ModelsClient:
    """Tells which models a server has. Thread-safe. Every method raises TriviumError.

    timeout_s limits a method with all its attempts, in seconds; None is the client's default, and math.inf sends no
    limit, so that the server applies its own.
    """

    def __init__(self, transport: SyncTransport) -> None:
        self._transport = transport

    def list(
        self,
        capability: Capability | None = None,
        *,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> list[Model]:
        """Returns all models by name, or those with a capability. Reads as many pages as there are."""
        options = unary_options(self._transport.settings, timeout_s, request_id, metadata)
        return list_models(self._transport, capability, options, Deadline(options.timeout_s))

    def get(
        self,
        name: str,
        *,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> Model:
        """Returns one model. ModelNotFound, with near matches in its metadata, where there is none of that name."""
        options = unary_options(self._transport.settings, timeout_s, request_id, metadata)
        return self._transport.unary(_calls.get_model(name), options)

    def watch(
        self,
        *,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> WatchStream:
        """Returns all models, then every change of one: ModelChanged for each, SnapshotEnd, then changes as they come.

        Without timeout_s it goes on until the caller ends it.
        """
        call: _calls.StreamCall[models_pb2.WatchModelsRequest, models_pb2.WatchModelsResponse, ModelEvent]
        call = _calls.StreamCall(_calls.WATCH_MODELS, models_pb2.WatchModelsRequest(), WatchAssembly())
        options = quiet_stream_options(self._transport.settings, timeout_s, request_id, metadata)
        return WatchStream(self._transport, call, options)


class AdminClient:
    """Operates one server; behind a load balancer, whichever answers. Thread-safe. Every method raises TriviumError.

    timeout_s limits a method with all its attempts, in seconds; None is the client's default, and math.inf sends no
    limit, so that the server applies its own.
    """

    def __init__(self, transport: SyncTransport) -> None:
        self._transport = transport

    def server_info(
        self,
        *,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> ServerInfo:
        """Returns what the server is and what it can do."""
        options = unary_options(self._transport.settings, timeout_s, request_id, metadata)
        return self._transport.unary(_calls.get_server_info(), options)

    def drain(
        self,
        grace_period_s: float | None = None,
        *,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> int:
        """Makes the server finish its running calls, refuse new ones and exit. Returns how many calls were running.

        grace_period_s: how long they may go on, 0 to 3600; None is the server's configured grace.
        """
        options = unary_options(self._transport.settings, timeout_s, request_id, metadata)
        return self._transport.unary(_calls.drain_server(grace_period_s), options)

    def load_model(
        self,
        name: str,
        *,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> LoadStream:
        """Loads a model of the server's store; iterate the result for its progress, which ends when it is ready."""
        assembly = LoadAssembly()
        call = _calls.StreamCall(_calls.LOAD_MODEL, admin_pb2.LoadModelRequest(model=name), assembly)
        options = quiet_stream_options(self._transport.settings, timeout_s, request_id, metadata)
        return LoadStream(self._transport, call, options)

    def unload_model(
        self,
        name: str,
        drain_timeout_s: float | None = None,
        *,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> Model:
        """Finishes the running calls of a model, frees its memory, and returns it as it is then.

        drain_timeout_s: how long its calls may go on, 0 to 3600; None is the server's configured grace. Give a
        timeout_s that is longer than it.
        """
        options = unary_options(self._transport.settings, timeout_s, request_id, metadata)
        return self._transport.unary(_calls.unload_model(name, drain_timeout_s), options)
