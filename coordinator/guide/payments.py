"""Where each payment stands that is not final, for which cards it waits, and what moves it on."""

from collections.abc import Collection, Iterator, Sequence
from typing import Final, NamedTuple

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.custody import log as custody_log
from coordinator.home import statement_checks
from coordinator.home.operators import NOBODY
from coordinator.home.settings import Home
from coordinator.shown_text import counted
from coordinator.signing.missing_cards import wanted_cards
from coordinator.wallet.coins import tip_height
from coordinator.wallet.news import FINAL_CONFIRMATIONS
from coordinator.wallet.overview import NEXT_VERB, CeremonyLine, ceremony_line
from psbt.errors import PsbtError
from storage import cards as card_book
from storage import ceremonies as ceremony_book
from storage.model import Ceremony, Vault

NEAREST: Final = ("broadcast", "final", "complete", "collecting", "confirmed")


class WaitingFor(NamedTuple):
    """A card whose signature is missing: how a person is told of it, and where it lies."""

    label: str
    words: str
    place: str | None


class Standing(NamedTuple):
    """Where a payment stands, for which cards it waits, and the verb that moves it on.

    `others_missing` are inputs of others that are not signed, where this vault's all are.
    """

    line: CeremonyLine
    have: int
    need: int
    waiting_for: list[WaitingFor]
    expired: bool
    verb: str | None
    damaged: str | None = None
    others_missing: int = 0

    @property
    def next(self) -> str | None:
        """Return the command that moves it on."""
        return f"cardquorum spend {self.verb} {self.line.id}" if self.verb else None

    @property
    def signed(self) -> str:
        """Say what a payment that has all signatures of its vault waits for."""
        if self.others_missing:
            return f"signed here, {counted(self.others_missing, 'input')} of others not yet"
        return "signed, not put together yet"

    @property
    def urgency(self) -> tuple[int, object]:
        """Return what orders payments: what is nearest to its end first, then what ends first."""
        return NEAREST.index(self.line.state), self.line.expires


def payments(
    home: Home, db: Session, vaults: Sequence[Vault], *, gone: Collection[str] = ()
) -> Iterator[Standing]:
    """Yield the payments that are not final yet, newest first; `gone` left the chain again."""
    tips = {vault.id: tip_height(db, vault) for vault in vaults}
    going_on = ceremony_book.going_on(db, FINAL_CONFIRMATIONS)
    ours = [each for each in going_on if each.vault_id in tips]
    who = statement_checks.openers(home, db, [each for each in ours if each.state in NEXT_VERB])
    for found in ours:
        operator = who.get(found.public_id, NOBODY)
        line = ceremony_line(found, tips[found.vault_id], operator)
        yield _standing(db, found, line, vanished=found.txid in gone)


def _standing(db: Session, found: Ceremony, line: CeremonyLine, *, vanished: bool) -> Standing:
    need = found.vault.needed(found.branch)
    have, wanted, others = need, list[WaitingFor](), 0
    if found.state in {"collecting", "complete"}:
        from coordinator.payment.progress import progress  # noqa: PLC0415 -- costs 5 ms, seldom

        try:
            seen = progress(found)
        except PsbtError as failure:  # a row that cannot be used stands in nobody else's way
            return Standing(line, 0, need, [], False, "abandon", damaged=str(failure))
        if found.state == "collecting":
            have, wanted = seen.have, list(_wanted(db, found.vault, seen.missing))
        else:
            others = seen.others_missing
    verb = "export" if others else NEXT_VERB.get(found.state)
    return Standing(
        line,
        have,
        need,
        wanted,
        found.state in NEXT_VERB and found.expires_at <= clock.now(),
        "broadcast" if vanished else verb,
        others_missing=others,
    )


def _wanted(db: Session, vault: Vault, missing: Sequence[str]) -> Iterator[WaitingFor]:
    """Yield the cards that may still sign, and the keys no card here carries."""
    for label in missing:
        cards = wanted_cards(db, vault, [label])
        for card in cards:
            item = card_book.card_named(db, card.label).item
            place = custody_log.where_is(db, item).location
            yield WaitingFor(card.label, card.words, place)
        if not cards:
            gone = [
                f"its card {card.label} is recorded as {where.gone}"
                for each in vault.every_key
                if each.label == label
                for card in card_book.cards_with_key(db, each.key)
                if (where := custody_log.where_is(db, card.item)).gone
            ]
            why = f": {' and '.join(gone)}" if gone else ", which no card here carries"
            yield WaitingFor(label, f"the key {label}{why}", None)
