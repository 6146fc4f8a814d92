"""The yearly round of a vault, and what else its owner may want: to receive, to pay."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from coordinator.guide import road
from coordinator.guide.facts import GuideFacts, VaultStanding
from coordinator.home.settings import OFFLINE
from coordinator.incident.step import Need, Step
from coordinator.notices import Severity


class Wish(StrEnum):
    """What somebody wants who has a vault, as it is chosen."""

    NEXT = "next"
    RECEIVE = "receive"
    PAY = "pay"
    ROUND = "round"
    HAPPENED = "happened"


TOLD: Final = {
    Wish.NEXT: "Go on with what is next",
    Wish.RECEIVE: "Receive money",
    Wish.PAY: "Pay somebody",
    Wish.ROUND: "Do the yearly round: cards, bags, papers, a rehearsal",
    Wish.HAPPENED: "Something happened",
}


def wished(wish: Wish, facts: GuideFacts, name: str) -> list[Step]:
    """Return the steps that do what is wanted with the vault of this name, in order."""
    vault = next(each for each in facts.vaults if each.name == name)
    return list(WISHED[wish](facts, vault)) if wish in WISHED else []


def _receive(_facts: GuideFacts, vault: VaultStanding) -> Iterator[Step]:
    yield _step(
        "wish_receive",
        f"take a new address of vault {vault.name}",
        "each address is used once: who pays to one sees nothing of the others",
        *("address", "new", vault.name),
    )


def _pay(facts: GuideFacts, vault: VaultStanding) -> Iterator[Step]:
    yield _step(
        "wish_pay",
        f"pay from vault {vault.name}",
        "it is shown before any card signs, and nothing moves until it is signed and sent",
        *("spend", "create", vault.name, "--to", Need("ADDRESS:AMOUNT")),
        *road.rate(facts, "--target", "6"),
    )


def _round(facts: GuideFacts, vault: VaultStanding) -> Iterator[Step]:
    """Yield the yearly round: the money, each thing where it lies, a drill, flaws, a backup."""
    if facts.chain != OFFLINE:
        yield _step(
            "round_money",
            f"look at the money of vault {vault.name}",
            "what came and went without you would show",
            *("sync", vault.name),
        )
    for each in vault.facts.carriers():
        if each.gone is None and each.bag is not None and each.bag.opened is None:
            yield _step(
                "round_bag",
                f"look at the bag of {each.subject}: is it whole, and what is its number",
                "a bag that was opened or changed shows that somebody had what is in it",
                *("custody", "record", each.subject, "seen", "--seal", Need("SERIAL")),
            )
        elif each.gone is None and each.card is not None:
            yield _step(
                "round_card",
                f"look at card {each.name}, and try its PIN",
                "a card that died, or a PIN nobody can find, shows while the others still pay; "
                "stop after one wrong PIN",
                *("card", "check", each.name, "--pin"),
            )
        elif each.gone is None:
            yield _look_at(each.subject)
    for copy in vault.facts.copies:
        if copy.current:
            yield _look_at(copy.subject)
    yield _step(
        "drill",
        f"rehearse with the cards of vault {vault.name}; no coin moves",
        "each card signs once where it lies; it may take some days",
        *road.drilling(vault),
    )
    yield advisories(vault)
    yield _step(
        "round_backup",
        "keep a copy of this folder away from this computer",
        "it holds no secret that spends; FILE is on a stick or disk that lies elsewhere",
        *("backup", "--out", Need("FILE")),
    )


def advisories(vault: VaultStanding) -> Step:
    """Return the step that looks for flaws that became known of a vault's cards."""
    cards = {f"{card.family} {card.version}" for _, card in vault.facts.cards()}
    return _step(
        "advisories",
        f"look whether flaws became known of {', '.join(sorted(cards)) or 'the keys'}",
        "read what their makers say; a signed list is read by --advisories FILE --advisory-key HEX",
        *("audit", vault.name),
    )


def _look_at(subject: str) -> Step:
    return _step(
        "round_thing",
        f"look at {subject}, then say so",
        "what fades, burns or is thrown away is missed before it is needed",
        *("custody", "record", subject, "seen"),
    )


def _step(code: str, title: str, why: str, *words: str) -> Step:
    return Step(code, Severity.INFO, title, why, words)


WISHED: Final = {Wish.RECEIVE: _receive, Wish.PAY: _pay, Wish.ROUND: _round}
