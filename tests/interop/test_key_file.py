"""The keys of one signer, in the files of several wallets."""

import json

import cbor2
import pytest

from coordinator.errors import NotImportable
from coordinator.interop import key_file, ur, ur_types, writing
from coordinator.interop.recognition import read_keys, read_text
from coordinator.interop.wallet_file import wallet_of
from psbt.errors import PolicyError
from psbt.keys import format_xpub
from tests.psbt.soft_vault import soft_vault

POLICY = soft_vault(2, 3).policy
HERE = POLICY.network
WALLET = wallet_of(POLICY, "v", ("a", "b", "c"))
KEY = WALLET.keys[0]
XFP = (KEY.fingerprint or b"").hex()
XPUB = format_xpub(KEY.key, HERE)
GENERIC = {
    "chain": "XTN",
    "xfp": XFP.upper(),
    "account": 0,
    "bip84": {"name": "p2wpkh", "deriv": "m/84'/1'/0'", "xpub": XPUB, "first": "tb1q"},
    "bip48_2": {"name": "p2wsh", "xfp": "00000000", "deriv": "m/48h/1h/0h/2h", "xpub": XPUB},
}


def test_the_accounts_of_a_generic_export_are_told_apart() -> None:
    found = read_keys(json.dumps(GENERIC).encode(), "the file")
    assert [(each.script, each.warning) for each in found.keys] == [("wsh", None)]
    assert found.keys[0].key.fingerprint == KEY.fingerprint
    with pytest.raises(NotImportable, match="the keys of one signer"):
        read_text(json.dumps(GENERIC), HERE)


def test_a_prefix_of_slip132_tells_the_script() -> None:
    text = key_file.write_slip132(KEY, "sh-wsh", HERE)
    assert "Upub" in text
    assert read_keys(text.encode(), "x").keys[0].script == "sh-wsh"


def test_an_origin_that_contradicts_the_key_is_said() -> None:
    told = json.dumps({"xfp": XFP, "xpub": XPUB, "path": "m/48'/1'/0'"})
    assert "3 steps, the key has depth 4" in (read_keys(told.encode(), "x").keys[0].warning or "")
    bare = json.dumps({"xfp": "00000000", "xpub": XPUB})
    assert "no origin" in (read_keys(bare.encode(), "x").keys[0].warning or "")


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"xfp": "0F05694", "xpub": XPUB}, "no fingerprint"),
        ({"xfp": XFP, "xpub": XPUB.replace("tpub", "tprv"), "path": "m"}, "private key"),
        ({"xfp": XFP, "xpub": XPUB, "seed": "abandon"}, "holds a seed"),
        ({"xfp": XFP, "p2wsh": XPUB, "p2wsh_deriv": "m/x"}, "no step of a derivation path"),
        ({"xfp": XFP, "p2wsh": 7}, "p2wsh is 7"),
        ({**GENERIC, "bip48_2": {"xpub": XPUB}}, "deriv is missing"),
        ({**GENERIC, "bip48_2": []}, "not an object"),
    ],
)
def test_a_file_of_keys_that_is_wrong_is_refused_by_field(document: object, told: str) -> None:
    with pytest.raises(PolicyError, match=told):
        read_keys(json.dumps(document).encode(), "the file")


@pytest.mark.parametrize("format_", sorted({*writing.WRITERS} - {"bip138"}))
def test_a_wallets_file_is_named_where_one_key_was_asked_for(format_: str) -> None:
    text = "\n".join(writing.write(WALLET, HERE, format_))
    with pytest.raises(NotImportable, match="a wallet's file, not one signer's key") as refused:
        read_keys(text.encode(), "the file")
    assert "cardquorum vault import" in refused.value.remedy


@pytest.mark.parametrize("fingerprint", key_file.FINGERPRINTS)
@pytest.mark.parametrize("path", key_file.PATHS)
def test_a_key_is_read_whatever_its_origin_is_called(fingerprint: str, path: str) -> None:
    document = {fingerprint: XFP, path: "m/48'/1'/0'/2'", "xpub": XPUB}
    for whole in (document, [document]):
        (found,) = read_keys(json.dumps(whole).encode(), "the file").keys
        assert (found.script, found.warning) == ("wsh", None)
        assert found.key.fingerprint == KEY.fingerprint


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cHNidP8BAFICAAAA", "a PSBT"),
        ("bcrt1q6rhpng9evdsfnn833a4f4vej0asu6dk5srld6x", "an address"),
        ('{"name": "x", "version": 1}', "it holds name, version"),
        ("[]", "not an object"),
        (json.dumps([{"xfp": XFP, "xpub": XPUB}] * 2), "holds 2 keys: give one at a time"),
        (f"wpkh([{XFP}/84h/1h/0h]{XPUB}/<0;1>/*)", "the descriptor of a wallet with a single key"),
    ],
)
def test_what_is_no_key_is_named(text: str, told: str) -> None:
    with pytest.raises(PolicyError, match=told):
        read_keys(text.encode(), "the file")


def test_a_code_of_an_output_of_one_key_is_that_key() -> None:
    account = ur.decoded(ur_types.write_account(KEY, HERE).cbor)
    assert isinstance(account, dict)
    (output,) = account[2]
    code = ur.split(ur.Message("crypto-output", cbor2.dumps(output)), 9_000)[0]
    found = read_keys(code.encode(), "the code")
    assert [(each.script, each.key.key) for each in found.keys] == [("wsh", KEY.key)]
