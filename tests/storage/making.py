"""Rows to test with: each is whole, and told from others by a number."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from storage import cards, ceremonies, chain, vaults
from storage.errors import CoinTaken
from storage.model import Card, Ceremony, CustodyEvent, Key, Vault

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
LATER = NOW + timedelta(days=30)


@dataclass(frozen=True)
class Script:
    keychain: int
    index: int
    script_pubkey: bytes


def txid(number: int) -> str:
    return f"{number:064x}"


class SeenTransaction(NamedTuple):
    txid: str
    raw: bytes
    height: int | None
    block_hash: str | None
    time: int | None


def erase_text(db: Session, event: CustodyEvent, field: str) -> None:
    """Erase a text and its salt, as the book's rules let a row be changed: its digest stays."""
    erased = event.texts[field]
    erased.text = erased.salt = erased.sealed = None
    db.flush()


def script(number: int) -> bytes:
    return b"\x00\x20" + number.to_bytes(32, "big")


def add_key(db: Session, number: int, label: str | None = None, **different: object) -> Key:
    known: dict[str, object] = {
        "label": label or f"key{number}",
        "network": "regtest",
        "fingerprint": number.to_bytes(4, "big"),
        "path": "48h/1h/0h/2h",
        "public_key": b"\x02" + number.to_bytes(32, "big"),
        "chain_code": bytes(32),
        "depth": 4,
        "parent_fingerprint": bytes(4),
        "child_number": 0x80000002,
        "created_on": "host",
    }
    return cards.add_key(db, now=NOW, **{**known, **different})


def add_card(db: Session, label: str, card_id: str | None = None) -> Card:
    return cards.add_card(
        db,
        label=label,
        family="satochip",
        card_id=card_id or f"id-{label}",
        version="0.12-0.6",
        emulated_name=label,
        now=NOW,
    )


def add_vault(db: Session, name: str = "family", first_key: int = 1) -> Vault:
    return vaults.add_vault(
        db,
        name=name,
        network="regtest",
        threshold=2,
        descriptor=f"wsh(sortedmulti(2,{name}))#abcdefgh",
        checksum="abcdefgh",
        keys=[add_key(db, number) for number in range(first_key, first_key + 3)],
        birthday=NOW,
        birthday_height=None,
        now=NOW,
    )


def add_ceremony(
    db: Session, vault: Vault, public_id: str = "abcd2345", spends: int = 900
) -> Ceremony:
    return ceremonies.add_ceremony(
        db,
        vault,
        public_id=public_id,
        psbt=b"psbt\xff",
        txid=txid(spends),
        fee_sats=200,
        paid_sats=1000,
        created_at=NOW,
        expires_at=LATER,
        opened_on="desk",
    )


def add_coin(db: Session, vault: Vault, number: int, **different: object) -> None:
    chain.add_coins(db, vault, [chain.FoundCoin(**{**coin(number), **different})])


def coin(number: int) -> chain.FoundCoin:
    return {
        "txid": txid(number),
        "vout": 0,
        "value_sats": 1000 * number,
        "keychain": 0,
        "index": number,
        "script_pubkey": script(number),
        "height": 100,
        "coinbase": False,
    }


def add_transaction(db: Session, number: int, height: int | None = 100) -> None:
    seen = SeenTransaction(
        txid=txid(number),
        raw=number.to_bytes(4, "big"),
        height=height,
        block_hash=None if height is None else f"{height:064x}",
        time=None if height is None else 1_700_000_000 + height,
    )
    chain.add_transactions(db, [seen], NOW)


def spend(
    db: Session, vault: Vault, outpoints: Iterable[tuple[str, int]], by: str, height: int | None
) -> None:
    chain.spend_coins(db, vault, [chain.Spend(*outpoint, by, height) for outpoint in outpoints])


def fight_for_a_coin(database: sessionmaker[Session]) -> tuple[str, set[str]]:
    """Have two ceremonies reserve the same coins at once; return the winner and both outcomes."""
    coins, outcomes = [(txid(1), 0), (txid(2), 0)], []
    names, barrier = ("aaaa2345", "bbbb2345"), threading.Barrier(2)
    with database.begin() as db:
        vault = add_vault(db)
        for number, name in enumerate(names):
            add_ceremony(db, vault, name, spends=900 + number)

    def fight(name: str) -> None:
        barrier.wait()
        try:
            with database.begin() as db:
                mine = ceremonies.ceremony_named(db, name)
                ceremonies.reserve(db, mine, coins, expires=LATER, now=NOW)
            outcomes.append(name)
        except CoinTaken as taken:
            outcomes.append(f"lost to {taken.ceremony}")

    fighters = [threading.Thread(target=fight, args=(name,)) for name in names]
    for fighter in fighters:
        fighter.start()
    for fighter in fighters:
        fighter.join()
    (winner,) = set(outcomes) & set(names)
    return winner, set(outcomes)
