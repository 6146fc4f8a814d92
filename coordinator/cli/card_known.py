"""card list and show: what is known of the cards, without touching one."""

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from coordinator.cli.context import Context
from coordinator.cli.output import Result, columns


def list_cards(context: Context) -> Result:
    """List the cards known here, with place and origin of the key.

    \b
    Example: cardquorum card list
    """
    from coordinator.audit import acceptance
    from coordinator.cli.output import danger_lines
    from coordinator.enrolment import listing as known

    with context.database.begin() as db:
        found = known.listed(db, context.home.network)
        threatened = acceptance.all_dangers(context.home, db)
    told = [line for vault, each in threatened for line in danger_lines(vault.name, each)]
    listed = [
        {"vault": vault.name, **danger._asdict()}
        for vault, dangerous in threatened
        for danger in dangerous
    ]
    rows = [
        (
            f["label"],
            f["family"],
            f["version"],
            f["attestation"]["result"],
            f["location"],
            ", ".join(f"{k['path']} {_made(k['created_on'])}" for k in f["keys"]),
        )
        for f in found
    ]
    header = ("card", "family", "version", "attestation", "place", "key")
    document = {"cards": found, "dangers": listed}
    return Result(document, [*told, *columns(rows, *header)])


def _made(created_on: str) -> str:
    return "of unknown origin" if created_on == "unknown" else f"made on {created_on}"


def show(
    context: Context, label: Annotated[str, typer.Argument(help="the card's label")]
) -> Result:
    """Show one card: key, place, history, what it can do.

    \b
    Example: cardquorum card show blue
    """
    from coordinator.enrolment import listing as known

    with context.book.begin() as db:
        found = known.shown(db, label, context.home.network)
    return Result(found, _lines(found))


def _lines(found: dict[str, Any]) -> Iterable[str]:
    from coordinator.custody.card_secrets import WORDS

    attested, resists = found["attestation"], found["resists"]
    plain = {
        **found,
        "attestation": f"{attested['result']} ({attested['reason']})",
        "other_software": ", ".join(found["other_software"]) or "none known",
        "signs": ", ".join(found["signs"]),
        "resists": f"{resists['sentence']} ({resists['source']})",
    }
    for name, value in plain.items():
        if name not in {"history", "keys", "secrets", "thief_with_card_alone"}:
            yield f"{name}: {value if value is not None else '-'}"
    for key in found["keys"]:
        yield f"key {key['expression']} (made on: {key['created_on']})"
    for secret in found["secrets"]:
        who, where = (", ".join(secret[names]) for names in ("known_by", "written_at"))
        told = f"known by {who or 'nobody'}, written at {where or 'nowhere'}"
        yield f"{WORDS[secret['kind']]}: {told}"
    for event in found["history"]:
        yield f"{event['happened_at'].date()} {event['event']} {event['location'] or ''}"
