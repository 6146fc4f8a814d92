"""What the facts of a vault make of its exposure: who and what opens each thing."""

import pytest

from cards.family import Theft
from coordinator.audit.exposure import can_read, exposure_of, keys_left, thief_can_spend
from coordinator.audit.facts import CarrierFacts, CopyFacts, PlaceFacts, SecretFacts, VaultFacts
from tests.coordinator.audit.test_findings import carrier, key, vault

PIN = SecretFacts("pin", known_by=("anna",))
PUK = SecretFacts("puk", written_at=("safe",))
PAIRING = SecretFacts("pairing", written_at=("desk",))


def one_key(*carriers: CarrierFacts, **more: object) -> VaultFacts:
    return vault(key("a", *carriers), threshold=1, **more)


def thing(subject: str, place: str) -> CarrierFacts:
    return carrier("x", place, card=None)._replace(subject=subject)


def taken(facts: VaultFacts, *stolen: str) -> bool:
    return exposure_of(facts).quorums[0].taken(stolen) == 1


def left(facts: VaultFacts, *lost: str) -> bool:
    return keys_left(exposure_of(facts), lost) == 1


@pytest.mark.parametrize(("siblings", "opens"), [(1, True), (0, False)])
def test_another_card_of_its_set_opens_a_card(*, siblings: int, opens: bool) -> None:
    pair = [carrier(n, n, siblings=siblings, secrets=(PIN,)) for n in ("bank", "home")]
    facts = one_key(*pair)
    assert taken(facts, "card:bank", "card:home") is opens
    assert not taken(facts, "card:bank")
    assert taken(facts, "card:bank", "holder:anna")
    assert left(facts, "holder:anna") is opens
    assert not left(facts, "holder:anna", "card:home")
    mixed = one_key(pair[0], carrier("home", "home", secrets=(PIN,)))
    assert not taken(mixed, "card:bank", "card:home")


@pytest.mark.parametrize(("attempts", "falls"), [(5, False), (None, True)])
def test_a_card_that_only_delays_wrong_pins_falls_one_day(
    *, attempts: int | None, falls: bool
) -> None:
    theft = Theft(attempts, 15, "said", "source")
    facts = one_key(carrier("a", "bank", secrets=(PIN,), theft=theft))
    assert taken(facts, "card:a") is falls
    assert taken(facts, "card:a", "pin:a")
    assert not left(facts, "holder:anna")


def test_a_card_of_which_nothing_is_known_keeps_its_pin_from_a_thief() -> None:
    facts = one_key(carrier("a", "bank", secrets=(PIN,)))
    assert not taken(facts, "card:a")
    assert exposure_of(facts, codes=False).quorums[0].taken(["card:a"]) == 1


def test_a_pin_nobody_recorded_counts_as_known() -> None:
    facts = one_key(carrier("a", "bank", secrets=(SecretFacts("pin"),)))
    assert taken(facts, "card:a")
    assert left(facts)


@pytest.mark.parametrize("sets_pin", [True, False])
def test_a_puk_opens_a_card_where_it_sets_the_pin(*, sets_pin: bool) -> None:
    facts = one_key(carrier("a", "bank", secrets=(PIN, PUK), puk_sets_pin=sets_pin))
    assert taken(facts, "card:a", "location:safe") is sets_pin
    assert left(facts, "holder:anna") is sets_pin
    assert left(facts, "location:safe")


def test_a_card_needs_its_pairing_besides_its_pin() -> None:
    facts = one_key(carrier("a", "bank", secrets=(PIN, PAIRING)))
    assert not taken(facts, "card:a", "holder:anna")
    assert taken(facts, "card:a", "holder:anna", "pairing:a")
    assert not left(facts, "location:desk")


def test_an_encrypted_backup_needs_its_printed_key_or_the_card_it_stands_on() -> None:
    backup = thing("backup-file:f", "cloud")
    printed = one_key(backup, thing("backup-key:k", "desk"))
    assert not taken(printed, "location:cloud")
    assert not taken(printed, "location:desk")
    assert taken(printed, "location:cloud", "location:desk")
    assert not left(printed, "location:desk")
    for on_card in (True, False):
        card = carrier("a", "bank", secrets=(PIN,), prints_backup_key=on_card)
        assert taken(one_key(backup, card), "location:cloud", "card:a") is on_card


def test_a_place_takes_its_region_and_its_holder_along() -> None:
    places = {"bank": PlaceFacts("bank", "north", "otto")}
    facts = one_key(carrier("a", "bank"), places=places)
    assert all(taken(facts, group) for group in ("region:north", "holder:otto", "vendor:maker-a"))
    assert not taken(facts, "region:south")


def test_stale_copies_show_nothing() -> None:
    bank, old = CopyFacts("copy:1", "bank", None), CopyFacts("copy:2", "attic", None, stale=True)
    exposure = exposure_of(one_key(carrier("a", "home"), copies=(bank, old)))
    assert not can_read(exposure, ["location:bank"])
    assert not thief_can_spend(exposure, ["card:a", "location:attic"])
    assert thief_can_spend(exposure, ["card:a", "location:bank"])
    for copies in ((old,), (bank._replace(gone="destroyed"),)):
        unrecorded = exposure_of(one_key(carrier("a", "home"), copies=copies))
        assert can_read(unrecorded, ["location:bank", "location:attic"])
        assert thief_can_spend(unrecorded, ["card:a"])


def test_what_brings_one_key_of_a_seed_back_brings_all() -> None:
    both = [key(n, carrier(n, n))._replace(fingerprint="00112233") for n in ("bank", "home")]
    exposure = exposure_of(vault(*both))
    assert exposure.quorums[0].taken(["card:bank"]) == 2
    assert keys_left(exposure, ["card:bank"]) == 2
    assert keys_left(exposure, ["card:bank", "card:home"]) == 0
