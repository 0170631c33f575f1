"""Values of a TensorFlow.js graph that do not depend on its input: weights, and shapes made of constants."""

import numpy as np

from trivium_models.errors import InvalidModelError
from trivium_models.vision.tfjs_source import Array, TfjsModel

_COMPUTED = frozenset({"SparseToDense", "AddV2"})


class TfjsConstants:
    """The constants of one model, by references to its nodes. Every method raises InvalidModelError."""

    def __init__(self, model: TfjsModel) -> None:
        self._model = model
        self._known: dict[str, bool] = {}

    def knows(self, reference: str) -> bool:
        """Whether the value is a constant."""
        name = reference.partition(":")[0]
        if name not in self._known:
            node = self._model.node(name)
            # Taken for no constant until it turns out to be one, so that a circle of nodes ends.
            self._known[name] = False
            inputs_known = node.operator in _COMPUTED and all(self.knows(one) for one in node.inputs)
            self._known[name] = node.operator == "Const" or inputs_known
        return self._known[name]

    def values(self, reference: str) -> Array:
        """The values."""
        name = reference.partition(":")[0]
        if not self.knows(name):
            raise InvalidModelError(f"{self._model.name}: {name} must not depend on the image")
        node = self._model.node(name)
        if node.operator == "Const":
            if name not in self._model.weights:
                raise InvalidModelError(f"{self._model.name}: there are no weights {name}")
            return self._model.weights[name]
        given = [self.values(one) for one in node.inputs]
        try:
            return self._sum(*given) if node.operator == "AddV2" else self._dense(*given)
        except (TypeError, ValueError, IndexError) as error:
            raise InvalidModelError(f"{self._model.name}: {name} cannot be computed: {error}") from error

    def counts(self, reference: str) -> list[int]:
        """The values as a list of whole numbers."""
        return [int(number) for number in np.asarray(self.values(reference), np.int64).ravel()]

    @staticmethod
    def _sum(first: Array, second: Array) -> Array:
        return np.asarray(np.add(first, second))

    @staticmethod
    def _dense(places: Array, shape: Array, values: Array, default: Array) -> Array:
        dense = np.full(tuple(np.atleast_1d(shape)), default, np.asarray(default).dtype)
        if places.size:
            dense[tuple(places.reshape(-1, dense.ndim).T)] = values
        return dense
