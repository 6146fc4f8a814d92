"""Keys held elsewhere come from a signer's file; a card's key goes out for another coordinator."""

import json
from pathlib import Path

import pytest

from coordinator.interop import bsms, key_file, ur, ur_types
from coordinator.interop.wallet_file import wallet_of
from psbt.errors import PolicyError
from psbt.keys import format_key_expression, format_xpub
from psbt.network import Network
from tests.program import PIN, Asked, asking
from tests.psbt.soft_vault import soft_vault

POLICY = soft_vault(2, 3).policy
FIRST, SECOND = (format_key_expression(key, POLICY.network) for key in POLICY.keys[:2])
KEY = wallet_of(POLICY, "family", ("a", "b", "c")).keys[0]
TOKEN = "108a2360adb302774eb521daebbeda5e"
RECORD = bsms.write_key_record(KEY, POLICY.network, "the key of the office")
FILES = {
    "expression": FIRST,
    "slip132": key_file.write_slip132(KEY, "wsh", POLICY.network),
    "coldcard": key_file.write_ccxp(KEY, "wsh", POLICY.network),
    "cobo": key_file.write_cobo(KEY, POLICY.network),
    "bsms": RECORD,
    "ur": "\n".join(ur.split(ur_types.write_account(KEY, POLICY.network))),
}


@pytest.fixture
def home(tmp_path: Path) -> Asked:
    asked = asking(tmp_path / "home")
    asked("init", "--network", "regtest", "--chain", "none:")
    return asked


@pytest.mark.parametrize("name", FILES)
def test_a_signers_file_gives_its_key(home: Asked, name: str) -> None:
    found = home("key", "import", "-", "--name", "office", stdin=FILES[name])
    assert (found["key"]["expression"], found["known"], found["warnings"]) == (FIRST, False, [])
    again = home("key", "import", "-", "--name", "other", stdin=FILES[name])
    assert (again["known"], again["key"]["label"]) == (True, "office")
    exported = home("key", "export", "office", "--format", name)
    assert home("key", "import", "-", "--name", "x", stdin=exported["text"])["known"]


def test_of_a_device_with_keys_for_several_networks_those_for_this_one_count(home: Asked) -> None:
    keys = [
        {
            "fingerprint": (KEY.fingerprint or b"").hex(),
            "derivation": "m/48h/1h/0h/2h",
            "type": "wsh",
            "xpub": format_xpub(KEY.key, network),
        }
        for network in (Network.MAINNET, POLICY.network)
    ]
    device = {"name": "office", "type": "trezor", "keys": keys}
    found = home("key", "import", "-", "--name", "office", stdin=json.dumps(device))
    assert (found["key"]["expression"], found["format"]) == (FIRST, "Specter device")
    alone = json.dumps({**device, "keys": keys[:1]})
    error = home("key", "import", "-", "--name", "a", stdin=alone, check=5)["error"]
    assert "is for mainnet, not for regtest" in error["message"]


def test_an_encrypted_record_opens_with_its_token(home: Asked) -> None:
    record = bsms.encrypted(RECORD, bytes.fromhex(TOKEN))
    assert (
        "--token"
        in home("key", "import", "-", "--name", "a", stdin=record, check=5)["error"]["hint"]
    )
    words = ("key", "import", "-", "--name", "a", "--token", TOKEN)
    assert home(*words, stdin=record)["key"]["expression"] == FIRST


def test_a_key_kept_by_name_is_a_cosigner(home: Asked) -> None:
    home("key", "import", "-", "--name", "office", stdin=FIRST)
    words = ("vault", "create", "v", "--threshold", "1", "--key", "office")
    made = home(*words, "--key", f"aunt={SECOND}")
    assert [each["key"] for each in made["cosigners"]] == [FIRST, SECOND]
    listed = home("key", "list")["keys"]
    assert [(each["label"], each["vaults"]) for each in listed] == [
        ("aunt", ["v"]),
        ("office", ["v"]),
    ]
    assert home(*words[:-1], "nobody", check=2)["error"]["code"] == "not_found"


def test_a_key_of_another_script_is_chosen_or_named(home: Asked) -> None:
    nested = key_file.write_ccxp(KEY, "sh-wsh", POLICY.network)
    error = home("key", "import", "-", "--name", "a", "--script", "wsh", stdin=nested, check=5)
    assert "holds no key for wsh; it has sh-wsh" in error["error"]["message"]
    found = home("key", "import", "-", "--name", "a", "--script", "sh-wsh", stdin=nested)
    assert [each["code"] for each in found["warnings"]] == ["path_of_other_script"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[", "no [fingerprint/path]xpub"),
        (FIRST + "/5/7", "behind it"),
        (FIRST.replace("tpub", "tprv"), "private key"),
        (json.dumps({"xfp": "0F056943"}), "holds no key for a wallet of several"),
        (json.dumps({"xfp": 1, "xpub": FIRST}), "xfp is 1"),
        (RECORD.replace("BSMS 1.0", "BSMS 2.0"), "line 1"),
    ],
)
def test_what_is_no_key_is_refused(home: Asked, text: str, told: str) -> None:
    error = home("key", "import", "-", "--name", "a", stdin=text, check=5)["error"]
    assert told in error["message"]
    assert home("key", "list")["keys"] == []


def test_a_cards_key_goes_out(vault: Asked, tmp_path: Path) -> None:
    expression = vault("card", "show", "a")["keys"][0]["expression"]
    assert vault("key", "export", "a")["text"] == expression
    file = tmp_path / "key"
    vault("key", "export", "a", "--format", "coldcard", "--out", str(file))
    assert json.loads(file.read_text())["p2wsh_key_exp"] == expression
    assert vault("key", "export", "a", "--out", str(file), check=2)["error"]
    assert vault("key", "export", "a", "--format", "x", check=2)["error"]["code"] == "usage_error"


@pytest.mark.parametrize("token", [None, TOKEN])
def test_a_card_signs_its_record(vault: Asked, token: str | None) -> None:
    words = ("key", "export", "a", "--format", "bsms", "--emulated", "a", "--pin-stdin")
    sealed = () if token is None else ("--token", token)
    text = vault(*words, *sealed, stdin=PIN)["text"]
    record = text if token is None else bsms.decrypted(text, bytes.fromhex(token))
    found = bsms.read_key_record(record)
    assert (found.token, found.description) == (token or "00", "a")
    assert found.signature
    assert vault("key", "import", "-", "--name", "x", *sealed, stdin=text)["key"]["label"] == "a"
    forged = record.replace(f"\na\n{found.signature[:8]}", f"\nb\n{found.signature[:8]}")
    assert forged != record
    with pytest.raises(PolicyError, match=r"line 5 .* no signature of it by its key"):
        bsms.read_key_record(forged)


def test_only_a_record_is_signed(vault: Asked) -> None:
    words = ("key", "export", "a", "--emulated", "a", "--format", "cobo")
    assert "add --format bsms" in vault(*words, check=2)["error"]["message"]
