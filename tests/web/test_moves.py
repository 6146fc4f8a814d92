"""Payments that change another or move whole coins, on the page: faster, back, renewed, swept."""

from datetime import timedelta
from pathlib import Path

import pytest

from coordinator import clock
from tests.cli.test_branches import TWO_OF_THREE, create, finish, fund, made_branches, sign
from tests.cli.test_money import STRANGER, sent
from tests.once import copy_of
from tests.program import Asked, asking
from tests.web.browser import Answer, Client
from tests.web.conftest import serving
from tests.web.test_pay import payment_of

TYPED = {"when": "typed", "rate": "20"}


@pytest.fixture
def waiting(vault: Asked) -> str:
    """A payment that was sent, and is in no block."""
    return str(sent(vault, "--to", f"{STRANGER}:400000")["ceremony"])


def test_a_payment_that_waits_is_paid_faster(client: Client, vault: Asked, waiting: str) -> None:
    assert f'href="/pay/{waiting}/faster"' in client.get(f"/pay/{waiting}").text
    road = f"/pay/{waiting}/faster"
    made = payment_of(client.accept(road, TYPED, on=road))
    words = client.get(f"/pay/{made}").words
    assert "400 000 sat" in words
    assert "20 sat/vB" in words
    assert "0 of 2 have signed" in words  # the same road as every payment: review, cards, sent
    sign(vault, made, "a", "b")
    finish(vault, made)
    assert "Another payment took its place" in client.get(f"/pay/{waiting}").words


def test_who_is_paid_may_bear_the_postage(client: Client, waiting: str) -> None:
    road = f"/pay/{waiting}/faster"
    made = payment_of(client.accept(road, {**TYPED, "shrink": "yes"}, on=road))
    words = client.get(f"/pay/{made}").words
    assert "400 000 sat" not in words
    assert " ".join(STRANGER[at : at + 4] for at in range(0, len(STRANGER), 4)) in words


def test_a_payment_that_waits_is_taken_back(client: Client, vault: Asked, waiting: str) -> None:
    road = f"/pay/{waiting}/back"
    made = payment_of(client.accept(road, TYPED, on=road))
    words = client.get(f"/pay/{made}").words
    assert ("Back to you" in words, "Paid to" in words) == (True, False)
    sign(vault, made, "a", "b")
    finish(vault, made)
    assert vault("spend", "show", waiting)["state"] == "replaced"


def test_too_little_is_said_above_the_form_and_is_enough_where_nobody_typed_it(
    client: Client, waiting: str
) -> None:
    road = f"/pay/{waiting}/faster"
    low = client.accept(road, {"when": "typed", "rate": "2"}, on=road)
    assert low.status == 400
    assert "sat/vB do not replace" in low.words
    assert 'value="2"' in low.text  # nothing typed is lost
    made = payment_of(client.accept(road, {"when": "144"}, on=road))
    assert "400 000 sat" in client.get(f"/pay/{made}").words


def test_what_was_given_up_signed_is_ended_for_good(client: Client, vault: Asked) -> None:
    made = vault("spend", "create", "v", "--to", f"{STRANGER}:400000", "--feerate", "2")["ceremony"]
    sign(vault, made, "a")
    vault("spend", "abandon", made)
    assert f'href="/pay/{made}/back"' in client.get(f"/pay/{made}").text
    assert payment_of(client.accept(f"/pay/{made}/back", TYPED, on=f"/pay/{made}/back"))


def test_a_payment_in_a_block_is_neither_raised_nor_taken_back(
    client: Client, vault: Asked, waiting: str
) -> None:
    vault("regtest", "mine")
    assert "/faster" not in client.get(f"/pay/{waiting}").text
    refused = client.accept(f"/pay/{waiting}/faster", TYPED, on=f"/pay/{waiting}/faster")
    assert "is in a block already" in refused.words


def made_later(home: Path) -> None:
    asked = asking(home)
    made_branches(asked)
    create(asked, *TWO_OF_THREE)
    fund(asked)
    asked("sync")


@pytest.fixture
def later(tmp_path: Path) -> Asked:
    """A funded vault w, whose later cards e, f and g may spend after ten blocks."""
    copy_of(made_later, tmp_path / "later")
    return asking(tmp_path / "later")


def test_a_vault_says_who_can_move_it_later(later: Asked) -> None:
    with serving(later.home) as page:
        client = Client(page)
        client.enter()
        shown = client.get("/vaults/w").text
        assert "Who can move it later" in shown
        assert "Any 2 of <strong>e, f, g</strong>" in shown
        assert "opens in block" in shown
        assert shown.count("not proved here yet") == 6


def test_later_keys_take_the_money_once_it_waited(later: Asked) -> None:
    with serving(later.home) as page:
        client = Client(page)
        client.enter()
        road = "/vaults/w/sweep"
        assert f'href="{road}"' in client.get("/vaults/w").text
        fields = {**TYPED, "to": STRANGER, "branch": "recovery"}
        early = client.accept(road, fields, on=road)
        assert (early.status, "not yet" in early.words or "block" in early.words) == (400, True)
        assert STRANGER in early.text
        later("regtest", "mine", "10")
        made = payment_of(client.accept(road, fields, on=road))
        assert "0 of 2 have signed" in client.get(f"/pay/{made}").words
        sign(later, made, "e", "g")
        finish(later, made)


def moved_once_ripe(
    later: Asked, client: Client, road: str, fields: dict[str, str], *, by: tuple[str, str]
) -> Answer:
    """Pay by the later branch, at first too early, then by these cards; return the refusal."""
    early = client.accept(road, fields, on=road)
    assert (early.status, "cannot be spent by branch recovery yet" in early.words) == (400, True)
    later("regtest", "mine", "10")
    made = payment_of(client.accept(road, fields, on=road))
    assert later("spend", "show", made)["branch"] == "recovery"
    sign(later, made, *by)
    finish(later, made)
    return early


@pytest.mark.matrix
def test_a_later_branch_pays_and_keeps_the_change(later: Asked) -> None:
    with serving(later.home) as page:
        client = Client(page)
        client.enter()
        road = "/pay/new/w"
        shown = client.get(road)
        assert shown.text.count('name="branch"') == 2
        assert "10 blocks" in shown.words
        fields = {**TYPED, "to": STRANGER, "amount": "300000", "branch": "recovery"}
        early = moved_once_ripe(later, client, road, fields, by=("e", "f"))
        assert 'value="recovery" checked' in early.text
    assert later("balance", "w")["confirmed_sats"] > 600_000


def test_what_if_is_asked_of_a_day_to_come(later: Asked) -> None:
    with serving(later.home) as page:
        client = Client(page)
        client.enter()
        road = "/places/w"
        assert 'type="date"' in client.get(road).text
        stolen = f"{road}?steal:card:e=yes&steal:card:f=yes"
        day = (clock.now() + timedelta(days=30)).date().isoformat()
        now, then = client.get(stolen).words, client.get(f"{stolen}&at={day}").words
        assert "cannot spend" in now
        assert "The thief CAN spend" in then
        assert f"As of {day} (about block" in then
        assert client.get(f"{stolen}&at={day}&part=what_if").words in then
        asked = later("audit", "w", "--steal", "e", "--steal", "f", "--at", day, check=None)
        assert asked["thief_can_spend"]
        past = client.get(f"{road}?at=2001-01-01")
        assert (past.status, "2001-01-01 is past" in past.words) == (200, True)
        alone = client.get(f"{road}?at={day}&part=what_if").words
        assert f"As of {day}" in alone


def test_waits_begin_anew(later: Asked) -> None:
    with serving(later.home) as page:
        client = Client(page)
        client.enter()
        road = "/vaults/w/renew"
        early = client.accept(road, {**TYPED, "apart": "no"}, on=road)
        assert "no coin of vault w is due" in early.words.lower()
        made = payment_of(client.accept(road, {**TYPED, "all": "yes"}, on=road))
        sign(later, made, "a", "b")
        finish(later, made)


@pytest.mark.matrix
def test_a_later_branch_lets_waits_begin_anew_once_it_is_open(later: Asked) -> None:
    with serving(later.home) as page:
        client = Client(page)
        client.enter()
        road = "/vaults/w/renew"
        assert client.get(road).text.count('name="branch"') == 2
        fields = {**TYPED, "all": "yes", "branch": "recovery"}
        assert client.accept(road, {**fields, "branch": "nobody"}, on=road).status == 400
        moved_once_ripe(later, client, road, fields, by=("f", "g"))
        assert later("balance", "w")["confirmed_sats"] > 900_000


def test_no_later_way_is_no_way(client: Client) -> None:
    assert "has no branch that opens later" in client.get("/vaults/v/sweep").words
