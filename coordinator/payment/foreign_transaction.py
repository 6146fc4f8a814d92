"""A payment that was finished elsewhere: what it spends, whether it holds, what it ends here."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from coordinator import clock
from coordinator.audit.acceptance import Accepted, refuse_unaccepted
from coordinator.chain import ChainSource
from coordinator.chain.regtest import policy as node_policy
from coordinator.errors import CeremonyError, TransactionRejected
from coordinator.home.settings import Home
from coordinator.home.stored_policies import stored_policy
from coordinator.notices import Notice, Severity
from coordinator.payment import psbt_file
from coordinator.payment.payment_files import meant_branch
from coordinator.payment.reviews import node_view, refuse_contradictions, rivals
from coordinator.wallet.scripts import vaults_of
from psbt import codec, consensus, extractor, finalizer
from psbt.address import destination
from psbt.coins import Outpoint
from psbt.errors import PsbtError
from psbt.message import signs_message
from psbt.network import Network
from psbt.relay import Refusal, fee_refusals, form_refusals, lock_refusals, package_refusals
from psbt.replacement import least_fee_against
from psbt.sighash import stated_output
from psbt.transaction import Transaction, TransactionOutput, check_sound, parse_transaction
from storage import ceremonies as ceremony_book
from storage import chain as chain_book
from storage import vaults as vault_book
from storage.model import Ceremony

OVER: Final = frozenset({"confirmed", "abandoned", "replaced"})
UNPAID: Final = frozenset({"collecting", "complete", "final"})


class Paid(NamedTuple):
    """An output: whom it pays, and which vault of this home that is."""

    destination: str
    value_sats: int
    vault: str | None


class SpentHere(NamedTuple):
    """What a transaction takes out of a vault of this home."""

    vault: str
    coins: int
    value_sats: int


class Checked(NamedTuple):
    """A transaction with what was found out about it.

    `fee_sats` and `consensus` are None where coins it spends are not known here: then only the
    node can judge them. `ceremony` is the payment of this home that it is, `ends` are those that
    can no longer be sent once it is in a block.
    """

    transaction: Transaction
    fee_sats: int | None
    consensus: str | None
    outputs: tuple[Paid, ...]
    spends: tuple[SpentHere, ...]
    ceremony: str | None
    ends: tuple[str, ...]
    warnings: tuple[Notice, ...]


def check(home: Home, db: Session, data: bytes) -> Checked:
    """Judge a finished transaction or PSBT by consensus, by what nodes relay, by what is open here.

    Raises PsbtError where it is not finished, ConsensusRejected where it cannot hold, and
    CeremonyError where one of its coins went elsewhere for good.
    """
    transaction, stated = _offered(db, data)
    check_sound(transaction)
    if signs_message(transaction):
        raise PsbtError("this signs a message (BIP 322): there is nothing to send")
    outpoints = [tx_in.outpoint for tx_in in transaction.inputs]
    _refuse_spent(db, transaction.txid, outpoints)
    known = {**stated, **_made_here(db, outpoints)}
    spent = [known[outpoint] for outpoint in outpoints if outpoint in known]
    whole = len(spent) == len(outpoints)
    verdict = consensus.judge(transaction, spent) if whole else None
    fee_sats = None
    if whole:
        paid = sum(output.value_sats for output in transaction.outputs)
        fee_sats = sum(output.value_sats for output in spent) - paid
    wanting = _wanting(db, transaction)
    same = [record for record in wanting if _is_it(record, transaction)]
    own = same[0] if same else None
    ended = [each for each in wanting if each not in same and each.state not in OVER]
    refusals = list(_refusals(db, transaction, fee_sats))
    if not refusals:
        refusals += _nonstandard(transaction, spent, whole=whole)
    warnings = [Notice(each.code, Severity.DANGER, each.message) for each in refusals]
    warnings += [_ended(each, chosen=own is not None) for each in ended]
    if not whole:
        message = (
            f"{len(outpoints) - len(spent)} of {len(outpoints)} coins it spends are not known here:"
            " their scripts, their amounts and the fee are left to the node"
        )
        warnings.append(Notice("coins_unknown", Severity.WARNING, message))
    return Checked(
        transaction,
        fee_sats,
        verdict,
        tuple(_outputs(home, db, transaction)),
        tuple(_spends(db, outpoints)),
        own.public_id if own else None,
        tuple(each.public_id for each in ended),
        tuple(warnings),
    )


def send(
    database: sessionmaker[Session],
    chain: ChainSource,
    checked: Checked,
    *,
    accepted: Accepted,
) -> str:
    """Send a checked transaction and return its id; each danger must have been accepted.

    A payment of this home that it is counts as sent from then on; of two vaults that pay together
    each has one.
    """
    dangers = [each for each in checked.warnings if each.severity is Severity.DANGER]
    refuse_unaccepted(dangers, accepted)
    txid = chain.broadcast(checked.transaction.raw)
    if checked.ceremony is not None:
        with database.begin() as db:
            for record in _wanting(db, checked.transaction):
                if not _is_it(record, checked.transaction):
                    continue
                record.txid = checked.transaction.txid
                if record.state in UNPAID:
                    record.final_tx = checked.transaction.raw
                    record.consensus = checked.consensus or consensus.LEFT_TO_NODE
                    record.state, record.broadcast_at = "broadcast", clock.now()
    return txid


def _offered(db: Session, data: bytes) -> tuple[Transaction, dict[Outpoint, TransactionOutput]]:
    """Return a finished transaction, and the outputs it spends as far as it came with them."""
    given = psbt_file.read_finished(data)
    if isinstance(given, Transaction):
        return given, {}
    refuse_contradictions(db, given)
    stated = {}
    for index, psbt_in in enumerate(given.inputs):
        output = stated_output(index, psbt_in)
        if output is not None:
            stated[Outpoint(psbt_in.txid.hex(), psbt_in.vout)] = output
    return parse_transaction(extractor.extract(_finished(db, given))), stated


def _finished(db: Session, psbt: codec.Psbt) -> codec.Psbt:
    """Return a PSBT in which what vaults of this home signed with a quorum is finished.

    Raises SignaturesMissing where there is less.
    """
    vaults = {vault.id: vault for vault in vault_book.all_vaults(db)}
    spending = {}
    for psbt_in in psbt.inputs:
        coin = chain_book.coin_at(db, psbt_in.txid.hex(), psbt_in.vout)
        if coin is not None and not codec.is_final(psbt_in):
            spending[coin.vault_id] = vaults[coin.vault_id]
    for vault in spending.values():
        policy = stored_policy(vault)
        psbt = finalizer.finalize(psbt, policy, branch=meant_branch(psbt, policy))
    return psbt


def _made_here(db: Session, outpoints: list[Outpoint]) -> dict[Outpoint, TransactionOutput]:
    """Return the coins made by transactions known here; no row is believed that is another."""
    made: dict[str, Transaction] = {}
    for txid, raw in chain_book.raw_transactions(db, {each.txid for each in outpoints}).items():
        transaction = parse_transaction(raw)
        if transaction.txid == txid:
            made[txid] = transaction
    return {
        outpoint: made[outpoint.txid].outputs[outpoint.vout]
        for outpoint in outpoints
        if outpoint.txid in made and outpoint.vout < len(made[outpoint.txid].outputs)
    }


def _refuse_spent(db: Session, txid: str, outpoints: list[Outpoint]) -> None:
    for outpoint in outpoints:
        coin = chain_book.coin_at(db, *outpoint)
        if coin is not None and coin.spent_height is not None:
            if coin.spent_by == txid:
                raise CeremonyError(f"the payment {txid} is in block {coin.spent_height} already")
            raise CeremonyError(
                f"coin {outpoint} was spent by {coin.spent_by} in block {coin.spent_height}"
            )


def _wanting(db: Session, transaction: Transaction) -> list[Ceremony]:
    """Return the payments of this home that spend, or were to spend, one of its coins."""
    wanting = ceremony_book.holding(db, [tx_in.outpoint for tx_in in transaction.inputs])
    return [record for record in ceremony_book.all_ceremonies(db) if record.id in wanting]


def _is_it(record: Ceremony, transaction: Transaction) -> bool:
    """Tell whether a transaction is a ceremony's, whoever of its cosigners signed."""
    if record.txid == transaction.txid:
        return True
    try:
        return codec.transaction_of(record.psbt) == transaction.unsigned
    except PsbtError:
        return False  # whoever asks for that ceremony is told


def _ended(record: Ceremony, *, chosen: bool) -> Notice:
    """Tell of a payment that this one ends; what replaces it by this home's doing was chosen."""
    return Notice(
        "ends_payment",
        Severity.WARNING if chosen else Severity.DANGER,
        f"it spends a coin of payment {record.public_id} of vault {record.vault.name},"
        f" which is {record.state}: only one of them can get into a block",
        f"compare both: cardquorum spend show {record.public_id}",
        (f"ceremony:{record.public_id}",),
    )


def _refusals(db: Session, transaction: Transaction, fee_sats: int | None) -> Iterator[Refusal]:
    """Yield why nodes would not relay it, as far as that is known here."""
    outpoints = [tx_in.outpoint for tx_in in transaction.inputs]
    node = node_view(db, outpoints)
    newest = chain_book.newest_sync(db)
    yield from form_refusals(transaction, transaction.weight, node.rules)
    if newest is not None:
        yield from lock_refusals(transaction, newest[0].height, node)
    yield from package_refusals(transaction, transaction.vsize, node)
    if fee_sats is None:
        return
    yield from fee_refusals(fee_sats, transaction.vsize, node.rules)
    waiting = list(rivals(db, outpoints, transaction.txid))
    least = least_fee_against(waiting, transaction.vsize, node.rules.replacement_step)
    if fee_sats < least:
        message = (
            f"the fee of {fee_sats} sats is too low to replace the waiting payment"
            f" {waiting[0].txid}: nodes ask for {least} sats or more"
        )
        yield Refusal("insufficient fee", "replacement_underpaid", message)


def _nonstandard(
    transaction: Transaction, spent: list[TransactionOutput], *, whole: bool
) -> Iterator[Refusal]:
    """Yield that its inputs are unlocked in a way that nodes do not relay."""
    try:
        node_policy.check_standard(transaction)
        if whole:
            node_policy.check_inputs(transaction, [output.script_pubkey for output in spent])
    except TransactionRejected as rejected:
        yield Refusal(rejected.reason, "nonstandard", str(rejected))


def _outputs(home: Home, db: Session, transaction: Transaction) -> Iterator[Paid]:
    paid = {output.script_pubkey for output in transaction.outputs}
    owners = {script: vault.name for script, vault in vaults_of(db, paid)}
    for output in transaction.outputs:
        name = destination(output.script_pubkey, Network(home.network))
        yield Paid(name, output.value_sats, owners.get(output.script_pubkey))


def _spends(db: Session, outpoints: list[Outpoint]) -> Iterator[SpentHere]:
    names = {vault.id: vault.name for vault in vault_book.all_vaults(db)}
    values: dict[str, list[int]] = {}
    for outpoint in outpoints:
        coin = chain_book.coin_at(db, *outpoint)
        if coin is not None:
            values.setdefault(names[coin.vault_id], []).append(coin.value_sats)
    for name, found in sorted(values.items()):
        yield SpentHere(name, len(found), sum(found))
