"""Published figures: sessions, keys, certificates, and a whole recorded card."""

import pytest
from coincurve import PrivateKey, PublicKey

from cards.bip32 import public_child
from cards.emulation import Emulator, Node
from cards.errors import NotGenuine
from cards.pin import Pin
from cards.session import HARDENED
from cards.tapsigner import answers
from cards.tapsigner.answers import Nonces
from cards.tapsigner.attestation import root_of
from cards.tapsigner.channel import seal
from cards.tapsigner.commands import BACKUP, MASTER_XPUB, SELECT, derive, read, sign
from cards.tapsigner.emulator import TapsignerEmulator, answered, certificate
from cards.tapsigner.emulator_memory import Card, Flash
from cards.tapsigner.roots import DEVELOPMENT, PRODUCTION, ROOTS
from cards.tapsigner.wire import decode_map
from tests.cards.tapsigner_host import ACCOUNT, NONCE, open_backup, vectors


@pytest.fixture
def recorded() -> dict:
    return vectors("emulator_seed42")


@pytest.fixture
def steps(recorded: dict) -> list[tuple[bytes, dict, dict]]:
    """Nonce, request and answer of every recorded command."""
    return [
        (
            bytes.fromhex(step["card_nonce_used"]),
            decode_map(bytes.fromhex(step["request_cbor"])),
            decode_map(bytes.fromhex(step["response_cbor"])),
        )
        for step in recorded["transcript"]
    ]


def keys() -> list[tuple[bytes, bytes]]:
    found = vectors("crypto_arrays")
    pairs = zip(found["sk_list"], found["expected_pks"], strict=True)
    return [(bytes.fromhex(secret), bytes.fromhex(public)) for secret, public in pairs]


def test_the_session_key_is_the_published_one() -> None:
    expected = vectors("crypto_arrays")["expected_ecdh_shared_secrets"]
    found = keys()
    shared = [PrivateKey(found[n][0]).ecdh(found[9 - n][1]).hex() for n in range(len(found))]
    assert shared == expected
    lone = vectors("lib")["ecdh_session"]
    key = PrivateKey(bytes.fromhex(lone["priv"])).ecdh(bytes.fromhex(lone["pubkey"]))
    assert key.hex() == lone["sha256_compressed_point"]


def test_children_are_the_published_ones() -> None:
    found = vectors("crypto_arrays")
    for n, (secret, public) in enumerate(keys()):
        derived = Node(secret, secret).below(found["paths_priv"][n]).public_key
        assert derived.hex() == found["expected_pks_bip32_priv_derivation"][n]
        key, chain_code = public, secret
        for step in found["paths_pub"][n]:
            key, chain_code = public_child(key, chain_code, step)
        assert key.hex() == found["expected_pks_bip32_pub_derivation"][n]


def test_a_certificate_tells_its_signer() -> None:
    found = vectors("crypto_arrays")
    for n, (_, public) in enumerate(keys()):
        signature = bytes.fromhex(found["expected_deterministic_recoverable_signatures"][n])
        digest = bytes.fromhex(found["msg_digest_list"][n])
        assert 0 <= signature[0] - 31 < 4
        compact = signature[1:] + bytes((signature[0] - 31,))
        assert PublicKey.from_signature_and_message(compact, digest, hasher=None).format() == public


def test_the_roots_are_the_published_ones() -> None:
    published = vectors("factory_roots")
    assert published["production"] == PRODUCTION.hex()
    assert published["development"] == DEVELOPMENT.hex()
    assert ROOTS.published == (PRODUCTION,)


def test_the_recorded_cards_certificates_end_in_its_root(recorded: dict) -> None:
    chain = [bytes.fromhex(each) for each in recorded["cert_chain"]]
    card_key = bytes.fromhex(recorded["card_pubkey"])
    assert root_of(card_key, chain).hex() == recorded["fake_root_pubkey"]
    with pytest.raises(NotGenuine, match="1 certificate where 2"):
        root_of(card_key, chain[:1])
    with pytest.raises(NotGenuine, match="begins with 43"):
        root_of(card_key, [b"\x2b" + chain[0][1:], chain[1]])


@pytest.mark.parametrize("header", [27, 31, 39])
def test_both_ways_of_numbering_candidates_are_read(header: int) -> None:
    signer, card = PrivateKey(), PrivateKey().public_key.format()
    made = certificate(signer.secret, card)
    again = certificate(signer.secret, signer.public_key.format())
    chain = [bytes((each[0] - 39 + header,)) + each[1:] for each in (made, again)]
    assert root_of(card, chain) == signer.public_key.format()


def test_the_recorded_status_is_read(recorded: dict) -> None:
    status = answers.parse_status(decode_map(bytes.fromhex(recorded["status_cbor"])))
    assert status.product == answers.TAP
    assert status.version == "1.0.3"
    assert status.public_key.hex() == recorded["card_pubkey"]
    assert status.path == (84 | HARDENED, HARDENED, HARDENED)
    assert (status.backups, status.delay, status.tampered) == (0, 0, False)


def test_the_recorded_requests_are_ours_to_the_byte(recorded: dict, steps: list) -> None:
    ephemeral = PrivateKey(bytes.fromhex(recorded["app_ephemeral_privkey"]))
    card_key = bytes.fromhex(recorded["card_pubkey"])
    digest = bytes.fromhex(recorded["sign_digest_plain"])
    calls = {
        0: MASTER_XPUB,
        1: derive(ACCOUNT, NONCE),
        3: sign((0, 5), digest),
        4: read(NONCE),
        5: BACKUP,
    }
    for at, call in calls.items():
        nonce, request, _ = steps[at]
        sealed = seal(call, card_key, nonce, cvc=Pin(recorded["cvc"].encode()), ephemeral=ephemeral)
        assert decode_map(sealed.command.data) == request
        assert sealed.key.hex() == recorded["session_key"]


def test_the_recorded_answers_are_believed(recorded: dict, steps: list) -> None:
    key = bytes.fromhex(recorded["session_key"])
    master = answers.parse_xpub(steps[0][2])
    assert master.public_key.hex() == recorded["master_pubkey"]
    assert master.chain_code.hex() == recorded["chain_code"]
    derived = answers.parse_derive(steps[1][2], Nonces(steps[1][0], NONCE))
    assert derived == answers.parse_xpub(steps[2][2])
    signed = answers.parse_sign(steps[3][2])
    child = public_child(*public_child(*derived, 0), 5)[0]
    assert signed.public_key == child
    nonces = Nonces(steps[4][0], NONCE)
    assert answers.parse_read(steps[4][2], key, nonces) == derived.public_key


def test_the_recorded_backup_opens(recorded: dict, steps: list) -> None:
    data = answers.parse_backup(steps[5][2])
    xprv, path = open_backup(data, bytes.fromhex(recorded["aes_backup_key"]))
    assert xprv.startswith("xprv9s21ZrQH143K")
    assert path == "m/48h/0h/0h/2h"


def test_the_emulator_answers_as_the_recorded_card_did(recorded: dict, steps: list) -> None:
    """All but what is drawn at random: signatures and the next nonce."""
    flash = Flash(
        "1.0.3",
        bytes.fromhex(recorded["card_privkey"]),
        [],
        bytes.fromhex(recorded["aes_backup_key"]),
        master=bytes.fromhex(recorded["master_privkey"]),
        chain_code=bytes.fromhex(recorded["chain_code"]),
        path=[84 | HARDENED, HARDENED, HARDENED],
    )
    card = Emulator(flash, Card, answered)
    assert flash.public_key.hex() == recorded["card_pubkey"]
    for step, (nonce, _, expected) in zip(recorded["transcript"], steps, strict=True):
        request = bytes.fromhex(step["request_cbor"])
        found = {}
        while "error" in found or not found:
            found = ask(card, nonce, request)
        assert found.keys() == expected.keys()
        random = {"sig", "card_nonce"}
        assert {k: v for k, v in found.items() if k not in random} == {
            k: v for k, v in expected.items() if k not in random
        }


def ask(card: TapsignerEmulator, nonce: bytes, request: bytes) -> dict:
    card.answer(SELECT.encode())
    card._card.power.nonce = nonce
    answer = card.answer(bytes((0, 0xCB, 0, 0, len(request))) + request)
    return decode_map(answer[:-2])
