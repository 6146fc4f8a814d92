from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from storage import vaults
from storage.errors import AlreadyExists, NotFound, StorageError
from storage.model import Vault
from tests.storage.making import NOW, add_card, add_key, add_vault

LATER = NOW + timedelta(days=1)


def test_a_vault_keeps_its_keys_in_order(db: Session) -> None:
    add_vault(db)
    vault = vaults.vault_named(db, "family")
    assert [(c.position, c.label, c.key.label) for c in vault.cosigners] == [
        (0, "key1", "key1"),
        (1, "key2", "key2"),
        (2, "key3", "key3"),
    ]
    assert (vault.script, vault.threshold, vault.birthday) == ("wsh", 2, NOW)
    assert (vault.created_at, vault.retired_at) == (NOW, None)


def test_a_key_may_serve_several_vaults_but_one_vault_once(db: Session) -> None:
    keys = [cosigner.key for cosigner in add_vault(db).cosigners]
    second = add(db, "second", "wsh(…)", keys[:2])
    assert [cosigner.key for cosigner in second.cosigners] == keys[:2]
    with pytest.raises(StorageError, match=r"(?i)unique"):
        add(db, "third", "wsh(other)", [keys[0], keys[0]])


def test_a_vault_has_one_name_and_is_known_under_one(db: Session) -> None:
    known = add_vault(db)
    with pytest.raises(AlreadyExists, match="vault family exists already"):
        add(db, "family", "wsh(other)", [])
    with pytest.raises(AlreadyExists, match="vault family exists already"):
        add(db, "other", known.descriptor, [])


def add(db: Session, name: str, descriptor: str, keys: list, **different: object) -> Vault:
    given = {
        "name": name,
        "network": "regtest",
        "threshold": 2,
        "descriptor": descriptor,
        "checksum": "abcdefgh",
        "keys": keys,
        "birthday": None,
        "birthday_height": 7,
    }
    return vaults.add_vault(db, now=NOW, **{**given, **different})


def branch(
    keys: list, name: str = "recovery", *, blocks: int | None = 10, height: int | None = None
) -> vaults.NewBranch:
    return vaults.NewBranch(name, 1, keys, blocks, height)


def test_branches_and_their_keys_stay_in_order(db: Session) -> None:
    first, second, third = (add_key(db, number) for number in (1, 2, 3))
    later = [
        branch([third, first]),
        branch([third], "recovery-2", blocks=None, height=900_000),
    ]
    add(db, "family", "wsh(…)", [first, second], recoveries=later)
    db.expire_all()
    vault = vaults.vault_named(db, "family")
    assert [(b.position, b.name, b.threshold, b.blocks, b.height) for b in vault.recoveries] == [
        (1, "recovery", 1, 10, None),
        (2, "recovery-2", 1, None, 900_000),
    ]
    assert [[k.label for k in b.keys] for b in vault.recoveries] == [["key3", "key1"], ["key3"]]
    assert [place.label for place in vault.every_key] == ["key1", "key2", "key3"]


@pytest.mark.parametrize(
    ("wait", "rule"),
    [
        ({"blocks": None}, "one_wait"),
        ({"height": 5}, "one_wait"),
        ({"blocks": 0}, "blocks_range"),
        ({"blocks": 65_536}, "blocks_range"),
        ({"blocks": None, "height": 500_000_000}, "height_range"),
    ],
)
def test_a_branch_waits_for_blocks_or_for_a_height(
    db: Session, wait: dict[str, int | None], rule: str
) -> None:
    key = add_key(db, 1)
    with pytest.raises(StorageError, match=rule):
        add(db, "family", "wsh(…)", [key], recoveries=[branch([key], **wait)])


@pytest.mark.parametrize(
    ("field", "value"),
    [("threshold", 0), ("threshold", 16), ("checksum", "abc"), ("birthday_height", -1)],
)
def test_what_cannot_be_a_vault_is_refused(db: Session, field: str, value: object) -> None:
    with pytest.raises(StorageError, match=field):
        add(db, "family", "wsh(…)", [add_key(db, 1)], **{field: value})


def test_vaults_are_listed_by_name(db: Session) -> None:
    for number, name in enumerate(("zoo", "ant", "mill")):
        add_vault(db, name, first_key=1 + 3 * number)
    assert [vault.name for vault in vaults.all_vaults(db)] == ["ant", "mill", "zoo"]
    with pytest.raises(NotFound, match="there is no vault bee"):
        vaults.vault_named(db, "bee")


def test_a_vault_retires_once(db: Session) -> None:
    vault = add_vault(db)
    assert vaults.retire(db, vault, NOW) == NOW
    assert vaults.retire(db, vault, LATER) == NOW
    assert vaults.all_vaults(db) == [vault]


def test_the_newest_proof_of_each_key_counts(db: Session) -> None:
    vault, other = add_vault(db), add_vault(db, "other", first_key=4)
    first, second, _ = (cosigner.key_id for cosigner in vault.cosigners)
    blue = add_card(db, "blue")

    def prove(key_id: int, *, matched: bool, of: Vault = vault) -> None:
        vaults.add_verification(
            db, of, key_id=key_id, card_id=blue.id, matched=matched, detail="…", now=NOW
        )

    prove(first, matched=True)
    prove(first, matched=False)
    prove(second, matched=False)
    prove(second, matched=True)
    prove(first, matched=True, of=other)
    latest = vaults.latest_verifications(db, vault)
    assert {key: proof.matched for key, proof in latest.items()} == {first: False, second: True}
    assert vaults.latest_verifications(db, other).keys() == {first}
