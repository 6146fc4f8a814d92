"""Coins and payments carried by file, to and from a home that asks no chain."""

import re
from collections.abc import Iterator

from sqlalchemy.orm import Session

from coordinator import spend, wallet
from coordinator.chain import SeenTransaction
from coordinator.dangers import Accepted, require_policy
from coordinator.errors import CeremonyError, UsageError
from coordinator.settings import OFFLINE, Home
from coordinator.vaults import stored_policy
from psbt import codec, outline
from psbt.coins import Coin, Selection
from psbt.errors import PsbtError
from psbt.ownership import input_scripts
from psbt.transaction import parse_transaction
from storage import chain as chain_book
from storage.model import Vault

LINE = re.compile(r"([0-9a-fA-F]+)(?:,([0-9]{1,9}),([0-9a-fA-F]{64}))?")
FIRST_BYTES = b"psbt\xff"


def lines(db: Session, vault: Vault) -> list[str]:
    """Return the transactions that made the vault's coins: hex, height and block, a line each."""
    txids = {coin.txid for coin in wallet.unspent(db, vault)}
    found = sorted(chain_book.transactions(db, txids), key=lambda seen: seen.txid)
    places = (f",{each.height},{each.block_hash}" if each.block_hash else "" for each in found)
    return [each.raw.hex() + place for each, place in zip(found, places, strict=True)]


def take(home: Home, db: Session, vault: Vault, data: bytes) -> int:
    """Learn coins from a file of such lines, or from the coins a PSBT spends; returns how many.

    Nothing else vouches for them: only a home without a chain takes them. Raises UsageError that
    names the line.
    """
    if home.chain != OFFLINE:
        raise UsageError(f"this home asks {home.chain} for its coins: cardquorum sync")
    before = len(wallet.unspent(db, vault))
    wallet.learn(db, vault, _in_psbt(data) if is_psbt(data) else tuple(_in_lines(data)))
    return len(wallet.unspent(db, vault)) - before


def is_psbt(data: bytes) -> bool:
    """Tell whether a file is a PSBT, in binary or base64."""
    return data.startswith(FIRST_BYTES) or data.lstrip().startswith(b"cHNidP")


def open_payment(
    home: Home, db: Session, vault: Vault, data: bytes, accepted: Accepted = None
) -> spend.Created:
    """Open a ceremony for a PSBT that was built elsewhere; its coins are reserved here.

    Every input must be a coin of the vault that is free, and every amount proven by its previous
    transaction. Signatures in the PSBT are not taken: `spend add` does that.
    """
    require_policy(home, vault, accepted)
    psbt = codec.parse(data)
    policy = stored_policy(vault)
    scripts = input_scripts(psbt, policy)
    if home.chain == OFFLINE:
        take(home, db, vault, data)
    coins = []
    outpoints = outline.outpoints(psbt)
    values = [value for _, value in outline.spent(psbt)]
    for outpoint, script, value in zip(outpoints, scripts, values, strict=True):
        row = chain_book.coin_at(db, *outpoint)
        if row is None or row.spent_by is not None:
            raise CeremonyError(f"coin {outpoint} is no free coin of vault {vault.name}")
        coins.append(Coin(outpoint, value, script.branch, script.index, row.height))
    review = wallet.reviewed(db, vault, policy, psbt)
    paid = sum(output.value_sats for output in review.outputs if not output.own)
    change = sum(output.value_sats for output in review.outputs if output.own)
    selection = Selection(tuple(coins), review.fee_sats, change, review.vsize)
    draft = spend.Draft(_unsigned(psbt), review, selection, None, paid)
    return spend.opened(home, db, vault, draft)


def _unsigned(psbt: codec.Psbt) -> codec.Psbt:
    """Return a PSBT without its signatures; one that is final has none to take again."""
    bare = codec.copy(psbt)
    for number, psbt_in in enumerate(bare.inputs):
        if psbt_in.final_scriptwitness is not None or psbt_in.final_scriptsig is not None:
            raise UsageError(f"input {number} of the PSBT is final: send it where it was made")
        psbt_in.partial_sigs = {}
    return bare


def _in_psbt(data: bytes) -> tuple[SeenTransaction, ...]:
    """Return the previous transactions in a PSBT; in which blocks they are nobody said."""
    found = {}
    for number, psbt_in in enumerate(codec.parse(data).inputs):
        previous = codec.previous_transaction(psbt_in)
        if previous is None:
            raise UsageError(f"input {number} of the PSBT lacks its previous transaction")
        found[previous.txid] = SeenTransaction(previous.txid, previous.raw)
    return tuple(found.values())


def _in_lines(data: bytes) -> Iterator[SeenTransaction]:
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as failure:
        raise UsageError("the file is neither a PSBT nor lines of transactions") from failure
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield _line(number, line.strip())


def _line(number: int, line: str) -> SeenTransaction:
    matched = LINE.fullmatch(line)
    if not matched:
        raise UsageError(f"line {number} is not HEX or HEX,HEIGHT,BLOCK")
    try:
        transaction = parse_transaction(bytes.fromhex(matched[1]))
    except (ValueError, PsbtError) as failure:
        raise UsageError(f"line {number} holds no transaction: {failure}") from failure
    if matched[2] is None:
        return SeenTransaction(transaction.txid, transaction.raw)
    place = int(matched[2]), matched[3].lower()
    return SeenTransaction(transaction.txid, transaction.raw, *place)
