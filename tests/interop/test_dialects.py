"""What programs write beside the letter of a format: the same wallet, or a refusal by its name.

The shapes were met in Sparrow, Specter, Electrum, Krux, Coldcard, Liana and Bitcoin Safe; the keys
are this repository's own.
"""

import json
from typing import Any

import cbor2
import pytest

from coordinator.errors import CoordinatorError, NotImportable, UsageError
from coordinator.interop import bbqr, bytewords, ur, ur_types, writing
from coordinator.interop.recognition import Given, read_bytes, read_keys, read_text
from coordinator.interop.wallet_file import WalletFile, is_same_wallet, wallet_of
from psbt.errors import PolicyError
from psbt.keys import format_xpub
from psbt.policy import checksum
from tests.psbt.soft_vault import soft_vault

POLICY = soft_vault(2, 3).policy
HERE = POLICY.network
WALLET = wallet_of(POLICY, "family", ("a", "b", "c"))
KEY = WALLET.keys[0]
XPUB = format_xpub(KEY.key, HERE)


def written(format_: str) -> str:
    return "\n".join(writing.write(WALLET, HERE, format_))


DESCRIPTOR = written("descriptor")
BODY = DESCRIPTOR.partition("#")[0]
PRIME = BODY.replace("h/", "'/").replace("h]", "']")
BRACES = BODY.replace("<0;1>", "{0,1}")
ELECTRUM = written("electrum")


def codes(found: WalletFile) -> list[str]:
    return [each.code for each in (*found.warnings, *found.repairs)]


def sealed(body: str) -> str:
    return f"{body}#{checksum(body)}"


@pytest.mark.parametrize(
    "text",
    [
        sealed(BRACES),
        BRACES,
        f"addwallet family&{sealed(BRACES)}",
        f"Receive: {DESCRIPTOR}",
        f"Receive and change:\n{DESCRIPTOR}\n",
        "\n".join(f"{name}: {line}" for name, line in zip(
            ("Receive", "Change"), written("pair").splitlines(), strict=True)),
        f'# what the daemon is told\nmain_descriptor = "{DESCRIPTOR}"',
        json.dumps({"label": "x", "descriptor": sealed(BRACES), "blockheight": 0}),
        written("coldcard").replace(": tpub", ":\n    tpub"),
        written("bbqr").lower(),
        "\n".join(part[:60] + "\n" + part[60:] for part in written("bbqr").splitlines()),
        "\n".join(part[:70] + " \n " + part[70:] for part in written("ur").splitlines()),
    ],
)  # fmt: skip
def test_a_dialect_is_the_same_wallet(text: str) -> None:
    found = read_text(text, HERE)
    assert is_same_wallet(found, WALLET)
    assert codes(found) == []


RECEIVE_ALONE = BODY.replace("<0;1>", "0")


@pytest.mark.parametrize(
    ("body", "other"),
    [(BODY, PRIME), (PRIME, BODY), (BRACES, BODY), (BRACES, PRIME), (BRACES, RECEIVE_ALONE)],
)
def test_a_checksum_of_the_same_descriptor_with_other_marks_is_a_warning(
    body: str, other: str
) -> None:
    found = read_text(f"{body}#{checksum(other)}", HERE)
    assert is_same_wallet(found, WALLET)
    assert codes(found) == ["checksum_of_other_marks"]
    wrong = checksum(other).replace(checksum(other)[0], "q" if checksum(other)[0] != "q" else "p")
    with pytest.raises(PolicyError, match=f"its checksum is {checksum(body)}, not {wrong}"):
        read_text(f"{body}#{wrong}", HERE)


CHANGE = {"op": "replace", "path": "/winpos-qt", "value": [1, 2]}


def test_changes_behind_an_electrum_wallet_are_passed_over_where_they_are_not_of_its_keys() -> None:
    text = ",\n".join((ELECTRUM, json.dumps(CHANGE), json.dumps({**CHANGE, "path": "/x1~1/label"})))
    found = read_text(text, HERE)
    assert is_same_wallet(found, read_text(ELECTRUM, HERE))
    for path in ("/x1~1", "/x1~1/xpub", "/x2~1/derivation", "/wallet_type", "/seed_version"):
        with pytest.raises(NotImportable, match=f"a change to {path} behind it"):
            read_text(",\n".join((ELECTRUM, json.dumps({**CHANGE, "path": path}))), HERE)


def test_json_of_any_shape_that_holds_a_descriptor_is_read() -> None:
    pair = written("pair").splitlines()
    document: dict[str, Any] = {
        "VERSION": "0.2.0",
        "wallet": {"descriptor_str": DESCRIPTOR, "keystores": [{"xpub": XPUB, "mnemonic": None}]},
        "persisted": {"descriptor": pair[0], "change_descriptor": pair[1], "words": "of no seed"},
    }
    del document["persisted"]["words"]
    assert codes(read_text(json.dumps(document), HERE)) == []
    document["wallet"]["keystores"][0]["mnemonic"] = "zoo zoo zoo"
    found = read_text(json.dumps(document), HERE)
    assert is_same_wallet(found, WALLET)
    assert codes(found) == ["private_material"]
    assert "zoo" not in found.warnings[0].message
    single = {"wallet": {"descriptor_str": f"wpkh({XPUB}/<0;1>/*)"}}
    with pytest.raises(NotImportable, match="a single key"):
        read_text(json.dumps(single), HERE)


def test_the_same_wallet_twice_in_a_list_is_one() -> None:
    listed = [{"name": name, "descriptor": DESCRIPTOR} for name in ("one", "two")]
    assert read_text(json.dumps(listed), HERE).name == "one"
    assert read_text(json.dumps(listed), HERE, Given(wallet="two")).name == "two"


DEVICE = {
    "fingerprint": (KEY.fingerprint or b"").hex(),
    "derivation": "m/48h/1h/0h/2h",
    "original": XPUB,
    "xpub": XPUB,
}


def test_the_keys_of_a_specter_device_are_those_for_wallets_of_several() -> None:
    keys = [{**DEVICE, "type": "wpkh", "derivation": "m/84h/1h/0h"}, {**DEVICE, "type": "wsh"}]
    document = {"name": "office", "type": "coldcard", "keys": keys}
    found = read_keys(json.dumps(document).encode(), "the file")
    assert [(each.script, each.warning) for each in found.keys] == [("wsh", None)]
    assert found.keys[0].key.key == KEY.key
    with pytest.raises(NotImportable, match="the keys of one signer"):
        read_text(json.dumps(document), HERE)
    with pytest.raises(NotImportable, match="holds no key for a wallet of several"):
        read_keys(json.dumps({**document, "keys": keys[:1]}).encode(), "the file")


@pytest.mark.parametrize("coin", [{1: 1, 2: 1}, {1: 1}, {2: 1}, {}])
def test_a_signer_that_calls_its_coin_a_test_coin_is_read(coin: dict[int, int]) -> None:
    account = ur.decoded(ur_types.write_account(KEY, HERE).cbor)
    assert isinstance(account, dict)
    told = account[2][0].value.value
    told[5] = cbor2.CBORTag(305, coin)
    assert ur_types.hdkey(told, 1).mainnet is (coin.get(2) is None)
    told[5] = cbor2.CBORTag(305, {1: 1776})
    with pytest.raises(PolicyError, match="for another coin than Bitcoin"):
        ur_types.hdkey(told, 1)


def test_the_accounts_a_keystone_shows_at_once_are_keys() -> None:
    account = cbor2.loads(ur_types.write_account(KEY, HERE).cbor)
    cbor = cbor2.dumps({1: account[1], 2: [account[2][0].value], 3: "Keystone"})
    code = f"ur:crypto-multi-accounts/{bytewords.encode(cbor)}"
    found = read_keys(code.encode(), "the code")
    assert [(each.script, each.key.key) for each in found.keys] == [("wsh", KEY.key)]
    with pytest.raises(NotImportable, match="one signer's key"):
        read_text(code, HERE)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"ExtPubKey": "x", "MasterFingerprint": "0f056943"}', "a wallet with a single key"),
        ('["CC-2-of-4", [2, 4], [[1, "x"]], {"ch": "XTN"}]', "a setting of a Coldcard"),
        ('{"type": "tx", "ref": "00", "label": "a"}\n{"type": "addr"}', "labels"),
        (f"sp({XPUB})", "silent payments"),
        ("ur:crypto-eckey/" + bytewords.encode(cbor2.dumps({3: b"\1" * 32})), "a secret"),
    ],
)
def test_what_is_no_wallet_is_named(text: str, told: str) -> None:
    with pytest.raises(NotImportable, match=told) as refused:
        read_text(text, HERE)
    assert refused.value.remedy


def test_accounts_of_a_single_key_alone_are_no_cosigners() -> None:
    document = {"xfp": "0F056943", "xpub": XPUB, "bip84": {"xpub": XPUB, "deriv": "m/84'/1'/0'"}}
    with pytest.raises(NotImportable, match="accounts of a single key alone"):
        read_keys(json.dumps(document).encode(), "the file")


@pytest.mark.parametrize("text", ["B$ZA0100CX", "B$ZU01$0content", "b$"])
def test_a_code_of_no_known_kind_of_bbqr_is_named_so(text: str) -> None:
    assert bbqr.is_one(text)
    with pytest.raises(UsageError, match="is no part of a BBQr"):
        read_text(text, HERE)


WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
NUMBERED = "\n".join(f"{number}. {word}" for number, word in enumerate(WORDS.split(), 1))
XPRV = "tprv8" + XPUB[5:]
SECRETS = {
    "words": WORDS,
    "capitals": WORDS.upper(),
    "numbered": NUMBERED,
    "twenty": " ".join([*WORDS.split(), *WORDS.split()[:8]]),
    "xprv": XPRV,
    "origin": f"[0f056943/48h/1h/0h/2h]{XPRV}",
    "WIF": "L" + "3" * 51,
    "BIP 38": "6P" + "Y" * 56,
    "SeedQR": "0123" * 12,
    "codex32": "ms12names" + "q" * 39,
    "hex": "5e" * 16,
    "Coldcard": f'# Coldcard backup file!\n\nchain = "XTN"\nmnemonic = "{WORDS}"\nxprv = "{XPRV}"',
    "descriptor": f"wsh(sortedmulti(1,{XPRV}/<0;1>/*))",
    "BlueWallet": f"Policy: 1 of 1\nFormat: P2WSH\n\n0f056943: {WORDS}",
    "bare key": f"some words\n{XPRV}",
    "JSON": json.dumps({"mnemonic": WORDS, "xprv": XPRV}),
    "twelve among others": f"my words are\n{WORDS}\nkeep them",
}


@pytest.mark.parametrize("name", SECRETS)
def test_nothing_of_a_secret_is_said_whatever_file_it_is_in(name: str) -> None:
    text = SECRETS[name]
    for read in (
        lambda: read_text(text, HERE),
        lambda: read_keys(text.encode(), "the file"),
        lambda: read_bytes(bbqr.split(text.encode(), "U", 4_000)[0].encode(), HERE, "the code"),
        lambda: read_text(
            ur.split(ur.Message("bytes", cbor2.dumps(text.encode())), 9_000)[0], HERE
        ),
    ):
        with pytest.raises((PolicyError, CoordinatorError)) as refused:
            read()
        told = f"{refused.value} {getattr(refused.value, 'remedy', '')}".lower()
        for piece in ("legal", "sausage", "yellow", "tprv", XPUB[20:26].lower(), "5e5e", "0123"):
            assert piece not in told


def altered(*, lacking: int) -> str:
    """Return a wallet's code whose second key lacks a field."""
    keys = [ur_types._written(key, HERE, old=True) for key in WALLET.keys]
    del keys[1][lacking]
    tagged = [cbor2.CBORTag(303, key) for key in keys]
    output = cbor2.CBORTag(401, cbor2.CBORTag(407, {1: 2, 2: tagged}))
    return ur.split(ur.Message("crypto-output", cbor2.dumps(output)), 9_000)[0]


def test_a_key_of_a_code_that_tells_no_origin_is_no_master_and_said() -> None:
    found = read_text(altered(lacking=6), HERE)
    assert is_same_wallet(found, WALLET)
    (warned,) = found.warnings
    assert (warned.code, "no origin of keys 2;" in warned.message) == ("origin_unknown", True)
    assert read_text(altered(lacking=9), HERE).warnings == ()


def test_an_account_within_its_tag_is_read_like_one_without() -> None:
    plain = ur_types.write_account(KEY, HERE)
    tagged = cbor2.dumps(cbor2.CBORTag(311, cbor2.loads(plain.cbor)))
    for cbor in (plain.cbor, tagged):
        code = ur.split(ur.Message("crypto-account", cbor), 9_000)[0]
        assert [each.key.key for each in read_keys(code.encode(), "the code").keys] == [KEY.key]


@pytest.mark.parametrize(
    ("text", "wanted", "missing"),
    [
        ('{"a": 1}', "bip388", "the file.descriptor_template is missing"),
        (
            '{"template": "wsh(multi(1,@0/**))", "keys": null}',
            None,
            "the file.keys_info is missing",
        ),
    ],
)
def test_a_policy_without_its_template_or_keys_is_refused_by_what_it_lacks(
    text: str, wanted: str | None, missing: str
) -> None:
    with pytest.raises(PolicyError, match=missing):
        read_text(text, HERE, Given(format=wanted))


@pytest.mark.parametrize("text", ['["a", [1], [2]]', '["a", [1], 2, {}]', '[["a"], [1], [2], {}]'])
def test_a_list_is_a_coldcards_setting_only_in_its_shape(text: str) -> None:
    with pytest.raises(PolicyError, match="no wallet format known here; it holds a list"):
        read_text(text, HERE)
