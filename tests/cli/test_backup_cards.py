"""Backup cards at issuance: one seed in several cards, each read back, all carriers of one Key."""

from tests.program import Asked

SEED = "000102030405060708090a0b0c0d0e0f"


def fresh(asked: Asked, *names: str) -> None:
    asked("init", "--network", "regtest")
    for name in names:
        asked("emulate", "new", "satochip", name, "--no-setup")


def test_backup_cards_carry_one_key(asked: Asked, tmp_path: object) -> None:
    fresh(asked, "x", "y", "z")
    slots = ("--emulated", "x", "--emulated", "y", "--emulated", "z")
    words = ("card", "setup", "a", *slots, "--generate", "--copies", "2", "--pin-stdin")
    stdin = "a=1111\na-2=2222\na-3=3333\n"
    done = asked(*words, "--words-out", f"{tmp_path}/words", stdin=stdin)
    assert [copy["card"]["label"] for copy in done["copies"]] == ["a-2", "a-3"]
    assert {copy["key"]["xpub"] for copy in done["copies"]} == {done["key"]["xpub"]}
    assert done["created_on"] == "host"
    cards = {card["label"]: card for card in asked("card", "list")["cards"]}
    assert len({card["card_id"] for card in cards.values()}) == 3
    made = asked("vault", "create", "v", "--threshold", "1", "--card", "a")
    assert made["cosigners"][0]["carriers"] == ["card:a", "card:a-2", "card:a-3"]
    twice = asked(
        "vault", "create", "w", "--threshold", "1", "--card", "a", "--card", "a-2", check=5
    )
    assert twice["error"]["code"] == "policy_error"
    codes = [finding["code"] for finding in asked("audit", "v", "--fail-on", "none")["findings"]]
    assert "one_key_several_carriers" in codes


def test_as_many_cards_must_be_named_as_are_wanted(asked: Asked) -> None:
    fresh(asked, "x")
    words = ("card", "setup", "a", "--emulated", "x", "--seed", "--copies", "1", "--pin-stdin")
    refused = asked(*words, stdin=f"a=1111\na.seed={SEED}\n", check=2)
    assert "1 cards are offered, 2 are wanted" in refused["error"]["message"]
    assert asked("card", "list")["cards"] == []


def test_a_used_card_is_refused_before_any_is_written(asked: Asked) -> None:
    fresh(asked, "x")
    asked("emulate", "new", "satochip", "used")
    slots = ("--emulated", "x", "--emulated", "used")
    words = ("card", "setup", "a", *slots, "--seed", "--copies", "1", "--pin-stdin")
    refused = asked(*words, stdin=f"a=1111\na-2=123456\na.seed={SEED}\n", check=3)
    assert refused["error"]["code"] == "not_supported"
    assert asked("card", "list")["cards"] == []
    assert not next(each for each in asked("emulate", "list")["cards"] if each["name"] == "x")[
        "has_pin"
    ]
