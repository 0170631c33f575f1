"""grpc.health.v1: the server as a whole (""), each service, and each model as `model/<name>`.

The server as a whole is SERVING as soon as it answers and until it drains: that is liveness, and load never changes it.
A service that models answer, and so readiness for it, is SERVING while the models are ready that it needs: at least one
that can.
"""

import contextlib
from collections.abc import Iterable

from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer

from trivium_server.architectures.capabilities import Capability
from trivium_server.architectures.catalog import Catalog
from trivium_server.architectures.model_state import ModelState

HEALTH_SERVICE = "grpc.health.v1.Health"
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
# Of each group, a service needs one capability at least.
_NEEDS: dict[str, tuple[set[Capability], ...]] = {
    "trivium.v1.TextGenerationService": ({Capability.GENERATE_TEXT},),
    "trivium.v1.EmbeddingService": ({Capability.EMBED_TEXT, Capability.RERANK},),
    "trivium.v1.TextAnalysisService": (
        {Capability.CLASSIFY_TEXT, Capability.EXTRACT_ENTITIES, Capability.DETECT_LANGUAGE},
    ),
    "trivium.v1.VisionService": (
        {
            Capability.CLASSIFY_IMAGE,
            Capability.DETECT_OBJECTS,
            Capability.RECOGNIZE_TEXT,
            Capability.DETECT_FACES,
            Capability.EMBED_IMAGE,
        },
    ),
    "trivium.v1.SpeechRecognitionService": ({Capability.RECOGNIZE_SPEECH}, {Capability.DETECT_VOICE_ACTIVITY}),
    "trivium.v1.SpeechSynthesisService": ({Capability.SYNTHESIZE_SPEECH},),
}


class Health:
    """Keeps the health servicer in step with the catalog; `drain` turns everything off for good."""

    def __init__(self, catalog: Catalog, services: Iterable[str]) -> None:
        self.servicer = HealthServicer()
        self._catalog = catalog
        self._services = tuple(services)
        self._set_models: set[str] = set()

    async def start(self) -> None:
        """Sets every service: those that need a model are NOT_SERVING until one is ready."""
        for service in self._services:
            await self.servicer.set(service, _SERVING)
        await self._update()

    async def run(self) -> None:
        """Follows the catalog until cancelled."""
        async with contextlib.aclosing(self._catalog.watch()) as changes:
            async for _ in changes:
                await self._update()

    async def drain(self) -> None:
        """Makes everything NOT_SERVING for good."""
        await self.servicer.enter_graceful_shutdown()

    async def _update(self) -> None:
        statuses = self._catalog.statuses()
        answered = {
            capability for status in statuses if status.state is ModelState.READY for capability in status.capabilities
        }
        for service, groups in _NEEDS.items():
            ready = not any(answered.isdisjoint(group) for group in groups)
            await self.servicer.set(service, _SERVING if ready else _NOT_SERVING)
        names = {f"model/{status.card.name}": status for status in statuses}
        for name, status in names.items():
            await self.servicer.set(name, _SERVING if status.state is ModelState.READY else _NOT_SERVING)
        for name in self._set_models - names.keys():
            await self.servicer.set(name, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
        self._set_models = set(names)
