"""`trials.sleeping_server` as it must not be: models load on the event loop, which answers nobody meanwhile. A control.

python -m trials.inline_loading_server --models-dir FOLDER …     all options of trivium serve
"""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

from trials.sleeping_server import add_family
from trivium_server.architectures import catalog
from trivium_server.cli import serve

_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Inline(Executor):
    """Has no threads: whoever gives it work does the work. Takes the arguments of ThreadPoolExecutor."""

    def __init__(self, _max_workers: int, thread_name_prefix: str) -> None:
        self._name = thread_name_prefix

    def submit(self, work: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        done: Future[_T] = Future()
        try:
            done.set_result(work(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # as an executor does
            done.set_exception(error)
        return done


if __name__ == "__main__":
    add_family()
    catalog.ThreadPoolExecutor = _Inline  # type: ignore[attr-defined,assignment]  # not what it exports
    serve(prog_name="python -m trials.inline_loading_server")
