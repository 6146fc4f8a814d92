"""The vendor's own client drives the emulated TAPSIGNER."""

from types import ModuleType
from typing import Any

import pytest
from embit.bip32 import HDKey

from cards import emulation
from cards.bip32 import fingerprint
from cards.signature import verify
from cards.tapsigner.emulator import TapsignerEmulator, emulate
from cards.tapsigner.roots import TEST_ROOT
from tests.cards.tapsigner_host import CVC, DIGEST, H, open_backup, with_key
from tests.judges import judge

Vendor = Any
"""The client ships no types."""

PROFILES = ("0.9.0", "1.0.0", "1.0.3")
CHAIN_CODE = bytes(range(32))
ACCOUNT = "m/48h/0h/0h/2h"
NEW_CVC = b"84930217"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Connection:
    """What the client takes for a reader's connection."""

    def __init__(self, card: TapsignerEmulator) -> None:
        self.reader = card.insert()
        self.sent = 0

    def transmit(self, apdu: list[int]) -> tuple[list[int], int, int]:
        self.sent += 1
        answer = self.reader.transmit(bytes(apdu))
        return list(answer[:-2]), answer[-2], answer[-1]

    def disconnect(self) -> None:
        self.reader.close()


@pytest.fixture
def vendor() -> ModuleType:
    return judge("cktap.transport")


@pytest.fixture(params=PROFILES)
def card(request: pytest.FixtureRequest) -> TapsignerEmulator:
    return with_key(request.param)


@pytest.fixture
def luck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulation, "chance", lambda _one_in: False)


def client(vendor: ModuleType, card: TapsignerEmulator) -> Vendor:
    """Put the card on a reader of the vendor's client."""
    return vendor.CKTapCard(vendor.CKTapNFCTransport(Connection(card)))


@pytest.mark.parametrize("profile", PROFILES)
def test_it_makes_its_key(vendor: ModuleType, profile: str) -> None:
    card = emulate(profile)
    theirs = client(vendor, card)
    assert theirs.is_tapsigner
    assert not theirs.is_satschip
    assert theirs.applet_version == profile
    assert theirs.get_pubkey(CVC) is None
    _, answer = theirs.send_auth("new", CVC, slot=0, chain_code=CHAIN_CODE)
    assert answer["slot"] == 0
    assert theirs.get_derivation() == "m/84h/0h/0h"
    master = HDKey.from_string(theirs.get_xpub(CVC, master=True))
    assert master.chain_code == CHAIN_CODE
    assert theirs.get_xfp(CVC) == fingerprint(master.key.sec())


@pytest.mark.parametrize("profile", PROFILES[1:])
def test_it_is_genuine_under_its_own_root(
    vendor: ModuleType, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 1.0.0 on: before, asking for the certificates used up the nonce the client goes by."""
    card = with_key(profile)
    theirs = client(vendor, card)
    utils = judge("cktap.utils")
    with pytest.raises(RuntimeError):
        theirs.certificate_check()
    monkeypatch.setattr(utils, "FACTORY_ROOT_KEYS", {TEST_ROOT: "cardquorum TEST root"})
    assert theirs.certificate_check() == "cardquorum TEST root"


def test_its_keys_are_those_of_its_backup(vendor: ModuleType, card: TapsignerEmulator) -> None:
    theirs = client(vendor, card)
    xprv, _ = open_backup(theirs.make_backup(CVC), card.flash.backup_key)
    master = HDKey.from_string(xprv)
    depth, chain_code, public_key = theirs.set_derivation(ACCOUNT, CVC)
    expected = master.derive(ACCOUNT)
    assert (depth, chain_code) == (4, expected.chain_code)
    assert public_key == expected.to_public().key.sec() == theirs.get_pubkey(CVC)
    assert theirs.set_derivation(ACCOUNT, CVC) is None
    shown = HDKey.from_string(theirs.get_xpub(CVC))
    assert (shown.depth, shown.fingerprint, shown.child_number) == (4, bytes(4), 2 | H)
    leaf = HDKey.from_string(theirs.derive_xpub_at_path(CVC, f"{ACCOUNT}/0/5"))
    assert leaf.key.sec() == master.derive(f"{ACCOUNT}/0/5").to_public().key.sec()


@pytest.mark.usefixtures("luck")
def test_it_signs(vendor: ModuleType, card: TapsignerEmulator) -> None:
    theirs = client(vendor, card)
    theirs.set_derivation(ACCOUNT, CVC)
    _, answer = theirs.send_auth("sign", CVC, slot=0, digest=DIGEST, subpath=[0, 5])
    leaf = HDKey.from_string(theirs.derive_xpub_at_path(CVC, f"{ACCOUNT}/0/5"))
    assert answer["pubkey"] == leaf.key.sec()
    assert verify(leaf.key.sec(), DIGEST, answer["sig"])


def test_its_cvc_changes_after_a_backup(vendor: ModuleType, card: TapsignerEmulator) -> None:
    theirs = client(vendor, card)
    error = judge("cktap.exceptions").CardRuntimeError
    with pytest.raises(error, match="425"):
        theirs.change_cvc(CVC, NEW_CVC)
    theirs.first_look()
    theirs.make_backup(CVC)
    theirs.change_cvc(CVC, NEW_CVC)
    assert theirs.get_xpub(NEW_CVC)
    with pytest.raises(error, match="401"):
        theirs.get_xpub(CVC)


def test_it_waits_after_three_wrong_cvcs(vendor: ModuleType, card: TapsignerEmulator) -> None:
    theirs = client(vendor, card)
    error = judge("cktap.exceptions").CardRuntimeError
    for expected in ("401", "401", "401", "429"):
        with pytest.raises(error, match=expected):
            theirs.get_xpub(b"000000")
        theirs.first_look()
    assert theirs.auth_delay == 15
    for left in range(14, -1, -1):
        assert theirs.send("wait")["auth_delay"] == left
    theirs.first_look()
    assert theirs.get_xpub(CVC)


def test_its_link_names_the_card(vendor: ModuleType, card: TapsignerEmulator) -> None:
    theirs = client(vendor, card)
    decoded = judge("cktap.verify_link").url_decoder(theirs.get_nfc_url().partition("#")[2])
    assert decoded["card_ident"] == theirs.card_ident
    assert decoded["is_tapsigner"]
    assert not decoded["virgin"]


def test_a_satschip_is_told_apart(vendor: ModuleType, card: TapsignerEmulator) -> None:
    card.flash.satschip = True
    assert client(vendor, card).product_name == "SATSCHIP"
