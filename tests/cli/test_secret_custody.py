"""Who knows a PUK or a pairing password, and where it is written: never what it is."""

from pathlib import Path

import pytest

from cards.detection import detect
from cards.emulation import open_card
from cards.family import Surroundings
from tests.cli.terminal import at_terminal
from tests.program import Asked, Program, asking

PASSWORD = "correct horse"
PUK = "850273619482"


@pytest.fixture
def places(asked: Asked) -> Asked:
    asked("init", "--network", "regtest")
    for place in ("bank", "home"):
        asked("location", "add", place)
    for who in ("aunt", "uncle"):
        asked("holder", "add", who)
    return asked


def set_up(asked: Asked, *more: str, family: str = "keycard", profile: str = "3.2") -> dict:
    asked("emulate", "new", family, "blue", "--no-setup", "--profile", profile)
    words = ("card", "setup", "blue", "--emulated", "blue", "--generate", "--pin-stdin")
    return asked(*words, stdin="\n".join(("blue=246802", f"blue.puk={PUK}", *more)))


def secrets(asked: Asked) -> dict[str, dict]:
    return {secret["kind"]: secret for secret in asked("secret", "list")["secrets"]}


def codes(asked: Asked) -> list[str]:
    return [finding["code"] for finding in asked("audit", "v", "--fail-on", "none")["findings"]]


def test_a_set_up_card_has_a_puk_that_nobody_knows(places: Asked) -> None:
    set_up(places)
    unknown = {"label": "blue-puk", "card": "blue", "kind": "puk", "known_by": [], "written_at": []}
    assert secrets(places) == {"puk": unknown}
    shown = places("card", "show", "blue")
    assert (shown["pairing"], shown["other_software"]) == ("default", ["Sparrow Wallet"])


@pytest.mark.parametrize(
    ("family", "profile"), [("tapsigner", "1.0.3"), ("tangem", "6.33"), ("keycard", "4.0")]
)
def test_only_what_a_card_has_is_noted(places: Asked, family: str, profile: str) -> None:
    places("emulate", "new", family, "blue", "--no-setup", "--profile", profile)
    words = ("card", "setup", "blue", "--emulated", "blue", "--generate", "--pin-stdin")
    places(*words, stdin="blue=123456")
    assert list(secrets(places)) == (["puk"] if family == "keycard" else [])
    assert places("card", "show", "blue")["pairing"] is None


def test_an_owners_pairing_password_is_shown_once_and_noted(
    places: Asked, program: Program
) -> None:
    places("emulate", "new", "keycard", "blue", "--no-setup", "--profile", "3.1")
    words = ("card", "setup", "blue", "--emulated", "blue", "--generate", "--pin-stdin")
    given = f"blue=246802\nblue.puk={PUK}\nblue.pairing={PASSWORD}\n"
    ended = program(*words, stdin=given)
    assert ended.err.count(PASSWORD) == 1
    assert PASSWORD not in ended.out
    assert "secret add blue-pairing --of blue --kind pairing" in ended.out
    assert secrets(places).keys() == {"puk", "pairing"}
    shown = places("card", "show", "blue")
    assert (shown["pairing"], shown["other_software"]) == ("own", [])
    assert "pairing: own" in program("card", "show", "blue").out
    places("vault", "create", "v", "--threshold", "1", "--card", "blue")
    assert places("vault", "show", "v")["cosigners"][0]["other_software"] == []
    codes = {each["code"] for each in places("audit", "v", check=None)["findings"]}
    assert "no_other_software" in codes


def test_a_pairing_password_is_refused_where_there_is_no_pairing(places: Asked) -> None:
    places("emulate", "new", "keycard", "blue", "--no-setup", "--profile", "4.0")
    words = ("card", "setup", "blue", "--emulated", "blue", "--generate", "--pin-stdin")
    refused = places(*words, stdin=f"blue=246802\nblue.pairing={PASSWORD}\n", check=3)
    assert "pairing" in refused["error"]["message"]


def test_a_secret_is_told_bit_by_bit(places: Asked, program: Program) -> None:
    set_up(places)
    words = ("secret", "add", "paper", "--of", "card:blue", "--kind", "puk")
    places(*words, "--known-by", "aunt", "--written-at", "location:bank")
    told = places(*words, "--known-by", "holder:uncle", "--known-by", "aunt")
    assert (told["known_by"], told["written_at"]) == (["aunt", "uncle"], ["bank"])
    assert [secret["label"] for secret in places("secret", "list")["secrets"]] == ["paper"]
    assert "PUK: known by aunt, uncle, written at bank" in program("card", "show", "blue").out
    assert "aunt, uncle" in program("secret", "list").out


def test_a_secret_of_unknown_kind_card_or_holder_is_refused(places: Asked) -> None:
    set_up(places)
    for words in (
        ("x", "--of", "blue", "--kind", "colour"),
        ("x", "--of", "red", "--kind", "puk"),
        ("x!", "--of", "blue", "--kind", "puk"),
        ("x", "--of", "blue", "--kind", "puk", "--known-by", "nobody"),
        ("x", "--of", "blue", "--kind", "puk", "--written-at", "nowhere"),
        ("blue-puk", "--of", "blue", "--kind", "pin"),
    ):
        places("secret", "add", *words, check=2)
    assert secrets(places)["puk"]["known_by"] == []


def test_the_audit_finds_what_nobody_knows(places: Asked) -> None:
    set_up(places, f"blue.pairing={PASSWORD}")
    places("vault", "create", "v", "--threshold", "1", "--card", "blue")
    assert {"puk_nowhere", "pairing_nowhere"} <= set(codes(places))
    places("secret", "add", "p", "--of", "blue", "--kind", "puk", "--known-by", "aunt")
    assert "puk_nowhere" not in codes(places)
    assert "pairing_nowhere" in codes(places)
    places("secret", "add", "q", "--of", "blue", "--kind", "pairing", "--written-at", "bank")
    assert "pairing_nowhere" not in codes(places)


@pytest.mark.parametrize("end", ["reset", "forget"])
def test_nothing_is_known_of_a_card_that_ended(places: Asked, end: str) -> None:
    set_up(places)
    places("card", end, "blue", "--yes")
    assert places("secret", "list") == {"secrets": []}


def test_a_forgotten_cards_label_is_free_for_anothers_secret(places: Asked) -> None:
    set_up(places)
    places("card", "forget", "blue", "--yes")
    places("emulate", "remove", "blue")
    set_up(places)
    assert secrets(places)["puk"]["label"] == "blue-puk"


def test_a_taken_label_does_not_stop_a_set_up(places: Asked) -> None:
    places("emulate", "new", "satochip", "red")
    places("card", "enrol", "red", "--emulated", "red", "--pin-stdin", stdin="123456")
    places("secret", "add", "blue-puk", "--of", "red", "--kind", "pin", "--known-by", "aunt")
    set_up(places)
    assert secrets(places)["puk"]["label"] == "blue-puk-2"


def test_a_card_reset_elsewhere_has_new_secrets(places: Asked, tmp_path: Path) -> None:
    set_up(places)
    places("secret", "add", "p", "--of", "blue", "--kind", "puk", "--known-by", "aunt")
    (file,) = tmp_path.rglob("blue.card")
    reader = open_card(file)
    session = detect(reader, Surroundings())
    session.reset()
    session.close()
    words = ("card", "setup", "blue", "--emulated", "blue", "--generate", "--pin-stdin")
    places(*words, stdin=f"blue=246802\nblue.puk={PUK}\n")
    assert secrets(places)["puk"]["known_by"] == []


def second_home(first: Path, second: Path) -> Asked:
    """Make a home that has the first one's card in its emulator and knows nothing of it."""
    asked = asking(second)
    asked("init", "--network", "regtest")
    asked("emulate", "new", "satochip", "spare")
    (spare,) = second.rglob("spare.card")
    (file,) = first.rglob("blue.card")
    (spare.parent / "blue.card").write_bytes(file.read_bytes())
    return asked


def test_a_new_home_needs_the_owners_pairing_password(places: Asked, tmp_path: Path) -> None:
    set_up(places, f"blue.pairing={PASSWORD}")
    other = second_home(tmp_path / "home", tmp_path / "other")
    words = ("card", "enrol", "blue", "--emulated", "blue", "--pin-stdin")
    assert "pairing password" in other(*words, stdin="blue=246802", check=3)["error"]["message"]
    other(*words, stdin="blue=246802\nblue.pairing=wrong", check=3)
    found = other(*words, stdin=f"blue=246802\nblue.pairing={PASSWORD}\n")
    assert found["card"]["label"] == "blue"
    assert secrets(other).keys() == {"pairing"}
    assert other("card", "check", "blue", "--pin-stdin", stdin="blue=246802")["key_matches"]


def test_a_new_home_asks_for_the_pairing_password_at_the_terminal(
    places: Asked, tmp_path: Path
) -> None:
    set_up(places, f"blue.pairing={PASSWORD}")
    second_home(tmp_path / "home", tmp_path / "other")
    words = ("card", "enrol", "blue", "--emulated", "blue")
    answers = [("pairing password of card blue", PASSWORD), ("PIN of card blue.*3", "246802")]
    seen = at_terminal(tmp_path / "other", words, answers)
    assert (seen.status, PASSWORD in seen.screen) == (0, False)
