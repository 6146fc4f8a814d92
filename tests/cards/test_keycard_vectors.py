"""Published and computed vectors of Keycard's protocol, held against both ends."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey, PublicKey
from embit import bip39

from cards.apdu import Command, Response
from cards.errors import NotGenuine, ProtocolError, SecureChannelError
from cards.keycard import answers, attestation, channel, commands, wire
from cards.keycard.answers import Certificate
from cards.keycard.channel import CbcChannel, CcmChannel
from cards.keycard.emulator import emulate
from cards.keycard.emulator_memory import CcmCardChannel
from cards.keycard.roots import MAKERS_KEY, ROOTS, TEST_KEY, TEST_PRIVATE_KEY
from cards.pin import Pin, Secret
from tests.cards.keycard_host import Host, steps

VECTORS = Path(__file__).parents[3] / "shared" / "cards" / "vectors.json"


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    if not VECTORS.exists():
        pytest.skip("the vectors are not beside this checkout")
    found: dict[str, Any] = json.loads(VECTORS.read_text())["keycard"]
    return found


def h(text: str) -> bytes:
    return bytes.fromhex(text)


def test_the_keys_of_a_3x_channel(vectors: dict[str, Any]) -> None:
    v = vectors["v1_session_keys"]
    salt = h(v["card_data_salt32_iv16"])[:32]
    keys = wire.CbcKeys.derive(h(v["ecdh_secret_x"]), h(v["pairing_key"]), salt)
    assert (keys.cipher_key, keys.mac_key) == (h(v["enc_key"]), h(v["mac_key"]))


def test_encryption_and_decryption(vectors: dict[str, Any]) -> None:
    v = vectors["v1_encrypt"]
    assert wire.cbc_encrypt(h(v["enc_key"]), h(v["iv"]), h(v["data"])) == h(v["ciphertext"])
    v = vectors["v1_decrypt"]
    plain = wire.cbc_decrypt(h(v["enc_key"]), h(v["iv"]), h(v["ciphertext"]))
    assert plain == h(v["plaintext_with_sw"])


def test_padding_comes_off(vectors: dict[str, Any]) -> None:
    for padded, plain in vectors["padding_iso9797_m2"]["cases"]:
        assert wire.unpad(h(padded)) == h(plain)


@pytest.mark.parametrize("padded", [b"", bytes(16), b"\x01" * 16, b"\x80" + bytes(16)])
def test_broken_padding_is_refused(padded: bytes) -> None:
    with pytest.raises(ValueError, match="padding"):
        wire.unpad(padded)


def test_a_wrapped_command(vectors: dict[str, Any]) -> None:
    v = vectors["v1_wrap_mutually_authenticate"]
    channel = CbcChannel(wire.CbcKeys(h(v["enc_key"]), h(v["mac_key"])), h(v["iv"]))
    wrapped = channel.wrap(commands.mutually_authenticate(h(v["plaintext"])))
    assert wrapped.encode()[:4] == h(v["header"])
    assert wrapped.data == h(v["apdu_data"])
    assert channel._iv == h(v["next_iv"])


def test_a_round_trip_of_3x(vectors: dict[str, Any]) -> None:
    k, v = vectors["v1_session_keys"], vectors["v1_roundtrip"]
    channel = CbcChannel(wire.CbcKeys(h(k["enc_key"]), h(k["mac_key"])), h(k["iv"]))
    assert channel.wrap(commands.verify_pin(Pin(b"123456"))).encode() == h(v["command_apdu"])
    assert channel.unwrap(h(v["response_data"])) == Response(b"", 0x9000)
    assert channel._iv == h(v["next_iv"])


def test_a_round_trip_of_4(vectors: dict[str, Any]) -> None:
    v = vectors["v2_roundtrip"]
    shared = PublicKey(h(v["card_pub"])).multiply(h(v["host_ephemeral_priv"])).format()[1:]
    assert shared == h(v["shared_x"])
    salt = h(v["salt"])
    keys = wire.CcmKeys.derive(shared, salt)
    assert (keys.to_card, keys.to_host) == (h(v["key_h2c"]), h(v["key_c2h"]))
    digest = wire.handshake_digest(salt, h(v["host_pub"]), h(v["card_pub"]))
    assert digest == h(v["transcript_digest"])
    host, card = CcmChannel(keys), CcmCardChannel(keys)
    for step, command in zip(
        v["steps"], [commands.verify_pin(Pin(b"123456")), commands.STATUS], strict=True
    ):
        apdu = host.wrap(command).encode()
        assert apdu == h(step["apdu"])
        assert card.unwrap(apdu).ins == command.ins
        plain = h(step["response_plain"])
        assert card.wrap(plain[:-2], int.from_bytes(plain[-2:])) == h(step["response"])
        assert host.unwrap(h(step["response"])) == Response.parse(plain)


def test_init_of_3x(vectors: dict[str, Any]) -> None:
    v = vectors["init_one_shot_v1"]
    shared = PublicKey(h(v["card_pubkey"])).multiply(h(v["ephemeral_priv"])).format()[1:]
    plain = v["pin"].encode() + v["puk"].encode() + h(v["pairing_secret"])
    assert wire.cbc_encrypt(shared, h(v["iv"]), plain) == h(v["ciphertext"])


def test_an_answer_without_a_status_word_is_none_of_the_channel() -> None:
    keys = wire.CcmKeys(bytes(16), bytes(16))
    with pytest.raises(SecureChannelError, match="no status word"):
        CcmChannel(keys).unwrap(wire.ccm_seal(keys.to_host, 0, b"\x90"))


def test_pairing_passwords(vectors: dict[str, Any]) -> None:
    for password, secret in vectors["pairing_password"]["cases"].items():
        assert channel.shared_secret(password.encode()) == h(secret)
    assert channel.default_secret() == h(
        vectors["pairing_password"]["cases"][channel.DEFAULT_PASSWORD]
    )
    assert channel.secret_from(None) == channel.default_secret()


def test_an_identified_card(vectors: dict[str, Any]) -> None:
    v = vectors["identify_card_3x"]
    certificate = attestation.proven(h(v["challenge"]), answers.parse_proof(h(v["response"])))
    assert attestation.issuer(certificate) == h(v["recovered_ca_pubkey"])
    with pytest.raises(NotGenuine, match="nobody knows"):
        attestation.judged(certificate, ROOTS)
    with pytest.raises(NotGenuine, match="challenge"):
        attestation.proven(bytes(32), answers.parse_proof(h(v["response"])))


def test_the_authorities(vectors: dict[str, Any]) -> None:
    assert h(vectors["ca_keys"]["official"]) == MAKERS_KEY
    assert h(vectors["ca_keys"]["test"]) == TEST_KEY
    assert h(vectors["test_ca"]["ca_priv"]) == TEST_PRIVATE_KEY
    assert PrivateKey(TEST_PRIVATE_KEY).public_key.format() == TEST_KEY


@pytest.mark.parametrize("recovery", [4, 255])
def test_a_certificate_nobody_can_have_signed(recovery: int) -> None:
    with pytest.raises(NotGenuine):
        attestation.issuer(Certificate(TEST_KEY, b"\x01" * 64 + bytes((recovery,))))


def loaded_host(profile: str, key: bytes, chain_code: bytes) -> Host:
    host = Host(emulate(profile).insert())
    host.ready()
    assert host.command(commands.load_extended_key(key, chain_code))[1] == 0x9000
    return host


def test_bip85(vectors: dict[str, Any]) -> None:
    v = vectors["bip85_4x"]
    host = loaded_host("4.0", h(v["master"]["priv"]), h(v["master"]["chain_code"]))
    command = Command(0x80, wire.Ins.EXPORT_BIP85, v["length"], data=steps(v["path"]))
    assert host.command(command) == (h(v["entropy"]), 0x9000)


def test_ecdh(vectors: dict[str, Any]) -> None:
    v = vectors["ecdh_4x"]
    host = loaded_host("4.0", h(v["master"]["priv"]), h(v["master"]["chain_code"]))
    for path, expected in v["results"].items():
        data = h(v["peer_pub"]) + steps(path)
        assert host.command(Command(0x80, wire.Ins.ECDH, 1, data=data)) == (h(expected), 0x9000)
    refused = host.command(
        Command(0x80, wire.Ins.ECDH, 1, data=h(v["peer_pub"]) + steps("m/48'/0'/0'/2'/0"))
    )
    assert refused == (b"", 0x6985)


@pytest.mark.parametrize("profile", ["3.1", "3.2", "4.0"])
def test_a_mnemonics_keys(vectors: dict[str, Any], profile: str) -> None:
    v = vectors["mnemonic_load"]
    host = Host(emulate(profile).insert())
    host.ready()
    seed = bip39.mnemonic_to_seed(v["mnemonic"], v["passphrase"])
    uid, sw = host.command(commands.load_seed(Secret(seed)))
    assert (uid, sw) == (hashlib.sha256(h(v["pubkeys"]["m"])).digest(), 0x9000)
    for path, point in v["pubkeys"].items():
        data, sw = host.command(Command(0x80, wire.Ins.EXPORT_KEY, 1, 1, data=steps(path)))
        assert (data, sw) == (h("a1438041") + h(point), 0x9000)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xa4", b"\xa4\x82\x00\x01", b"\xa3\x00", b"\xa4\x02\x02", b"\xa4\x05\x02\x04\x01"],
)
def test_a_broken_selection_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        answers.parse_select(data)
