"""Keys and signatures of a Satochip: right, and at the cost they should have."""

import secrets
from itertools import pairwise

import pytest

from cards.errors import PathNotAvailable, StatusWordError
from cards.pin import Pin, Secret
from cards.satochip.emulator import PROFILES, SatochipEmulator, emulate
from cards.session import HARDENED as H
from cards.signature import CURVE_ORDER, verify
from tests.cards.readers import ACCOUNT, DIGEST, LEAF, PIN, initialised, opened, seeded
from tests.cards.satochip_host import vectors

NEW = PROFILES[-1]


@pytest.fixture(params=PROFILES)
def card(request: pytest.FixtureRequest) -> SatochipEmulator:
    return emulate(request.param)


class TestKeys:
    @pytest.mark.parametrize("case", range(3))
    def test_keys_are_those_of_bip_32(self, case: int, card: SatochipEmulator) -> None:
        known = vectors("bip32_on_card")["vectors"][case]
        session, _ = initialised(card)
        session.load_seed(Secret(bytes.fromhex(known["seed"])))
        for text, expected in known["xpubs"].items():
            steps = text.split("/")[1:]
            path = tuple(int(step.rstrip("'")) | (H if step.endswith("'") else 0) for step in steps)
            key = session.xpub(path)
            raw = bytes((key.depth,)) + key.parent_fingerprint + key.child_number.to_bytes(4)
            assert raw + key.chain_code + key.public_key == base58_payload(expected)

    def test_signatures_are_low_and_verify_under_the_key_at_the_path(
        self, card: SatochipEmulator
    ) -> None:
        session, _ = seeded(card)
        for path in ((), (7,), LEAF):
            for _ in range(8):
                digest = secrets.token_bytes(32)
                signed = session.sign(path, digest)
                assert len(signed) == 64
                assert int.from_bytes(signed[32:]) <= CURVE_ORDER // 2
                assert verify(session.xpub(path).public_key, digest, signed)

    @pytest.mark.parametrize("size", [0, 31, 33])
    def test_a_digest_has_32_bytes(self, size: int) -> None:
        session, reader = seeded(emulate(NEW))
        sent = len(reader.sent)
        with pytest.raises(ValueError, match=f"32 bytes, not {size}"):
            session.sign(LEAF, bytes(size))
        assert len(reader.sent) == sent

    def test_a_path_has_ten_steps_at_most(self) -> None:
        session, _ = seeded(emulate(NEW))
        assert session.xpub((0,) * 10).depth == 10
        with pytest.raises(PathNotAvailable):
            session.xpub((0,) * 11)

    def test_a_signature_costs_two_commands_and_the_next_by_that_key_one(
        self, card: SatochipEmulator
    ) -> None:
        session, reader = seeded(card)
        session.xpub(ACCOUNT)
        assert reader.cost(lambda: session.sign(LEAF, DIGEST)) == 2
        assert reader.cost(lambda: session.sign(LEAF, DIGEST)) == 1
        assert reader.cost(lambda: session.sign((*ACCOUNT, 0, 6), DIGEST)) == 2
        assert reader.cost(lambda: session.sign(LEAF, DIGEST)) == 2

    def test_the_cache_costs_no_round_once_it_is_known(self, card: SatochipEmulator) -> None:
        fill = seeded(card)[0]
        for index in range(40):
            fill.sign((*ACCOUNT, 1, index), DIGEST)
        session, reader = opened(card)
        session.unlock(Pin(PIN))
        costs = [
            reader.cost(lambda index=index: session.sign((*ACCOUNT, 0, index), DIGEST))
            for index in range(100)
        ]
        assert costs.count(3) <= 1
        assert set(costs) <= {2, 3}

    def test_a_fresh_card_never_runs_into_a_full_cache(self, card: SatochipEmulator) -> None:
        session, reader = seeded(card)
        for index in range(100):
            assert reader.cost(lambda index=index: session.sign((5, index), DIGEST)) == 2

    def test_a_wipe_is_asked_for_once_and_only_for_a_full_cache(self) -> None:
        session, reader = seeded(emulate(NEW))
        for sw, cost in ((0x9C01, 2), (0x9C0F, 1)):
            for after in (1, 2):
                reader.next_answers(lambda _answer, sw=sw: sw.to_bytes(2), after=after)
            sent = len(reader.sent)
            with pytest.raises(StatusWordError, match=f"{sw:04X}"):
                session.xpub(ACCOUNT)
            assert len(reader.sent) == sent + cost
            reader.replace.clear()

    def test_the_cache_is_wiped_only_when_it_is_full(self, card: SatochipEmulator) -> None:
        session, _ = seeded(card)
        sizes = []
        for index in range(100):
            session.sign((*ACCOUNT, 0, index), DIGEST)
            sizes.append(len(card.flash.cache))
        assert max(sizes) == 32
        assert sum(after < before for before, after in pairwise(sizes)) == 3

    def test_a_key_that_was_derived_is_not_asked_for_again(self) -> None:
        session, reader = seeded(emulate(NEW))
        assert reader.cost(lambda: session.xpub(ACCOUNT)) == 2
        assert reader.cost(lambda: session.xpub(ACCOUNT)) == 0
        assert reader.cost(lambda: session.xpub(ACCOUNT[:-1])) == 1


def base58_payload(text: str) -> bytes:
    """Return what stands between version and checksum of an extended key."""
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number = 0
    for letter in text:
        number = number * 58 + alphabet.index(letter)
    return number.to_bytes(82)[4:-4]
