"""What about a transaction should make a person stop, as sentences with a code and a severity."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, NamedTuple

from psbt.coins import Outpoint
from psbt.network import Network
from psbt.policy import CHANGE, RECEIVE, Branch, script_type
from psbt.relay import (
    NodeView,
    fee_refusals,
    form_refusals,
    lock_refusals,
    package_refusals,
    per_vbyte,
    relay_vsize,
    sigops_refusals,
)
from psbt.replacement import Rival, least_fee_against
from psbt.timelocks import open_from
from psbt.transaction import Transaction

HIGH_FEE_DIVISOR: Final = 20  # 5 %
HIGH_FEERATE: Final = 500_000  # sat/kvB
NAMED_MAX: Final = 3
LOOKALIKE_CHARACTERS: Final = 3
KEYCHAINS: Final = {"receive": RECEIVE, "change": CHANGE}
LOCKS: Final = frozenset({"locked", "coin_locked"})


class Severity(StrEnum):
    """How much a caution matters; each danger has to be accepted by its code."""

    INFO = "info"
    WARNING = "warning"
    DANGER = "danger"


class Caution(NamedTuple):
    """One sentence about the transaction, with a code that stays the same."""

    code: str
    severity: Severity
    message: str


class ReviewInput(NamedTuple):
    """A coin that is spent; its amount is proven by the transaction that made it, or only stated.

    It is `own` where the policy derives its script; else `vault` names another vault of the same
    home, and `claims_own` tells that its fields name one of the vault's cosigners.
    """

    outpoint: Outpoint
    address: str
    value_sats: int
    proven: bool
    own: bool = True
    vault: str | None = None
    claims_own: bool = False


class ReviewOutput(NamedTuple):
    """An amount and where it goes; `own` is proven by derivation, `claims_own` is not.

    `address` is None where the script has none; `destination` says what it is then. `keychain` and
    `address_index` are of an own output, `vault` names another vault of the same home, `label` what
    the person calls the address.
    """

    address: str | None
    value_sats: int
    kind: Literal["payment", "change"]
    script_pubkey: bytes
    own: bool
    claims_own: bool
    destination: str
    keychain: Literal["receive", "change"] | None = None
    address_index: int | None = None
    vault: str | None = None
    label: str | None = None


class KnownVault(NamedTuple):
    """Another vault of the same home; `closed` says why it must not be paid any more."""

    name: str
    closed: str | None = None


class Facts(NamedTuple):
    """What the transaction does, with nothing said about it yet."""

    inputs: tuple[ReviewInput, ...]
    outputs: tuple[ReviewOutput, ...]
    fee_sats: int
    feerate: int
    vsize: int
    network: Network
    transaction: Transaction
    weight: int
    sigops_cost: int
    branch: Branch

    @property
    def payments(self) -> list[ReviewOutput]:
        """The outputs that are not change."""
        return [output for output in self.outputs if output.kind == "payment"]

    @property
    def foreign(self) -> list[ReviewInput]:
        """The coins spent that are not the vault's."""
        return [coin for coin in self.inputs if not coin.own]

    @property
    def net_sats(self) -> int:
        """What the vault pays in all, its share of the fee in it; below 0 it receives."""
        spent = sum(coin.value_sats for coin in self.inputs if coin.own)
        return spent - sum(output.value_sats for output in self.outputs if output.own)


@dataclass(frozen=True)
class Context:
    """What only the vault's history knows; `recent_addresses` are those paid before.

    `tip_height` None is a chain that nobody asked; `node` is what it would hold a payment against.
    `reach` is, by keychain, the last index that a search for the vault's coins looks at. `vaults`
    are the home's other vaults and `labels` what a person calls an address, by their scripts;
    `coin_vaults` names whose the coins of other vaults of the home are, and `rivals` are waiting
    payments that spend one of the coins too.
    """

    tip_height: int | None = 0
    reach: Mapping[int, int] = field(default_factory=dict)
    own_scripts: Mapping[bytes, tuple[int, int]] = field(default_factory=dict)
    vaults: Mapping[bytes, KnownVault] = field(default_factory=dict)
    labels: Mapping[bytes, str] = field(default_factory=dict)
    coin_vaults: Mapping[Outpoint, str] = field(default_factory=dict)
    used_scripts: Collection[bytes] = ()
    recent_addresses: Collection[str] = ()
    usual_amount_sats: int | None = None
    unconfirmed: Collection[Outpoint] = ()
    spends_all: bool = False
    rivals: Sequence[Rival] = ()
    node: NodeView = field(default_factory=NodeView)


def cautions(facts: Facts, context: Context) -> tuple[Caution, ...]:
    """Return every caution, the dangers first."""
    found = [caution for check in CHECKS for caution in check(facts, context)]
    order = [Severity.DANGER, Severity.WARNING, Severity.INFO]
    return tuple(sorted(found, key=lambda caution: order.index(caution.severity)))


def _fee(facts: Facts, _: Context) -> Iterator[Caution]:
    counted = facts.payments or facts.outputs
    amount = sum(output.value_sats for output in counted)
    if facts.fee_sats * HIGH_FEE_DIVISOR > amount:
        message = f"the fee of {facts.fee_sats} sats is more than 5 % of the {amount} sats paid"
        yield Caution("high_fee", Severity.DANGER, message)
    if facts.feerate > HIGH_FEERATE:
        message = (
            f"the fee rate of {per_vbyte(facts.feerate)} sat/vB is above {per_vbyte(HIGH_FEERATE)}"
        )
        yield Caution("high_feerate", Severity.DANGER, message)


def _relay(facts: Facts, context: Context) -> Iterator[Caution]:
    """Tell what the chain source would refuse: better now than after people travelled."""
    node, unsigned = context.node, facts.transaction
    vsize = relay_vsize(facts.weight, facts.sigops_cost)
    refusals = (
        *form_refusals(unsigned, facts.weight, node.rules),
        *sigops_refusals(facts.sigops_cost),
        *fee_refusals(facts.fee_sats, vsize, node.rules),
        *lock_refusals(unsigned, context.tip_height, node),
        *package_refusals(unsigned, vsize, node),
    )
    for refusal in refusals:
        unknown = context.tip_height is None and refusal.code in LOCKS
        severity = Severity.WARNING if unknown else Severity.DANGER
        yield Caution(refusal.code, severity, refusal.message)


def _destinations(facts: Facts, context: Context) -> Iterator[Caution]:
    for output in facts.outputs:
        if script_type(output.script_pubkey) == "unknown":
            message = f"{output.value_sats} sats go to no address but to: {output.destination}"
            yield Caution("unknown_script", Severity.DANGER, message)
        if output.claims_own and not output.own and output.vault is None:
            message = f"{output.destination} is made to look like change but is not the vault's"
            yield Caution("foreign_change", Severity.DANGER, message)
        if output.own and output.kind == "payment":
            message = f"{output.destination} is an address of the vault itself"
            yield Caution("own_address", Severity.WARNING, message)
        used = output.script_pubkey in context.used_scripts
        if used or output.address in context.recent_addresses:
            message = f"{output.destination} was used before"
            yield Caution("address_reuse", Severity.WARNING, message)


def _reach(facts: Facts, context: Context) -> Iterator[Caution]:
    """Warn of own outputs that nobody who looks for the vault's coins would find."""
    for output in facts.outputs:
        index, keychain = output.address_index, output.keychain
        if keychain is None or index is None:
            continue
        last = context.reach.get(KEYCHAINS[keychain])
        if last is not None and index > last:
            message = (
                f"{output.value_sats} sats go to {keychain} address {index} of the vault,"
                f" but a search for its coins looks up to {last} only"
            )
            yield Caution("change_out_of_reach", Severity.DANGER, message)


def _replacement(facts: Facts, context: Context) -> Iterator[Caution]:
    """Tell whether nodes let this payment replace those that wait (BIP 125)."""
    least = least_fee_against(context.rivals, facts.vsize, context.node.rules.replacement_step)
    if facts.fee_sats < least:
        message = (
            f"the fee of {facts.fee_sats} sats is too low to replace the waiting payment"
            f" {context.rivals[0].txid}: nodes ask for {least} sats or more"
        )
        yield Caution("replacement_underpaid", Severity.DANGER, message)


def _own_vaults(facts: Facts, context: Context) -> Iterator[Caution]:
    """Warn of a vault of the home that must not be paid any more."""
    for output in facts.payments:
        known = None if output.own else context.vaults.get(output.script_pubkey)
        if known is not None and known.closed is not None:
            message = f"vault {known.name} must not be paid any more: {known.closed}"
            yield Caution("closed_vault", Severity.WARNING, message)


def _lookalikes(facts: Facts, context: Context) -> Iterator[Caution]:
    """Warn of an address chosen to be taken for one that was paid before (poisoning)."""
    ends = {_ends(recent, facts.network): recent for recent in sorted(context.recent_addresses)}
    for output in facts.payments:
        if output.address is None or output.address in context.recent_addresses or output.vault:
            continue
        twin = ends.get(_ends(output.address, facts.network))
        if twin is not None:
            message = f"{output.address} begins and ends like {twin}, paid before, but differs"
            yield Caution("lookalike", Severity.DANGER, message)


def _coins(facts: Facts, context: Context) -> Iterator[Caution]:
    unproven = [coin.outpoint for coin in facts.inputs if coin.own and not coin.proven]
    if unproven:
        message = f"no previous transaction proves the amount of {_counted(unproven, facts)}"
        yield Caution("amount_unproven", Severity.DANGER, message)
    waiting = [coin.outpoint for coin in facts.inputs if coin.outpoint in context.unconfirmed]
    if waiting:
        message = f"not confirmed yet: {_counted(waiting, facts)}"
        yield Caution("unconfirmed_input", Severity.WARNING, message)
    strangers = [output for output in facts.payments if output.vault is None]
    if context.spends_all and (strangers or not facts.payments):
        yield Caution("spends_all", Severity.WARNING, "all coins of the vault are spent")
    amount = sum(output.value_sats for output in strangers)
    if facts.foreign:
        amount = facts.net_sats
    usual = context.usual_amount_sats
    if usual is not None and amount > usual:
        message = f"{amount} sats are paid, the vault's usual amount is up to {usual}"
        yield Caution("unusual_amount", Severity.WARNING, message)


def _foreign(facts: Facts, _: Context) -> Iterator[Caution]:
    """Tell whose inputs are whose, what that means for the vault, and what nobody proved."""
    others = facts.foreign
    if not others:
        return
    net = facts.net_sats
    told = (
        f"pays {net} sats in all, its share of the fee in it"
        if net > 0
        else (f"receives {-net} sats in all" if net else "neither pays nor receives anything")
    )
    message = (
        f"not of this vault: {_counted([coin.outpoint for coin in others], facts)};"
        f" nobody here signs for them, and this vault {told}"
    )
    yield Caution("foreign_inputs", Severity.WARNING, message)
    unproven = [coin.outpoint for coin in others if not coin.proven]
    if unproven:
        message = (
            f"the fee of {facts.fee_sats} sats is what the PSBT says: no previous transaction"
            f" proves the amount of {_counted(unproven, facts)}"
        )
        yield Caution("fee_unproven", Severity.WARNING, message)
    claimed = [coin.outpoint for coin in others if coin.claims_own and coin.vault is None]
    if claimed:
        message = (
            f"made to look like coins of the vault, but not its own: {_counted(claimed, facts)}"
        )
        yield Caution("foreign_coin_claimed", Severity.WARNING, message)


def _branch(facts: Facts, context: Context) -> Iterator[Caution]:
    """Tell by which recovery a payment is made, and since which block it can be."""
    branch = facts.branch
    if branch.wait is None:
        return
    heights = [
        None if age is None else age.height
        for age in (context.node.coins.get(coin.outpoint) for coin in facts.inputs if coin.own)
    ]
    opens = open_from(branch.wait, heights)
    since = "" if opens is None else f", open from block {opens} on"
    message = (
        f"spent by the {branch.name} branch, {branch.threshold} of {len(branch.keys)} keys after"
        f" {branch.wait}{since}"
    )
    yield Caution("recovery_branch", Severity.WARNING, message)


CHECKS: Final = (
    _branch,
    _foreign,
    _fee,
    _relay,
    _destinations,
    _reach,
    _own_vaults,
    _lookalikes,
    _coins,
    _replacement,
)


def _counted(outpoints: Sequence[Outpoint], facts: Facts) -> str:
    """Return how many of the coins spent they are, and name the first of them."""
    named = ", ".join(str(outpoint) for outpoint in outpoints[:NAMED_MAX])
    more = ", …" if len(outpoints) > NAMED_MAX else ""
    return f"{len(outpoints)} of {len(facts.inputs)} coins ({named}{more})"


def _ends(address: str, network: Network) -> tuple[str, str]:
    """Return the characters a person compares, without the prefix all addresses share."""
    prefix = f"{network.hrp}1"
    body = address[len(prefix) + 1 :] if address.startswith(prefix) else address[1:]
    return body[:LOOKALIKE_CHARACTERS], body[-LOOKALIKE_CHARACTERS:]
