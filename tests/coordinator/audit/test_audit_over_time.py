"""What an audit says of another day, and of what changes until then."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from coordinator import clock
from coordinator.audit.auditing import Audited, Question, answered
from coordinator.audit.exposure import Kind
from coordinator.audit.facts import BranchFacts, VaultFacts
from coordinator.audit.picture import Owned, picture
from coordinator.audit.time_picture import PERIODS, TOP, time_picture
from coordinator.audit.timeline import Start, calendar_notes, of_them, opening, who
from coordinator.audit.verdict import verdict
from coordinator.chain.block_dates import ChainClock, Expected
from coordinator.cli.audit import _lines, audited_document
from coordinator.errors import UsageError
from tests.coordinator.audit.later import (
    COSIGNERS,
    HEIR,
    LAWYER,
    NET,
    NOW,
    TIP,
    YEAR,
    later,
)
from tests.coordinator.audit.test_findings import carrier, key

SECOND = BranchFacts("recovery-2", 1, (HEIR, LAWYER), blocks=65_535)
OPENS = TIP + YEAR
HEADER = ("of", "you", "lose", "the", "money", "without", "a", "thief", "needs")


@pytest.fixture(autouse=True)
def today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


def audited(facts: VaultFacts, at: str | None = None, steal: Sequence[str] = ()) -> Audited:
    return answered(facts, Question(at=at, steal=steal))


def smallest(found: Audited) -> tuple[int | None, int | None]:
    kind = Kind.LOCATION
    return found.minimal_losses[kind].smallest, found.minimal_thefts[kind].smallest


def test_without_later_branches_nothing_is_told_of_time() -> None:
    found = audited(later())
    lines = list(_lines(found))
    assert (found.timeline, found.at) == ([], None)
    assert tuple(lines[1].split()) == HEADER
    assert not [line for line in lines if line.startswith(("now", "from"))]
    asked = audited(later(), at="2030-01-01")
    assert asked.notes == ["nothing changes with time: this vault has no later keys"]
    assert smallest(asked) == smallest(found) == (2, 2)


def test_a_period_begins_with_each_branch_that_opens() -> None:
    periods = audited(later(NET, SECOND)).timeline
    assert [each.open for each in periods] == [
        ("primary",),
        ("primary", "recovery"),
        ("primary", "recovery", "recovery-2"),
    ]
    assert [each.opens for each in periods] == [(), ("recovery",), ("recovery-2",)]
    assert [each.start.height for each in periods] == [TIP, OPENS, TIP + 65_535]
    assert periods[1].told == (
        "from about November 2027 (2027-11-04 to 2027-12-11, block 952560) keys heir and lawyer "
        "together can spend, as later keys (recovery); from then a thief of both too",
    )


def test_branches_that_open_together_begin_one_period() -> None:
    twin = SECOND._replace(blocks=YEAR)
    periods = audited(later(NET, twin)).timeline
    assert [each.opens for each in periods] == [(), ("recovery", "recovery-2")]


def test_what_is_open_already_is_of_now() -> None:
    [period] = audited(later(NET, oldest=TIP - YEAR)).timeline
    assert period.opens == ("recovery",)
    assert (
        "the wait of the later keys (recovery) is over: keys heir and lawyer together can spend"
        in period.told[1]
    )


def test_without_coins_the_wait_counts_from_a_payment() -> None:
    found = audited(later(NET, SECOND, oldest=None))
    assert [each.start.blocks for each in found.timeline] == [None, YEAR, 65_535]
    assert (
        found.timeline[1]
        .told[0]
        .startswith(
            "52560 blocks (about 12 months) after a payment keys heir and lawyer together can spend"
        )
    )
    assert (
        "the later keys (recovery) ends 52560 blocks (about 12 months) after a payment"
        in found.notes[0]
    )


@pytest.mark.parametrize(
    ("at", "height", "open_"),
    [
        (str(OPENS - 1), OPENS - 1, False),
        (str(OPENS), OPENS, True),
        ("2027-11-22", OPENS - 144, False),
        ("2027-11-23", OPENS, True),
        ("2026-11-23", TIP + 1, False),
        ("499999999", 499_999_999, True),
        ("9999-12-31", 420_244_704, True),
    ],
)
def test_an_audit_looks_at_a_date_or_a_block(at: str, height: int, *, open_: bool) -> None:
    found = audited(later(NET), at=at)
    assert found.at is not None
    assert found.at.height == height
    assert ("branch_open" in [each.code for each in found.findings]) is open_
    assert smallest(found) == ((3, 2) if open_ else (2, 2))
    assert (found.dangers, len(found.timeline)) == ([], 2)


@pytest.mark.parametrize(
    ("at", "told"),
    [
        ("2026-11-22", "2026-11-22 is past: the audit looks ahead, from block 900001 on"),
        ("1970-01-01T00:00:00Z", "is past"),
        ("0", "0 is past"),
        (str(TIP), f"{TIP} is past"),
        ("999999999", "no wait ends after block 499999999"),
        ("soon", "'soon' is neither a date nor a block height"),
        ("-1", "'-1' is neither a date nor a block height"),
        ("1e3", "neither a date"),
        ("2027-02-30", "neither a date"),
    ],
)
def test_what_is_past_or_no_date_is_refused(at: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        audited(later(NET), at=at)


def test_a_date_needs_a_block_to_count_from() -> None:
    unknown = later(NET._replace(blocks=None, height=TIP), chain=None, oldest=None)
    with pytest.raises(UsageError, match="no block is known here yet to count from to 2030-01-01"):
        audited(unknown, at="2030-01-01")
    assert smallest(audited(unknown, at=str(TIP))) == (2, 2)
    assert smallest(audited(unknown, at=str(TIP + 1))) == (3, 2)
    assert audited(unknown).timeline[1].start.about == f"block {TIP + 1}"


def test_what_is_stolen_now_spends_once_the_branch_is_open() -> None:
    taken = ("card:heir", "card:lawyer")
    assert not audited(later(NET), at=str(OPENS - 1), steal=taken).thief_can_spend
    assert audited(later(NET), at=str(OPENS), steal=taken).thief_can_spend


def test_a_date_within_the_range_of_an_opening_is_told_to_be_unsure() -> None:
    def told(at: str) -> bool:
        return any("it may be over or not" in note for note in audited(later(NET), at=at).notes)

    assert told("2027-11-05")
    assert told("2027-12-10")
    assert not told("2027-11-03")
    assert not told("2027-12-12")
    assert not told(str(OPENS))


@pytest.mark.parametrize(
    ("threshold", "labels", "said"),
    [
        (1, "a", "key a alone"),
        (1, "ab", "any one of keys a and b"),
        (2, "ab", "keys a and b together"),
        (2, "abc", "any 2 of keys a, b and c"),
    ],
)
def test_the_keys_that_sign_together_are_told_in_words(
    threshold: int, labels: str, said: str
) -> None:
    assert who(threshold, [*labels]) == said


@pytest.mark.parametrize("edge", ["earliest", "latest"])
def test_the_first_and_the_last_moment_of_an_opening_are_within_its_range(edge: str) -> None:
    facts = later(NET)
    expected = opening(facts, facts.branches[0]).expected
    assert expected is not None
    outwards = timedelta(seconds=-1 if edge == "earliest" else 1)
    for beyond, told in ((timedelta(0), True), (outwards, False)):
        moment = getattr(expected, edge) + beyond
        at = Start(OPENS, Expected(moment, moment, moment), about="then", dated=True)
        assert any("it may be over or not" in note for note in calendar_notes(facts, at)) == told


def test_an_old_tip_and_a_wrong_clock_are_told() -> None:
    old = ChainClock(TIP, NOW - timedelta(days=40), NOW)
    assert (
        "the newest block known here, 900000, is 40 days old"
        in audited(later(NET, chain=old)).notes[0]
    )
    behind = ChainClock(TIP, NOW + timedelta(days=9), NOW)
    assert (
        "clock says 2026-11-23T00:00:00Z, before the last sync"
        in audited(later(NET, chain=behind)).notes[0]
    )
    regtest = ChainClock(TIP, NOW - timedelta(days=40), NOW, mined=False)
    assert audited(later(NET, chain=regtest)).notes == []


@pytest.mark.parametrize(("hours", "old"), [(23, False), (24, True)])
def test_a_tip_is_old_from_a_day_on(hours: int, *, old: bool) -> None:
    chain = ChainClock(TIP, NOW - timedelta(hours=hours), NOW)
    assert any("days old" in note for note in audited(later(NET, chain=chain)).notes) is old


@pytest.mark.parametrize(
    ("threshold", "keys", "words"),
    [(1, 1, "it"), (2, 2, "both"), (3, 3, "all 3"), (1, 2, "any one of them"),
     (2, 3, "any 2 of them")],
)  # fmt: skip
def test_how_many_of_them_is_said_in_words(threshold: int, keys: int, words: str) -> None:
    assert of_them(threshold, keys) == words


def test_the_verdict_counts_what_saves_and_serves_later() -> None:
    said = verdict(audited(later(NET, SECOND))).sentence
    assert "the money is lost only with 4 places at once" in said
    assert "a thief must get into 2 places to take it" in said
    assert "from about February 2028 on one place is enough" in said
    lost = tuple(key(each, carrier(each, None, gone="destroyed")) for each in "bf")
    waits = verdict(audited(later(NET, cosigners=(*lost, COSIGNERS[2])))).sentence
    assert waits == (
        "this vault can NOT be spent with what is left before the wait of its "
        "later keys (recovery) is over, about November 2027"
    )


def test_the_document_has_every_period() -> None:
    document = audited_document(audited(later(NET), at="2028-01-01"))
    assert document["at"]["height"] == OPENS + 39 * 144
    first, second = document["timeline"]
    assert first.keys() == second.keys()
    assert (first["height"], first["opens"], first["about"]) == (TIP, (), "now")
    assert second["earliest"] < second["date"] < second["latest"]
    assert second["minimal_thefts"]["location"]["smallest"] == 2


@pytest.mark.parametrize("oldest", [TIP, TIP - 40_000, TIP - YEAR - 5, None])
@pytest.mark.parametrize("name", ["heir", "語" * 40, "W" * 90])
def test_the_picture_over_time_keeps_every_column_apart(oldest: int | None, name: str) -> None:
    keys = (key(name, carrier(name, "daughter")), LAWYER)
    branches = [
        NET._replace(name=f"recovery-{number}", keys=keys, blocks=YEAR + number * number)
        for number in range(6)
    ]
    drawn = time_picture(audited(later(*branches, oldest=oldest)))
    assert drawn is not None
    edges = [edge for each in drawn.columns for edge in (each.x, each.x + each.width)]
    assert edges == sorted(edges)
    assert edges[-1] <= drawn.width
    assert len(drawn.columns) <= PERIODS < len(drawn.said) or oldest == TIP - YEAR - 5
    for each in drawn.columns:
        assert drawn.left <= each.first <= each.last <= drawn.right + 10
        assert all(TOP < line.y < TOP + each.height for line in each.lines)
        assert TOP + each.height <= drawn.height


def test_the_picture_names_the_branch_of_a_later_key() -> None:
    drawn = picture(later(NET), (), Owned("1 sat", "no drill"))
    notes = {box.item.name: list(box.item.notes) for box in drawn.boxes if box.item.column == "key"}
    assert notes == {"b": [], "f": [], "h": [], "heir": ["recovery"], "lawyer": ["recovery"]}
    assert "key heir, recovery" in [told.title for told in drawn.said]


def test_there_is_no_picture_of_what_never_changes() -> None:
    assert time_picture(audited(later())) is None
