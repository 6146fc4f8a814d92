"""Tangem's wire against published figures."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey, PublicKey

from cards.apdu import Command, Form, Response
from cards.bip32 import path_bytes, public_child
from cards.errors import NotGenuine, NotSupported, ProtocolError
from cards.pin import Secret
from cards.signature import low_s
from cards.tangem import answers, attestation, commands
from cards.tangem.emulator_keys import derive, public_key
from cards.tangem.emulator_memory import Wallet
from cards.tangem.wire import (
    DEFAULT_CODE,
    DEFAULT_PASSCODE,
    WALLET_IMPORTED,
    Fields,
    Version,
    code_hash,
    crc16,
    luhn_holds,
    seal,
    session_key,
    tlv,
    unseal,
)

VECTORS = Path(__file__).parents[2] / "../shared/cards/vectors.json"
H = 0x80000000


def vector(name: str) -> dict[str, Any]:
    if not VECTORS.exists():
        pytest.skip("the vectors are not beside this checkout")
    known = json.loads(VECTORS.read_text())["tangem"]["vectors"]
    return next(each for each in known if each["id"] == name)


def parts(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    found = vector(name)
    return found["data"], found["expect"]


def pairs(listed: list[list[str]]) -> list[tuple[int, bytes]]:
    return [(int(tag, 16), bytes.fromhex(value)) for tag, value in listed]


def test_read_is_sent_as_the_vendor_sends_it() -> None:
    data, _ = parts("capdu-read-pin1-default")
    plain = commands.read_card(Secret(code_hash(DEFAULT_CODE)))
    assert plain.data.endswith(bytes.fromhex("230101"))
    old = Command(plain.cla, plain.ins, data=plain.data[:-3]).encode(Form.EXTENDED)
    assert old.hex() == data["apdu_hex"]


def test_commands_are_extended_as_the_vendor_writes_them() -> None:
    data, expect = parts("capdu-serialise-generic")
    for case, apdu in zip(data["cases"], expect["apdus"], strict=True):
        le = 0x10000 if case["le"] == 0 else case["le"]
        fields = [case[name] for name in ("cla", "ins", "p1", "p2")]
        command = Command(*fields, bytes.fromhex(case["data"]), le)
        assert command.encode(Form.EXTENDED).hex().upper() == apdu
        assert Command.parse(bytes.fromhex(apdu)).data == command.data


def test_a_command_with_two_tags_is_read() -> None:
    data, expect = parts("capdu-read-pin1-terminalkey")
    fields = Fields.parse(Command.parse(bytes.fromhex(data["apdu_hex"])).data)
    assert [f"{tag:02X}" for tag, _ in fields.items] == expect["tags"]


@pytest.mark.parametrize("name", ["rapdu-read-cos-2.11r", "rapdu-read-cos-1.28d-sdk"])
def test_real_answers_to_read_are_read(name: str) -> None:
    data, expect = parts(name)
    response = Response.parse(bytes.fromhex(data["apdu_hex"]))
    fields = Fields.parse(response.data)
    assert list(fields.items) == pairs(expect["tlv"])
    assert tlv(fields.items) == response.data
    facts = answers.parse_card(fields)
    assert facts.card_id.hex().upper() == expect["tlv"][0][1]
    assert luhn_holds(facts.card_id)
    maker = attestation.names_its_maker(facts, attestation.ROOTS)
    real = attestation.SMART_CASH
    assert maker == (real if name.endswith("r") else attestation.MANUFACTURER_KEY)
    with pytest.raises(NotSupported):
        attestation.refuse_unfit(facts, attestation.ROOTS)


def test_lists_are_taken_apart_and_put_together() -> None:
    data, _ = parts("tlv-basic")
    for case in data["ok"]:
        assert list(Fields.parse(bytes.fromhex(case["hex"])).items) == pairs(case["tlv"])
    for broken in data["reject"]:
        with pytest.raises(ProtocolError):
            Fields.parse(bytes.fromhex(broken))
    long = tlv([(3, bytes(255))])
    assert (len(long), long[:4].hex()) == (259, "03ff00ff")
    assert Fields.parse(long).need(3) == bytes(255)


def test_lists_are_written_as_published() -> None:
    request, expect = parts("tlv-check-wallet-request")
    found = Fields.parse(bytes.fromhex(request["tlv_hex"])).items
    assert found[0] == (0x10, code_hash(DEFAULT_CODE))
    assert list(found[1:]) == pairs(expect["tlv"][1:])
    card_id = tlv([(1, bytes.fromhex("FF00000000000111"))])
    written = {
        card_id.hex().upper(),
        tlv([(0x20, b"TANGEM\0")]).hex().upper(),
        tlv([(5, b"secp256k1\0")]).hex().upper(),
    }
    published = {each for _, each in parts("tlv-encode-misc")[0]["cases"]}
    assert written <= published


@pytest.mark.parametrize("mode", ["fast", "strong"])
def test_a_session_encrypts_as_computed(mode: str) -> None:
    known, _ = parts(f"session-{mode}")
    raw = {name: bytes.fromhex(value) for name, value in known.items() if name != "access_code"}
    shared = raw["keyA"] + raw["keyB"] if mode == "fast" else raw["ecdh_x"]
    if mode == "strong":
        point = PublicKey(raw["keyB"]).multiply(raw["host_priv"])
        assert point.format()[1:] == shared
    key = session_key(shared, code_hash(DEFAULT_CODE), raw["uid"])
    assert key == raw["session_key"]
    number = {"fast": 1, "strong": 2}[mode]
    opening = commands.open_session(number, raw["keyA"])
    assert opening.encode(Form.EXTENDED) == raw["open_session_apdu"]
    plain = commands.read_card(Secret(code_hash(DEFAULT_CODE))).data
    assert seal(key, plain) == raw["ciphertext"]
    assert unseal(key, raw["ciphertext"]) == plain
    sent = Command(0, 0xF2, number, data=raw["ciphertext"]).encode(Form.EXTENDED)
    assert sent == raw["read_apdu_encrypted"]
    if mode == "fast":
        answer = Response.parse(raw["response_apdu_encrypted"])
        assert unseal(key, answer.data) == raw["response_plain_tlv"]


def test_checksum_and_default_codes_are_the_published_ones() -> None:
    known, expect = parts("crc16")
    assert crc16(known["ascii"].encode()).hex() == expect["crc_bytes_as_sent"]
    _, expect = parts("default-codes")
    found = [code_hash(DEFAULT_CODE).hex(), code_hash(DEFAULT_PASSCODE).hex()]
    assert found == [expect["sha256_access"], expect["sha256_pass"]]


def test_an_imported_key_derives_the_published_multisig_keys() -> None:
    imported, expected = parts("key-import-secp256k1")
    key, chain_code = (bytes.fromhex(imported[n]) for n in ("private_key_6F", "chain_code_6B"))
    assert public_key(key).hex().upper() == expected["wallet_public_key_60"]
    wallet = Wallet(0, 2 | WALLET_IMPORTED, key, chain_code)
    path = (48 | H, H, H, 2 | H, 0, 5)
    known = [e for e in parts("hd-p2wsh-multisig-path")[1].values() if "tag_6A_value" in e]
    assert len(known) == len(path)
    for depth, expected in enumerate(known, start=1):
        encoded = path_bytes(path[:depth])
        assert encoded.hex() == expected["tag_6A_value"]
        private, chain = derive(wallet, encoded)
        assert (public_key(private).hex(), chain.hex()) == (expected["pub"], expected["chain"])


def test_public_derivation_is_the_published_one() -> None:
    data, expect = parts("bip32-public-derivation")
    for (key, chain, path), found in zip(data["cases"], expect["pub_chain"], strict=True):
        node = bytes.fromhex(key), bytes.fromhex(chain)
        for step in path.split("/")[1:]:
            node = public_child(*node, int(step))
        assert [part.hex() for part in node] == found


def card_facts(known: dict[str, Any], signature: str = "") -> answers.CardFacts:
    return answers.CardFacts(
        card_id=bytes.fromhex(known.get("cardId") or known["card_id"]),
        version=Version(4, 52),
        card_key=bytes.fromhex(known.get("cardPublicKey") or known["card_public_key"]),
        settings=0x200000,
        issuer_key=bytes.fromhex(known.get("issuerPublicKey") or known["issuer_public_key"]),
        id_signature=bytes.fromhex(signature),
        delay=0,
        slots=20,
        code_is_default=False,
        passcode_is_default=True,
        backup_status=0,
        backup_count=0,
    )


def test_a_real_cards_issuer_chain_holds_and_a_strangers_does_not() -> None:
    known, _ = parts("online-attestation-signatures")
    facts, roots = card_facts(known), attestation.ROOTS
    document = {
        "manufacturerSignature": known["manufacturer_signature"],
        "issuerSignature": known["issuer_signature"],
    }
    given = attestation.IssuerSignatures.parse(json.dumps(document).encode())
    attestation.check_issuer(facts, roots, given)
    stranger = facts._replace(card_key=PrivateKey().public_key.format())
    with pytest.raises(NotGenuine, match="did not sign its key"):
        attestation.check_issuer(stranger, roots, given)
    other = facts._replace(issuer_key=PrivateKey().public_key.format())
    with pytest.raises(NotGenuine, match="issuer's key"):
        attestation.check_issuer(other, roots, given)


def test_real_card_ids_are_signed_by_their_maker() -> None:
    for known in parts("parsed-card-dumps")[0]["cards"]:
        facts = card_facts(known, known["manufacturerSignature_tag86"])
        maker = attestation.names_its_maker(facts, attestation.ROOTS)
        expected = {"SMART CASH": attestation.SMART_CASH, "SDK/dev": attestation.MANUFACTURER_KEY}
        assert [maker] == [expected[name] for name in known["tag86_valid_under"]]
        wrong = facts._replace(card_id=hashlib.sha256(facts.card_id).digest()[:8])
        assert attestation.names_its_maker(wrong, attestation.ROOTS) is None


def test_paths_are_four_bytes_a_step() -> None:
    for text, encoded in parts("tag6A-derivation-path")[0]["cases"]:
        steps = [int(step.rstrip("'")) + (H if "'" in step else 0) for step in text.split("/")[1:]]
        assert path_bytes(tuple(steps)).hex() == encoded


def test_the_higher_s_is_made_the_lower() -> None:
    data, expect = parts("signature-normalise")
    high = bytes.fromhex(data["in"])
    low = low_s(high)
    assert low.hex().upper() == expect["out_low_s"]
    assert low_s(low) == low


def test_the_x_coordinate_of_an_imported_key_is_the_published_one() -> None:
    """Of a BIP 340 wallet the card shows 32 bytes; the same secret's point has that x."""
    data, expect = parts("key-import-bip0340")
    x, _, _ = expect["wallet_public_key_60"].partition(" ")
    assert public_key(bytes.fromhex(data["private_key_6F"]))[1:].hex().upper() == x
