"""What is next, in order: what is dangerous, what is due, and then the road to a safe vault.

`next_steps` is a pure function of the facts; `is_safe` says without asking it where that ends.
"""

from collections.abc import Iterator
from typing import Final

from coordinator.audit import rule_findings
from coordinator.audit.dangers import (
    APPROVAL_MISMATCH,
    KEY_MISMATCH,
    KEYS_UNPROVED,
    NO_COPY,
    POLICY_NOT_APPROVED,
    ROWS_ALTERED,
    ROWS_UNAPPROVED,
    VAULT_ALTERED,
)
from coordinator.guide import emergencies, road, yearly
from coordinator.guide.facts import GuideFacts, VaultStanding
from coordinator.guide.separation import is_apart, together
from coordinator.home.settings import EMBEDDED_CHAIN, OFFLINE
from coordinator.incident.step import Need, Step
from coordinator.notices import Severity
from coordinator.shown_text import counted
from coordinator.wallet import scans
from coordinator.wallet.refresh_state import CODE as REFRESH_DUE

ORDER: Final = (Severity.DANGER, Severity.WARNING, Severity.INFO)
UNMOVED: Final = frozenset(
    {
        *(APPROVAL_MISMATCH, POLICY_NOT_APPROVED, VAULT_ALTERED),
        *(ROWS_ALTERED, ROWS_UNAPPROVED, KEY_MISMATCH, KEYS_UNPROVED, NO_COPY),
    }
)
"""Dangers that a payment under way is no part of the way out of; of others it comes first."""
SENT: Final = frozenset({"finalize", "broadcast"})
SIGNING: Final = {
    "sign": (
        "sign payment {1} of vault {0}",
        "the cards of {0} sign it, each after showing its PIN",
    ),
    "finalize": (
        "put payment {1} of vault {0} together",
        "all signatures are there: they are joined and checked",
    ),
    "broadcast": ("send payment {1} of vault {0}", "it is finished and was not sent yet"),
    "export": (
        "have the others sign payment {1} of vault {0}",
        "this vault has signed it, {2} of others not yet: FILE is for them to sign; what comes "
        "back is taken by cardquorum spend add {1} FILE",
    ),
    "abandon": (
        "give payment {1} of vault {0} up",
        "what is stored of it cannot be used; its coins are free then",
    ),
}


def next_steps(facts: GuideFacts) -> list[Step]:
    """Return what can be done now, the most pressing first; no command twice."""
    if facts.network is None:
        return [road.make_home()]
    payments = list(_payments(facts))
    found = [  # a payment with all its signatures wants no card to save what it moves
        *(step for step in payments if step.severity is Severity.DANGER and step.words[1] in SENT),
        *emergencies.threats(facts),
        *emergencies.incidents(facts),
        *_replacements(facts),
        *payments,
        *_news(facts),
        *together(facts),
        *_by_calendar(facts),
        *_due(facts),
        *road.road(facts),
    ]
    if not any(step.severity is Severity.DANGER for step in found):
        found += emergencies.unmended(facts)
    once: dict[str, Step] = {}
    for step in found:
        once.setdefault(step.command or step.title, step)
    ordered = sorted(once.values(), key=lambda step: ORDER.index(step.severity))
    if facts.writable:
        return ordered
    only = "this home can only be read here: do it as its owner"
    return [step._replace(words=(), why=f"{step.why}; {only}") for step in ordered]


def is_safe(facts: GuideFacts) -> bool:
    """Tell whether a vault is in use that is proved, on paper, rehearsed, with nothing amiss.

    Each key is proved and on a card that is not gone, in a bag that holds if in any; where each
    card lies and who knows its PIN is recorded, no PIN with its card, nor at one place that must
    not burn, and no cards together that one visit must not take; a copy lies at each place of a
    key; money went in and out once, and every card was drilled. Nothing dangerous is known, no
    payment waits, and no money is left at a vault that was replaced. What is due every year is not
    asked here.
    """
    waiting = any(payment.verb is not None for payment in facts.payments)
    if facts.network is None or waiting or facts.news or not facts.scrubbed:
        return False
    if any(vault.dangers for vault in facts.vaults):
        return False
    in_use = facts.vaults_in_use
    left = any(vault.replacing for vault in facts.vaults)
    return bool(in_use) and not left and all(_is_settled(facts, vault) for vault in in_use)


def _is_settled(facts: GuideFacts, vault: VaultStanding) -> bool:
    carriers = list(vault.facts.carriers())
    names = {each.name for each in carriers}
    told = not any(card.untold for card in facts.cards if card.label in names)
    here = (each for each in vault.facts.cosigners if each.on_card_here)
    return (
        all(each.verified for each in here)
        and not road.is_struck(vault)
        and all(each.location is not None for each in carriers if each.gone is None)
        and not road.bare_places(vault)
        and is_apart(vault.facts)
        and told
        and road.is_rehearsed(facts, vault)
        and vault.facts.drilled_at is not None
        and not vault.undrilled
    )


def _replacements(facts: GuideFacts) -> Iterator[Step]:
    for vault in facts.vaults:
        for step in vault.replacing or ():
            yield step._replace(severity=Severity.DANGER if vault.dangers else step.severity)


def _by_calendar(facts: GuideFacts) -> Iterator[Step]:
    """Yield what the waits of later branches ask for: coins moved to the vault, letters anew."""
    for vault in facts.vaults_in_use:
        for each in vault.due:
            name = vault.name
            words: tuple[str | Need, ...] = ("kit", name, "--out", Need("DIR"))
            if each.code == REFRESH_DUE:
                words = ("spend", "refresh", name, *road.rate(facts, "--target", "144"))
            yield Step(each.code, each.severity, each.message, each.remedy, words)


def _payments(facts: GuideFacts) -> Iterator[Step]:
    grave = {v.name for v in facts.vaults if {d.code for d in v.dangers} - UNMOVED}
    for payment in sorted(facts.payments, key=lambda each: each.urgency):
        line = payment.line
        if payment.verb is not None:
            missing = counted(payment.others_missing, "input")
            title, why = (
                text.format(line.vault, line.id, missing) for text in SIGNING[payment.verb]
            )
            words: tuple[str | Need, ...] = ("spend", payment.verb, line.id)
            yield Step(
                "payment",
                Severity.DANGER if line.vault in grave else Severity.WARNING,
                title,
                why,
                (*words, "--out", Need("FILE")) if payment.verb == "export" else words,
            )
        elif line.height is None and facts.chain == EMBEDDED_CHAIN:
            yield road.mine(f"payment {line.id} waits for a block")


def _news(facts: GuideFacts) -> Iterator[Step]:
    for told in facts.news:
        yield Step(
            "chain_news",
            Severity.WARNING,
            f"look at what happened to vault {told.vault}",
            told.message,
            ("history", told.vault),
        )


def _due(facts: GuideFacts) -> Iterator[Step]:
    """Yield what is late: of this home, and what the yearly round asks for."""
    if facts.late_clock is not None:
        yield Step("clock", Severity.WARNING, "set this computer's clock", facts.late_clock.message)
    if not facts.scrubbed:
        yield Step(
            "unscrubbed",
            Severity.WARNING,
            "seal places and people to the end",
            "it was cut off: free pages of the database still hold them in plain text",
            ("custody", "seal"),
        )
    for vault in facts.vaults:
        if not vault.looked and facts.chain != OFFLINE:
            yield Step(
                "not_looked",
                Severity.WARNING,
                f"look for the coins of vault {vault.name}",
                "nobody looked yet: what it holds is not known",
                tuple(scans.command_for(vault.name, facts.chain).split()[1:]),
            )
        if vault.in_use:
            yield from _overdue(facts, vault)


def _overdue(facts: GuideFacts, vault: VaultStanding) -> Iterator[Step]:
    for finding in rule_findings.overdue(vault.facts, facts.now):
        if finding.code == "not_checked":
            (subject,) = finding.subjects
            kind, _, name = subject.partition(":")
            card = ("card", "check", name, "--pin")
            words = card if kind == "card" else ("custody", "record", subject, "seen")
            title = f"look at {subject}, then say so"
            yield Step(finding.code, Severity.WARNING, title, finding.message, words)
        elif finding.code == rule_findings.LETTER_OLD:
            place = finding.subjects[-1].removeprefix("location:")
            yield road.print_kit(vault, place)._replace(
                code=finding.code, severity=finding.severity, why=finding.message
            )
        else:
            title = f"rehearse vault {vault.name}; no coin moves"
            yield Step(finding.code, Severity.WARNING, title, finding.message, road.drilling(vault))
            if finding.code == "drill_overdue":
                yield yearly.advisories(vault)
