"""Nothing that is printed or logged holds a secret, but where it is shown on purpose."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cards.pin import Secret
from cards.satochip.session import SatochipSession
from tests.program import Program, run_program

PIN, NEW_PIN, WRONG_PIN = "314159", "271828", "161803"
PUK, WRONG_PUK = "14142135", "17320508"
SEED = "5eed" * 16
WORDS = " ".join(["zoo"] * 11 + ["wrong"])


@pytest.fixture(autouse=True)
def everything_logged() -> Iterator[None]:
    """Log afresh in each command, and leave the log as it was."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
def loud(tmp_path: Path) -> Program:
    """Run a command with everything it can say, and return all of it."""

    def run(*words: str, stdin: str = "", check: int = 0) -> str:
        logging.getLogger().handlers.clear()
        ended = run_program(tmp_path / "home", *words, "-v", "-v", stdin=stdin, check=check)
        return ended.out + ended.err

    return run


def forms(secret: str) -> set[str]:
    """Return how a secret may look but as typed: in hex, as Python shows bytes."""
    hexed = secret.encode().hex()
    return {hexed, hexed.upper(), repr(secret.encode())}


ENCRYPTED = re.compile("[0-9a-f]{24,}", re.IGNORECASE)
"""What the log shows of a secure channel: any six digits stand there once in a few hundred runs."""


def assert_silent(said: str, *secrets: str) -> None:
    for secret in secrets:
        told = ENCRYPTED.sub("", said) if len(secret) <= len(PUK) else said
        assert secret not in told, said
        assert not [form for form in forms(secret) if form in said], said


def test_a_whole_life_without_a_word(loud: Program) -> None:
    card = ("blue", "--emulated", "blue", "--pin-stdin")
    said = [
        loud("init", "--network", "regtest"),
        loud("emulate", "new", "satochip", "blue", "--no-setup"),
        loud(
            "card", "setup", *card, "--seed", stdin=f"blue={PIN}\nblue.puk={PUK}\nblue.seed={SEED}"
        ),
        loud("card", "setup", *card, "--seed", stdin=f"blue={PIN}\nblue.seed={SEED}", check=3),
        loud("card", "enrol", *card, stdin=PIN),
        loud("card", "enrol", *card, stdin=WRONG_PIN, check=4),
        loud("card", "check", *card, stdin=PIN),
        loud("card", "pin", *card, stdin=f"blue={WRONG_PIN}\nblue.new={NEW_PIN}", check=4),
        loud("card", "pin", *card, stdin=f"blue={PIN}\nblue.new={NEW_PIN}"),
    ]
    last = ("card", "check", *card, "--last-attempt")
    said += [loud(*last, stdin=WRONG_PIN, check=4) for _ in range(6)]
    said += [
        loud("card", "unblock", *card, stdin=f"blue.puk={WRONG_PUK}", check=4),
        loud("card", "unblock", *card, stdin=f"blue.puk={PUK}\nblue.new={PIN}"),
        loud("card", "reset", "blue", "--yes"),
    ]
    assert_silent("".join(said), PIN, NEW_PIN, WRONG_PIN, PUK, WRONG_PUK, SEED)
    assert SEED.upper() not in "".join(said)


@pytest.mark.parametrize(
    "stdin",
    [
        f"blue={PIN}\nblue.seed={SEED}zz",
        f"blue={PIN}\nblue.seed={SEED}\n{PUK}\n",
        f"{SEED}={PIN}",
        f"blue={PIN}{PIN}{PIN}\nblue.seed={SEED}",
        f"blue={PIN}\nblue.puk={PUK}{PUK}{PUK}\nblue.seed={SEED}",
        f"blue={PIN}\nblue={NEW_PIN}",
    ],
)
def test_a_refusal_repeats_nothing(loud: Program, stdin: str) -> None:
    loud("init", "--network", "regtest")
    loud("emulate", "new", "satochip", "blue", "--no-setup")
    words = ("card", "setup", "blue", "--emulated", "blue", "--seed", "--pin-stdin")
    assert_silent(loud(*words, stdin=stdin, check=None), PIN, NEW_PIN, PUK, SEED)


def test_wrong_words_are_not_repeated(loud: Program) -> None:
    loud("init", "--network", "regtest")
    loud("emulate", "new", "satochip", "blue", "--no-setup")
    words = ("card", "setup", "blue", "--emulated", "blue", "--words", "--pin-stdin")
    said = loud(*words, stdin=f"blue={PIN}\nblue.words={WORDS} hunter", check=None)
    assert_silent(said, PIN, WORDS, "hunter")
    done = loud(*words, stdin=f"blue={PIN}\nblue.puk={PUK}\nblue.words={WORDS}")
    assert_silent(done, PIN, PUK, WORDS)


def test_a_bug_with_a_secret_at_hand_shows_none(
    loud: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object, seed: Secret) -> None:
        raise ZeroDivisionError(f"with {seed!r}")

    loud("init", "--network", "regtest")
    loud("emulate", "new", "satochip", "blue", "--no-setup")
    monkeypatch.setattr(SatochipSession, "load_seed", broken)
    words = ("card", "setup", "blue", "--emulated", "blue", "--seed", "--pin-stdin")
    said = loud(*words, stdin=f"blue={PIN}\nblue.puk={PUK}\nblue.seed={SEED}", check=1)
    assert "Traceback" in said
    assert_silent(said, PIN, PUK, SEED)


def test_words_and_puk_are_shown_in_their_one_place_only(loud: Program, tmp_path: Path) -> None:
    loud("init", "--network", "regtest")
    loud("emulate", "new", "satochip", "blue", "--no-setup")
    file = tmp_path / "words"
    words = ("card", "setup", "blue", "--emulated", "blue", "--generate", "--pin-stdin")
    said = loud(*words, "--words-out", str(file), stdin=f"blue={PIN}")
    made = file.read_text().split()
    assert_silent(said, PIN, file.read_text().strip(), " ".join(made[:3]))
    puk = said.partition("PUK of card blue, shown this once: ")[2].split()[0]
    assert len(puk) == 8
    assert said.count(puk) == 1
    assert puk.encode().hex() not in said


@pytest.mark.parametrize(
    ("words", "stdin", "check"),
    [
        (("setup", "--seed"), f"blue={PIN}\nblue.puk={PUK}\nblue.seed={SEED}", 0),
        (("setup", "--seed"), f"blue=1\nblue.puk={PUK}\nblue.seed={SEED}", 4),
        (("setup", "--seed"), f"blue={PIN}\nblue.seed=zz", 2),
        (("setup", "--generate"), f"blue={PIN}\nblue.puk={PUK}", 2),
        (("setup", "--words"), f"blue={PIN}\nblue.words={WORDS}", 0),
        (("setup", "--words"), f"blue={PIN}\nblue.words=zoo", 5),
        (("enrol",), PIN, 3),
    ],
)
def test_every_secret_is_wiped_however_a_command_ends(
    loud: Program,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    stdin: str,
    check: int,
) -> None:
    loud("init", "--network", "regtest")
    loud("emulate", "new", "satochip", "blue", "--no-setup")
    made: list[Secret] = []
    begin = Secret.__init__

    def watched(secret: Secret, value: bytes) -> None:
        begin(secret, value)
        made.append(secret)

    monkeypatch.setattr(Secret, "__init__", watched)
    verb, *source = words
    loud(
        "card", verb, "blue", "--emulated", "blue", *source, "--pin-stdin", stdin=stdin, check=check
    )
    assert made
    assert [secret for secret in made if len(secret)] == []


def test_pins_given_and_taken_are_wiped(loud: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    loud("init", "--network", "regtest")
    loud("emulate", "new", "satochip", "blue")
    loud("card", "enrol", "blue", "--emulated", "blue", "--pin-stdin", stdin="123456")
    made: list[Secret] = []
    begin = Secret.__init__

    def watched(secret: Secret, value: bytes) -> None:
        begin(secret, value)
        made.append(secret)

    monkeypatch.setattr(Secret, "__init__", watched)
    for verb, stdin, check in (
        ("check", "123456", 0),
        ("check", "000000", 4),
        ("pin", f"blue=123456\nblue.new={PIN}", 0),
        ("pin", f"blue={PIN}", 4),
        ("unblock", f"blue.puk={PUK}\nblue.new={PIN}", 3),
    ):
        loud("card", verb, "blue", "--pin-stdin", stdin=stdin, check=check)
    assert [secret for secret in made if len(secret)] == []
