"""operator: who works in this home's database, by keys that people compared."""

from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.context import Context
from coordinator.cli.output import columns
from coordinator.cli.result import Result

if TYPE_CHECKING:
    from coordinator.home.operators import Listed

Name = Annotated[str, typer.Argument(help="what this home calls them")]


def list_operators(context: Context) -> Result:
    """List this home's operator, those approved here, and who else signed.

    A key that only a row names counts for nothing until it is approved.

    \b
    Example: cardquorum operator list
    """
    from coordinator.home import operators

    with context.database.begin() as db:
        found = operators.listed(context.home, db)
    rows = [(each.name, each.state, each.statements, each.fingerprint) for each in found]
    lines = columns(rows, "operator", "state", "signed", "fingerprint of the key")
    return Result({"operators": found}, lines)


def show(context: Context) -> Result:
    """Show this home's own operator, for the others to approve.

    Tell them the fingerprint by a way that nobody changes: face to face, or by a voice you know.

    \b
    Example: cardquorum operator show
    """
    from coordinator.home import operators

    return _shown(operators.own(context.home))


def _shown(own: "Listed") -> Result:
    lines = [
        f"operator {own.name}",
        f"key {own.key}",
        f"fingerprint {own.fingerprint}",
        "the others, once you told them the fingerprint: "
        f'cardquorum operator approve {own.name} --fingerprint "{own.fingerprint}"',
    ]
    return Result({"operator": own}, lines)


def name(
    context: Context, own: Annotated[str, typer.Argument(metavar="NAME", help="your name")]
) -> Result:
    """Name this home's own operator.

    Until then it is called as the computer is.

    \b
    Example: cardquorum operator name anna
    """
    from coordinator.home import operators

    return _shown(operators.own(operators.rename(context.home, own)))


def approve(
    context: Context,
    operator: Name,
    key: Annotated[
        str | None, typer.Option(help="their public key, 64 hex digits", metavar="KEY")
    ] = None,
    fingerprint: Annotated[
        str | None,
        typer.Option(help="what they told you: 32 hex digits; spaces are fine", metavar="DIGITS"),
    ] = None,
) -> Result:
    """Approve an operator whose key you compared with them.

    The name is of your choice: what they propose bears it here from then on. It is still reviewed
    before a card of yours signs.

    \b
    Example: cardquorum operator approve ben --fingerprint "6e1f 0c44 9a27 d3b8 51c0 7f9e 2ab6 e804"
    """
    from coordinator.home import operators

    with context.database.begin() as db:
        found = operators.approve(context.home, db, operator, key=key, digits=fingerprint)
    return Result({"operator": found}, [f"operator {found.name} is approved: {found.fingerprint}"])


def remove(context: Context, operator: Name) -> Result:
    """Approve an operator's keys no more.

    What they did stays, as somebody's who is not known.

    \b
    Example: cardquorum operator remove ben
    """
    from coordinator.home import operators

    found = operators.remove(context.home, operator)
    lines = [f"operator {operator} is not approved any more: {each.fingerprint}" for each in found]
    return Result({"operators": found}, lines)


COMMANDS = {
    "operator": {
        "list": list_operators,
        "show": show,
        "name": name,
        "approve": approve,
        "remove": remove,
    },
}
