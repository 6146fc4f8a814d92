from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cards.family import Theft
from coordinator.audit.exposure import exposure_of, keys_left
from coordinator.audit.facts import (
    CardFacts,
    CarrierFacts,
    CopyFacts,
    CosignerFacts,
    SecretFacts,
    Severity,
    VaultFacts,
)
from coordinator.audit.findings import audit, grave

NOW = datetime(2026, 11, 23, tzinfo=UTC)


THING = frozenset(CarrierFacts._fields)
COPIES = tuple(CopyFacts(f"copy:{place}", place, None) for place in ("bank", "friend", "home"))


def quorum_left(facts: VaultFacts) -> bool:
    return keys_left(exposure_of(facts)) >= facts.threshold


def carrier(name: str, place: str | None, **changed: object) -> CarrierFacts:
    """Return a card of a maker of its own, changed as said: of the thing, or of the card."""
    of_card = {field: value for field, value in changed.items() if field not in THING}
    of_thing = {field: value for field, value in changed.items() if field in THING}
    card = CardFacts("satochip", "0.12", f"maker-{name}")._replace(**of_card)
    facts = CarrierFacts(f"card:{name}", place, None, NOW, card)
    return facts._replace(**of_thing)


def vault(*cosigners: CosignerFacts, threshold: int = 2, **more: object) -> VaultFacts:
    return VaultFacts("v", threshold, cosigners, **{"copies": COPIES, **more})


def key(label: str, *carriers: CarrierFacts, verified: bool | None = True) -> CosignerFacts:
    return CosignerFacts(label, carriers, verified)


def codes(facts: VaultFacts, now: datetime = NOW) -> list[str]:
    return [finding.code for finding in audit(facts, now)]


PLACES = (("a", "bank"), ("b", "friend"), ("c", "home"))
GOOD = tuple(key(name, carrier(name, place)) for name, place in PLACES)


def test_three_keys_at_three_places_have_no_finding() -> None:
    assert codes(vault(*GOOD)) == []


def test_a_place_that_reaches_the_threshold_can_spend() -> None:
    facts = vault(GOOD[0], key("b", carrier("b", "bank")), GOOD[2])
    found = {finding.code: finding for finding in audit(facts, NOW)}
    assert found["location_can_spend"].subjects == ("location:bank",)
    assert found["location_can_spend"].severity is Severity.DANGER
    assert found["location_loss_fatal"].subjects == ("location:bank",)


def test_one_key_below_the_threshold_cannot_spend() -> None:
    facts = vault(*GOOD, key("d", carrier("d", "bank")), threshold=3)
    assert "location_can_spend" not in codes(facts)


def test_two_carriers_of_one_key_at_one_place_count_once() -> None:
    facts = vault(key("a", carrier("a", "bank"), carrier("a2", "bank")), *GOOD[1:])
    assert codes(facts) == ["one_key_several_carriers"]


def test_a_second_carrier_elsewhere_saves_from_a_loss() -> None:
    both = key("b", carrier("b", "bank"), carrier("b2", "home"))
    facts = vault(GOOD[0], both, key("c", carrier("c", "home")))
    assert "location_loss_fatal" not in [
        f.code for f in audit(facts, NOW) if f.subjects == ("location:bank",)
    ]


@pytest.mark.parametrize("gone", ["lost", "stolen", "destroyed"])
def test_a_carrier_that_is_gone_neither_spends_nor_saves(gone: str) -> None:
    lost = key("b", carrier("b", None, gone=gone))
    facts = vault(GOOD[0], lost, GOOD[2])
    assert "carrier_gone" in codes(facts)
    assert "place_unknown" not in codes(facts)
    assert codes(facts).count("location_loss_fatal") == 2
    assert quorum_left(facts)


def test_a_vault_without_a_quorum_says_so_first() -> None:
    gone = [key(n, carrier(n, None, gone="lost")) for n in "ab"]
    facts = vault(*gone, GOOD[2])
    assert codes(facts)[:2] == ["quorum_stolen", "quorum_lost"]
    assert not quorum_left(facts)
    assert "location_loss_fatal" not in codes(facts)


def test_an_exact_quorum_is_no_quorum_lost() -> None:
    facts = vault(key("a", carrier("a", None, gone="lost")), *GOOD[1:])
    assert quorum_left(facts)
    assert "quorum_lost" not in codes(facts)


def test_a_card_without_a_place() -> None:
    facts = vault(key("a", carrier("a", None)), *GOOD[1:])
    assert codes(facts) == ["place_unknown"]


@pytest.mark.parametrize(("days", "found"), [(180, False), (181, True)])
def test_nobody_checked_for_180_days(days: int, found: bool) -> None:  # noqa: FBT001 -- by name
    old = carrier("a", "bank", last_seen=NOW - timedelta(days=days))
    findings = audit(vault(key("a", old), *GOOD[1:]), NOW)
    assert ("not_checked" in [finding.code for finding in findings]) is found
    assert not found or findings[0].message == "card:a was last checked: 181 days ago"


def test_a_card_nobody_ever_saw_was_not_checked() -> None:
    facts = vault(key("a", carrier("a", "bank", last_seen=None)), *GOOD[1:])
    assert codes(facts) == ["not_checked"]
    assert audit(facts, NOW)[0].message == "card:a was last checked: never"


def test_a_key_no_card_proved() -> None:
    facts = vault(key("a", carrier("a", "bank"), verified=None), *GOOD[1:])
    assert codes(facts) == ["keys_unproved"]
    elsewhere = vault(key("a", verified=None), *GOOD[1:])
    assert "never_verified" in codes(elsewhere), "a quorum of others is proved"
    two = vault(key("a", verified=None), key("b", carrier("b", "friend"), verified=None), GOOD[2])
    found = {each.code: each.subjects for each in audit(two, NOW)}
    assert (found["keys_unproved"], found["never_verified"]) == (("key:b",), ("key:a",))


def test_a_key_that_did_not_match_is_a_danger() -> None:
    facts = vault(key("a", carrier("a", "bank"), verified=False), *GOOD[1:])
    assert codes(facts) == ["key_mismatch"]
    assert audit(facts, NOW)[0].severity is Severity.DANGER


def test_a_card_that_could_not_prove_itself() -> None:
    facts = vault(key("a", carrier("a", "bank", attestation="unproven")), *GOOD[1:])
    assert codes(facts) == ["attestation_unproven"]


def test_a_card_that_did_not_prove_to_sign_for_a_leaf_is_a_danger_in_taproot_alone() -> None:
    proved = (key(name, carrier(name, place, signs_leaf=True)) for name, place in PLACES[1:])
    facts = vault(GOOD[0], *proved, taproot=True)
    found = audit(facts, NOW)
    assert [each.code for each in found] == ["leaf_not_proved", "no_other_software"]
    assert (found[0].severity, found[0].subjects) == (Severity.DANGER, ("card:a",))
    assert "card enrol a" in found[0].remedy


def test_a_key_whose_carriers_were_forgotten_is_no_key_left() -> None:
    orphan = CosignerFacts("c", (), True, orphaned=True)
    facts = vault(GOOD[0], GOOD[1], orphan)
    assert codes(facts).count("location_loss_fatal") == 2
    assert "key_without_carrier" in codes(facts)
    assert quorum_left(facts)
    assert not quorum_left(vault(GOOD[0], orphan, threshold=2))


def test_a_key_held_elsewhere_is_out_of_reach_of_these_places() -> None:
    facts = vault(GOOD[0], GOOD[1], key("c"))
    assert codes(facts) == []
    assert quorum_left(facts)


def test_a_secret_nobody_knows_is_found_while_its_card_is_there() -> None:
    silent = carrier("a", "bank", secrets=(SecretFacts("puk"), SecretFacts("pairing")))
    assert codes(vault(key("a", silent), *GOOD[1:])) == ["puk_nowhere", "pairing_nowhere"]
    gone = silent._replace(gone="lost", location=None)
    assert "puk_nowhere" not in codes(vault(key("a", gone), *GOOD[1:]))


def test_two_siblings_at_one_place_are_a_danger() -> None:
    def placed(first: str, second: str, siblings: int = 1) -> VaultFacts:
        pair = [
            carrier(name, where, siblings=siblings)
            for name, where in (("a", first), ("a2", second))
        ]
        return vault(key("a", *pair), *GOOD[1:])

    found = {each.code: each for each in audit(placed("bank", "bank"), NOW)}["siblings_together"]
    assert found.severity is Severity.DANGER
    assert found.subjects == ("location:bank", "card:a", "card:a2")
    assert "siblings_together" not in codes(placed("bank", "office"))
    assert "siblings_together" not in codes(placed("bank", "bank", siblings=0))


def test_siblings_of_different_keys_are_no_danger() -> None:
    pair = [key(name, carrier(name, "bank", siblings=1)) for name in "ab"]
    assert "siblings_together" not in codes(vault(*pair, GOOD[2], threshold=3))


def test_a_quorum_that_needs_this_program_is_found() -> None:
    lonely = [key(n, carrier(n, at, lonely=True)) for n, at in (("a", "bank"), ("b", "friend"))]
    found = {each.code: each for each in audit(vault(*lonely, GOOD[2]), NOW)}["no_other_software"]
    assert found.subjects == ("card:a", "card:b")
    assert "1 key can" in found.message
    assert codes(vault(lonely[0], *GOOD[1:])) == []
    words = carrier("x", "attic", card=None)._replace(subject="words:x")
    saved = key("a", *lonely[0].carriers, words)
    assert "no_other_software" not in codes(vault(saved, lonely[1], GOOD[2]))


def test_a_stolen_card_names_what_protects_it() -> None:
    theft = Theft(5, 0, "5 wrong PINs block it", "the applet")
    stolen = key("a", carrier("a", None, gone="stolen", theft=theft))
    found = {each.code: each for each in audit(vault(stolen, *GOOD[1:]), NOW)}["carrier_gone"]
    assert found.message == "card:a is recorded as stolen; 5 wrong PINs block it"
    lost = key("a", carrier("a", None, gone="lost", theft=theft))
    found = {each.code: each for each in audit(vault(lost, *GOOD[1:]), NOW)}["carrier_gone"]
    assert "PINs" not in found.message


@pytest.mark.parametrize(
    ("gone", "severity"),
    [
        ("stolen", Severity.DANGER),
        ("lost", Severity.WARNING),
        ("destroyed", Severity.WARNING),
    ],
)
def test_only_what_is_stolen_is_a_danger(gone: str, severity: Severity) -> None:
    facts = vault(key("a", carrier("a", None, gone=gone)), *GOOD[1:])
    (told,) = (each for each in audit(facts, NOW) if each.code == "carrier_gone")
    assert (told.severity, told.subjects) == (severity, ("card:a",))


def test_what_brings_a_key_back_with_another_thing_only_is_no_second_carrier() -> None:
    pair = [
        carrier(name, place, card=None)._replace(subject=f"{kind}:{name}")
        for name, place, kind in (("f", "bank", "backup-file"), ("d", "home", "backup-key"))
    ]
    first = GOOD[0].carriers[0]
    for more in (pair, [carrier("x", "home", gone="lost")]):
        assert "one_key_several_carriers" not in codes(vault(key("a", first, *more), *GOOD[1:]))
    assert "one_key_several_carriers" in codes(
        vault(key("a", first, carrier("x", "home")), *GOOD[1:])
    )


def test_a_vault_that_was_replaced_is_watched_for_what_is_left_in_it() -> None:
    """Nobody is told to prove it; of a thief who can spend they are while it has coins."""
    unproved = [each._replace(verified=None) for each in GOOD]
    stolen = [key(name, carrier(name, None, gone="stolen")) for name in "ab"]
    left = [GOOD[2]]

    def dangers_of(*keys: CosignerFacts, value_sats: int) -> set[str]:
        facts = replace(vault(*keys, copies=()), replaced=True, value_sats=value_sats)
        return {each.code for each in grave(facts, NOW)}

    assert dangers_of(*unproved, value_sats=1) == set()
    assert "quorum_stolen" in dangers_of(*stolen, *left, value_sats=1)
    assert dangers_of(*stolen, *left, value_sats=0) == set()


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"seal_differs": True}, "approval_mismatch"),
        ({"approval": "differs"}, "approval_mismatch"),
        ({"altered": "two stories"}, "vault_altered"),
        ({"rows_altered": ("a row differs",)}, "rows_altered"),
        ({"rows_unapproved": ("a row is of a key not approved",)}, "rows_unapproved"),
    ],
)
def test_a_changed_database_is_a_danger_to_what_a_replaced_vault_still_holds(
    changed: dict[str, Any], code: str
) -> None:
    left = replace(vault(*GOOD), replaced=True, value_sats=1, **changed)
    assert code in {each.code for each in grave(left, NOW)}
    assert grave(replace(left, value_sats=0), NOW) == []
