"""What the calls of all text encoders have in common: the model for the time of the call, its meter, its CallInfo."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from trivium.v1 import common_pb2
from trivium_server.architectures.abilities import model_is_missing
from trivium_server.architectures.catalog import Catalog
from trivium_server.architectures.text_capabilities import EncoderMeter
from trivium_server.rpc import answers
from trivium_server.rpc.call import Call, current_call
from trivium_server.rpc.pacing import Pacer
from trivium_server.rpc.violations import Violations


class _Model(Protocol):
    @property
    def execution_provider(self) -> str: ...


ModelT = TypeVar("ModelT", bound=_Model)
SpecT = TypeVar("SpecT")


@dataclass(slots=True, kw_only=True)
class TextCall(Generic[ModelT, SpecT]):
    """One call of a text encoder. spec: its checked request. num_truncated counts the texts that were cut."""

    call: Call
    model: ModelT
    served: common_pb2.ServedModel
    spec: SpecT
    meter: EncoderMeter
    pacer: Pacer = field(default_factory=Pacer)
    num_truncated: int = 0
    first_output_s: float | None = None

    def info(self, truncation_field: str) -> common_pb2.CallInfo:
        """Says what the call did, for its last message, and warns of texts that were cut."""
        warnings = []
        if self.num_truncated:
            texts = "1 text was" if self.num_truncated == 1 else f"{self.num_truncated} texts were"
            warnings.append(
                common_pb2.Warning(
                    code=common_pb2.WARNING_CODE_INPUT_TRUNCATED,
                    message=f"{texts} cut to the tokens that the model allows, see Model.limits",
                    field_path=truncation_field,
                )
            )
        return answers.encoder_info(self.call, self.served, self.meter, self.first_output_s, warnings)


@contextlib.contextmanager
def text_call(
    catalog: Catalog,
    capability: type[ModelT],
    name: str,
    path: str,
    check: Callable[[ModelT | None, Violations], SpecT],
) -> Iterator[TextCall[ModelT, SpecT]]:
    """Lends the model that the request names at `path`, and meters the call.

    check: raises what is wrong with the request, or returns what is to be done; without a name it is called without a
    model, so that the caller hears of everything else as well. Raises what Catalog.lease raises.
    """
    found = Violations()
    if not name:
        found.add(path, model_is_missing(capability, catalog.able(capability)))
        check(None, found)
        raise AssertionError("a missing name is a violation")
    with catalog.lease(name, capability, path) as lease:
        call = current_call()
        call.model = lease.card.name
        spec = check(lease.model, found)
        meter = EncoderMeter()
        call.usage = lambda: answers.encoder_usage(meter)
        yield TextCall(
            call=call,
            model=lease.model,
            served=answers.served_model(lease.card, lease.model.execution_provider),
            spec=spec,
            meter=meter,
        )
