"""A factory-fresh card becomes a card of ours, whatever comes between."""

from pathlib import Path

import pytest

from cards.errors import CardRemoved
from cards.family import Roots
from cards.pin import Secret
from cards.satochip.session import SatochipSession
from cards.session import Attestation, Verdict
from cards.tangem.session import TangemSession
from tests.program import Asked, Program

SEED = "ab" * 32
OTHER_SEED = "cd" * 32
PROFILES = ("0.12-0.6", "0.14-0.1", "0.16-0.0")


def set_up(asked: Asked, label: str, seed: str = SEED, pin: str = "2468", check: int = 0) -> dict:
    words = ("card", "setup", label, "--emulated", label, "--seed", "--pin-stdin")
    stdin = f"{label}={pin}\n{label}.puk=12345678\n{label}.seed={seed}\n"
    return asked(*words, stdin=stdin, check=check)


@pytest.fixture
def fresh(asked: Asked) -> Asked:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "satochip", "blue", "--no-setup")
    return asked


def identity(asked: Asked, name: str) -> dict:
    return next(card for card in asked("emulate", "list")["cards"] if card["name"] == name)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_card_from_setup_to_reset(asked: Asked, profile: str) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "satochip", "blue", "--no-setup", "--profile", profile)
    done = set_up(asked, "blue")
    assert done["card"]["version"] == profile
    assert done["card"]["emulated"]
    assert done["created_on"] == "host"
    check = ("card", "check", "blue", "--pin-stdin", "--last-attempt")
    assert asked(*check, stdin="2468")["key_matches"]
    asked("card", "pin", "blue", "--pin-stdin", stdin="blue=2468\nblue.new=1357")
    for left in (4, 3, 2, 1, 0):
        assert asked(*check, stdin="2468", check=4)["error"]["attempts_left"] == left
    assert asked(*check, stdin="1357", check=4)["error"]["code"] == "pin_blocked"
    assert asked("card", "check", "blue")["attempts_left"] == 0
    unblock = ("card", "unblock", "blue", "--pin-stdin")
    wrong = asked(*unblock, stdin="blue.puk=00000000", check=4)["error"]
    assert (wrong["attempts_left"], "PUK" in wrong["message"]) == (2, True)
    assert "PUK" in wrong["hint"]
    assert asked(*unblock, stdin="blue.puk=12345678")["attempts_left"] == 5
    assert asked(*check, stdin="1357")["attempts_left"] == 5
    asked("card", "reset", "blue", "--yes")
    assert asked("card", "show", "blue")["keys"] == []
    assert not identity(asked, "blue")["initialised"]
    assert asked("card", "check", "blue", check=3)["error"]["code"] == "card_not_initialised"


def test_unblocking_may_bring_a_new_pin_where_the_card_takes_one(fresh: Asked) -> None:
    set_up(fresh, "blue")
    check = ("card", "check", "blue", "--pin-stdin", "--last-attempt")
    for _ in range(5):
        fresh(*check, stdin="0000", check=4)
    stdin = "blue.puk=12345678\nblue.new=1357\n"
    fresh("card", "unblock", "blue", "--pin-stdin", stdin=stdin)
    assert fresh(*check, stdin="1357")["key_matches"]


@pytest.mark.parametrize(
    "source", [("--seed", "seed", SEED), ("--words", "words", "abandon " * 11 + "about")]
)
def test_a_setup_cut_off_before_the_key_goes_on_with_its_pin(
    fresh: Asked, monkeypatch: pytest.MonkeyPatch, source: tuple[str, str, str]
) -> None:
    option, kind, value = source
    words = ("card", "setup", "blue", "--emulated", "blue", option, "--pin-stdin")
    typed = f"blue.puk=12345678\nblue.{kind}={value}\n"
    with monkeypatch.context() as power:

        def gone(*_: object) -> None:
            raise CardRemoved("the card is gone")

        power.setattr(SatochipSession, "load_seed", gone)
        fresh(*words, stdin=f"blue=2468\n{typed}", check=3)
    assert fresh("card", "list")["cards"] == []
    hint = fresh("card", "enrol", "blue", "--emulated", "blue", "--pin-stdin", stdin="1", check=3)
    assert "card setup" in hint["error"]["hint"]
    assert fresh(*words, stdin=f"blue=1111\n{typed}", check=4)["error"]["attempts_left"] == 4
    assert fresh(*words, stdin=f"blue=2468\n{typed}")["created_on"] == "host"
    assert fresh("card", "check", "blue", "--pin-stdin", stdin="2468")["key_matches"]


@pytest.mark.parametrize("remembered", [True, False])
@pytest.mark.parametrize(
    ("profile", "source", "command"),
    [
        ("4.52", "--generate", "generate_key"),
        ("6.33", "--generate", "generate_key"),
        ("6.33", "--seed", "_load_seed"),
    ],
)
def test_a_setup_goes_on_where_the_card_says_nothing_before_its_pin(
    asked: Asked,
    tmp_path: Path,
    profile: str,
    source: str,
    command: str,
    remembered: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "tangem", "blue", "--no-setup", "--profile", profile)
    words = ("card", "setup", "blue", "--emulated", "blue", source, "--pin-stdin")
    typed = f"blue=246802\nblue.seed={SEED}\n"
    with pytest.MonkeyPatch.context() as power:
        power.setattr(TangemSession, command, _gone)
        asked(*words, stdin=typed, check=3)
    if not remembered:
        for memory in tmp_path.rglob("*.memory"):
            memory.unlink()
    assert asked(*words, stdin=typed.replace("0", "1"), check=4)["error"]["attempts_left"] is None
    asked(*words, stdin=typed)
    assert asked("card", "check", "blue", "--pin-stdin", stdin="246802")["key_matches"]


@pytest.mark.parametrize(
    ("family", "source"),
    [("satochip", "--seed"), ("tangem", "--generate"), ("tapsigner", "--generate")],
)
@pytest.mark.parametrize("kind", ["duress", "pairing"])
def test_a_secret_the_family_has_no_use_for_is_refused(
    asked: Asked, family: str, source: str, kind: str
) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", family, "blue", "--no-setup")
    words = ("card", "setup", "blue", "--emulated", "blue", source, "--pin-stdin")
    typed = f"blue=123456\nblue.seed={SEED}\nblue.{kind}=777777\n"
    assert kind in asked(*words, stdin=typed, check=3)["error"]["message"]
    assert not identity(asked, "blue")["initialised"]


def test_a_cut_off_setup_leaves_the_last_attempt_alone(
    fresh: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as power:
        power.delattr(SatochipSession, "load_seed")
        power.setattr(SatochipSession, "load_seed", _gone, raising=False)
        set_up(fresh, "blue", check=3)
    for _ in range(4):
        set_up(fresh, "blue", pin="1111", check=4)
    assert set_up(fresh, "blue", check=4)["error"]["code"] == "last_attempt"
    words = ("card", "setup", "blue", "--emulated", "blue", "--seed", "--pin-stdin")
    fresh(*words, "--last-attempt", stdin=f"blue=2468\nblue.seed={SEED}")


def _gone(*_: object) -> None:
    raise CardRemoved("the card is gone")


def test_a_taken_label_leaves_the_card_fresh(fresh: Asked) -> None:
    fresh("emulate", "new", "satochip", "other")
    fresh("card", "enrol", "blue", "--emulated", "other", "--pin-stdin", stdin="123456")
    assert set_up(fresh, "blue", check=2)["error"]["code"] == "already_exists"
    assert identity(fresh, "blue")["attempts_left"] is None


def test_a_card_that_can_makes_its_key_itself(
    fresh: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def generate_key(session: SatochipSession) -> None:
        session.load_seed(Secret(bytes.fromhex(SEED)))

    monkeypatch.setattr(SatochipSession, "generate_key", generate_key, raising=False)
    words = ("card", "setup", "blue", "--emulated", "blue", "--generate", "--pin-stdin")
    done = fresh(*words, stdin="blue=2468")
    assert done["created_on"] == "card"
    assert fresh("card", "list")["cards"][0]["keys"][0]["created_on"] == "card"
    assert fresh("card", "check", "blue", "--pin-stdin", stdin="2468")["key_matches"]


def test_a_second_setup_says_to_enrol(fresh: Asked) -> None:
    set_up(fresh, "blue")
    assert "card enrol blue" in set_up(fresh, "blue", check=3)["error"]["message"]
    assert fresh("card", "check", "blue")["attempts_left"] == 5


@pytest.mark.parametrize(
    ("stdin", "status"),
    [
        (f"blue=2468\nblue.seed={SEED}a\n", 2),
        ("blue=2468\nblue.seed=ab\n", 2),
        ("blue=2468\n", 4),
        (f"blue.seed={SEED}\n", 4),
        (f"blue=12\nblue.seed={SEED}\n", 4),
        (f"blue=2468\nblue.puk=12\nblue.seed={SEED}\n", 4),
    ],
)
def test_what_cannot_be_loaded_leaves_the_card_fresh(fresh: Asked, stdin: str, status: int) -> None:
    words = ("card", "setup", "blue", "--emulated", "blue", "--seed", "--pin-stdin")
    fresh(*words, stdin=stdin, check=status)
    assert identity(fresh, "blue")["attempts_left"] is None
    set_up(fresh, "blue")


def test_wrong_words_name_their_place_and_not_the_words(fresh: Asked) -> None:
    words = ("card", "setup", "blue", "--emulated", "blue", "--words", "--pin-stdin")
    typed = "zebra " * 11 + "nonsuch"
    refused = fresh(*words, stdin=f"blue=2468\nblue.words={typed}", check=5)["error"]
    assert "nonsuch" not in str(refused)
    assert "zebra" not in str(refused)


def test_words_are_not_made_before_there_is_a_place_for_them(fresh: Asked, tmp_path: Path) -> None:
    words = ("card", "setup", "blue", "--emulated", "blue", "--generate", "--pin-stdin")
    taken = tmp_path / "taken"
    taken.write_text("other words")
    for file in (taken, tmp_path / "nowhere" / "words"):
        refused = fresh(*words, "--words-out", str(file), stdin="blue=2468", check=2)["error"]
        assert str(file) in refused["message"]
    assert taken.read_text() == "other words"
    assert identity(fresh, "blue")["attempts_left"] is None


def test_a_refused_pin_leaves_no_words_behind(fresh: Asked, tmp_path: Path) -> None:
    words = ("card", "setup", "blue", "--emulated", "blue", "--generate", "--pin-stdin")
    fresh(*words, "--words-out", str(tmp_path / "words"), stdin="blue=12", check=4)
    assert not (tmp_path / "words").exists()


def test_no_seed_goes_into_a_card_that_is_not_genuine(
    fresh: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[object] = []

    def keep(_: object, seed: object) -> None:
        loaded.append(seed)

    fake = Attestation(Verdict.FAILED, "its certificate is forged")
    monkeypatch.setattr(SatochipSession, "attest", lambda _: fake)
    monkeypatch.setattr(SatochipSession, "load_seed", keep)
    assert set_up(fresh, "blue", check=3)["error"]["code"] == "not_genuine"
    assert loaded == []
    assert fresh("card", "list")["cards"] == []


@pytest.mark.parametrize("profile", ["3.1", "3.2", "4.0"])
def test_a_card_of_an_unknown_maker_gets_no_pin_where_it_can_prove_itself_first(
    asked: Asked, program: Program, monkeypatch: pytest.MonkeyPatch, profile: str
) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "keycard", "blue", "--no-setup", "--profile", profile)
    monkeypatch.setattr("cards.keycard.session.ROOTS", Roots(()))
    words = ("--json", "card", "setup", "blue", "--emulated", "blue", "--seed", "--pin-stdin")
    refused = program(*words, stdin=f"blue=246802\nblue.seed={SEED}\n", check=3)
    assert refused.document["error"]["code"] == "not_genuine"
    assert "PUK" not in refused.err
    assert identity(asked, "blue")["attempts_left"] is None


def test_the_puk_is_shown_before_the_card_has_it(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("init", "--network", "regtest")
    program("emulate", "new", "satochip", "blue", "--no-setup")
    monkeypatch.setattr(SatochipSession, "initialise", _gone)
    words = ("card", "setup", "blue", "--emulated", "blue", "--seed", "--pin-stdin", "--quiet")
    ended = program(*words, stdin=f"blue=2468\nblue.seed={SEED}", check=3)
    assert "PUK of card blue" in ended.err


def test_a_key_read_back_that_is_not_the_seeds(
    fresh: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = SatochipSession.load_seed

    def other(session: SatochipSession, seed: object) -> None:
        load(session, type(seed)(bytes.fromhex(OTHER_SEED)))

    monkeypatch.setattr(SatochipSession, "load_seed", other)
    refused = set_up(fresh, "blue", check=3)["error"]
    assert "not the one of the seed" in refused["message"]
    assert fresh("card", "list")["cards"] == []


def test_the_sources_exclude_each_other(fresh: Asked) -> None:
    words = ("card", "setup", "blue", "--emulated", "blue")
    assert "--generate" in fresh(*words, check=2)["error"]["message"]
    fresh(*words, "--seed", "--words", check=2)
    assert "--emulated" in fresh("card", "setup", "blue", "--seed", check=2)["error"]["message"]


def test_every_listing_says_where_the_key_was_made(fresh: Asked, program: Program) -> None:
    set_up(fresh, "blue")
    assert "made on host" in program("card", "list").out
    assert "made on: host" in program("card", "show", "blue").out
    assert fresh("card", "list")["cards"][0]["keys"][0]["created_on"] == "host"
    enrolled = program("card", "enrol", "blue", "--emulated", "blue", "--pin-stdin", stdin="2468")
    assert "key made on: host" in enrolled.out


def test_two_cards_with_one_seed_are_two_carriers_of_one_key(fresh: Asked) -> None:
    first = set_up(fresh, "blue")
    fresh("emulate", "new", "satochip", "copy", "--no-setup")
    assert set_up(fresh, "copy")["key"] == first["key"]
    made = fresh("vault", "create", "v", "--threshold", "1", "--card", "blue")
    assert made["cosigners"][0]["carriers"] == ["card:blue", "card:copy"]


def test_a_reset_card_loaded_again_carries_only_what_it_holds(fresh: Asked) -> None:
    first = set_up(fresh, "blue")["key"]["xpub"]
    fresh("card", "reset", "blue", "--yes")
    second = set_up(fresh, "blue", OTHER_SEED)["key"]["xpub"]
    assert [key["xpub"] for key in fresh("card", "show", "blue")["keys"]] == [second]
    assert fresh("card", "check", "blue", "--pin-stdin", stdin="2468")["key_matches"]
    fresh("card", "reset", "blue", "--yes")
    assert set_up(fresh, "blue")["replaced"] == []
    assert [key["xpub"] for key in fresh("card", "show", "blue")["keys"]] == [first]


def test_a_used_up_puk_leaves_a_reset(fresh: Asked) -> None:
    set_up(fresh, "blue")
    for _ in range(5):
        words = ("card", "check", "blue", "--pin-stdin", "--last-attempt")
        fresh(*words, stdin="0000", check=4)
    unblock = ("card", "unblock", "blue", "--pin-stdin")
    refused = [fresh(*unblock, stdin="blue.puk=00000000", check=4)["error"] for _ in range(4)]
    assert [error["code"] for error in refused] == ["puk_incorrect"] * 3 + ["puk_blocked"]
    assert "factory reset" in refused[1]["hint"]
    assert "card reset" in refused[3]["hint"]
