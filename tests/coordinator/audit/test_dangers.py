"""What of a vault is dangerous, at its borders, and what an acceptance of it rests on."""

import pytest

from cards.family import Theft
from coordinator.audit.dangers import dangers, resting_on
from coordinator.audit.facts import CopyFacts, CosignerFacts, SecretFacts, VaultFacts
from coordinator.notices import Notice, Severity
from tests.coordinator.audit.test_findings import GOOD, carrier, key, vault


def found(facts: VaultFacts) -> dict[str, Notice]:
    return {each.code: each for each in dangers(facts)}


def gone(label: str, how: str, **more: object) -> CosignerFacts:
    return key(label, carrier(label, None, gone=how, **more))


@pytest.mark.parametrize(
    ("approval", "code"),
    [("differs", "approval_mismatch"), ("none", "policy_not_approved")],
)
def test_a_policy_that_is_not_the_approved_one_is_the_first_danger(
    approval: str, code: str
) -> None:
    lost = (gone("a", "stolen"), gone("b", "stolen"), GOOD[2])
    first = dangers(vault(*lost, approval=approval))[0]
    assert (first.code, first.severity, first.subjects) == (code, Severity.DANGER, ("vault:v",))


@pytest.mark.parametrize("approval", ["approved", None])
def test_a_vault_in_order_is_in_no_danger(approval: str | None) -> None:
    assert dangers(vault(*GOOD, approval=approval)) == []


def test_exactly_a_quorum_taken_is_a_danger() -> None:
    one = found(vault(gone("a", "stolen"), *GOOD[1:]))
    assert one == {}
    two = found(vault(gone("a", "stolen"), gone("b", "lost"), GOOD[2]))
    assert set(two) == {"quorum_stolen", "quorum_lost"}
    assert two["quorum_stolen"].subjects == ("vault:v", "card:a", "card:b")
    assert "2 keys of 2 needed: a thief can spend vault v" in two["quorum_stolen"].message
    assert "1 key left and 2 are needed" in two["quorum_lost"].message


def test_a_pin_that_holds_makes_a_theft_less_sure() -> None:
    pin = (SecretFacts("pin", known_by=("anna",)),)
    held = Theft(3, 0, "said", "source")
    stolen = [gone(label, "stolen", secrets=pin, theft=held) for label in "ab"]
    message = found(vault(*stolen, GOOD[2]))["quorum_stolen"].message
    assert "only PINs keep a thief from spending vault v" in message


def test_what_was_destroyed_nobody_has_stolen() -> None:
    facts = vault(gone("a", "destroyed"), gone("b", "destroyed"), GOOD[2])
    assert set(found(facts)) == {"quorum_lost"}


def test_keys_of_one_seed_are_named_together() -> None:
    pair = [each._replace(fingerprint="00112233") for each in GOOD[:2]]
    same = found(vault(*pair, GOOD[2]))["same_seed"]
    assert same.subjects == ("key:a", "key:b")
    assert "one seed (fingerprint 00112233): whoever has it has 2 keys of 2" in same.message
    shared = carrier("x", "bank")
    unknown = found(vault(key("a", shared), key("b", shared), GOOD[2]))["same_seed"]
    assert "come from one seed: " in unknown.message


def test_only_a_proof_that_failed_is_a_mismatch() -> None:
    wrong = key("a", carrier("a", "bank"), verified=False)
    assert found(vault(wrong, *GOOD[1:]))["key_mismatch"].subjects == ("key:a",)
    unknown = key("a", carrier("a", "bank"), verified=None)
    assert "key_mismatch" not in found(vault(unknown, *GOOD[1:]))


def test_a_key_of_a_card_here_wants_a_proof() -> None:
    here = key("a", carrier("a", "bank"), verified=None)
    assert found(vault(here, *GOOD[1:]))["keys_unproved"].subjects == ("key:a",)
    elsewhere = key("a", verified=None)
    assert "keys_unproved" not in found(vault(elsewhere, *GOOD[1:]))
    paper = key("a", carrier("a", "bank", card=None), verified=None)
    assert "keys_unproved" not in found(vault(paper, *GOOD[1:]))


def test_keys_held_elsewhere_want_a_proof_where_no_quorum_is_proved() -> None:
    unproved = [key(label, verified=None) for label in "ab"]
    assert found(vault(*unproved, GOOD[2]))["keys_unproved"].subjects == ("key:a", "key:b")
    assert "keys_unproved" not in found(vault(*unproved, GOOD[2], threshold=1))
    mixed = vault(key("a", carrier("a", "bank"), verified=None), unproved[1], GOOD[2])
    assert found(mixed)["keys_unproved"].subjects == ("key:a",)


@pytest.mark.parametrize(
    "copies",
    [
        (),
        (CopyFacts("copy:1", None, None),),
        (CopyFacts("copy:1", "bank", "lost"),),
        (CopyFacts("copy:1", "bank", None, stale=True),),
    ],
    ids=["none", "no place", "gone", "stale"],
)
def test_a_copy_counts_only_where_it_lies_at_a_place(copies: tuple[CopyFacts, ...]) -> None:
    assert "no_copy" in found(vault(*GOOD, copies=copies))
    assert found(vault(*GOOD, copies=(*copies, CopyFacts("copy:2", "home", None)))) == {}


def test_an_acceptance_rests_on_what_is_gone_and_what_failed() -> None:
    before = vault(gone("b", "lost"), gone("a", "stolen"), GOOD[2])
    for code in ("quorum_stolen", "quorum_lost"):
        assert resting_on(before, code) == "card:a=stolen card:b=lost"
    failed = vault(*(key(n, carrier(n, n), verified=False) for n in "ba"), GOOD[2])
    assert resting_on(failed, "key_mismatch") == "a b"
    assert resting_on(failed, "no_copy") == resting_on(before, "key_mismatch") == ""
