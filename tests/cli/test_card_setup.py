"""A factory-fresh card becomes a card of ours, whatever comes between."""

from pathlib import Path

import pytest

from cards.errors import CardRemoved
from cards.family import Roots
from cards.keycard.session import KeycardSession
from cards.pin import Secret
from cards.satochip.session import SatochipSession
from cards.session import Attestation, Verdict
from cards.tangem.session import TangemSession
from coordinator.cli.attendant import Terminal
from tests.once import copy_of
from tests.program import Asked, Program, run_program

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
    found = asked("card", "check", "blue")
    assert (found["attempts_left"], found["puk_attempts_left"]) == (0, 3)
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


@pytest.mark.parametrize("family", ["satochip", "keycard"])
def test_no_puk_is_asked_for_while_a_pin_is_not_blocked(
    asked: Asked, program: Program, family: str
) -> None:
    program("init", "--network", "regtest")
    program("emulate", "new", family, "blue")
    program("card", "enrol", "blue", "--emulated", "blue", "--pin-stdin", stdin="123456")
    refused = asked("card", "unblock", "blue", check=3)["error"]  # nobody could give it
    assert refused["code"] == "pin_not_blocked"
    assert "cardquorum card check blue --pin" in refused["hint"]


def test_a_used_up_puk_leaves_a_reset(fresh: Asked) -> None:
    set_up(fresh, "blue")
    for _ in range(5):
        words = ("card", "check", "blue", "--pin-stdin", "--last-attempt")
        fresh(*words, stdin="0000", check=4)
    unblock = ("card", "unblock", "blue", "--pin-stdin")
    said = run_program(fresh.home, *unblock, stdin="blue.puk=00000000", check=4).err
    assert "card blue: PUK attempts left: 3; after a wrong last one nothing opens it" in said
    refused = [fresh(*unblock, stdin="blue.puk=00000000", check=4)["error"] for _ in range(2)]
    refused.append(fresh(*unblock, check=4)["error"])  # none is asked for: none would be taken
    assert [error["code"] for error in refused] == ["puk_incorrect"] * 2 + ["puk_blocked"]
    assert "factory reset" in refused[0]["hint"]
    assert "card reset" in refused[2]["hint"]


SEED_SETUP = ("card", "setup", "blue", "--emulated", "blue", "--seed", "--pin-stdin")


@pytest.mark.parametrize(
    ("family", "pin", "sizes"),
    [
        ("satochip", "123", "4 to 16"),
        ("satochip", "1" * 17, "4 to 16"),
        ("keycard", "12345", "6 digits"),
        ("keycard", "12345a", "6 digits"),
        ("tangem", "123", "at least 4"),
        ("tangem", "000000", "every card"),
    ],
)
def test_a_pin_that_does_not_fit_is_refused_before_anything_is_shown_or_sent(
    program: Program, asked: Asked, family: str, pin: str, sizes: str
) -> None:
    program("init", "--network", "regtest")
    program("emulate", "new", family, "blue", "--no-setup")
    ended = program(*SEED_SETUP, stdin=f"blue={pin}\nblue.seed={SEED}", check=4)
    assert sizes in ended.err
    assert "PUK" not in ended.err
    assert identity(asked, "blue")["has_pin"] is False


@pytest.mark.parametrize("family", ["satochip", "keycard"])
def test_a_puk_is_shown_once_and_when_the_card_has_it(
    program: Program, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    program("init", "--network", "regtest")
    program("emulate", "new", family, "blue", "--no-setup")
    stdin = f"blue=246802\nblue.seed={SEED}"
    session = {"satochip": SatochipSession, "keycard": KeycardSession}[family]
    with monkeypatch.context() as refusal:
        refusal.setattr(session, "initialise", _gone)
        assert "PUK of" not in program(*SEED_SETUP, stdin=stdin, check=3).err
    with monkeypatch.context() as power:
        power.setattr(session, "load_seed", _gone)
        cut = program(*SEED_SETUP, stdin=stdin, check=3)
    (shown,) = (line for line in cut.err.splitlines() if "shown this once" in line)
    puk = shown.rpartition(" ")[2]
    done = program(*SEED_SETUP, stdin=stdin)
    assert "shown this once" not in done.err
    assert "the one shown when its PIN was set" in done.err
    for _ in range(5):
        wrong = ("card", "check", "blue", "--pin-stdin", "--last-attempt")
        program(*wrong, stdin="000000", check=None)
    freed = f"blue.puk={puk}\n" + ("blue.new=135790" if family == "keycard" else "")
    program("card", "unblock", "blue", "--pin-stdin", stdin=freed)


def test_a_puk_the_card_may_have_is_shown_with_the_doubt_and_void_where_it_does_not_count(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(session: SatochipSession, _secrets: object) -> None:
        session.identity = _gone
        raise CardRemoved("the card is gone")

    program("init", "--network", "regtest")
    program("emulate", "new", "satochip", "blue", "--no-setup")
    stdin = f"blue=2468\nblue.seed={SEED}"
    with monkeypatch.context() as power:
        power.setattr(SatochipSession, "initialise", torn)
        cut = program(*SEED_SETUP, stdin=stdin, check=3)
    assert "PUK of card blue, should the card have taken it" in cut.err
    done = program(*SEED_SETUP, stdin=stdin)
    assert "did not take the PUK shown before" in done.err
    assert "PUK of card blue, shown this once" in done.err


def test_a_puk_nobody_was_shown_is_told(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    program("init", "--network", "regtest")
    program("emulate", "new", "satochip", "blue", "--no-setup")
    stdin = f"blue=2468\nblue.seed={SEED}"
    with monkeypatch.context() as ended:
        ended.setattr(Terminal, "show_once", _gone)
        program(*SEED_SETUP, stdin=stdin, check=3)
    assert "a PUK that nobody was shown" in program(*SEED_SETUP, stdin=stdin).err


def test_what_is_given_for_nothing_is_named(asked: Asked, program: Program) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "tangem", "blue", "--no-setup")
    words = ("card", "setup", "blue", "--emulated", "blue", "--generate", "--pin-stdin")
    done = program(*words, stdin=f"blue=246802\nblue.seed={SEED}\nblue.puk=12345678\n")
    assert "the seed given for card blue is not used" in done.err
    assert "the puk given for card blue is not used" in done.err


@pytest.mark.parametrize(
    ("family", "source"),
    [
        ("tapsigner", "--generate"),
        ("keycard", "--generate"),
        ("tangem", "--generate"),
        ("satochip", "--seed"),
        ("satochip", "--words"),
    ],
)
def test_words_out_is_refused_where_no_words_are_made(
    asked: Asked, tmp_path: Path, family: str, source: str
) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", family, "blue", "--no-setup")
    before = identity(asked, "blue")
    words = ("card", "setup", "blue", "--emulated", "blue", source, "--pin-stdin")
    refused = asked(*words, "--words-out", str(tmp_path / "w"), stdin="246802", check=2)
    assert "--words-out" in refused["error"]["message"]
    assert identity(asked, "blue") == before
    assert not (tmp_path / "w").exists()


COPIES = ("card", "setup", "sy", "--emulated", "sy", "--emulated", "sy-2", "--copies", "1")


def new_pair(home: Path) -> None:
    asked = Asked(home)
    asked("init", "--network", "regtest")
    for name in ("sy", "sy-2"):
        asked("emulate", "new", "satochip", name, "--no-setup")


@pytest.fixture
def pair(asked: Asked) -> Asked:
    copy_of(new_pair, asked.home)
    return asked


@pytest.mark.parametrize(
    ("stdin", "status"),
    [
        (f"sy=2468\nsy.seed={SEED}\n", 4),
        (f"sy=2468\nsy-2=13\nsy.seed={SEED}\n", 4),
        (f"sy=2468\nsy-2=1357\nsy-2.puk=1\nsy.seed={SEED}\n", 4),
        (f"sy=2468\nsy-2=1357\nsy-2.duress=777777\nsy.seed={SEED}\n", 3),
        ("sy=2468\nsy-2=1357\n", 4),
        ("sy=2468\nsy-2=1357\nsy.seed=ab\n", 2),
    ],
)
def test_no_card_is_touched_before_every_secret_of_all_is_there_and_fits(
    pair: Asked, program: Program, stdin: str, status: int
) -> None:
    ended = program(*COPIES, "--seed", "--pin-stdin", stdin=stdin, check=status)
    assert "shown this once" not in ended.err
    assert not any(card["has_pin"] for card in pair("emulate", "list")["cards"])
    pair(*COPIES, "--seed", "--pin-stdin", stdin=f"sy=2468\nsy-2=1357\nsy.seed={SEED}\n")


@pytest.mark.parametrize("loads", [0, 1])
def test_words_that_were_written_are_loaded_by_the_next_run(
    pair: Asked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, loads: int
) -> None:
    file, stdin = tmp_path / "sy.words", "sy=2468\nsy-2=1357\n"
    words = (*COPIES, "--generate", "--words-out", str(file), "--pin-stdin")
    load, loaded = SatochipSession.load_seed, []

    def cut(session: SatochipSession, seed: Secret) -> None:
        if len(loaded) == loads:
            raise CardRemoved("the card is gone")
        loaded.append(load(session, seed))

    with monkeypatch.context() as power:
        power.setattr(SatochipSession, "load_seed", cut)
        pair(*words, stdin=stdin, check=3)
    kept = file.read_bytes()
    other = b"abandon " * 23 + b"art"
    file.write_bytes(other)
    refused = pair(*words, stdin=stdin, check=None)["error"]
    assert ("already exists", "another key")[loads] in refused["message"]
    assert file.read_bytes() == other
    file.write_bytes(kept)
    done = pair(*words, stdin=stdin)
    assert done["copies"][0]["key"] == done["key"]
    assert file.read_bytes() == kept
    assert pair("card", "check", "sy-2", "--pin-stdin", stdin="1357")["key_matches"]


def test_a_copy_made_later_needs_the_words_and_says_so(pair: Asked, tmp_path: Path) -> None:
    file, stdin = tmp_path / "sy.words", "sy=2468\nsy-2=1357\n"
    single = ("card", "setup", "sy", "--emulated", "sy", "--generate", "--pin-stdin")
    pair(*single, "--words-out", str(file), stdin="sy=2468")
    refused = pair(*COPIES, "--generate", "--pin-stdin", stdin=stdin, check=2)["error"]
    assert "--words in place of --generate" in refused["message"]
    words = (*COPIES, "--words", "--pin-stdin")
    other = pair(*words, stdin=stdin + "sy.words=" + "abandon " * 11 + "about", check=3)["error"]
    assert "another key" in other["message"]
    assert not identity(pair, "sy-2")["has_pin"]
    done = pair(*words, stdin=f"{stdin}sy.words={file.read_text()}")
    assert done["copies"][0]["key"] == done["key"]
    assert (done["pin_set"], done["created_on"]) == (False, "host")


def test_a_printed_pin_is_not_said_to_be_set(asked: Asked, program: Program) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "tapsigner", "blue", "--no-setup")
    words = ("card", "setup", "blue", "--emulated", "blue", "--generate", "--pin-stdin")
    done = program(*words, stdin="123456")
    assert "PIN set" not in done.out
    assert "still the one printed on it" in done.out
    assert "6 to 32 digits" in done.err


def test_an_issuers_word_no_card_of_the_family_takes_is_refused_before_the_pin(
    asked: Asked, tmp_path: Path
) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "satochip", "blue")
    file = tmp_path / "issuer.json"
    file.write_text("{}")
    words = ("card", "enrol", "blue", "--emulated", "blue", "--issuer", str(file), "--pin-stdin")
    assert asked(*words, stdin="000000", check=3)["error"]["code"] == "not_supported"
    assert identity(asked, "blue")["attempts_left"] == 5
