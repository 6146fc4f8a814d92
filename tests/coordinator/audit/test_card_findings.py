"""What an audit says of cards that are all alike, and of backups beside what opens them."""

import pytest

from coordinator.audit.card_findings import card_findings
from coordinator.audit.facts import CosignerFacts
from coordinator.notices import Notice, Severity
from tests.coordinator.audit.test_findings import GOOD, NOW, carrier, key, vault


def found(*cosigners: CosignerFacts, threshold: int = 2) -> dict[str, Notice]:
    return {each.code: each for each in card_findings(vault(*cosigners, threshold=threshold))}


def of_one_maker(*versions: str, family: str = "satochip") -> list[CosignerFacts]:
    return [
        key(str(at), carrier(str(at), f"place-{at}", vendor="one", family=family, version=version))
        for at, version in enumerate(versions)
    ]


@pytest.mark.parametrize(
    ("versions", "code", "subjects"),
    [
        (("0.12", "0.12"), "one_version", ("vendor:one", "family:satochip")),
        (("0.12", "0.14"), "one_vendor", ("vendor:one",)),
    ],
)
def test_cards_of_one_maker_share_a_flaw(
    versions: tuple[str, ...], code: str, subjects: tuple[str, ...]
) -> None:
    told = found(*of_one_maker(*versions))
    assert set(told) == {code}
    assert (told[code].severity, told[code].subjects) == (Severity.WARNING, subjects)
    shared = {
        "one_version": "on satochip cards of version 0.12",
        "one_vendor": "on cards of one maker, one",
    }
    assert told[code].message.startswith(f"all keys lie {shared[code]}: ")


def test_nothing_is_alike_in_one_key_in_two_makers_or_beyond_what_is_known() -> None:
    alike = of_one_maker("0.12", "0.12")
    plate = carrier("p", "attic", card=None)
    assert found(alike[0], threshold=1) == {}
    assert found(*alike, GOOD[2]) == {}
    assert found(*alike, key("c", plate)) == {}
    assert found(*alike, key("c")) == {}
    assert found(key("a", *alike[0].carriers, plate), alike[1]) == {}


@pytest.mark.parametrize(
    ("opener", "subject"),
    [
        (carrier("t", "attic", prints_backup_key=True), "card:t"),
        (carrier("t", "attic", card=None)._replace(subject="backup-key:t"), "backup-key:t"),
    ],
)
def test_a_backup_lies_with_what_opens_it(opener: object, subject: str) -> None:
    file = carrier("f", "attic", card=None)._replace(subject="backup-file:f")
    told = found(key("a", file, opener), *GOOD[1:])["backup_with_key"]
    assert told.severity is Severity.WARNING
    assert told.subjects == ("location:attic", "backup-file:f", subject)
    beside = carrier("t", "attic")
    elsewhere = opener._replace(location="cellar")
    gone = opener._replace(gone="destroyed", last_seen=NOW)
    for other in (beside, elsewhere, gone):
        assert "backup_with_key" not in found(key("a", file, other), *GOOD[1:])
    assert "backup_with_key" not in found(key("a", opener, beside), *GOOD[1:])


def test_cards_of_one_set_lie_together_where_there_are_two() -> None:
    def lying(*places: str) -> dict[str, Notice]:
        cards = (carrier(f"t{n}", place, siblings=1) for n, place in enumerate(places))
        return found(key("a", *cards), *GOOD[1:])

    assert "siblings_together" not in lying("attic", "cellar")
    told = lying("attic", "attic")["siblings_together"]
    assert (told.severity, told.subjects) == (
        Severity.DANGER,
        ("location:attic", "card:t0", "card:t1"),
    )
