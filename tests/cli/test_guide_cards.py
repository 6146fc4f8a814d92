"""The guide knows the card that is laid on a reader, and chooses what is done with it."""

import contextlib
import io
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from cards.errors import CardError, NotUnlocked, ReaderNotFound
from cards.session import CardIdentity
from coordinator.cli import guide_decisions
from coordinator.cli.guide_cards import words_for_card
from coordinator.cli.guide_decisions import chosen_chain
from coordinator.home.settings import Home, open_home
from coordinator.readers import real_readers
from coordinator.readers.slots import Found
from storage import cards as card_book
from storage.database import open_database
from tests.cli.scripted import Answer, Script, answered
from tests.program import PIN, asking

SETUP = ("card", "setup", "card-1", "--generate")
ENROL = ("card", "enrol", "card-1")
LAID: list[Answer] = [("Lay the card", "")]


def identity(card_id: str = "aa", *, key: bool, pin: bool, left: int | None = 5) -> CardIdentity:
    return CardIdentity(card_id, "satochip", "0.12", key, left, pin)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    asking(tmp_path / "home")("init", "--network", "regtest")
    return tmp_path / "home"


class Told:
    """What words_for_card returned, and what was said meanwhile."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        home: Path,
        looks: Sequence[list[Found] | CardError],
        words: Sequence[str],
        answers: Sequence[Answer],
    ) -> None:
        left = list(looks)

        def looked_at(_home: Home, _names: Sequence[str] | None = None) -> list[Found]:
            seen = left.pop(0)
            if isinstance(seen, CardError):
                raise seen
            return seen

        monkeypatch.setattr(real_readers, "looked_at", looked_at)
        err = io.StringIO()
        with answered(Script(answers)), contextlib.redirect_stderr(err):
            self.words = words_for_card(home, words)
        self.said = " ".join(err.getvalue().split())


def test_a_fresh_card_is_set_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [[Found("ACR", identity(key=False, pin=False), None), Found("two", None, None)]]
    told = Told(monkeypatch, home, looks, SETUP, LAID)
    assert told.words == [*SETUP, "--reader", "ACR"]
    assert told.said == (
        "On ACR lies a satochip 0.12: it is factory fresh and is not enrolled here."
    )


def test_a_card_half_made_is_gone_on_with(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told(
        monkeypatch, home, [[Found("ACR", identity(key=False, pin=True), None)]], SETUP, LAID
    )
    assert told.words == [*SETUP, "--reader", "ACR"]
    assert "has a PIN and no key yet" in told.said
    assert "takes 5 more wrong PINs" in told.said


@pytest.mark.parametrize(("puk_left", "takes"), [(3, "no PIN"), (0, "no PIN and no PUK")])
def test_a_blocked_card_is_told(
    home: Path, monkeypatch: pytest.MonkeyPatch, puk_left: int, takes: str
) -> None:
    blocked = identity(key=True, pin=True, left=0)._replace(puk_attempts_left=puk_left)
    told = Told(monkeypatch, home, [[Found("ACR", blocked, None)]], SETUP, LAID)
    assert f"is not enrolled here and takes {takes} any more." in told.said


def test_a_card_that_is_set_up_keeps_its_key_and_is_enrolled(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told(
        monkeypatch, home, [[Found("ACR", identity(key=True, pin=True), None)]], SETUP, LAID
    )
    assert told.words == [*ENROL, "--reader", "ACR"]
    assert "its own PIN is asked for" in told.said


def test_a_card_that_is_silent_before_its_pin_is_enrolled(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = Found("ACR", None, NotUnlocked("asks for its code first"), "tangem")
    told = Told(monkeypatch, home, [[silent]], SETUP, LAID)
    assert told.words == [*ENROL, "--reader", "ACR"]
    assert "family tangem" in told.said


def test_a_card_that_is_known_is_checked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asking(home)
    asked("emulate", "new", "satochip", "blue")
    asked("card", "enrol", "blue", "--emulated", "blue", "--pin-stdin", stdin=PIN)
    database = open_database(open_home(home).database_url, existing=True)
    with database.begin() as db:
        card_id = card_book.card_named(db, "blue").card_id
    database.kw["bind"].dispose()
    seen = Found("ACR", identity(card_id, key=True, pin=True), None)
    told = Told(monkeypatch, home, [[seen]], SETUP, LAID)
    assert told.words == ["card", "check", "blue", "--reader", "ACR"]
    assert "is enrolled here as blue" in told.said


def test_a_card_without_a_key_brings_no_vault_back(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = [
        [Found("ACR", identity(key=False, pin=False), None)],
        [Found("ACR", identity("bb", key=True, pin=True), None)],
    ]
    told = Told(monkeypatch, home, looks, ENROL, LAID * 2)
    assert told.words == [*ENROL, "--reader", "ACR"]
    assert "belongs to no vault" in told.said


def test_of_several_cards_one_is_chosen(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [
        [
            Found("one", identity("aa", key=True, pin=True), None),
            Found("two", identity("bb", key=False, pin=False), None),
        ]
    ]
    told = Told(monkeypatch, home, looks, SETUP, [*LAID, ("Which card", "On two")])
    assert told.words == [*SETUP, "--reader", "two"]


@pytest.mark.parametrize(
    ("look", "said"),
    [
        ([], "No reader is connected"),
        ([Found("ACR", None, None)], "No card is seen"),
        ([Found("ACR", None, CardError("it answers nothing"))], "it answers nothing"),
        (ReaderNotFound("the service pcscd does not run"), "pcscd does not run"),
    ],
)
def test_where_no_card_is_seen_it_is_said_why_and_asked_again(
    home: Path, monkeypatch: pytest.MonkeyPatch, look: list[Found] | CardError, said: str
) -> None:
    fresh = [Found("ACR", identity(key=False, pin=False), None)]
    again = [*LAID, ("What now", "Look again"), *LAID]
    told = Told(monkeypatch, home, [look, fresh], SETUP, again)
    assert said in told.said
    assert told.words == [*SETUP, "--reader", "ACR"]
    later = Told(monkeypatch, home, [look], SETUP, [*LAID, ("What now", "Leave it")])
    assert later.words is None


def decided(network: str, answers: Sequence[Answer]) -> tuple[str, str]:
    err = io.StringIO()
    with answered(Script(answers)), contextlib.redirect_stderr(err):
        return chosen_chain(network), " ".join(err.getvalue().split())


@pytest.mark.parametrize("network", ["mainnet", "testnet4", "signet", "regtest"])
def test_an_own_node_that_answers_is_what_enter_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str
) -> None:
    within = "" if network == "mainnet" else f"/{network}"
    monkeypatch.setenv("HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as node:
        port = node.getsockname()[1]
        monkeypatch.setitem(guide_decisions.NODE_PORTS, network, port)
        without, _ = decided(network, [("Whom to ask", "")])
        assert not without.startswith("bitcoind"), "no cookie, no node"
        cookie = tmp_path / f".bitcoin{within}" / ".cookie"
        cookie.parent.mkdir(parents=True)
        cookie.touch()
        found, told = decided(network, [("Whom to ask", "")])
    assert found == f"bitcoind+http://127.0.0.1:{port}?cookie=~/.bitcoin{within}/.cookie"
    assert "it learns your addresses and how much is there" in told
    gone, _ = decided(network, [("Whom to ask", "")])
    assert not gone.startswith("bitcoind"), "it does not answer any more"


def test_a_server_whose_package_is_missing_is_not_taken_before_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(guide_decisions, "BDK", "a_package_nobody_has")
    asked = [("Whom to ask", "server"), ("Whom to ask", "Nobody")]
    url, told = decided("mainnet", asked)
    assert url == "none:"
    assert "-m pip install a_package_nobody_has" in told
