"""BSMS records: BIP 129's own, plain and encrypted, and records that contradict themselves."""

import json
from pathlib import Path
from typing import Any

import pytest

from coordinator.errors import NotImportable, UsageError
from coordinator.interop import bsms
from coordinator.interop.recognition import Given, read_text
from coordinator.interop.wallet_file import address, first_address, wallet_of
from psbt.errors import PolicyError
from psbt.network import Network
from psbt.policy import checksum
from tests.psbt.soft_vault import soft_vault

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "bip129.json"
POLICY = soft_vault(2, 3).policy
HERE = POLICY.network
WALLET = wallet_of(POLICY, "family", ("a", "b", "c"))
RECORD = bsms.write(WALLET, HERE)
TOKEN = bytes(range(8))


def records(round_: str, ending: str) -> list[Any]:
    if not VECTORS.exists():
        return [pytest.param({}, marks=pytest.mark.skip("no ../shared/vectors here"))]
    return [
        pytest.param(each, id=f"{each['mode']} {each['by']}")
        for each in json.loads(VECTORS.read_text())["records"]
        if each["round"] == round_ and each["file"].endswith(ending)
    ]


@pytest.mark.parametrize("record", records("ROUND 1", ".bsms"))
def test_a_key_record_of_bip129_is_read(record: dict[str, Any]) -> None:
    if "Public Keys" in record["mode"]:
        with pytest.raises(PolicyError, match="a single public key, not an extended one"):
            bsms.read_key_record(record["content"])
        return
    found = bsms.read_key_record(record["content"])
    assert found.token == record["token"]
    assert found.signature
    assert found.key.path is not None
    assert len(found.key.path) == found.key.key.depth


@pytest.mark.parametrize("record", [*records("ROUND 1", ".dat"), *records("ROUND 2", ".dat")])
def test_an_encrypted_record_of_bip129_opens_and_is_written_alike(record: dict[str, Any]) -> None:
    token = bytes.fromhex(record["token"])
    plain = bsms.decrypted(record["content"], token)
    assert plain.startswith("BSMS 1.0\n")
    assert bsms.encrypted(plain, token) == record["content"]
    with pytest.raises(PolicyError, match="does not open with this token"):
        bsms.decrypted(record["content"], token[::-1])


@pytest.mark.parametrize("record", records("ROUND 2", ".bsms"))
def test_a_descriptor_record_of_bip129_is_read(record: dict[str, Any]) -> None:
    if "Public Keys" in record["mode"]:
        with pytest.raises(PolicyError, match="a single public key, not an extended one"):
            read_text(record["content"], Network.MAINNET)
        return
    found = read_text(record["content"], Network.MAINNET)
    assert first_address(found, Network.MAINNET) == record["content"].split()[-1]
    assert found.sorted is ("sortedmulti" in record["content"])


def altered(number: int, line: str) -> str:
    """Return the record with another line."""
    lines = RECORD.splitlines()
    lines[number - 1] = line
    return "\n".join(lines)


@pytest.mark.parametrize("line", ["", "No path restrictions", "/0/*", "/0/*,/1/*", "/0/*, /1/*"])
def test_restrictions_that_leave_both_keychains_are_read(line: str) -> None:
    assert read_text(altered(3, line), HERE).first_address == first_address(WALLET, HERE)


def test_a_template_may_leave_its_keychains_to_the_restrictions() -> None:
    bare = altered(2, RECORD.splitlines()[1].replace("/**", ""))
    assert read_text(bare, HERE).repairs == ()


@pytest.mark.parametrize("checksummed", [False, True])
@pytest.mark.parametrize(
    ("line", "warned"), [("No path restrictions", ["change_assumed"]), ("/0/*,/1/*", [])]
)
def test_nunchuks_record_is_proved_by_its_first_address(
    line: str,
    warned: list[str],
    checksummed: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    body = RECORD.splitlines()[1].partition("#")[0].replace("/**", "/*")
    record = altered(2, f"{body}#{checksum(body)}" if checksummed else body)
    record = record.replace("/0/*,/1/*", line)
    found = read_text(record, HERE)
    assert (found.keys, found.repairs) == (read_text(RECORD, HERE).keys, ())
    assert [each.code for each in found.warnings] == warned
    with pytest.raises(PolicyError, match="first address"):
        read_text(
            record.replace(first_address(WALLET, HERE), address(WALLET, 0, 1, network=HERE)), HERE
        )


def test_an_address_is_compared_whatever_the_restrictions() -> None:
    shouted = altered(4, first_address(WALLET, HERE).upper())
    assert read_text(shouted, HERE).keys == read_text(RECORD, HERE).keys
    text = altered(4, address(WALLET, 1, 0, network=HERE)).replace(
        "/0/*,/1/*", "No path restrictions"
    )
    with pytest.raises(PolicyError, match="of the change keychain; its keys give"):
        read_text(text, HERE)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (altered(1, "BSMS 1.1"), "line 1 .* is 'BSMS 1.1'"),
        (altered(3, "/2/*,/3/*"), "of other keys; its keys give"),
        (altered(3, "/1/*"), "restricts it to /1"),
        (altered(3, "/1/*,/2/*").replace("/**", "/<0;1>/*"), "line 2 derive something else"),
        (altered(3, "all"), "no path restrictions"),
        (altered(4, "bcrt1q"), "cannot be read"),
        (altered(4, ""), "has no first address"),
        (f"{RECORD}more", "4 lines, this one 5"),
        (RECORD + "x" * 40_000, "32,768 is the most"),
        (bsms.write_key_record(WALLET.keys[0], HERE), "one signer's key"),
    ],
)
def test_a_record_that_is_none_is_refused_by_line(text: str, told: str) -> None:
    with pytest.raises(PolicyError, match=told):
        read_text(text, HERE)


def test_a_threshold_of_two_digits_is_read_whole() -> None:
    policy = soft_vault(10, 15).policy
    wallet = wallet_of(policy, "v", tuple("abcdefghijklmno"))
    assert read_text(bsms.write(wallet, HERE), HERE).threshold == 10


def test_a_token_is_hex_or_decimal() -> None:
    assert bsms.read_token("0001020304050607") == TOKEN
    assert bsms.read_token(str(int.from_bytes(TOKEN[::-1]))) == TOKEN[::-1]
    assert len(bsms.read_token(str(2**127))) == 16
    for wrong in ("", "00", "xyz", "9" * 40, "-1"):
        with pytest.raises(UsageError, match="a BSMS token is"):
            bsms.read_token(wrong)


def test_an_altered_record_does_not_open() -> None:
    sealed = bsms.encrypted(RECORD, TOKEN)
    assert read_text(sealed, HERE, Given(token=TOKEN.hex())).keys == read_text(RECORD, HERE).keys
    for place in (0, 70, len(sealed) - 1):
        digit = "0" if sealed[place] != "0" else "1"
        wrong = sealed[:place] + digit + sealed[place + 1 :]
        with pytest.raises(PolicyError, match="does not open with this token"):
            read_text(wrong, HERE, Given(token=TOKEN.hex()))
    with pytest.raises(PolicyError):
        read_text(sealed[:-1], HERE, Given(token=TOKEN.hex()))
    with pytest.raises(NotImportable, match="encrypted BSMS record"):
        read_text(sealed, HERE)
