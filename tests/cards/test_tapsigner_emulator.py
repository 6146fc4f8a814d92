"""The emulated TAPSIGNER, command by command, as awkward as the card."""

import cbor2
import pytest
from coincurve import PrivateKey

from cards import emulation
from cards.errors import CardError, NotSupported
from cards.signature import CURVE_ORDER, verify
from cards.tapsigner import NAME
from cards.tapsigner.commands import SELECT
from cards.tapsigner.emulator import FIRMWARES, TapsignerEmulator, emulate, revive
from cards.tapsigner.wire import proof_digest
from tests.cards.tapsigner_host import (
    ACCOUNT,
    CVC,
    DEFAULT,
    NEWEST,
    NONCE,
    WRONG,
    Bare,
    H,
    code,
    open_backup,
    unlucky,
    with_key,
)

DIGITS = b"84930217"


@pytest.fixture
def card() -> TapsignerEmulator:
    return with_key()


@pytest.fixture
def host(card: TapsignerEmulator) -> Bare:
    return Bare(card)


def signature_by(host: Bare, **arguments: object) -> dict:
    """Sign until the card has luck."""
    while True:
        answer = host.send("sign", **{"digest": bytes(32), **arguments})
        if code(answer) != 205:
            return answer


@pytest.mark.parametrize("profile", FIRMWARES)
def test_select_is_answered_by_the_status(profile: str) -> None:
    host = Bare(emulate(profile))
    assert host.status == host.ask("status")
    assert host.status["ver"] == profile
    assert host.status["num_backups"] == 0
    assert host.status["birth"] > 700_000
    assert not {"path", "auth_delay", "tampered", "satschip", "slots"} & set(host.status)
    assert tuple(Bare(with_key(profile)).status["path"]) == DEFAULT


def test_without_select_there_is_nothing(card: TapsignerEmulator) -> None:
    reader = card.insert()
    status = bytes.fromhex("00cb00000c") + cbor2.dumps({"cmd": "status"})
    assert reader.transmit(status) == b"\x6d\x00"
    assert reader.transmit(bytes.fromhex("00a4040008") + b"SatoChip") == b"\x6d\x00"
    assert reader.transmit(SELECT.encode())[-2:] == b"\x90\x00"
    assert reader.transmit(status)[-2:] == b"\x90\x00"
    reader.power_cycle()
    assert reader.transmit(status) == b"\x6d\x00"


@pytest.mark.parametrize("apdu", ["", "00", "00cb0000", "00cb000005a1", "00ca000001a0"])
def test_other_apdus_have_other_status_words(host: Bare, apdu: str) -> None:
    assert host.reader.transmit(bytes.fromhex(apdu)) not in {b"\x90\x00", b""}
    assert host.ask("status") == host.status


def test_more_than_255_bytes_are_refused(host: Bare) -> None:
    long = cbor2.dumps({"cmd": "status", "x": bytes(300)})
    apdu = b"\0\xcb\0\0\0" + len(long).to_bytes(2) + long
    assert host.reader.transmit(apdu) == b"\x67\x00"


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("bf63636d6466737461747573ff", 422),
        ("a163636d647f6673746174757360ff", 422),
        ("80", 422),
        ("a163636d64667374617475", 422),
        ("a0", 400),
        ("a163636d6401", 400),
        ("a163636d6464647562", 422),
        ("a163636d646464756d70", 404),
        ("a163636d6466756e7365616c", 404),
    ],
)
def test_cbor_is_definite_and_names_a_command(host: Bare, request_: str, expected: int) -> None:
    body = bytes.fromhex(request_)
    assert code(host.raw(bytes((0, 0xCB, 0, 0, len(body))) + body)) == expected


def test_unknown_arguments_are_ignored(host: Bare) -> None:
    assert host.ask("status", colour="blue") == host.status


@pytest.mark.parametrize("name", ["read", "derive", "xpub", "sign", "backup", "new", "change"])
def test_what_needs_the_cvc_says_so(host: Bare, name: str) -> None:
    host.send("backup")
    arguments = {"nonce": NONCE, "digest": bytes(32), "data": DIGITS}
    if name == "new":
        host = Bare(emulate(NEWEST))
        arguments = {"chain_code": bytes(range(32))}
    assert code(host.ask(name, **arguments)) == 403
    assert code(host.ask(name, **arguments, epubkey=bytes(33), xcvc=bytes(6))) == 400
    assert code(host.send(name, WRONG, **arguments)) == 401


@pytest.mark.parametrize("name", ["read", "derive", "xpub", "sign", "backup"])
def test_without_a_key_there_is_nothing_to_use(name: str) -> None:
    host = Bare(emulate(NEWEST))
    assert code(host.send(name, nonce=NONCE, digest=bytes(32))) == 406


def test_a_key_is_made_once_with_a_chain_code_of_the_host() -> None:
    card = emulate(NEWEST)
    host = Bare(card)
    for bad in (bytes(32), bytes(range(31))):
        assert code(host.send("new", chain_code=bad)) == 400
    assert code(host.send("new", slot=1, chain_code=bytes(range(32)))) == 400
    assert host.send("new", chain_code=bytes(range(32)))["slot"] == 0
    assert card.flash.chain_code == bytes(range(32))
    assert code(host.send("new", chain_code=bytes(range(32)))) == 406
    xpub = host.send("xpub", master=True)["xpub"]
    assert xpub[:13] == bytes.fromhex("0488b21e") + bytes(9)
    assert xpub[13:45] == bytes(range(32))


@pytest.mark.parametrize(
    "path", [[0], [H] * 9, "m", [H, 2 * H], [H, True]], ids=["soft", "long", "text", "big", "bool"]
)
def test_only_hardened_paths_of_eight_are_stored(host: Bare, path: object) -> None:
    assert code(host.send("derive", path=path, nonce=NONCE)) == 400
    assert tuple(host.ask("status")["path"]) == DEFAULT


def test_a_path_left_out_keeps_the_one_there_is(host: Bare, card: TapsignerEmulator) -> None:
    nonce = host.nonce()
    answer = host.send("derive", nonce=NONCE)
    assert tuple(host.ask("status")["path"]) == DEFAULT
    digest = proof_digest(nonce, NONCE, answer["chain_code"])
    assert verify(answer["pubkey"], digest, answer["sig"])
    master = PrivateKey(card.flash.master).public_key.format()
    assert answer["master_pubkey"] == master
    assert host.send("derive", path=[], nonce=NONCE)["pubkey"] == master


def test_the_xpub_of_a_path_has_no_parent(host: Bare) -> None:
    derived = host.send("derive", path=list(ACCOUNT), nonce=NONCE)
    xpub = host.send("xpub")["xpub"]
    assert xpub[4:13] == b"\4" + bytes(4) + (2 | H).to_bytes(4)
    assert (xpub[13:45], xpub[45:]) == (derived["chain_code"], derived["pubkey"])


@pytest.mark.parametrize(
    ("nonce", "expected"), [(bytes(16), 417), (b"\7" * 16, 417), (NONCE[:15], 400), ("x", 400)]
)
@pytest.mark.parametrize("name", ["read", "derive", "check"])
def test_weak_nonces_are_refused(host: Bare, name: str, nonce: bytes, expected: int) -> None:
    assert code(host.send(name, nonce=nonce)) == expected


@pytest.mark.parametrize("subpath", [[0, 0, 0], [H], "m"])
def test_at_most_two_normal_steps_are_signed_with(host: Bare, subpath: object) -> None:
    assert code(host.send("sign", digest=bytes(32), subpath=subpath)) == 400
    assert code(host.send("sign", digest=bytes(31))) == 400


def test_signatures_are_low_in_both_halves_and_random(host: Bare) -> None:
    made = [signature_by(host, subpath=[0, n])["sig"] for n in range(24)]
    assert all(each[0] < 0x80 for each in made)
    assert all(int.from_bytes(each[32:]) <= CURVE_ORDER // 2 for each in made)
    same = {signature_by(host)["sig"] for _ in range(4)}
    assert len(same) == 4


def test_an_unlucky_nonce_is_one_in_eight(monkeypatch: pytest.MonkeyPatch, host: Bare) -> None:
    asked: list[int] = []
    monkeypatch.setattr(emulation, "chance", lambda one_in: bool(asked.append(one_in)))
    host.send("sign", digest=bytes(32))
    assert asked == [8]


@pytest.mark.parametrize("profile", FIRMWARES)
def test_an_error_keeps_the_nonce_since_1_0_0(
    monkeypatch: pytest.MonkeyPatch, profile: str
) -> None:
    host = Bare(with_key(profile))
    kept = profile != "0.9.0"
    monkeypatch.setattr(emulation, "chance", unlucky(1))
    for name, arguments, expected in [
        ("sign", {"digest": bytes(32)}, 205),
        ("sign", {}, 400),
        ("nothing", {}, 404),
    ]:
        before = host.nonce()
        assert code(host.send(name, **arguments)) == expected
        assert (host.nonce() == before) == kept
    before = host.nonce()
    assert len(host.ask("certs")["cert_chain"]) == 2
    assert (host.nonce() == before) == kept
    for name in ("status", "wait", "nfc"):
        before = host.nonce()
        host.ask(name)
        assert host.nonce() == before


@pytest.mark.parametrize("name", ["read", "derive", "sign", "xpub", "backup", "check"])
def test_an_answer_brings_the_next_nonce(
    host: Bare, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulation, "chance", lambda _one_in: False)
    before = host.nonce()
    answer = host.send(name, nonce=NONCE, digest=bytes(32))
    assert answer["card_nonce"] == host.nonce() != before


def test_the_third_wrong_cvc_in_a_row_makes_everybody_wait(
    host: Bare, card: TapsignerEmulator
) -> None:
    assert [code(host.send("xpub", WRONG)) for _ in range(4)] == [401, 401, 401, 429]
    assert host.ask("status")["auth_delay"] == 15
    assert code(host.send("xpub")) == 429
    host = Bare(revive(card.state()))
    assert [host.ask("wait")["auth_delay"] for _ in range(15)] == list(range(14, -1, -1))
    assert code(host.send("xpub", WRONG)) == 401
    assert host.ask("status")["auth_delay"] == 15
    for _ in range(15):
        host.ask("wait")
    assert code(host.send("xpub")) is None
    assert [code(host.send("xpub", WRONG)) for _ in range(2)] == [401, 401]
    assert code(host.send("xpub")) is None
    assert [code(host.send("xpub", WRONG)) for _ in range(2)] == [401, 401]
    assert "auth_delay" not in host.ask("status")


@pytest.mark.parametrize("profile", FIRMWARES)
def test_a_cvc_of_another_length_counts_since_1_0_2(profile: str) -> None:
    host = Bare(with_key(profile))
    answers = [code(host.send("xpub", b"1234567")) for _ in range(4)]
    assert answers == [401, 401, 401, 429 if profile in {"1.0.2", "1.0.3"} else 401]


@pytest.mark.parametrize("profile", FIRMWARES)
def test_an_uncounted_cvc_after_the_wait_begins_no_other(profile: str) -> None:
    card = with_key(profile)
    host = Bare(card)
    card.flash.failures = 3
    assert code(host.send("xpub", b"1234567")) == 401
    assert card.flash.delay == (15 if profile in {"1.0.2", "1.0.3"} else 0)


def test_wait_takes_a_cvc_once_there_is_no_delay(host: Bare) -> None:
    assert host.send("wait")["success"] is True
    assert code(host.send("wait", WRONG)) == 401


def test_change_wants_a_backup_first(host: Bare, card: TapsignerEmulator) -> None:
    assert code(host.send("change", data=DIGITS)) == 425
    host.send("backup")
    for size in (5, 33):
        assert code(host.send("change", data=bytes(size))) == 400
    assert card.flash.cvc == CVC


@pytest.mark.parametrize("profile", FIRMWARES)
def test_a_new_cvc_has_digits_only_since_1_0_1(profile: str) -> None:
    host = Bare(with_key(profile))
    host.send("backup")
    answer = host.send("change", data=bytes(8))
    assert code(answer) == (None if profile in {"0.9.0", "1.0.0"} else 400)


def test_backups_are_counted_to_127(host: Bare, card: TapsignerEmulator) -> None:
    card.flash.backups = 126
    first, second = (host.send("backup")["data"] for _ in range(2))
    assert first == second
    assert host.ask("status")["num_backups"] == 127


def test_a_long_step_is_written_as_the_card_writes_it(host: Bare, card: TapsignerEmulator) -> None:
    host.send("derive", path=[123_456 | H, 32_768 | H], nonce=NONCE)
    _, path = open_backup(host.send("backup")["data"], card.flash.backup_key)
    assert path == "m/0x0001e240h/32768h"


def test_a_satschip_has_no_backup_and_counts_none(card: TapsignerEmulator) -> None:
    card.flash.satschip = True
    host = Bare(card)
    assert host.status["satschip"] is True
    assert "num_backups" not in host.status
    assert code(host.send("backup")) == 404
    assert code(host.send("change", data=DIGITS)) == 425


def test_read_shows_its_key_to_who_knows_the_cvc_only(host: Bare) -> None:
    shown = {host.send("read", nonce=NONCE)["pubkey"] for _ in range(3)}
    assert len(shown) == 3
    assert {each[0] for each in shown} <= {2, 3}


def test_a_profile_nobody_knows_is_refused() -> None:
    with pytest.raises(NotSupported, match=NAME):
        emulate("2.0.0")


@pytest.mark.parametrize("state", [b"", b"\xa0", b"\x80", cbor2.dumps({"profile": "x"})])
def test_a_state_of_something_else_is_refused(state: bytes) -> None:
    with pytest.raises(CardError, match="not the state"):
        revive(state)
