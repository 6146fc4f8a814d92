"""What is agreed to on a page is what was shown there: what changed in between is shown again."""

import re
from contextlib import closing

import pytest

from tests.altered import unguarded
from tests.cli.test_branches import finish, sign
from tests.cli.test_money import STRANGER, sent
from tests.program import Asked
from tests.web.browser import DANGER, Client
from tests.web.test_moves import TYPED
from tests.web.test_pages import soon
from tests.web.test_pay import FOREIGN, answer_once, opened, payment_of, seen_all

CHANGED = "The payment changed since it was shown"


def changed(vault: Asked, statement: str, *values: str) -> None:
    """Change the home's database as another program would, past its triggers."""
    with closing(unguarded(vault.home / "cardquorum.db")) as database, database:
        database.execute(statement, values)


def reviewing(client: Client, payment: str) -> None:
    """Begin to sign a payment, until its review is shown."""
    client.post(f"/pay/{payment}/sign", on=f"/pay/{payment}")
    soon(lambda: 'name="digest"' in client.get("/task").text)


def agree(client: Client) -> None:
    answer_once(client, **seen_all(client), answer="yes")


def refused(client: Client) -> str:
    soon(lambda: client.running.context.tasks.last.is_over)
    return client.get("/task").words


def test_a_review_that_changed_is_shown_again_before_a_card_signs(
    client: Client, vault: Asked
) -> None:
    payment = payment_of(opened(client))
    reviewing(client, payment)
    before = client.running.context.tasks.last.question
    vault("label", "set", FOREIGN, "not who you think")
    agree(client)
    soon(lambda: client.running.context.tasks.last.question not in (None, before))
    again = client.get("/task").words
    assert CHANGED in again
    assert "not who you think" in again
    assert "PIN of card" not in again
    agree(client)
    soon(lambda: "PIN of card" in client.get("/task").words)
    assert CHANGED not in client.get("/task").words


def test_a_stale_consent_is_no_answer_to_what_is_shown_now(client: Client, vault: Asked) -> None:
    payment = payment_of(opened(client))
    reviewing(client, payment)
    stale = {"question": client.running.context.tasks.last.question.id, **seen_all(client)}
    vault("label", "set", FOREIGN, "somebody else")
    agree(client)
    soon(lambda: CHANGED in client.get("/task").words)
    client.post("/task/answer", {**stale, "answer": "yes"}, on="/task")
    assert CHANGED in client.get("/task").words
    assert vault("spend", "show", payment)["have"] == 0


def test_what_another_program_gave_up_meanwhile_is_not_signed(client: Client, vault: Asked) -> None:
    payment = payment_of(opened(client))
    reviewing(client, payment)
    vault("spend", "abandon", payment)
    agree(client)
    assert "is abandoned: nothing is left to sign" in refused(client)


@pytest.mark.matrix
def test_coins_that_were_spent_meanwhile_are_not_signed(client: Client, vault: Asked) -> None:
    payment = payment_of(opened(client, amount="", all="yes"))
    reviewing(client, payment)
    vault("spend", "abandon", payment)
    sent(vault, "--to", f"{STRANGER}:400000")
    vault("regtest", "mine")
    vault("sync")
    changed(vault, "UPDATE ceremony SET state = 'collecting' WHERE public_id = ?", payment)
    agree(client)
    assert "is spent or gone" in refused(client)


@pytest.mark.matrix
def test_coins_that_another_payment_holds_meanwhile_are_not_signed(
    client: Client, vault: Asked
) -> None:
    payment = payment_of(opened(client, amount="", all="yes"))
    reviewing(client, payment)
    vault("spend", "abandon", payment)
    other = vault("spend", "create", "v", "--drain", STRANGER, "--feerate", "2")["ceremony"]
    changed(vault, "UPDATE ceremony SET state = 'collecting' WHERE public_id = ?", payment)
    agree(client)
    assert f"reserved by payment {other}" in refused(client)


@pytest.mark.matrix
def test_a_payment_that_is_gone_meanwhile_is_not_signed(client: Client, vault: Asked) -> None:
    payment = payment_of(opened(client))
    reviewing(client, payment)
    changed(vault, "DELETE FROM ceremony WHERE public_id = ?", payment)
    agree(client)
    assert f"There is no payment {payment}" in refused(client)


def test_a_card_stolen_meanwhile_changes_no_payment_and_nobody_is_asked_twice(
    client: Client, vault: Asked
) -> None:
    payment = payment_of(opened(client))
    reviewing(client, payment)
    vault("card", "stolen", "c")
    agree(client)
    soon(lambda: "PIN of card" in client.get("/task").words)


@pytest.mark.parametrize("way", ["faster", pytest.param("back", marks=pytest.mark.matrix)])
def test_what_arrived_meanwhile_is_neither_paid_faster_nor_taken_back(
    client: Client, vault: Asked, way: str
) -> None:
    waiting = str(sent(vault, "--to", f"{STRANGER}:400000")["ceremony"])
    road = f"/pay/{waiting}/{way}"
    made = payment_of(client.accept(road, TYPED, on=road))
    reviewing(client, made)
    vault("regtest", "mine")
    vault("sync")
    agree(client)
    assert "is replaced: nothing is left to sign" in refused(client)
    late = client.accept(road, TYPED, on=road)
    assert (late.status, "in a block already" in late.words) == (400, True)


def signed_by_two(client: Client, vault: Asked) -> str:
    payment = payment_of(opened(client))
    sign(vault, payment, "a", "b")
    return payment


def form_of(client: Client, path: str, page: str) -> dict[str, str]:
    """Return what the form for a path carries on a page as it is now."""
    own = client.get(page).text.partition(f'action="{path}"')[2].partition("</form>")[0]
    return dict(re.findall(r'name="([^"]+)" value="([^"]*)"', own))


def test_a_payment_that_changed_is_shown_again_before_it_is_sent(
    client: Client, vault: Asked
) -> None:
    payment = signed_by_two(client, vault)
    page = f"/pay/{payment}"
    stale = form_of(client, f"{page}/send", page)
    vault("label", "set", FOREIGN, "not who you think")
    again = client.send(f"{page}/send", stale)
    assert (again.status, CHANGED in again.words) == (409, True)
    assert "not who you think" in again.words
    assert vault("spend", "show", payment)["state"] == "complete"
    client.post(f"{page}/send", on=page)
    soon(lambda: client.running.context.tasks.last.is_over)
    assert vault("spend", "show", payment)["state"] == "broadcast"


def test_a_consent_without_what_was_shown_sends_nothing(client: Client, vault: Asked) -> None:
    payment = signed_by_two(client, vault)
    page = f"/pay/{payment}"
    for seen in ("", "0" * 64, "ä"):
        given = {**form_of(client, f"{page}/send", page), "seen": seen}
        assert client.send(f"{page}/send", given).status == 409
    assert client.running.context.tasks.last is None


@pytest.mark.matrix
def test_what_another_program_sent_or_gave_up_is_not_sent_by_an_old_page(
    client: Client, vault: Asked
) -> None:
    payment = signed_by_two(client, vault)
    page = f"/pay/{payment}"
    send, give_up = (form_of(client, f"{page}/{way}", page) for way in ("send", "give-up"))
    finish(vault, payment)
    for way, stale in (("send", send), ("give-up", give_up)):
        again = client.send(f"{page}/{way}", stale)
        assert (again.status, CHANGED in again.words) == (409, True)
    assert vault("spend", "show", payment)["state"] == "confirmed"


def test_a_payment_that_was_signed_meanwhile_is_not_given_up_as_unsigned(
    client: Client, vault: Asked
) -> None:
    payment = payment_of(opened(client))
    page = f"/pay/{payment}"
    stale = form_of(client, f"{page}/give-up", page)
    sign(vault, payment, "a")
    again = client.send(f"{page}/give-up", stale)
    assert (again.status, "Signatures exist already" in again.words) == (409, True)
    assert vault("spend", "show", payment)["state"] == "collecting"


def test_a_danger_is_accepted_as_it_was_told(client: Client, vault: Asked) -> None:
    for label in "ab":
        vault("card", "lost", label)
    asked = client.post("/receive/v", on="/receive/v")
    assert asked.status == 409
    told = dict(DANGER.findall(asked.text))
    vault("card", "lost", "c")
    other = client.post("/receive/v", told, on="/receive/v")
    assert other.status == 409
    assert set(DANGER.findall(other.text)) - set(told.items())
    bare = client.post("/receive/v", dict.fromkeys(told, "yes"), on="/receive/v")
    assert bare.status == 409


def test_another_vault_than_was_shown_is_not_approved(client: Client, vault: Asked) -> None:
    right = vault("vault", "show", "v")["checksum"]
    for name in ("approvals.json", "approval.key"):
        (vault.home / name).unlink()
    stale = form_of(client, "/vaults/v/approve", "/vaults/v")
    changed(vault, "UPDATE vault SET threshold = 1")
    refused = client.send("/vaults/v/approve", {**stale, "checksum": right})
    assert (refused.status, "This was not done" in refused.words) == (400, True)
    assert not (vault.home / "approvals.json").exists()
