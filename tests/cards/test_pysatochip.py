"""The vendor's own client drives the emulated Satochip."""

import base64
import hashlib
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from coincurve import PublicKey, PublicKeyXOnly

from cards.satochip.emulator import PROFILES, SatochipEmulator, emulate
from cards.satochip.roots import TEST_ROOT, TEST_SUB_CA
from tests.cards.satochip_host import SEED, low_s, vectors
from tests.judges import judge

Vendor = Any
"""The client ships no types."""

PIN = b"123456"
NEW_PIN = b"654321"
PUK = b"12345678"
PATH = "m/48'/0'/0'/2'/0/5"

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


class Connection:
    """What the client takes for a reader's connection."""

    def __init__(self, card: SatochipEmulator) -> None:
        self.reader = card.insert()

    def transmit(self, apdu: list[int]) -> tuple[list[int], int, int]:
        answer = self.reader.transmit(bytes(apdu))
        return list(answer[:-2]), answer[-2], answer[-1]

    def disconnect(self) -> None:
        self.reader.close()


@pytest.fixture(params=PROFILES)
def card(request: pytest.FixtureRequest) -> SatochipEmulator:
    return emulate(request.param)


@pytest.fixture
def connector(monkeypatch: pytest.MonkeyPatch) -> Vendor:
    connector = judge("pysatochip.CardConnector")

    def no_reader(**_wanted: object) -> None:
        raise connector.CardRequestTimeoutException

    monkeypatch.setattr(connector, "CardRequest", no_reader)
    monkeypatch.setattr(
        connector, "CardMonitor", lambda: SimpleNamespace(addObserver=lambda _: None)
    )
    return connector


@pytest.fixture
def client(connector: Vendor, card: SatochipEmulator) -> Vendor:
    return inserted(connector, card)


def inserted(connector: Vendor, card: SatochipEmulator) -> Vendor:
    """Lay the card before a client of its own, as a monitor would."""
    client = connector.CardConnector(card_filter=["satochip"])
    connection = Connection(card)
    client.card_present = True
    client.cardservice = SimpleNamespace(connection=connection)
    serials = [client.card_get_CPLC(), client.card_get_IIN(), client.card_get_CIN()]
    answers = b"".join(bytes(data) for data, *_ in serials)
    client.UID_SHA1 = hashlib.sha1(answers, usedforsecurity=False).hexdigest()
    client.card_select()
    client.card_get_status()
    client.card_initiate_secure_channel()
    return client


@pytest.fixture
def ready(client: Vendor) -> Vendor:
    """A card that has been set up and unlocked."""
    assert set_up(client) == 0x9000
    client.set_pin(0, list(PIN))
    client.card_verify_PIN()
    return client


def set_up(client: Vendor) -> int:
    random_pin, random_puk = list(b"9999"), list(b"8888")
    tries, puk_tries = 5, 3
    _, sw1, sw2 = client.card_setup(
        tries, puk_tries, list(PIN), list(PUK), 1, 1, random_pin, random_puk, 32, 0, 1, 1, 1
    )
    return sw1 << 8 | sw2


def sw(answer: tuple[Any, ...]) -> int:
    return answer[1] << 8 | answer[2]


def test_setup_is_seen_in_the_status(client: Vendor) -> None:
    assert not client.card_get_status()[3]["setup_done"]
    set_up(client)
    status = client.card_get_status()[3]
    assert status["setup_done"]
    assert not status["is_seeded"]
    assert not status["needs2FA"]
    assert (status["PIN0_remaining_tries"], status["PUK0_remaining_tries"]) == (5, 3)


def test_a_wrong_pin_counts_and_a_changed_pin_holds(connector: Vendor, ready: Vendor) -> None:
    assert sw(ready.card_change_PIN(0, list(PIN), list(NEW_PIN))) == 0x9000
    ready.set_pin(0, list(PIN))
    with pytest.raises(connector.WrongPinError) as wrong:
        ready.card_verify_PIN_simple()
    assert wrong.value.pin_left == 4
    ready.set_pin(0, list(NEW_PIN))
    assert sw(ready.card_verify_PIN_simple()) == 0x9000
    assert ready.card_get_status()[3]["PIN0_remaining_tries"] == 5


def test_a_blocked_pin_is_freed_by_the_puk(connector: Vendor, ready: Vendor) -> None:
    for _ in range(5):
        ready.set_pin(0, list(b"000000"))
        with pytest.raises(connector.WrongPinError):
            ready.card_verify_PIN_simple()
    ready.set_pin(0, list(PIN))
    with pytest.raises(connector.PinBlockedError):
        ready.card_verify_PIN_simple()
    assert sw(ready.card_unblock_PIN(0, list(PUK))) == 0x9000
    ready.set_pin(0, list(PIN))
    assert sw(ready.card_verify_PIN_simple()) == 0x9000


def test_the_authentikey_comes_with_the_seed_and_stays(ready: Vendor) -> None:
    imported = ready.card_bip32_import_seed(SEED)
    exported = ready.card_export_authentikey()
    assert imported.get_public_key_bytes(compressed=True) == exported.get_public_key_bytes(
        compressed=True
    )


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(0, id="vector 1", marks=pytest.mark.matrix),
        pytest.param(1, id="vector 2", marks=pytest.mark.matrix),
        pytest.param(2, id="vector 3"),
    ],
)
def test_extended_keys_are_those_of_bip32(ready: Vendor, number: int) -> None:
    vector = vectors("bip32_on_card")["vectors"][number]
    ready.card_bip32_import_seed(vector["seed"])
    found = {
        path: ready.card_bip32_get_xpub(path, "standard", is_mainnet=True)
        for path in vector["xpubs"]
    }
    assert found == vector["xpubs"]


def test_a_digest_is_signed_by_the_key_just_derived(ready: Vendor) -> None:
    ready.card_bip32_import_seed(SEED)
    key, _chain_code = ready.card_bip32_get_extendedkey(PATH)
    digest = hashlib.sha256(b"digest").digest()
    der, sw1, sw2 = ready.card_sign_transaction_hash(0xFF, list(digest), None)
    assert (sw1, sw2) == (0x90, 0x00)
    public = PublicKey(key.get_public_key_bytes(compressed=True))
    assert public.verify(low_s(bytes(der)), digest, hasher=None)


def test_a_message_is_signed_so_that_the_client_recovers_the_key(ready: Vendor) -> None:
    ready.card_bip32_import_seed(SEED)
    key, _chain_code = ready.card_bip32_get_extendedkey(PATH)
    answer = ready.card_sign_message(0xFF, key, "a message")
    assert sw(answer) == 0x9000
    assert len(answer[3]) == 65


def test_the_signing_key_lost_at_power_off_is_derived_again(ready: Vendor) -> None:
    ready.card_bip32_import_seed(SEED)
    ready.card_bip32_get_extendedkey(PATH)
    ready.cardservice.connection.reader.power_cycle()
    ready.card_select()
    ready.card_initiate_secure_channel()
    digest = hashlib.sha256(b"digest").digest()
    assert sw(ready.card_sign_transaction_hash(0xFF, list(digest), None)) == 0x9000


def test_a_seed_is_reset_by_the_pin(ready: Vendor) -> None:
    ready.card_bip32_import_seed(SEED)
    assert sw(ready.card_reset_seed(list(PIN))) == 0x9000
    assert not ready.card_get_status()[3]["is_seeded"]


def test_a_label_is_kept(ready: Vendor) -> None:
    assert ready.card_get_label()[3] == ""
    assert sw(ready.card_set_label("aunt's vault ₿")) == 0x9000
    assert ready.card_get_label()[3] == "aunt's vault ₿"


def test_a_key_slot_takes_a_key_and_gives_it_up(ready: Vendor) -> None:
    ready.satochip_import_privkey(3, bytes(31) + b"\1")
    generator = ready.satochip_get_pubkey_from_keyslot(3)
    assert generator.get_public_key_bytes(compressed=True).hex().startswith("0279be667e")
    ready.satochip_reset_privkey(3)


def test_the_second_factor_encrypts_and_decrypts(ready: Vendor) -> None:
    ready.card_set_2FA_key(bytes(range(20)), 0)
    identifier, encrypted = ready.card_crypt_transaction_2FA("x" * 300, is_encrypt=True)
    expected = bytes.fromhex("9eba62d812b862f2a0856ad6cc12d137e9ca9868")
    assert identifier == hashlib.sha256(expected).hexdigest()
    decrypted = ready.card_crypt_transaction_2FA(base64.b64decode(encrypted), is_encrypt=False)
    assert decrypted == "x" * 300


def test_a_trusted_key_is_signed_by_the_authentikey(ready: Vendor) -> None:
    point = PublicKey.from_secret(32 * b"\x77").format(compressed=False).hex()
    assert ready.card_import_trusted_pubkey(point) == point
    assert ready.card_export_trusted_pubkey() == point


def test_the_certificate_is_of_this_card_but_of_no_authority_the_client_knows(
    ready: Vendor,
) -> None:
    genuine, _ca, _sub_ca, _device, reason = ready.card_verify_authenticity()
    assert not genuine
    assert "subca" in reason.lower() or "certificate" in reason.lower()
    assert "serial number" not in reason


def test_the_client_accepts_our_chain_once_it_trusts_our_roots(
    ready: Vendor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Chain, serial number and challenge all hold: only the root is another."""
    validator = judge("pysatochip.certificate_validator")
    (tmp_path / "cert").mkdir()
    write_pem(tmp_path / "cert" / "ca.cert", TEST_ROOT)
    write_pem(tmp_path / "cert" / "subca-satochip.cert", TEST_SUB_CA)
    monkeypatch.setattr(validator, "__file__", str(tmp_path / "certificate_validator.py"))
    genuine, *_texts, reason = ready.card_verify_authenticity()
    assert genuine, reason


def write_pem(path: Path, der: bytes) -> None:
    path.write_text(ssl.DER_cert_to_PEM_cert(der))


def test_the_newest_card_is_reset_by_one_command(connector: Vendor) -> None:
    client = inserted(connector, emulate("0.16-0.0"))
    set_up(client)
    assert sw(client.card_reset_factory_v3()) == 0x9000
    assert not client.card_get_status()[3]["setup_done"]


@pytest.mark.parametrize("profile", PROFILES[:2])
def test_older_cards_are_reset_by_five_signals(connector: Vendor, profile: str) -> None:
    card = emulate(profile)
    set_up(inserted(connector, card))
    client = connector.CardConnector(card_filter=["satochip"])
    client.card_present = True
    client.cardservice = SimpleNamespace(connection=Connection(card))
    answers = []
    for _ in range(5):
        client.cardservice.connection.reader.power_cycle()
        client.card_select()
        answers.append(sw(client.card_reset_factory_signal()))
    assert answers == [0xFF04, 0xFF03, 0xFF02, 0xFF01, 0xFF00]
    assert not client.card_get_status()[3]["setup_done"]


@pytest.mark.parametrize("profile", PROFILES[2:])
def test_the_client_has_a_key_sign_as_it_is(connector: Vendor, profile: str) -> None:
    client = inserted(connector, emulate(profile))
    set_up(client)
    client.set_pin(0, list(PIN))
    client.card_verify_PIN()
    client.card_bip32_import_seed(SEED)
    key, _ = client.card_bip32_get_extendedkey(PATH)
    x = bytes(key.get_public_key_bytes(compressed=True)[1:])
    prepared = client.card_taproot_tweak_privkey(0xFF, bytes(32), bypass_flag=True)
    assert sw(prepared) == 0x9000
    assert bytes(prepared[0][3:35]) == x
    digest = hashlib.sha256(b"leaf").digest()
    signed = client.card_sign_schnorr_hash(0xFF, list(digest), None)
    assert PublicKeyXOnly(x).verify(bytes(signed[0]), digest)
