"""Steps where something is wrong: each danger of a vault, and what is lost, stolen or opened."""

from collections.abc import Callable, Iterator
from typing import Final

from coordinator.audit.branch_findings import WAIT_BEYOND_OLDER
from coordinator.audit.dangers import (
    APPROVAL_MISMATCH,
    BRANCH_OPEN,
    KEY_MISMATCH,
    KEYS_UNPROVED,
    LOCATION_LOSS_FATAL,
    NO_COPY,
    POLICY_NOT_APPROVED,
    QUORUM_LOST,
    QUORUM_STOLEN,
    ROWS_ALTERED,
    ROWS_UNAPPROVED,
    SAME_SEED,
    VAULT_ALTERED,
)
from coordinator.audit.exposure import exposure_of, quorum_left
from coordinator.audit.facts import PRIMARY, CarrierFacts, CosignerFacts, VaultFacts
from coordinator.custody.bags import BagFacts
from coordinator.guide import road
from coordinator.guide.facts import GuideFacts, VaultStanding
from coordinator.incident.step import Need, Step
from coordinator.notices import Severity

NOW: Final = "1"
Words = tuple[str, ...]


def threats(facts: GuideFacts) -> Iterator[Step]:
    """Yield what mends each danger of each vault, where anything can be done."""
    for vault in facts.vaults:
        for found in vault.dangers:
            mends = MENDS.get(found.code if not vault.altered else VAULT_ALTERED)
            anyway = vault.altered or found.code == APPROVAL_MISMATCH
            if mends and (vault.in_use or anyway):
                title, words = mends(facts, vault)
                if words:
                    yield Step(found.code, Severity.DANGER, title, found.message, words)


def _restore(_facts: GuideFacts, vault: VaultStanding) -> tuple[str, Words]:
    words = ("restore", Need("FILE"), "--home", Need("DIR"))
    return f"restore a backup made before vault {vault.name} was changed", words


def _approve(_facts: GuideFacts, vault: VaultStanding) -> tuple[str, Words]:
    words = ("vault", "approve", vault.name, "--checksum", Need("CHECKSUM"))
    return f"compare vault {vault.name} with its paper: first address and checksum", words


def _move(facts: GuideFacts, vault: VaultStanding) -> tuple[str, Words]:
    """Return the way out of a vault that others may spend; an empty one goes out of use.

    Too few keys to move anything: what is lost has to be found before.
    """
    if vault.facts.free_sats > 0:
        lost = any(each.gone == "lost" for each in vault.facts.carriers())
        if lost and quorum_left(exposure_of(vault.facts)) is None:
            return _find(facts, vault)
        title = f"move the coins of vault {vault.name} to keys nobody else has, now"
        return title, _out(facts, vault)
    waiting = (each for each in facts.payments if each.line.height is None)
    if vault.facts.value_sats > 0 or any(each.line.vault == vault.name for each in waiting):
        return "", ()  # a payment holds them: it is what moves them
    return f"take vault {vault.name} out of use", ("vault", "retire", vault.name)


def _close(facts: GuideFacts, vault: VaultStanding) -> tuple[str, Words]:
    """Return what closes a branch again, or else takes the coins by it while it is open."""
    if vault.facts.free_sats <= 0:
        return "", ()  # a payment holds the coins: it is what moves them
    name, words = vault.name, _out(facts, vault)
    if "recover" in words:
        return f"move the coins of vault {name} by its later keys, whose wait is over", words
    if any(each.height is not None for each in vault.facts.branches):
        return f"move the coins of vault {name} to one whose later keys wait longer", words
    title = f"move the coins of vault {name} to itself: their wait starts anew"
    return title, ("spend", "refresh", name, *road.rate(facts, "--target", NOW))


def _out(facts: GuideFacts, vault: VaultStanding) -> Words:
    """Return what moves all coins elsewhere: by a branch that is open where that alone can."""
    left = quorum_left(exposure_of(vault.facts))
    if left is None or left.name == PRIMARY:
        return road.drain(facts, vault.name, NOW)
    named = () if left.name == vault.facts.branches[0].name else ("--branch", left.name)
    words = ("spend", "recover", vault.name, *named, "--to", road.ADDRESS)
    return (*words, *road.rate(facts, "--target", NOW))


def _find(_facts: GuideFacts, vault: VaultStanding) -> tuple[str, Words]:
    """Return what brings a quorum back: what is lost is found, or a card is known again."""
    for each in vault.facts.carriers():
        if each.gone == "lost":
            card = ("card", "found", each.name)
            record = ("custody", "record", each.subject, "found")
            return f"find {each.subject}, then say so", card if each.card else record
    if any(each.orphaned for each in vault.facts.cosigners):
        title = f"enrol a card that has a key of vault {vault.name}"
        return title, ("card", "enrol", road.LABEL)
    title = f"take vault {vault.name} out of use: too few of its keys are left, and none is lost"
    return title, ("vault", "retire", vault.name)


def _prove(_facts: GuideFacts, vault: VaultStanding) -> tuple[str, Words]:
    unproved = [each for each in vault.facts.cosigners if each.verified is not True]
    if any(each.on_card_here for each in unproved):
        title = f"have each card of vault {vault.name} prove its key"
        return title, ("vault", "verify", vault.name)
    return f"enrol a card of vault {vault.name}", ("card", "enrol", road.LABEL)


def _print(facts: GuideFacts, vault: VaultStanding) -> tuple[str, Words]:
    if not facts.places:
        words = ("location", "add", road.LOCATION, "--kind", Need("KIND"))
        return f"name a place for the kit of vault {vault.name}", words
    for copy in vault.facts.copies:
        if copy.current and copy.location is None:
            step = road.placing(copy.subject, Severity.DANGER)
            return step.title, step.words
    for place in road.bare_places(vault):
        step = road.print_kit(vault, place)
        return step.title, step.words
    kit = ("kit", vault.name, "--out", road.DIR, "--location", road.LOCATION)
    return f"print the kit of vault {vault.name} and put it away", kit


def _verify(_facts: GuideFacts, _vault: VaultStanding) -> tuple[str, Words]:
    return "see which rows of the database somebody changed", ("custody", "verify")


def _compare_keys(_facts: GuideFacts, _vault: VaultStanding) -> tuple[str, Words]:
    return "see whose key nobody compared on this computer yet", ("operator", "list")


MENDS: Final[dict[str, Callable[[GuideFacts, VaultStanding], tuple[str, Words]]]] = {
    APPROVAL_MISMATCH: _restore,
    VAULT_ALTERED: _restore,
    ROWS_ALTERED: _verify,
    ROWS_UNAPPROVED: _compare_keys,
    POLICY_NOT_APPROVED: _approve,
    QUORUM_STOLEN: _move,
    QUORUM_LOST: _find,
    BRANCH_OPEN: _close,
    SAME_SEED: _move,
    KEY_MISMATCH: _prove,
    KEYS_UNPROVED: _prove,
    NO_COPY: _print,
    WAIT_BEYOND_OLDER: _move,
}


def unmended(facts: GuideFacts) -> Iterator[Step]:
    """Yield what helps against each danger, in the audit's words, where no command does."""
    for vault in facts.vaults:
        for found in vault.dangers:
            yield Step(found.code, Severity.DANGER, found.remedy, found.message, ())


def incidents(facts: GuideFacts) -> Iterator[Step]:
    """Yield what to do about things that are gone or were opened, while a quorum is left."""
    for vault in facts.vaults:
        codes = {each.code for each in vault.dangers}
        if not vault.in_use or codes & {QUORUM_LOST, QUORUM_STOLEN, VAULT_ALTERED, SAME_SEED}:
            continue
        for key in vault.facts.all_keys():
            yield from _gone(facts, vault, key)
        for each in vault.facts.carriers():
            if each.bag is not None and each.gone is None:
                yield from _opened(vault, each.subject, each.bag)
        for copy in vault.facts.copies:
            if copy.bag is not None and copy.gone is None:
                yield from _opened(vault, copy.subject, copy.bag)


def _gone(facts: GuideFacts, vault: VaultStanding, key: CosignerFacts) -> Iterator[Step]:
    """Yield the way to a vault without a key that somebody else may have, or no card has."""
    gone = [each for each in key.carriers if road.is_taken(each)]
    card = road.of_key(key.carriers)
    if not gone or card is None:
        return
    worst = max(gone, key=lambda each: each.gone == "stolen")
    event = worst.gone
    last_spare = any(each.code == LOCATION_LOSS_FATAL for each in vault.dangers)
    severity = Severity.DANGER if event == "stolen" or last_spare else Severity.WARNING
    why = _why(vault.facts, key, worst)
    usable = road.usable_cards(facts)
    if not usable:
        step = road.set_up_card(facts, f"a card in place of {card}", why, code=f"card_{event}")
        yield step._replace(severity=severity)
        return
    new = usable[0].label
    words = ("replace", "start", vault.name, "--card", card, "--with", new, *road.rate(facts))
    title = f"make a vault without card {card}, and move the coins there"
    yield Step(f"card_{event}", severity, title, why, words)


def _why(facts: VaultFacts, key: CosignerFacts, gone: CarrierFacts) -> str:
    found = "; where it was found: cardquorum card found LABEL" if gone.gone == "lost" else ""
    left = f"{len(facts.cosigners) - 1} keys are left, {facts.threshold} are needed"
    costs = "one more loss and the coins are gone"
    if key not in facts.cosigners:
        branch = next(each for each in facts.branches if key in each.keys)
        left = f"{branch.said} are {len(branch.keys)}, {branch.threshold} are needed"
        costs = "nobody may be able to spend by them"
    return f"{gone.subject} is recorded as {gone.gone}: {left}; {costs}{found}"


def _opened(vault: VaultStanding, subject: str, bag: BagFacts) -> Iterator[Step]:
    if bag.opened is None and bag.other is None:
        return
    other = f"seen as bag {bag.other}" if bag.other else "opened"
    grave = any(subject in each.subjects for each in vault.dangers)
    yield Step(
        "bag_mismatch" if bag.other else "bag_opened",
        Severity.DANGER if grave else Severity.WARNING,
        f"look at {subject}, then seal it in a new bag",
        f"bag {bag.serial} was {other}: if that was not you, do not seal it again but say that it "
        f"was stolen: cardquorum custody record {subject} stolen",
        ("custody", "record", subject, "sealed", "--seal", Need("SERIAL")),
    )
