"""Options and arguments, taken as they were typed where there is nothing to convert.

Typer has pydantic look at every value, and importing pydantic takes a fifth of what a command may.
Texts, file names and what stands as the default need nobody to look at them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from typer import Context
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

Parameter = TyperArgument | TyperOption
ORDER: Final = "cardquorum.order"


class _Plain:
    """What a command and a group have in common."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 -- typer's own
        """Read the words of the command line, with our conversion before typer's.

        It is put where typer keeps its own once that is made. A typer that keeps it elsewhere
        converts as ever, and takes longer for it.
        """
        for parameter in self.get_params(ctx):  # type: ignore[attr-defined]  # typer's class has it
            if isinstance(parameter, Parameter) and hasattr(parameter, "_runtime_param"):
                parameter._runtime_param = _AsTyped()  # type: ignore[assignment]  # noqa: SLF001 -- typer's own place
        rest: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]  # as above
        return rest


class Command(_Plain, TyperCommand):
    """A command whose options and arguments are taken as typed, their order remembered."""

    def make_parser(self, ctx: Any) -> Any:  # noqa: ANN401 -- typer's own
        """Return typer's parser; what it reads in which order is noted in the context."""
        parser = super().make_parser(ctx)
        read = parser.parse_args

        def noting(args: list[str]) -> Any:  # noqa: ANN401 -- typer's own
            values, rest, order = read(args)
            ctx.meta[ORDER] = tuple(parameter.name for parameter in order)
            return values, rest, order

        parser.parse_args = noting  # type: ignore[method-assign]  # typer tells it nobody else
        return parser


def in_order(order: Sequence[str], **given: Sequence[str] | None) -> list[tuple[str, str]]:
    """Return each value of several options with its option's name, as they were typed in turn.

    `order` is what a context notes. Values that it does not tell of come last.
    """
    left = {name: list(values or ()) for name, values in given.items()}
    found = [(name, left[name].pop(0)) for name in order if left.get(name)]
    return found + [(name, value) for name, values in left.items() for value in values]


class Group(_Plain, TyperGroup):
    """A group of commands, with the same of its own options."""


class _AsTyped:
    """What converts a parameter's values; typer's own does it where that is not plain."""

    def coerce(self, value: Any, param: Parameter, ctx: Context) -> Any:  # noqa: ANN401 -- any option's
        """Return a value as the command gets it."""
        kind = param.type_descriptor.annotation
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        own = getattr(param.type_descriptor.parameter_info, "parser", None)
        if own is not None:
            return [own(each) for each in value] if isinstance(value, list | tuple) else own(value)
        plain = kind in {str, bool} or (kind is int and value == param.default)
        if plain and type(value) is kind:
            return value
        if kind is Path and type(value) is str:
            return Path(value)
        if kind == list[str] and all(type(each) is str for each in value):
            return list(value)
        param._runtime_param = None  # noqa: SLF001 -- typer makes its own anew
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)
