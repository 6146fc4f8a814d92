"""The emulated Satochip's taproot, second factor, SeedKeeper import, certificate and label."""

import hashlib
import hmac

import pytest
from coincurve import PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from cards.satochip import emulator_memory as second_factor
from cards.satochip.emulator import emulate, revive, uncertified
from tests.cards.satochip_host import (
    NEW,
    PIN,
    SEED,
    SETUP,
    Host,
    card_of,
    fields,
    host_of,
    last_key,
    ready,
    signs,
    signs_digest,
    tweak,
    vectors,
)

MESSAGE = hashlib.sha256(b"message").digest()
FACTOR = bytes(range(20))
AUTHENTIKEY, SEEDKEEPER = 32 * b"\x11", 32 * b"\x77"


def answer(padding: bytes, data: bytes) -> bytes:
    return hmac.digest(FACTOR, data + padding, "sha1")


class TestSecondFactor:
    @pytest.fixture
    def host(self) -> Host:
        host = ready(NEW)
        last_key(host)
        assert host.sw(0x79, data=FACTOR + bytes(8)) == 0x9000
        return host

    def test_the_published_answers(self) -> None:
        known = vectors("2fa_kat")
        key, data = bytes.fromhex(known["hmac_key"]), bytes.fromhex(known["hash"])
        assert second_factor.identifier(key).hex() == known["id_2FA"]
        assert second_factor.cipher_key(key).hex() == known["key_2FA"]
        assert key == FACTOR
        assert answer(32 * b"\xcc", data).hex() == known["chalresp_hash_sign_CC"]
        assert answer(32 * b"\xdd", data).hex() == known["chalresp_schnorr_DD"]

    def test_it_shows_and_is_set_once(self, host: Host) -> None:
        assert host.status()[8] == 1
        assert host.sw(0x79, data=FACTOR + bytes(8)) == 0x9C18
        assert ready(NEW).sw(0x79, data=FACTOR) == 0x6700

    def test_signing_needs_it(self, host: Host) -> None:
        right = answer(32 * b"\xcc", MESSAGE)
        assert host.sw(0x7A, 0xFF, 0, MESSAGE) == 0x6700
        assert host.sw(0x7A, 0xFF, 0, MESSAGE + b"\x80\0" + right[:19]) == 0x6700
        assert host.sw(0x7A, 0xFF, 0, MESSAGE + b"\x40\0" + right) == 0x9C09
        assert host.sw(0x7A, 0xFF, 0, MESSAGE + b"\x80\0" + bytes(20)) == 0x9C0B
        der, sw = host.call(0x7A, 0xFF, 0, MESSAGE + b"\x80\0" + right)
        assert sw == 0x9000
        assert signs_digest(last_key(host), der, MESSAGE)

    def test_schnorr_needs_another_answer(self, host: Host) -> None:
        tweak(host, b"")
        wrong, right = answer(32 * b"\xcc", MESSAGE), answer(32 * b"\xdd", MESSAGE)
        assert host.sw(0x7B, 0xFF, 0, MESSAGE + b"\x80\0" + wrong) == 0x9C0B
        assert host.sw(0x7B, 0xFF, 0, MESSAGE + b"\x80\0" + right) == 0x9000

    def test_resetting_it_needs_it(self, host: Host) -> None:
        name = bytes.fromhex("9eba62d812b862f2a0856ad6cc12d137e9ca9868")
        assert host.sw(0x78, data=bytes(20)) == 0x9C0B
        assert host.sw(0x78, data=b"") == 0x6700
        assert host.sw(0x78, data=answer(44 * b"\xaa", name)) == 0x9000
        assert host.status()[8] == 0
        assert host.sw(0x78, data=answer(44 * b"\xaa", name)) == 0x9C19

    def test_the_seed_is_not_reset_without_it(self, host: Host) -> None:
        right = answer(32 * b"\xff", fields(host.call(0xAD)[0])[0])
        assert host.sw(0x77, 6, 0, PIN) == 0x6700
        assert host.sw(0x77, 6, 0, PIN + bytes(20)) == 0x9C0B
        assert host.status()[9] == 1
        assert host.sw(0x77, 6, 0, PIN + right) == 0x9000

    def test_slots_need_it(self, host: Host) -> None:
        key = 32 * b"\x22"
        blob = bytes.fromhex("000c0100") + bytes(6) + b"\0\x20" + key
        x = PrivateKey(key).public_key.format()[1:]
        assert host.sw(0x32, 3, 0, blob) == 0x6700
        assert host.sw(0x32, 3, 0, blob + answer(32 * b"\x13", x)) == 0x9000
        assert host.sw(0x33, 3) == 0x6700
        assert host.sw(0x33, 3, 0, answer(32 * b"\x13", x)) == 0x9C0B
        assert host.sw(0x33, 3, 0, answer(32 * b"\x23", x)) == 0x9000

    def test_messages_to_the_telephone(self, host: Host) -> None:
        begun, _ = host.call(0x76, 2, 1)
        assert begun[16:].hex() == "9eba62d812b862f2a0856ad6cc12d137e9ca9868"
        encrypted = [host.call(0x76, 2, p2, b"\0\x10" + 16 * b"m")[0] for p2 in (2, 3)]
        assert host.sw(0x76, 2, 3, b"\0\x10" + bytes(16)) == 0x9C13
        assert host.sw(0x76, 1, 1, begun[:16]) == 0x9000
        decrypted = [
            host.call(0x76, 1, p2, piece)[0] for p2, piece in zip((2, 3), encrypted, strict=True)
        ]
        assert decrypted == 2 * [b"\0\x10" + 16 * b"m"]

    @pytest.mark.parametrize(
        ("p1", "p2", "data", "sw"),
        [
            (3, 1, b"", 0x9C0F),
            (2, 2, b"\0", 0x9C0F),
            (2, 2, b"\0\x11" + bytes(16), 0x9C0F),
            (2, 4, b"", 0x9C11),
            (1, 1, bytes(15), 0x6700),
            (2, 2, b"\0\x10" + bytes(16), 0x9C13),
        ],
    )
    def test_messages_out_of_order(
        self, host: Host, p1: int, p2: int, data: bytes, sw: int
    ) -> None:
        assert host.sw(0x76, p1, p2, data) == sw

    def test_a_message_of_no_whole_blocks(self, host: Host) -> None:
        host.sw(0x76, 2, 1)
        assert host.sw(0x76, 2, 2, b"\0\x0f" + bytes(15)) == 0x6700

    def test_without_it_there_is_nothing_to_encrypt(self) -> None:
        assert ready(NEW).sw(0x76, 2, 1) == 0x9C19


class TestSeedKeeper:
    """A seed or second factor that comes encrypted from another card."""

    HEAD = bytes.fromhex("100203040506")

    @pytest.fixture
    def host(self) -> Host:
        host = ready(NEW, seeded=False)
        card_of(host).flash.authentikey = AUTHENTIKEY
        point = PrivateKey(SEEDKEEPER).public_key.format(compressed=False)
        assert host.sw(0xAB) == 0x9C35
        data, sw = host.call(0xAA, data=b"\0\x41" + point)
        assert sw == 0x9000
        assert data[:67] == b"\0\x41" + point
        assert host.call(0xAB)[0][:67] == data[:67]
        return host

    def sealed(
        self, secret: bytes, *, kind: int = 0x10, mark: bytes = b"", ragged: bytes = b""
    ) -> bytes:
        """What a SeedKeeper would send."""
        public = PrivateKey(AUTHENTIKEY).public_key
        shared = public.multiply(SEEDKEEPER).format()[1:]
        plain = bytes((len(secret),)) + secret
        mark = mark or hashlib.sha256(plain).digest()[:4]
        header = bytes((kind,)) + self.HEAD[1:] + mark + b"\0\0"
        pad = 16 - len(plain) % 16
        aes = algorithms.AES(hmac.digest(shared, b"seckey", "sha1")[:16])
        iv = 16 * b"\x0f"
        body = Cipher(aes, modes.CBC(iv)).encryptor().update(plain + pad * bytes((pad,))) + ragged
        mac_key = hmac.digest(shared, b"secmac", "sha1")
        mac = hmac.digest(mac_key, hashlib.sha256(header + body).digest(), "sha1")
        return header + iv + len(body).to_bytes(2) + body + b"\x14" + mac

    def test_a_seed(self, host: Host) -> None:
        sealed = self.sealed(SEED)
        data, sw = host.call(0xAC, data=sealed)
        assert sw == 0x9000
        assert fields(data)[0] == PrivateKey(AUTHENTIKEY).public_key.format()[1:]
        other = ready(NEW)
        assert host.call(0x6D)[0][:66] == other.call(0x6D)[0][:66]
        assert host.sw(0xAC, data=sealed) == 0x9C17
        assert host.sw(0xAA, data=b"\0\x41" + bytes(65)) == 0x9C17

    def test_a_second_factor(self, host: Host) -> None:
        sealed = self.sealed(FACTOR, kind=0xB0)
        assert host.sw(0xAC, data=sealed) == 0x9000
        assert host.status()[8] == 1
        assert host.sw(0xAC, data=sealed) == 0x9C18

    @pytest.mark.parametrize("size", [0, 19, 21])
    def test_a_second_factor_has_twenty_bytes(self, host: Host, size: int) -> None:
        assert host.sw(0xAC, data=self.sealed(bytes(size), kind=0xB0)) == 0x9C0F
        assert host.status()[8] == 0

    def test_what_does_not_hold(self, host: Host) -> None:
        sealed = self.sealed(SEED)
        assert host.sw(0xAC, data=sealed[:-1] + bytes((sealed[-1] ^ 1,))) == 0x9C33
        assert host.sw(0xAC, data=b"\x10\xff" + sealed[2:]) == 0x9C33
        assert host.sw(0xAC, data=self.sealed(SEED, mark=b"mark")) == 0x9C34
        assert host.sw(0xAC, data=self.sealed(SEED, kind=0x30)) == 0x9C0F
        assert host.sw(0xAC, data=self.sealed(SEED, ragged=b"r")) == 0x9C0F
        assert host.sw(0xAC, data=sealed[:40]) == 0x9C0F
        assert host.status()[9] == 0

    def test_without_a_trusted_key(self) -> None:
        assert ready(NEW, seeded=False).sw(0xAC, data=self.sealed(SEED)) == 0x9C35

    @pytest.mark.parametrize("data", [b"\0\x40" + bytes(65), b"\0\x41\2" + bytes(64), b"\0\x41\4"])
    def test_a_key_that_is_none(self, data: bytes) -> None:
        assert ready(NEW, seeded=False).sw(0xAA, data=data) == 0x9C0F


class TestCertificate:
    def test_it_comes_in_pieces(self) -> None:
        host = ready()
        certificate = card_of(host).flash.certificate
        assert host.call(0x93, 0, 1)[0] == len(certificate).to_bytes(2)
        starts = range(0, len(certificate), 128)
        sizes = [min(128, len(certificate) - start) for start in starts]
        pieces = [
            host.call(0x93, 0, 2, start.to_bytes(2) + size.to_bytes(2))[0]
            for start, size in zip(starts, sizes, strict=True)
        ]
        assert b"".join(pieces) == certificate
        end = len(certificate).to_bytes(2)
        assert host.sw(0x93, 0, 2, end + b"\0\0") == 0x6700
        last = (len(certificate) - 1).to_bytes(2)
        assert host.sw(0x93, 0, 2, last + b"\0\1") == 0x9000
        assert host.sw(0x93, 0, 2, last + b"\0\2") == 0x6700
        assert host.sw(0x93, 0, 2, b"\0\0\0") == 0x6700
        assert host.sw(0x93, 0, 3) == 0x9C11

    def test_the_factory_writes_and_locks_it(self) -> None:
        host = host_of(uncertified(NEW))
        assert host.sw(0x42, data=b"Muscle00") == 0x9000
        public, _ = host.call(0x98)
        assert len(public) == 65
        der, _ = host.call(0x94, data=MESSAGE)
        assert signs_digest(public, der, MESSAGE)
        assert host.sw(0x94, data=MESSAGE[1:]) == 0x6700
        assert host.sw(0x92, 0, 1, b"\0\6") == 0x9000
        assert host.sw(0x92, 0, 2, b"\0\3\0\3def") == 0x9000
        assert host.sw(0x92, 0, 2, b"\0\0\0\3abc") == 0x9000
        assert host.sw(0x92, 0, 2, b"\0\4\0\3abc") == 0x6700
        assert host.sw(0x92, 0, 2, b"\0\0\0\3ab") == 0x6700
        assert host.sw(0x92, 0, 1, b"\0") == 0x6700
        assert host.sw(0x92, 0, 3, b"") == 0x9C11
        assert host.sw(0x99) == 0x9000
        assert card_of(host).flash.certificate == b"abcdef"
        host.send(SETUP)
        host.sw(0x42, data=PIN)
        for ins in (0x98, 0x92, 0x94, 0x99):
            assert host.sw(ins, data=MESSAGE) == 0x9C40

    def test_a_challenge_is_signed_with_a_nonce_of_the_cards(self) -> None:
        host = ready()
        x = fields(host.call(0xAD)[0])[0]
        answers = [host.call(0x9A, data=MESSAGE)[0] for _ in range(2)]
        assert answers[0][:32] != answers[1][:32]
        for data in answers:
            (signature,) = fields(data, head=32)
            assert signs(x, signature, b"Challenge:" + data[:32] + MESSAGE)
        assert host.sw(0x9A, data=MESSAGE[1:]) == 0x6700


class TestLabel:
    def test_it_is_kept(self) -> None:
        host = ready()
        assert host.call(0x3D, 0, 1) == (b"\0", 0x9000)
        assert host.sw(0x3D, data=b"\x40" + 64 * b"l") == 0x9000
        assert host.call(0x3D, 0, 1)[0] == b"\x40" + 64 * b"l"
        assert revive(card_of(host).state()).flash.label == 64 * b"l"

    @pytest.mark.parametrize(
        ("p2", "data", "sw"),
        [(0, b"\x41" + 65 * b"l", 0x9C0F), (0, b"\2l", 0x9C0F), (2, b"", 0x9C11)],
    )
    def test_what_is_none(self, p2: int, data: bytes, sw: int) -> None:
        assert ready().sw(0x3D, 0, p2, data) == sw


def test_a_card_with_a_second_factor_says_so_after_a_revival() -> None:
    host = ready()
    host.sw(0x79, data=FACTOR + (1000).to_bytes(8))
    revived = revive(card_of(host).state())
    assert revived.flash.amount_limit == 1000
    assert host_of(revived).status()[8] == 1


def test_two_cards_have_nothing_in_common() -> None:
    one, two = emulate(NEW).flash, emulate(NEW).flash
    assert one.authentikey != two.authentikey
    assert not set(one.serials.values()) & set(two.serials.values())
