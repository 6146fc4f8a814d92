"""The emulated Satochip's seed, derivation cache, key slots and ECDSA signatures."""

import hashlib
import hmac

import pytest
from coincurve import PrivateKey, PublicKey

from cards.satochip.emulator import revive
from tests.cards.satochip_host import (
    MIDDLE,
    NEW,
    OLD,
    PIN,
    SEED,
    Host,
    N,
    card_of,
    compact,
    fields,
    host_of,
    ready,
    signs,
    signs_digest,
)

DIGEST = hashlib.sha256(b"digest").digest()
ACCOUNT = (48 | 1 << 31, 1 << 31, 1 << 31, 2 | 1 << 31)
KEY = 32 * b"\x22"


def path(*steps: int) -> bytes:
    return b"".join(step.to_bytes(4) for step in steps)


def derive(host: Host, *steps: int, p2: int = 0x40) -> tuple[bytes, int]:
    return host.call(0x6D, len(steps), p2, path(*steps))


def derived_private(*steps: int) -> bytes:
    """BIP 32 once more, in whole numbers."""
    node = hmac.digest(b"Bitcoin seed", SEED, "sha512")
    for step in steps:
        key, chain_code = node[:32], node[32:]
        head = b"\0" + key if step >> 31 else PrivateKey(key).public_key.format()
        tweak = hmac.digest(chain_code, head + step.to_bytes(4), "sha512")
        number = (int.from_bytes(tweak[:32]) + int.from_bytes(key)) % N
        node = number.to_bytes(32) + tweak[32:]
    return node[:32]


def signer(host: Host, *candidates: tuple[int, ...]) -> tuple[int, ...]:
    """Which of the paths' keys made the card's next signature."""
    der, sw = host.call(0x7A, 0xFF, 0, DIGEST)
    assert sw == 0x9000
    publics = {PrivateKey(derived_private(*c)).public_key.format(): c for c in candidates}
    return next(c for public, c in publics.items() if signs_digest(public, der, DIGEST))


class TestSeed:
    def test_sizes(self) -> None:
        host = ready(seeded=False)
        assert host.sw(0x6C, p1=65, data=65 * b"\0") == 0x6700
        assert host.sw(0x6C, p1=32, data=SEED) == 0x6700
        assert host.sw(0x6C, p1=64, data=SEED) == 0x9000
        assert host.sw(0x6C, p1=64, data=SEED) == 0x9C17
        assert host.status()[9] == 1

    def test_the_authentikey_is_the_answer(self) -> None:
        host = ready(seeded=False)
        assert host.sw(0x73) == 0x9C14
        answers = [host.call(0xAD)[0], host.call(0x6C, 64, 0, SEED)[0], host.call(0x73)[0]]
        assert len({fields(answer)[0] for answer in answers}) == 1
        for answer in answers:
            x, signature = fields(answer)
            assert signs(x, signature, answer[:34])

    @pytest.mark.parametrize("profile", [OLD, NEW])
    def test_reset_forgets_all_that_hangs_on_it(self, profile: str) -> None:
        host = ready(profile)
        derive(host, 0)
        authentikey = fields(host.call(0xAD)[0])[0]
        assert host.sw(0x77, p1=6, data=PIN) == 0x9000
        assert host.sw(0x6D) == 0x9C06
        host.sw(0x42, data=PIN)
        assert derive(host)[1] == 0x9C14
        assert host.sw(0x7A, 0xFF, 0, DIGEST) == 0x9C14
        assert host.call(0x74)[0] == b"\0\x20\0\0"
        assert fields(host.call(0xAD)[0])[0] == authentikey
        assert host.sw(0x6C, p1=64, data=SEED) == 0x9000
        assert host.sw(0x7A, 0xFF, 0, DIGEST) == (0x9000 if profile == OLD else 0x9C13)

    def test_up_to_0_15_the_key_last_derived_outlives_its_seed(self) -> None:
        """A trap: asked to sign before anything is derived, the card signs for its last seed."""
        host = ready(OLD)
        derive(host, 0)
        host.sw(0x77, p1=6, data=PIN)
        host.sw(0x42, data=PIN)
        assert host.sw(0x6C, p1=32, data=SEED[:32]) == 0x9000
        assert signer(host, (0,)) == (0,)

    def test_reset_needs_the_pin_and_counts_it(self) -> None:
        host = ready()
        assert host.sw(0x77, p1=6, data=b"000000") == 0x63C4
        assert host.sw(0x77, p1=7, data=PIN) == 0x6700
        assert host.status()[4] == 4
        assert host.status()[9] == 1
        assert host.sw(0x6D) == 0x9C06
        assert host.sw(0x77, p1=6, data=PIN) == 0x9000
        assert host.sw(0x77, p1=6, data=PIN) == 0x9C14


class TestDerivation:
    def test_both_signatures_cover_what_they_should(self) -> None:
        host = ready()
        authentikey = fields(host.call(0xAD)[0])[0]
        data, _ = derive(host, *ACCOUNT, 0, 5)
        x, by_itself, by_authentikey = fields(data, head=32)
        assert x == PrivateKey(derived_private(*ACCOUNT, 0, 5)).public_key.format()[1:]
        assert signs(x, by_itself, data[:66])
        assert signs(authentikey, by_authentikey, data[: 68 + len(by_itself)])

    def test_depths(self) -> None:
        host = ready()
        assert derive(host, *range(10))[1] == 0x9000
        assert derive(host, *range(11))[1] == 0x9C10
        assert host.sw(0x6D, 2, 0x40, path(1)) == 0x9C0F
        assert derive(host)[1] == 0x9000

    def test_the_cache_fills_as_it_was_measured(self) -> None:
        """Six steps for one leaf, a branch, and then 25 siblings: the 26th is one too many."""
        host = ready()
        assert derive(host, *ACCOUNT, 0, 5)[1] == 0x9000
        siblings = [derive(host, *ACCOUNT, 1, i)[1] for i in range(26)]
        assert siblings == 25 * [0x9000] + [0x9C01]
        assert host.call(0x75)[0] == b"\0\0\0\x20"
        assert derive(host, *ACCOUNT, 1, 24)[1] == 0x9000
        assert derive(host, *ACCOUNT, 1, 25, p2=0xC0)[1] == 0x9000
        assert host.call(0x75)[0] == b"\0\x1a\0\x06"

    def test_the_cache_survives_the_power(self) -> None:
        host = ready()
        derive(host, *ACCOUNT)
        again = host_of(revive(card_of(host).state()))
        again.sw(0x42, data=PIN)
        assert again.call(0x74)[0] == b"\0\x1c\0\x04"

    def test_a_full_cache_leaves_the_parent_as_signing_key(self) -> None:
        host = ready()
        for i in range(32):
            derive(host, i)
        assert derive(host, 31)[1] == 0x9000
        assert derive(host, 32)[1] == 0x9C01
        assert signer(host, (31,), (32,), ()) == ()

    def test_a_hardened_step_into_a_full_cache_leaves_the_key_before(self) -> None:
        """Only a normal step needs its parent's public key."""
        host = ready()
        for i in range(32):
            derive(host, i)
        derive(host, 5)
        assert derive(host, 7, 1 << 31)[1] == 0x9C01
        assert signer(host, (5,), (7,), ()) == (5,)

    def test_two_paths_with_one_name_in_the_cache_give_the_first_ones_key(self) -> None:
        first, second = colliding_leaves()
        host = ready()
        wanted = PrivateKey(derived_private(first)).public_key.format()[1:]
        assert fields(derive(host, first)[0], head=32)[0] == wanted
        assert fields(derive(host, second)[0], head=32)[0] == wanted
        other = fields(derive(host, second, p2=0x80)[0], head=32)[0]
        assert other == PrivateKey(derived_private(second)).public_key.format()[1:]

    def test_the_cache_holds_what_was_published(self) -> None:
        host = ready()
        derive(host, 3)
        ((name, held),) = card_of(host).flash.cache.items()
        key = derived_private(3)
        assert name == hashlib.sha256(path(3)).digest()[-4:]
        assert held[:32] == key
        assert held[64:] == PrivateKey(key).public_key.format()[:1]


def colliding_leaves() -> tuple[int, int]:
    """Two steps below the master whose names of four bytes are equal."""
    seen: dict[bytes, int] = {}
    for step in range(1 << 20):
        name = hashlib.sha256(step.to_bytes(4)).digest()[-4:]
        if name in seen:
            return seen[name], step
        seen[name] = step
    raise AssertionError("no collision")


class TestSigning:
    def test_by_the_key_last_derived(self) -> None:
        host = ready()
        derive(host, 1)
        derive(host, 2)
        assert signer(host, (1,), (2,)) == (2,)

    def test_half_of_the_signatures_are_high_and_none_repeats(self) -> None:
        host = ready()
        derive(host, 1)
        signatures = [compact(host.call(0x7A, 0xFF, 0, DIGEST)[0]) for _ in range(64)]
        high = sum(s > N // 2 for _, s in signatures)
        assert 8 < high < 56
        assert len({r for r, _ in signatures}) == 64

    @pytest.mark.parametrize("size", [0, 31])
    def test_a_short_digest(self, size: int) -> None:
        host = ready()
        derive(host, 1)
        assert host.sw(0x7A, 0xFF, 0, DIGEST[:size]) == 0x6700

    def test_without_seed_or_key(self) -> None:
        host = ready(seeded=False)
        assert host.sw(0x7A, 0xFF, 0, DIGEST) == 0x9C14
        host.sw(0x6C, p1=64, data=SEED)
        assert host.sw(0x7A, 0xFF, 0, DIGEST) == 0x9C13

    @pytest.mark.parametrize(("profile", "sw"), [(OLD, 0x9000), (MIDDLE, 0x9000), (NEW, 0x9C13)])
    def test_the_key_outlives_the_power_up_to_0_15(self, profile: str, sw: int) -> None:
        host = ready(profile)
        derive(host, 1)
        again = host_of(revive(card_of(host).state()))
        again.sw(0x42, data=PIN)
        assert again.sw(0x7A, 0xFF, 0, DIGEST) == sw

    def test_selection_does_not_lose_the_key(self) -> None:
        host = ready(OLD)
        derive(host, 1)
        host.select()
        host.open()
        host.sw(0x42, data=PIN)
        assert signer(host, (1,)) == (1,)

    @pytest.mark.parametrize("ins", [0x6E, 0x6F, 0x71, 0x72])
    def test_old_ways_of_signing(self, ins: int) -> None:
        assert ready(NEW).sw(ins) == 0x9C26
        assert ready(OLD).sw(ins) == (0x9C26 if ins == 0x72 else 0x9C05)


class TestSlots:
    HEAD = bytes.fromhex("000c0100") + bytes(6)
    BLOB = HEAD + b"\0\x20" + KEY

    def test_a_key_comes_and_goes(self) -> None:
        host = ready()
        public = PublicKey.from_secret(KEY).format()
        assert host.sw(0x32, 15, 0, self.BLOB) == 0x9000
        data, _ = host.call(0x35, 15)
        x, signature = fields(data)
        assert x == public[1:]
        assert signs(public, signature, data[:34])
        assert signs_digest(public, host.call(0x7A, 15, 0, DIGEST)[0], DIGEST)
        assert host.sw(0x33, 15) == 0x9000
        assert host.sw(0x7A, 15, 0, DIGEST) == 0x9C10

    def test_slots_that_are_taken_or_not_there(self) -> None:
        host = ready()
        host.sw(0x32, 0, 0, self.BLOB)
        assert host.sw(0x32, 0, 0, self.BLOB) == 0x9C10
        assert host.sw(0x32, 16, 0, self.BLOB) == 0x9C10
        for ins in (0x33, 0x35):
            assert host.sw(ins, 1) == 0x9C10

    @pytest.mark.parametrize(
        "blob",
        [
            b"",
            b"\0\x0c\1\1" + BLOB[4:],
            HEAD + b"\0\x1f" + KEY,
            BLOB[:-1],
            HEAD[:8],
            HEAD + b"\0\x20" + bytes(32),
            HEAD + b"\0\x20" + N.to_bytes(32),
        ],
    )
    def test_a_blob_that_is_none(self, blob: bytes) -> None:
        assert ready().sw(0x32, 0, 0, blob) == 0x9C0F

    def test_a_blob_of_another_kind(self) -> None:
        host = ready()
        assert host.sw(0x32, 0, 0, b"\1" + self.BLOB[1:]) == 0x9C05
        assert host.sw(0x32, 0, 0, b"\0\x0b" + self.BLOB[2:]) == 0x9C09
