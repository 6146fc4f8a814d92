"""A payment from its wish to its block on the page, and what can go wrong on the way."""

import re
from pathlib import Path

import pytest

from coordinator.web.attendant import digest
from tests.cli.test_shared_payments import imported, shared
from tests.program import PIN, UNPROVED, Asked
from tests.web.browser import TOKEN, Answer, Client
from tests.web.test_pages import QUESTION, soon

FOREIGN = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def opened(client: Client, **fields: str) -> Answer:
    given = {"to": FOREIGN, "amount": "100 000 sat", "when": "typed", "rate": "2", **fields}
    return client.post("/pay/new/v", given, on="/pay/new/v")


def payment_of(answer: Answer) -> str:
    assert answer.status == 303, answer.words
    return answer.headers["location"].rpartition("/")[2]


def answer_once(client: Client, **fields: str) -> None:
    """Answer the question that is open, with what its form carries and these fields."""
    tasks = client.running.context.tasks
    soon(lambda: tasks.last.is_over or tasks.last.question is not None)
    asked = client.get("/task").text
    carried = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)"', asked))
    carried["form"] = TOKEN.findall(asked)[0]
    client.send("/task/answer", {**carried, **fields})


def give_pins(client: Client) -> None:
    """Answer every question with the cards' PIN until what goes on is over."""
    tasks = client.running.context.tasks
    while not tasks.last.is_over:
        soon(lambda: tasks.last.is_over or tasks.last.question is not None)
        if not tasks.last.is_over:
            answer_once(client, pin=PIN)


def seen_all(client: Client) -> dict[str, str]:
    soon(lambda: 'name="digest"' in client.get("/task").text)
    return dict.fromkeys(re.findall(r'name="(seen:\d+)"', client.get("/task").text), "yes")


def test_a_payment_from_its_wish_to_its_block(client: Client, vault: Asked) -> None:
    payment = payment_of(opened(client, note="the roof"))
    words = client.get(f"/pay/{payment}").words
    assert "100 000 sat" in words
    assert "the roof" in words
    assert "0 of 2 have signed" in words
    client.post(f"/pay/{payment}/sign", on=f"/pay/{payment}")
    answer_once(client, **seen_all(client), answer="yes")
    tasks = client.running.context.tasks
    for _ in "ab":
        soon(lambda: tasks.last.is_over or QUESTION.search(client.get("/task").text) is not None)
        if not tasks.last.is_over:
            answer_once(client, pin=PIN)
    soon(lambda: tasks.last.is_over or tasks.last.question is not None)
    if not tasks.last.is_over:  # the card that is not needed any more
        client.post("/task/stop", on="/task")
        soon(lambda: tasks.last.is_over)
    assert vault("spend", "show", payment)["have"] == 2
    client.post("/task/leave", on="/task")
    client.post(f"/pay/{payment}/send", on=f"/pay/{payment}")
    soon(lambda: tasks.last.is_over)
    assert "It was sent" in client.get("/task").words
    assert "not in the public book yet" in client.get(f"/pay/{payment}").words
    vault("regtest", "mine", "6")
    assert "It is final" in client.get(f"/pay/{payment}").words
    assert f"/pay/{payment}" in client.get("/pay").text


def test_what_was_mistyped_is_said_above_the_form(client: Client) -> None:
    for fields, told in (
        ({"to": FOREIGN[:-1] + "q"}, "mistyped"),
        ({"amount": "1,5"}, "comma"),
        ({"amount": ""}, "say how much"),
        ({"rate": ""}, "say the postage"),
        ({"rate": "x"}, "is no fee rate"),
        ({"when": "7"}, "say when"),
    ):
        answer = opened(client, **fields)
        assert (answer.status, told in answer.words.lower()) == (400, True), answer.words
        assert "the roof" in opened(client, **fields, note="the roof").text  # nothing typed is lost


def test_more_than_there_is_is_refused_with_numbers(client: Client) -> None:
    answer = opened(client, amount="1 BTC")
    assert answer.status == 400
    assert "3000000" in answer.words.replace(" ", "")


def test_an_own_vault_is_paid_by_its_name(client: Client, vault: Asked) -> None:
    vault("address", "new", "v", *UNPROVED)  # its dangers are accepted from now on
    payment = payment_of(opened(client, to="v"))
    assert "vault v" in client.get(f"/pay/{payment}").words


def test_everything_goes_where_that_is_wanted(client: Client, vault: Asked) -> None:
    payment = payment_of(opened(client, amount="", all="yes"))
    review = vault("spend", "list")["ceremonies"][0]
    assert review["ceremony"] == payment
    assert "Back to you" not in client.get(f"/pay/{payment}").words


def test_a_request_brings_its_own_amount(client: Client) -> None:
    uri = f"bitcoin:{FOREIGN}?amount=0.002&label=Baker"
    payment = payment_of(opened(client, to=uri, amount=""))
    words = client.get(f"/pay/{payment}").words
    assert words.index("0.002 BTC") < words.index("200 000 sat"), "first as it was asked for"
    assert payment_of(opened(client, amount="200 000 sat")) != payment
    assert "Baker" in words


def test_a_consent_is_only_for_the_review_that_was_shown(client: Client) -> None:
    payment = payment_of(opened(client))
    client.post(f"/pay/{payment}/sign", on=f"/pay/{payment}")
    seen = seen_all(client)
    answer_once(client, **seen, answer="yes", digest="0" * 64)
    assert "changed since it was shown" in client.get("/task").words
    question = client.running.context.tasks.last.question
    assert question.said["digest"] == digest(question.said["review"])


def test_each_warning_is_answered_by_itself(client: Client) -> None:
    payment = payment_of(opened(client, rate="900"))
    client.post(f"/pay/{payment}/sign", on=f"/pay/{payment}")
    seen = seen_all(client)
    assert seen  # a fee that high is a warning
    answer_once(client, answer="yes")
    assert "Answer this first" in client.get("/task").words
    answer_once(client, **seen, answer="yes")
    soon(lambda: "PIN of card" in client.get("/task").words)


def test_a_no_signs_nothing(client: Client, vault: Asked) -> None:
    payment = payment_of(opened(client))
    client.post(f"/pay/{payment}/sign", on=f"/pay/{payment}")
    seen_all(client)
    answer_once(client, answer="no")
    soon(lambda: client.running.context.tasks.last.is_over)
    assert "not confirmed" in client.get("/task").words
    assert vault("spend", "show", payment)["have"] == 0


def test_a_wrong_pin_is_said_in_place_and_the_other_cards_go_on(
    client: Client, vault: Asked
) -> None:
    payment = payment_of(opened(client))
    client.post(f"/pay/{payment}/sign", on=f"/pay/{payment}")
    answer_once(client, **seen_all(client), answer="yes")
    tasks = client.running.context.tasks
    answer_once(client, pin="999999")
    soon(lambda: any("PIN" in line for line in tasks.last.lines))
    soon(lambda: tasks.last.question is not None)
    assert re.search(r"Card \w: .*PIN.*4", client.get("/task").words)  # beside the next question
    give_pins(client)
    words = client.get("/task").words
    assert "2 of 2 have signed" in words
    assert vault("spend", "show", payment)["have"] == 2


def test_a_card_that_is_taken_away_can_come_back_another_day(client: Client, vault: Asked) -> None:
    payment = payment_of(opened(client))
    for label in "bc":
        vault("emulate", "fault", label, "eject")
    client.post(f"/pay/{payment}/sign", on=f"/pay/{payment}")
    answer_once(client, **seen_all(client), answer="yes")
    answer_once(client, pin=PIN)
    soon(lambda: client.running.context.tasks.last.is_over)
    assert "1 of 2 have signed; the rest can sign another day" in client.get("/task").words
    assert "1 of 2 have signed" in client.get(f"/pay/{payment}").words


def test_a_card_that_is_torn_out_is_said_and_the_others_finish(
    client: Client, vault: Asked
) -> None:
    payment = payment_of(opened(client))
    client.post(f"/pay/{payment}/sign", on=f"/pay/{payment}")
    answer_once(client, **seen_all(client), answer="yes")
    vault("emulate", "fault", "a", "tear", "2", "before")
    vault("emulate", "fault", "b", "delay", "20")
    tasks = client.running.context.tasks
    while not tasks.last.is_over:
        soon(lambda: tasks.last.is_over or tasks.last.question is not None)
        if not tasks.last.is_over:
            answer_once(client, pin=PIN)
    assert "2 of 2 have signed" in client.get("/task").words
    assert vault("spend", "show", payment)["have"] == 2


def test_a_payment_is_given_up(client: Client, vault: Asked) -> None:
    payment = payment_of(opened(client))
    client.post(f"/pay/{payment}/give-up", on=f"/pay/{payment}")
    assert "given up" in client.get(f"/pay/{payment}").words
    assert vault("balance", "v")["reserved_sats"] == 0


def test_a_payment_of_another_computer_wants_its_number(client: Client, vault: Asked) -> None:
    payment = payment_of(opened(client))
    for name in ("approvals.json", "approval.key"):
        (vault.home / name).unlink()
    refused = client.post(f"/pay/{payment}/sign", on=f"/pay/{payment}")
    assert refused.status in {303, 409}
    soon(lambda: client.running.context.tasks.last is not None)
    soon(lambda: client.running.context.tasks.last.is_over)
    words = client.get("/task").words
    assert "I know this danger" in words
    assert vault("spend", "show", payment)["have"] == 0


@pytest.mark.parametrize("path", ["/pay", "/pay/new/v"])
def test_the_pages_of_paying_are_shown(client: Client, path: str) -> None:
    assert client.get(path).status == 200


def test_coins_of_others_are_not_shown_as_ours(
    client: Client, vault: Asked, tmp_path: Path
) -> None:
    made = imported(vault, tmp_path, shared(vault, tmp_path, proven=False))
    words = client.get(f"/pay/{made['ceremony']}").words
    own, others = "1 000 000 sat 0.01 BTC 1 coin", "not from this vault 500 000 sat 0.005 BTC"
    assert f"{own} Beside it, {others}" in words
    assert "nothing here proves it" in words
    assert "This vault pays in all" in words
