"""The vendor's own client drives the emulated Keycard."""

import hashlib
from typing import Any

import pytest
from coincurve import PublicKey, PublicKeyXOnly
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from embit.bip32 import HDKey

from cards.apdu import Response
from cards.emulation import CURVE_ORDER
from cards.keycard import emulator_keys
from cards.keycard.channel import default_secret
from cards.keycard.emulator import KeycardEmulator, blank, emulate
from cards.keycard.roots import MAKERS_KEY, TEST_KEY
from tests.cards.keycard_host import SEED
from tests.judges import judge

Vendor = Any
"""The client is not asked for its types."""

PIN, NEW_PIN, PUK, DURESS = "123456", "702956", "850273619482", "654321"
PATH = "m/48'/0'/0'/2'/0/5"
DIGEST = hashlib.sha256(b"a digest").digest()
PROFILES = ("3.1", "3.2", "4.0")


class Connection:
    """What the client takes for its transport."""

    def __init__(self, card: KeycardEmulator) -> None:
        self.reader = card.insert()

    def connect(self) -> None: ...

    def disconnect(self) -> None:
        self.reader.close()

    def send_apdu(self, apdu: bytes) -> Vendor:
        answer = Response.parse(self.reader.transmit(bytes(apdu)))
        return judge("keycard.apdu").APDUResponse(list(answer.data), answer.sw)


@pytest.fixture(autouse=True)
def s_without_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no S that would keep zeros when it is turned: the maker's client cannot read one."""
    sign = emulator_keys.sign_high_or_low

    def drawn(secret: bytes, digest: bytes) -> bytes:
        while True:
            der = sign(secret, digest)
            _, s = decode_dss_signature(der)
            if min(s, CURVE_ORDER - s) >> 247:
                return der

    monkeypatch.setattr(emulator_keys, "sign_high_or_low", drawn)


@pytest.fixture
def vendor() -> Vendor:
    return judge("keycard.keycard")


def client(vendor: Vendor, card: KeycardEmulator, authority: bytes = TEST_KEY) -> Vendor:
    return vendor.KeyCard(Connection(card), ca_public_keys=[authority])


def opened(vendor: Vendor, card: KeycardEmulator, *, pin: str = PIN) -> Vendor:
    """Select, pair where that is needed, open the channel and present the PIN."""
    keycard = client(vendor, card)
    keycard.select()
    if not card.flash.certified:
        keycard.pair(default_secret())
    keycard.open_secure_channel()
    assert keycard.verify_pin(pin)
    return keycard


def initialised(vendor: Vendor, profile: str) -> KeycardEmulator:
    card = emulate(profile)
    keycard = client(vendor, card)
    keycard.select()
    secret = None if card.flash.certified else default_secret()
    keycard.init(PIN, PUK, secret, alt_pin=DURESS)
    return card


def loaded(vendor: Vendor, profile: str) -> tuple[Vendor, KeycardEmulator]:
    card = initialised(vendor, profile)
    keycard = opened(vendor, card)
    kinds = judge("keycard.constants").LoadKeyType
    assert keycard.load_key(kinds.BIP39_SEED, bip39_seed=SEED) == card.flash.key_uid
    return keycard, card


def software(path: str = PATH) -> HDKey:
    return HDKey.from_seed(SEED).derive(path)


@pytest.mark.parametrize("profile", PROFILES)
def test_it_initialises_and_tells_the_status(vendor: Vendor, profile: str) -> None:
    card = initialised(vendor, profile)
    keycard = opened(vendor, card)
    assert keycard.status == {"pin_retry_count": 3, "puk_retry_count": 5, "initialized": False}
    assert keycard.version == tuple(int(part) for part in profile.split("."))


@pytest.mark.parametrize("profile", PROFILES)
def test_it_signs_under_the_softwares_key(vendor: Vendor, profile: str) -> None:
    keycard, _ = loaded(vendor, profile)
    for _ in range(20):
        result = keycard.sign_with_path(DIGEST, PATH)
        key = PublicKey(bytes(result.public_key))
        assert key.format() == software().to_public().key.sec()
        assert int.from_bytes(result.s) <= CURVE_ORDER // 2
        assert key.verify(result.signature_der, DIGEST, hasher=None)


@pytest.mark.parametrize("profile", PROFILES)
def test_it_exports_the_softwares_public_key(vendor: Vendor, profile: str) -> None:
    keycard, _ = loaded(vendor, profile)
    options = judge("keycard.constants").DerivationOption
    exported = keycard.export_key(options.DERIVE, True, PATH)
    assert PublicKey(bytes(exported.public_key)).format() == software().to_public().key.sec()


@pytest.mark.parametrize("profile", PROFILES)
def test_the_duress_pin_opens_another_tree_under_one_master(vendor: Vendor, profile: str) -> None:
    _, card = loaded(vendor, profile)
    keycard = opened(vendor, card, pin=DURESS)
    options = judge("keycard.constants").DerivationOption
    below = keycard.export_key(options.DERIVE, True, PATH)
    master = keycard.export_key(options.DERIVE, True, "m")
    assert PublicKey(bytes(below.public_key)).format() != software().to_public().key.sec()
    assert PublicKey(bytes(master.public_key)).format() == software("m").to_public().key.sec()


@pytest.mark.parametrize("profile", PROFILES)
def test_it_changes_blocks_and_frees_the_pin(vendor: Vendor, profile: str) -> None:
    card = initialised(vendor, profile)
    keycard = opened(vendor, card)
    keycard.change_pin(NEW_PIN)
    assert [keycard.verify_pin(PIN) for _ in range(2)] == [False] * 2
    with pytest.raises(RuntimeError, match="blocked"):
        keycard.verify_pin(PIN)
    assert keycard.status["pin_retry_count"] == 0
    keycard.unblock_pin(PUK, PIN)
    assert keycard.verify_pin(PIN)


@pytest.mark.parametrize("profile", PROFILES)
def test_it_makes_and_removes_a_key(vendor: Vendor, profile: str) -> None:
    card = initialised(vendor, profile)
    keycard = opened(vendor, card)
    assert keycard.generate_key() == card.flash.key_uid
    assert keycard.status["initialized"]
    keycard.remove_key()
    assert not keycard.status["initialized"]


@pytest.mark.parametrize("profile", PROFILES)
def test_it_resets_the_card(vendor: Vendor, profile: str) -> None:
    keycard, card = loaded(vendor, profile)
    keycard.factory_reset()
    assert not keycard.select().is_initialized
    assert (card.flash.key, card.flash.pairings, card.flash.data) == (b"", {}, {})
    assert card.flash.certificate


@pytest.mark.parametrize("profile", PROFILES)
def test_it_stores_data_and_makes_words(vendor: Vendor, profile: str) -> None:
    keycard, _ = loaded(vendor, profile)
    keycard.store_data(b"meta")
    assert bytes(keycard.get_data()) == b"meta"
    assert len(keycard.generate_mnemonic(8)) == 24


@pytest.mark.parametrize("profile", ["3.1", "3.2"])
def test_it_identifies_the_card(vendor: Vendor, profile: str) -> None:
    keycard = client(vendor, emulate(profile))
    keycard.select()
    assert bytes(keycard.ident()) == TEST_KEY


def test_it_refuses_a_card_of_another_authority(vendor: Vendor) -> None:
    keycard = client(vendor, emulate("4.0"), MAKERS_KEY)
    keycard.select()
    with pytest.raises(judge("keycard.exceptions").UntrustedCardError):
        keycard.open_secure_channel()


def test_it_unpairs(vendor: Vendor) -> None:
    card = initialised(vendor, "3.2")
    keycard = opened(vendor, card)
    assert set(card.flash.pairings) == {0}
    keycard.unpair(0)
    assert card.flash.pairings == {}


def test_it_derives_and_signs_without_a_pin(vendor: Vendor) -> None:
    keycard, _ = loaded(vendor, "3.2")
    keycard.derive_key(PATH)
    assert PublicKey(bytes(keycard.sign(DIGEST).public_key)).format() == (
        software().to_public().key.sec()
    )
    keycard.set_pinless_path(PATH)
    keycard.select()
    keycard.open_secure_channel()
    result = keycard.sign_pinless(DIGEST)
    assert PublicKey(bytes(result.public_key)).format() == software().to_public().key.sec()


@pytest.mark.parametrize("tweak", [bytes(32), DIGEST])
def test_it_signs_as_bip_340_wants_it(vendor: Vendor, tweak: bytes) -> None:
    keycard, _ = loaded(vendor, "4.0")
    algorithm = judge("keycard.constants").SigningAlgorithm.SCHNORR_BIP340
    for leaf in range(4):
        path = f"m/86'/0'/0'/0/{leaf}"
        result = keycard.sign_with_path(DIGEST, path, algorithm=algorithm, tweak=tweak)
        key = PublicKeyXOnly(software(path).to_public().key.sec()[1:])
        if any(tweak):
            key.tweak_add(tweak)
        assert key.verify(result.signature, DIGEST)


def test_an_unknown_command_is_refused_in_the_channel(vendor: Vendor) -> None:
    keycard, _ = loaded(vendor, "3.2")
    with pytest.raises(judge("keycard.exceptions").APDUError) as caught:
        keycard.send_secure_apdu(ins=0xEE)
    assert caught.value.sw == 0x6D00
    assert keycard.verify_pin(PIN)


def test_a_blank_card_of_4_refuses_everything() -> None:
    assert (
        blank("4.0").insert().transmit(bytes.fromhex("00a4040009a00000080400010101")) == b"\x69\x85"
    )
