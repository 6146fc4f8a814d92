"""The emulated Satochip's taproot tweak, BIP 340 signatures and feature policies."""

import hashlib

import pytest
from coincurve import PrivateKey, PublicKey, PublicKeyXOnly

from cards.satochip import emulator_keys as taproot
from cards.satochip.emulator import revive
from cards.satochip.emulator_memory import Refusal
from tests.cards.satochip_host import (
    MIDDLE,
    NEW,
    OLD,
    PLAIN,
    N,
    card_of,
    fields,
    last_key,
    ready,
    tweak,
    vectors,
)

MESSAGE = hashlib.sha256(b"message").digest()
ROOT = 32 * b"\x5a"


def committed(x: bytes, root: bytes) -> bytes:
    """The output key of BIP 341."""
    tag = hashlib.sha256(b"TapTweak").digest()
    amount = hashlib.sha256(tag + tag + x + root).digest()
    return PublicKey(b"\2" + x).add(amount).format()[1:]


class TestTaproot:
    def test_the_oldest_does_not_know_it(self) -> None:
        host = ready(OLD)
        assert host.sw(0x7C, 0xFF, 0, b"\0") == 0x6D00
        assert host.sw(0x7B, 0xFF, 0, MESSAGE) == 0x6D00

    def test_the_mistake_up_to_0_15_is_the_published_one(self) -> None:
        for case in vectors("taproot_tweak_bug_kat")["cases"]:
            x, root = bytes.fromhex(case["internal_x"]), bytes.fromhex(case["h"])
            assert taproot.tweak(x, root, (0, 14)).hex() == case["t_legacy"]
            assert taproot.tweak(x, root, (0, 16)).hex() == case["t_bip341_concat"]
            assert taproot.tweak(x, b"", (0, 16)).hex() == case["t_bip341_empty"]

    def test_zeros_are_no_tree_for_the_old_and_a_tree_for_the_new(self) -> None:
        old, new = ready(MIDDLE), ready(NEW)
        x = last_key(old)
        assert tweak(old, bytes(32)) == committed(x, b"")
        x = last_key(new)
        assert tweak(new, bytes(32)) == committed(x, bytes(32))
        assert tweak(new, b"") == committed(x, b"")
        assert tweak(new, ROOT) == committed(x, ROOT)

    def test_a_tree_gives_the_old_ones_a_wrong_key(self) -> None:
        host = ready(MIDDLE)
        x = last_key(host)
        mistaken = bytes(a ^ b for a, b in zip(x, ROOT, strict=True))
        assert tweak(host, ROOT) not in {committed(x, ROOT), x}
        tag = hashlib.sha256(b"TapTweak").digest()
        amount = hashlib.sha256(tag + tag + mistaken).digest()
        assert tweak(host, ROOT) == PublicKey(b"\2" + x).add(amount).format()[1:]

    def test_the_bypass_is_ignored_by_the_old(self) -> None:
        old, new = ready(MIDDLE), ready(NEW)
        x = last_key(old)
        assert tweak(old, bytes(32), bypass=1) == committed(x, b"")
        x = last_key(new)
        assert tweak(new, bytes(32), bypass=1) == x

    def test_the_bypass_of_0_14_0_5_leaves_the_key_and_not_the_mistake(self) -> None:
        host = ready(PLAIN)
        x = last_key(host)
        assert tweak(host, ROOT) not in {committed(x, ROOT), x}
        assert tweak(host, bytes(32), bypass=1) == x
        assert PublicKeyXOnly(x).verify(host.call(0x7B, 0xFF, 0, MESSAGE)[0], MESSAGE)
        assert not PublicKeyXOnly(x).verify(host.call(0x7B, 0xFF, 0, MESSAGE)[0], MESSAGE)
        assert host.sw(0x7C, 0xFF, 1, b"\0") == 0x6700

    @pytest.mark.parametrize(
        ("profile", "data"),
        [(MIDDLE, b"\0"), (NEW, b"\x1f" + bytes(31)), (NEW, b"\x20" + ROOT[1:])],
    )
    def test_sizes(self, profile: str, data: bytes) -> None:
        host = ready(profile)
        last_key(host)
        assert host.sw(0x7C, 0xFF, 0, data) == 0x6700

    def test_a_signature_is_of_the_tweaked_key(self) -> None:
        host = ready(NEW)
        last_key(host)
        x = tweak(host, b"")
        for _ in range(2):
            signature, _ = host.call(0x7B, 0xFF, 0, MESSAGE)
            assert PublicKeyXOnly(x).verify(signature, MESSAGE)
        assert host.sw(0x7B, 0xFF, 0, MESSAGE[1:]) == 0x6700

    def test_the_old_need_a_tweak_for_each_signature(self) -> None:
        host = ready(MIDDLE)
        last_key(host)
        x = tweak(host, bytes(32))
        assert PublicKeyXOnly(x).verify(host.call(0x7B, 0xFF, 0, MESSAGE)[0], MESSAGE)
        assert not PublicKeyXOnly(x).verify(host.call(0x7B, 0xFF, 0, MESSAGE)[0], MESSAGE)
        tweak(host, bytes(32))
        assert PublicKeyXOnly(x).verify(host.call(0x7B, 0xFF, 0, MESSAGE)[0], MESSAGE)

    def test_without_a_key(self) -> None:
        host = ready(NEW)
        assert host.sw(0x7B, 0xFF, 0, MESSAGE) == 0x9C13
        assert host.sw(0x7C, 0xFF, 0, b"\0") == 0x9C13
        assert ready(NEW, seeded=False).sw(0x7C, 0xFF, 0, b"\0") == 0x9C14

    @pytest.mark.parametrize("amount", [N, 2**256 - 1])
    def test_a_tweak_out_of_range(self, monkeypatch: pytest.MonkeyPatch, amount: int) -> None:
        monkeypatch.setattr(taproot, "tweak", lambda *_: amount.to_bytes(32))
        with pytest.raises(Refusal, match="9C43"):
            taproot.tweaked(ROOT, b"", (0, 16))

    def test_either_parity_of_the_inner_key(self) -> None:
        for key in (2, 6):
            secret = key.to_bytes(32)
            x = PrivateKey(secret).public_key.format()[1:]
            outer = PrivateKey(taproot.tweaked(secret, b"", (0, 16)))
            assert outer.public_key.format()[1:] == committed(x, b"")
        parities = {PrivateKey(key.to_bytes(32)).public_key.format()[0] for key in (2, 6)}
        assert parities == {2, 3}


class TestPolicies:
    @pytest.mark.parametrize("profile", [PLAIN, NEW])
    def test_they_are_shown_and_obeyed(self, profile: str) -> None:
        host = ready(profile)
        last_key(host)
        assert host.sw(0x3A, 1, 1) == 0x9000
        assert host.status()[12:] == bytes((0, 0, 1, 0))
        root = b"\x20" + bytes(32)
        assert host.sw(0x7C, 0xFF, 1, root) == 0x9C4B
        assert host.sw(0x7C, 0xFF, 0, root) == 0x9000
        assert host.sw(0x3A, 0, 1) == 0x9000
        assert host.sw(0x7C, 0xFF, 0, root) == 0x9C4B
        assert host.sw(0x7B, 0xFF, 0, MESSAGE) == 0x9C4B
        assert host.sw(0x3A, 0, 0) == 0x9000
        assert host.sw(0x7B, 0xFF, 0, MESSAGE) == 0x9000

    def test_what_is_blocked_stays_so(self) -> None:
        host = ready(NEW)
        assert host.sw(0x3A, 2, 2) == 0x9000
        assert host.sw(0x3A, 2, 0) == 0x9C4B
        assert revive(card_of(host).state()).flash.policies.liquid == 2

    def test_parameters_and_versions(self) -> None:
        assert ready(NEW).sw(0x3A, 3, 0) == 0x9C10
        assert ready(NEW).sw(0x3A, 0, 3) == 0x9C11
        assert ready(MIDDLE).sw(0x3A, 0, 1) == 0x6D00


class TestPublishedTaproot:
    """BIP 341's and BIP 86's figures, as the vendor's own tests carry them."""

    @pytest.mark.parametrize("number", range(7))
    def test_tweaks_of_bip_341(self, number: int) -> None:
        case = vectors("bip341_tweaks")["vectors"][number]
        x, root = bytes.fromhex(case["internal_pubkey"]), bytes.fromhex(case["merkle_root"])
        amount = taproot.tweak(x, root, (0, 16))
        assert amount.hex() == case["tweak"]
        assert PublicKey(b"\2" + x).add(amount).format()[1:].hex() == case["tweaked_pubkey"]

    @pytest.mark.parametrize("number", range(3))
    def test_output_keys_of_bip_86(self, number: int) -> None:
        known = vectors("bip86")
        case = known["keys"][number]
        host = ready(NEW, seeded=False)
        assert host.sw(0x6C, p1=64, data=bytes.fromhex(known["seed"])) == 0x9000
        steps = [
            int(step.rstrip("'")) + (0x80000000 if "'" in step else 0)
            for step in case["path"].split("/")[1:]
        ]
        data, sw = host.call(0x6D, len(steps), 0x40, b"".join(s.to_bytes(4) for s in steps))
        assert (sw, fields(data, head=32)[0].hex()) == (0x9000, case["internal_key"])
        assert tweak(host, b"").hex() == case["output_key"]
