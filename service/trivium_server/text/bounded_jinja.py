"""A jinja2 sandbox in which a template can neither run for ever nor fill the memory.

jinja2's own sandbox keeps templates from the interpreter, but not from the machine: it lets them nest loops, recurse,
and multiply strings. Here every turn of a loop and every call asks a `Budget` for time, and whatever makes text or
lists longer asks it for room first. Built-ins whose result is hard to foresee, and which no chat template needs, are
left out.
"""

import functools
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.ext import loopcontrols
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

# Reading the clock of a thread is a system call.
_TURNS_PER_LOOK = 16
# What a list or a mapping weighs beside its content: about its bytes, and it bounds how many are looked at.
_NODE_WEIGHT = 64
_MAX_INTEGER_BITS = 4096
_MAX_WIDTH = 1000
_MAX_JSON_INDENT = 16
_LEFT_OUT = ("batch", "center", "pprint", "slice", "urlize", "wordwrap", "xmlattr")
_GLOBALS = ("dict", "namespace", "range")
# These do not make text of what is in a list, so they need not look into it.
_SHALLOW_FILTERS = frozenset(
    {"count", "d", "default", "first", "items", "last", "length", "list", "map", "reject", "rejectattr", "select"}
    | {"selectattr"}
)
_WIDE_FORMAT = re.compile(r"\d{4}|%[^a-zA-Z%]*\*|:[^}]*\{")

# Values of templates are of every kind.
Value = Any


class TemplateOverrunError(Exception):
    """A template took more time or room than it was given; the text says which, as the end of a sentence."""


class Budget:
    """What one rendering may take: seconds of its thread's CPU time, and characters made, all intermediate ones too.

    Belongs to the thread that makes it.
    """

    def __init__(self, *, cpu_s: float, characters: int) -> None:
        self._cpu_s = cpu_s
        self._end_s = time.thread_time() + cpu_s
        self._characters = characters
        self._left = characters
        self._turns = 0

    def turn(self) -> None:
        """Counts a turn of a loop, or a call. Raises TemplateOverrunError when the time is up."""
        self._turns += 1
        if self._turns % _TURNS_PER_LOOK == 0 and time.thread_time() > self._end_s:
            raise TemplateOverrunError(f"takes more than {self._cpu_s:g} s of CPU time")

    def make(self, num_characters: int) -> None:
        """Takes room for text that will be made. Raises TemplateOverrunError when there is not so much left."""
        self._left -= num_characters
        if self._left < 0:
            raise TemplateOverrunError(f"makes more than {self._characters} characters of text")

    def weigh(self, value: Value) -> int:
        """Returns about how long the text of a value is. Raises TemplateOverrunError when it would not fit."""
        if isinstance(value, str):
            return len(value)
        weight, rest = 0, [value]
        while rest:
            item = rest.pop()
            if isinstance(item, str):
                weight += len(item)
                continue
            weight += _NODE_WEIGHT
            if isinstance(item, list | tuple | set | frozenset):
                rest.extend(item)
            elif isinstance(item, dict):
                rest.extend(item)
                rest.extend(item.values())
            if weight > self._left:
                self.make(weight)
        return weight


_SPENT: ContextVar[Budget | None] = ContextVar("trivium_template_budget", default=None)


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Compiles templates that run within the budget of `spending`. May be used by several threads."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[loopcontrols],
            finalize=pass_context(lambda _context, value: self._output(value)),
        )
        self.globals = {name: self.globals[name] for name in _GLOBALS}
        self.filters["tojson"] = _to_json
        self.filters = {
            name: self._within_budget(name, function)
            for name, function in self.filters.items()
            if name not in _LEFT_OUT
        } | {"_paced": self._paced, "_joined": self._joined}

    def spending(self, budget: Budget, render: Callable[[], str]) -> str:
        """Runs `render`, which renders templates of this environment, in this thread and within the budget."""
        previous = _SPENT.set(budget)
        try:
            return render()
        finally:
            _SPENT.reset(previous)

    @property
    def _budget(self) -> Budget:
        budget = _SPENT.get()
        if budget is None:
            # The compiler tries to work out what is constant; that, too, has to wait for a budget.
            raise nodes.Impossible
        return budget

    def _generate(self, source: nodes.Template, *arguments: Value, **options: Value) -> str:
        """Puts the budget into a parsed template: jinja2's hook between its parser and its code generator."""
        for loop in list(source.find_all(nodes.For)):
            assert isinstance(loop.iter, nodes.Expr), "the grammar has nothing else there"
            loop.iter = _filtered(loop.iter, "_paced")
        for output in list(source.find_all(nodes.Output)):
            # `finalize` sees every value but not the text between tags, which a loop in a macro may repeat.
            output.nodes = [
                nodes.Const(node.data, lineno=node.lineno) if isinstance(node, nodes.TemplateData) else node
                for node in output.nodes
            ]
        for concat in list(source.find_all(nodes.Concat)):
            concat.nodes = [_filtered(nodes.List(concat.nodes, lineno=concat.lineno), "_joined")]
        source.set_environment(self)
        return super()._generate(source, *arguments, **options)

    def call(self, context: Context, function: Value, /, *arguments: Value, **options: Value) -> Value:
        """Calls a function, method or macro of a template."""
        self._budget.turn()
        owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
        if isinstance(owner, str):
            arguments = self._checked(name, owner, arguments, options)
        elif isinstance(function, LoopContext) and arguments:
            arguments = (self._paced(arguments[0]), *arguments[1:])
        return self._counted(super().call(context, function, *arguments, **options))

    def call_binop(self, context: Context, operator: str, left: Value, right: Value) -> Value:
        """Works out `left operator right`."""
        budget = self._budget
        budget.turn()
        if isinstance(left, int) and isinstance(right, int):
            factor = {"**": abs(right), "*": 1}.get(operator, 0)
            if factor * left.bit_length() + (right.bit_length() if operator == "*" else 0) > _MAX_INTEGER_BITS:
                raise TemplateOverrunError(f"makes a number of more than {_MAX_INTEGER_BITS} bits")
        elif operator == "*":
            times, sequence = (left, right) if isinstance(left, int) else (right, left)
            if isinstance(times, int):
                budget.make(budget.weigh(sequence) * max(0, times))
        elif operator == "+":
            budget.make(_length(left) + _length(right))
        elif operator == "%" and isinstance(left, str):
            _check_format(left)
            budget.make(len(left) + budget.weigh(right))
        return super().call_binop(context, operator, left, right)

    def wrap_str_format(self, value: Value) -> Callable[..., str] | None:
        """Guards `str.format`."""
        wrapped = super().wrap_str_format(value)
        if wrapped is not None:
            _check_format(value.__self__)
        return wrapped

    def _within_budget(self, name: str, function: Callable[..., Value]) -> Callable[..., Value]:
        # Filters may want the context, the evaluation context or the environment before the value.
        at = 1 if hasattr(function, "jinja_pass_arg") else 0

        @functools.wraps(function)  # keeps that mark
        def run(*arguments: Value, **options: Value) -> Value:
            budget = self._budget
            budget.turn()
            value = arguments[at] if len(arguments) > at else None
            if name not in _SHALLOW_FILTERS:
                rest = self._checked(name, value, arguments[at + 1 :], options)
                if name == "join":
                    value = list(value or ())
                    budget.make(len(value) * sum(map(_length, (*rest, *options.values()))))
                budget.make(budget.weigh(value))
                arguments = (*arguments[:at], value, *rest)
            return self._counted(function(*arguments, **options))

        return run

    def _checked(
        self, name: str, value: Value, arguments: tuple[Value, ...], options: dict[str, Value]
    ) -> tuple[Value, ...]:
        """Takes room for what a built-in of strings will make of `value`; returns its arguments."""
        budget = self._budget
        given = (*arguments, *options.values())
        match name:
            case "replace" if len(given) >= 2:
                budget.make(str(value).count(str(given[0])) * _length(given[1]))
            case "join" if isinstance(value, str) and arguments:
                items = list(arguments[0])
                budget.make(budget.weigh(items) + len(items) * len(value))
                return (items, *arguments[1:])
            case "center" | "ljust" | "rjust" | "zfill" | "expandtabs" | "indent" | "tojson":
                most = _MAX_JSON_INDENT if name == "tojson" else _MAX_WIDTH
                width = max((abs(item) if isinstance(item, int) else _length(item) for item in given), default=8)
                if width > most:
                    raise TemplateOverrunError(f"uses {name} with a width over {most}")
                places = value.count("\n") + value.count("\t") if isinstance(value, str) else 0
                budget.make((places + 1) * width)
            case "format" if isinstance(value, str):
                _check_format(value)
                budget.make(budget.weigh(given))
            case "translate":
                raise SecurityError("access to translate is unsafe")
        return arguments

    def _counted(self, result: Value) -> Value:
        self._budget.make(_length(result))
        return result

    def _output(self, value: Value) -> Value:
        budget = self._budget
        budget.make(budget.weigh(value))
        return value

    def _paced(self, items: Iterable[Value]) -> Iterator[Value]:
        budget = self._budget
        for item in items:
            budget.turn()
            yield item

    def _joined(self, items: list[Value]) -> str:
        budget = self._budget
        budget.make(budget.weigh(items))
        return "".join(map(str, items))


def _filtered(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _length(value: Value) -> int:
    return len(value) if isinstance(value, str | list | tuple | dict) else 0


def _check_format(text: str) -> None:
    """Refuses widths that would make a long text of a short value."""
    if _WIDE_FORMAT.search(text):
        raise TemplateOverrunError("formats with a width that is too large, or not a plain number")


def _to_json(value: Value, **options: Value) -> str:
    return json.dumps(value, ensure_ascii=False, **options)
