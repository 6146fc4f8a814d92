"""What each page shows and does, in each state a home can be in."""

import re
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from coordinator.guide.reports import Report
from coordinator.web import command_links, pages
from coordinator.web.access import new_form
from tests.altered import unguarded
from tests.cli.test_other_wallets import watched
from tests.patience import SECONDS
from tests.program import PIN, UNPROVED, Asked, asking, prove_keys
from tests.web import homes
from tests.web.browser import TOKEN, Answer, Client
from tests.web.conftest import serving

PAGES = (
    "/", "/cards", "/cards/a", "/receive/v", "/receive/check", "/places", "/places/v",
    "/papers/v", "/pay", "/pay/new/v", "/happened", "/happened/lost", "/happened/died",
    "/exchange", "/vaults", "/vaults/v", "/task", "/cards/a/unblock", "/backup",
    "/vaults/v/history",
)  # fmt: skip


FOREIGN = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
QUESTION = re.compile(r'name="question" value="([^"]+)"')


def soon(found: Callable[[], bool]) -> None:
    """Wait until something holds."""
    until = time.monotonic() + SECONDS
    while not found():
        assert time.monotonic() < until
        time.sleep(0.02)


def ended(client: Client, **answers: str) -> Answer:
    """Answer every question of the task, each kind as said; return how it ended."""
    tasks = client.running.context.tasks
    while True:
        soon(lambda: tasks.last is not None and (tasks.last.is_over or tasks.last.question))
        if tasks.last.is_over:
            return client.get("/task")
        asked = client.get("/task").text
        question = QUESTION.search(asked)
        if question is not None:
            form = TOKEN.findall(asked)[0]
            client.send("/task/answer", {"form": form, "question": question[1], **answers})


def test_every_page_is_shown(client: Client) -> None:
    for path in PAGES:
        answer = client.get(path)
        assert (path, answer.status) == (path, 200)
        assert "<h1>" in answer.text


def test_every_live_part_is_shown_by_itself(client: Client, vault: Asked) -> None:
    vault("emulate", "new", "satochip", "fresh", "--no-setup")
    soon(lambda: "A new card" in client.get("/cards").words)
    for path in PAGES:
        for part in set(re.findall(r'data-part="(\w+)"', client.get(path).text)):
            answer = client.get(f"{path}?part={part}")
            assert (path, part, answer.status) == (path, part, 200)
            assert "<html" not in answer.text


def test_today_says_what_is_dangerous_first(client: Client) -> None:
    words = client.get("/").words
    assert "Something is dangerous" in words
    assert words.index("dangerous") < words.index("3 000 000 sat")
    assert 'href="/vaults/v"' in client.get("/").text  # the one button: prove the keys


def test_today_names_a_vault_that_was_altered_and_shows_the_others(
    client: Client, vault: Asked
) -> None:
    vault("vault", "create", "w", "--threshold", "2", "--card", "b", "--card", "c")
    with closing(unguarded(vault.home / "cardquorum.db")) as database, database:
        database.execute("UPDATE vault SET threshold = 1 WHERE name = 'v'")
    words = client.get("/").words
    assert "Something is dangerous" in words
    assert "What is stored of vault v does not hold together" in words
    assert "cardquorum restore FILE --home DIR" in words
    assert "Vault v Not known What is stored of it contradicts itself" in words
    assert "Vault w 0 sat" in words
    assert "3 000 000" not in words


def test_today_says_that_all_is_well_only_where_nothing_is_lacking(vault: Asked) -> None:
    prove_keys(vault)
    assert vault("status")["safe"] is False  # never drilled, no PIN told
    with serving(vault.home) as page:
        client = Client(page)
        client.enter()
        assert "All is well" not in client.get("/").words


def test_a_card_is_checked(client: Client) -> None:
    client.post("/cards/a/check", on="/cards/a")
    assert "Card a is in order" in ended(client, pin=PIN).words


def test_a_wrong_pin_is_given_to_the_card_once(client: Client) -> None:
    client.post("/cards/a/check", on="/cards/a")
    told = ended(client, pin="654321").words
    assert "Not done" in told
    assert "4" in told
    assert client.running.context.tasks.running is None


def test_a_card_gets_another_pin(client: Client, vault: Asked) -> None:
    client.post("/cards/b/pin", on="/cards/b")
    tasks = client.running.context.tasks
    soon(lambda: tasks.last.question is not None)
    client.post("/task/answer", {"question": tasks.last.question.id, "pin": PIN}, on="/task")
    soon(lambda: tasks.last.question is not None)
    fields = {"question": tasks.last.question.id, "pin": "112233", "again": "112234"}
    client.post("/task/answer", fields, on="/task")
    assert "typed differ" in client.get("/task").words
    client.post("/task/answer", {**fields, "again": "112233"}, on="/task")
    assert "new PIN" in ended(client).words
    assert vault("card", "check", "b", "--pin-stdin", stdin="112233")["key_matches"]


def test_a_card_that_is_laid_on_appears_by_itself(client: Client) -> None:
    soon(lambda: bool(client.running.context.watch.seen.lying))
    before = client.running.context.bulletin.numbers()["cards"]
    client.post("/cards/lay", {"name": "a", "answer": "take"}, on="/cards")
    soon(lambda: client.running.context.bulletin.numbers()["cards"] > before)
    assert "Lay a on the reader" in client.get("/cards").words
    client.post("/cards/lay", {"name": "a", "answer": "lay"}, on="/cards")
    soon(lambda: "Lay a on the reader" not in client.get("/cards").words)


def test_what_another_program_does_appears_by_itself(client: Client, vault: Asked) -> None:
    before = client.running.context.bulletin.numbers()["home"]
    vault("custody", "record", "card:a", "seen")
    soon(lambda: client.running.context.bulletin.numbers()["home"] > before)
    assert 'data-live="cards task home"' in client.get("/").text


def test_a_new_practice_card_becomes_known(client: Client, vault: Asked) -> None:
    client.post("/cards/practice", {"name": "d", "family": "tapsigner"}, on="/cards")
    soon(lambda: any(each.place == "d" for each in client.running.context.watch.seen.lying))
    client.post("/cards/known", {"place": "d", "label": "green"}, on="/cards")
    assert "Card green is known now" in ended(client, pin=PIN).words
    assert {each["label"] for each in vault("card", "list")["cards"]} == {"a", "b", "c", "green"}


PUKS = {"satochip": "12345678", "keycard": "123456789012"}


def set_up_in_terminal(client: Client, vault: Asked, family: str, out: Path) -> None:
    """Begin a set-up on the page, and do in a terminal what it says."""
    vault("emulate", "new", family, "fresh", "--no-setup")
    soon(lambda: "never in a browser" in client.get("/cards").words)
    client.post("/cards/known", {"place": "fresh", "label": "x"}, on="/cards")
    command = f"cardquorum card setup x --generate --emulated fresh --home {vault.home}"
    soon(lambda: command in client.get("/task").words)
    assert "goes on by itself" in client.get("/task").words
    more = ("--words-out", str(out)) if family == "satochip" else ()
    setup = ("card", "setup", "x", "--generate", "--emulated", "fresh", *more, "--pin-stdin")
    vault(*setup, stdin=f"x={PIN}\nx.puk={PUKS[family]}\n")
    soon(lambda: client.running.context.tasks.last.is_over)
    over = client.get("/task")
    assert "Card x is known now" in over.words
    assert 'data-go="/cards/x"' in over.text
    assert PUKS[family] not in client.get("/cards/x").text


@pytest.mark.parametrize("family", ["satochip", pytest.param("keycard", marks=pytest.mark.matrix)])
def test_a_card_with_secrets_is_set_up_and_freed_while_the_page_waits(
    client: Client, vault: Asked, tmp_path: Path, family: str
) -> None:
    set_up_in_terminal(client, vault, family, tmp_path / "words")
    left = 5 if family == "satochip" else 3
    for _ in range(left):
        wrong = ("card", "check", "x", "--pin", "--last-attempt", "--pin-stdin")
        vault(*wrong, stdin="999999", check=None)
    client.running.context.watch.look_again()
    soon(lambda: "Free it" in client.get("/cards/x").words)
    client.post("/cards/x/unblock", on="/cards/x/unblock")
    soon(lambda: "cardquorum card unblock x" in client.get("/task").words)
    told = client.get("/task")
    assert not re.search(r'<input[^>]*type="(text|password)"', told.text)
    more = f"x.new={PIN}\n" if family == "keycard" else ""
    unblock = ("card", "unblock", "x", "--pin-stdin")
    vault(*unblock, stdin=f"x.puk={PUKS[family][::-1]}\n{more}", check=None)
    assert "Go on in the terminal" in client.get("/task").words  # a wrong PUK freed nothing
    vault(*unblock, stdin=f"x.puk={PUKS[family]}\n{more}")
    soon(lambda: client.running.context.tasks.last.is_over)
    assert f"{left} PIN attempts are left" in client.get("/task").words


def test_a_card_that_takes_no_puk_any_more_is_as_good_as_lost(
    client: Client, vault: Asked, tmp_path: Path
) -> None:
    set_up_in_terminal(client, vault, "satochip", tmp_path / "words")
    for _ in range(5):
        wrong = ("card", "check", "x", "--pin", "--last-attempt", "--pin-stdin")
        vault(*wrong, stdin="999999", check=None)
    for left in (3, 2, 1):
        client.running.context.watch.look_again()
        soon(lambda left=left: f"PUK attempts left: {left}" in client.get("/cards/x").words)
        vault("card", "unblock", "x", "--pin-stdin", stdin="x.puk=00000000", check=4)
    client.running.context.watch.look_again()
    soon(lambda: "It takes no PIN and no PUK any more" in client.get("/cards/x").words)
    page = client.get("/cards/x")
    assert 'href="/happened/lost?about=x"' in page.text
    assert "Free it" not in page.words


def test_waiting_for_the_terminal_is_stopped(client: Client) -> None:
    client.post("/cards/a/unblock", on="/cards/a/unblock")
    client.post("/task/stop", on="/task")
    soon(lambda: client.running.context.tasks.running is None)
    assert "stopped" in client.get("/task").words


def test_a_card_that_was_not_blocked_is_freed_when_somebody_says_so(client: Client) -> None:
    soon(lambda: bool(client.running.context.watch.seen.lying))
    client.post("/cards/a/unblock", on="/cards/a/unblock")
    soon(lambda: "cannot see when that is done" in client.get("/task").words)
    client.post("/task/done", on="/task")
    soon(lambda: client.running.context.tasks.last.is_over)
    assert "Card a was freed in the terminal" in client.get("/task").words


def test_a_card_that_says_nothing_before_its_code_is_made_known(
    client: Client, vault: Asked
) -> None:
    vault("emulate", "new", "tangem", "quiet")
    for memory in vault.home.rglob("*.memory"):
        memory.unlink()
    client.running.context.watch.look_again()
    soon(lambda: any(each.place == "quiet" for each in client.running.context.watch.seen.lying))
    soon(lambda: "says nothing before its code" in client.get("/cards").words)
    client.post("/cards/known", {"place": "quiet", "label": "silent"}, on="/cards")
    assert "Card silent is known now" in ended(client, pin=PIN).words


def test_attempts_are_told_of_a_card_that_was_here(client: Client, vault: Asked) -> None:
    soon(lambda: bool(client.running.context.watch.seen.lying))
    client.get("/cards")
    vault("emulate", "fault", "b", "eject")
    soon(lambda: "As seen when it was last here" in client.get("/cards").words)
    assert client.get("/cards").words.count("5 PIN attempts left") == 3


def test_a_task_that_is_stopped_ends(client: Client) -> None:
    client.post("/cards/a/check", on="/cards/a")
    soon(lambda: client.running.context.tasks.last.question is not None)
    client.post("/task/stop", on="/task")
    soon(lambda: client.running.context.tasks.running is None)
    assert "stopped" in client.get("/task").words


def test_one_thing_is_done_at_a_time(client: Client) -> None:
    client.post("/cards/a/check", on="/cards/a")
    refused = client.post("/cards/b/check", on="/cards/b").words
    assert "One thing at a time" in refused
    assert "stop it, on its own page" in refused  # the page's own way, no command


def test_an_answer_to_another_question_is_not_taken(client: Client) -> None:
    client.post("/cards/a/check", on="/cards/a")
    tasks = client.running.context.tasks
    soon(lambda: tasks.last.question is not None)
    client.post("/task/answer", {"question": "other", "pin": PIN}, on="/task")
    assert tasks.last.question is not None


def test_a_danger_is_accepted_one_by_one_before_an_address(client: Client, vault: Asked) -> None:
    shutil.rmtree(vault.home / "approvals", ignore_errors=True)
    first = client.post("/receive/v", {"amount": "0.1 BTC"}, on="/receive/v")
    assert first.status in {303, 409}  # accepted before with the same facts, or asked now


def test_an_address_shows_what_is_compared(client: Client, vault: Asked) -> None:
    answer = client.post("/receive/v", {"amount": "0.1 BTC", "label": "<b>sale"}, on="/receive/v")
    shown = client.get(answer.headers["location"])
    address = vault("address", "list", "v")["addresses"][-1]["address"]
    words = shown.words
    assert " ".join(address[at : at + 4] for at in range(0, len(address), 4)) in words
    assert "10 000 000 sat" in words
    assert vault("vault", "show", "v")["checksum"] in words
    assert "<b>sale" in words
    assert "<b>sale" not in shown.text


def test_whether_an_address_is_ours_is_said(client: Client, vault: Asked) -> None:
    own = vault("address", "new", "v", *UNPROVED)["address"]
    assert "of vault v" in client.get(f"/receive/check?address={own}").words
    other = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
    assert "is not ours" in client.get(f"/receive/check?address={other}").words
    assert client.get("/receive/check?address=nonsense").status == 400


def test_what_if_is_answered_as_audit_answers(client: Client, vault: Asked) -> None:
    asked = "/places/v?lose:location:at-a=yes&steal:card:b=yes"
    told = client.get(asked).words
    audited = vault("audit", "v", "--lose", "location:at-a", "--steal", "card:b", check=None)
    assert ("can NOT spend" in told) == (not audited["can_spend"])
    assert client.get(f"{asked}&part=what_if").words in told


def test_a_move_is_written_down(client: Client, vault: Asked) -> None:
    new = {"name": "cellar", "kind": "home", "holder": "uncle", "region": ""}
    client.post("/places/new", new, on="/places")
    client.post("/places/move", {"item": "card:a", "event": "placed", "at": "cellar"}, on="/places")
    assert vault("card", "show", "a")["location"] == "cellar"
    told = {"card": "a", "kind": "pin", "written_at": "at-b", "known_by": "uncle"}
    client.post("/places/secret", told, on="/places")
    (secret,) = vault("secret", "list")["secrets"]
    assert (secret["card"], secret["known_by"], secret["written_at"]) == ("a", ["uncle"], ["at-b"])


def test_a_bag_and_a_person_are_written_down(client: Client, vault: Asked) -> None:
    sealed = {"item": "card:a", "event": "sealed", "at": "at-a"}
    assert "number that is printed on the bag" in client.post("/places/move", sealed).words
    client.post("/places/move", {**sealed, "seal": "B-4711"}, on="/places")
    client.post("/places/person", {"name": "aunt", "contact": "by bell"}, on="/places")
    vault("location", "edit", "at-a", "--holder", "aunt", "--access", "ring twice")
    words = client.get("/places").words
    assert "bag B-4711" in words
    assert "aunt : by bell; opens at-a" in words
    assert "ring twice" in words
    client.post("/places/move", {"item": "copy:paper-a", "event": "destroyed"}, on="/places")
    events = vault("custody", "log", "copy:paper-a")["events"]
    assert (events[-1]["event"], events[-1]["location"]) == ("destroyed", None)


def test_a_step_leads_to_its_form_filled_in(vault: Asked) -> None:
    prove_keys(vault)
    steps = [each for each in vault("status")["next"] if "secret add" in each["command"]]
    with serving(vault.home) as page:
        client = Client(page)
        client.enter()
        road = "/places?item=card:c&event=seen&card=c&kind=puk"
        text = client.get(road).text
        chosen = ("card:c", "seen", "c", "puk")
        assert [f'value="{each}" selected' in text for each in chosen] == [True] * 4
    for step in steps:
        card, kind = re.search(r"--of (\w+) --kind (\w+)", step["command"]).groups()
        found = command_links.remedy(pages.PAGES, step["command"]).way
        assert found.path == f"/places?card={card}&kind={kind}#secret"
    assert steps


def test_a_kit_is_made_and_downloaded(client: Client, vault: Asked) -> None:
    moved = client.post("/papers/v", {"place": "at-a", "for": "", "paper": "a4"}, on="/papers/v")
    assert "Ready to print" in client.get(moved.headers["location"]).words
    name = moved.headers["location"].partition("made=")[2]
    kit = client.get(f"/papers/v/{name}")
    assert (kit.body[:5], kit.headers["content-type"]) == (b"%PDF-", "application/pdf")
    assert any(each["location"] == "at-a" for each in vault("copy", "list", "v")["copies"])


def test_only_a_kit_is_downloaded(client: Client) -> None:
    for name in ("..", "v-%2e%2e", "x-kit", "v-nothing", "%2e%2e%2fhome"):
        assert client.get(f"/papers/v/{name}").status in {400, 404}


def test_a_vault_is_made_proved_and_tried_out_on_the_page(client: Client, vault: Asked) -> None:
    for name in ("x", "y"):
        vault("emulate", "new", "tapsigner", name)
        vault("card", "enrol", name, "--emulated", name, "--pin-stdin", stdin=PIN)
    fields = {"name": "second", "threshold": "2", "card:x": "yes", "card:y": "yes"}
    assert client.post("/vaults", fields, on="/vaults").headers["location"] == "/vaults/second"
    client.post("/vaults/second/prove", on="/vaults/second")
    assert "2 of the keys of vault second are proved" in ended(client, pin=PIN).words
    client.post("/vaults/second/drill", on="/vaults/second")
    assert "2 keys are proved in this try-out" in ended(client, pin=PIN).words
    assert vault("drill", "list", "second")["drills"][0]["state"] == "complete"


def test_a_restored_vault_is_compared_with_the_paper_first(vault: Asked, tmp_path: Path) -> None:
    right = vault("vault", "show", "v")["checksum"]
    vault("backup", "--out", str(tmp_path / "b"))
    other = Asked(tmp_path / "other")
    other("restore", str(tmp_path / "b"))
    with serving(other.home) as page:
        client = Client(page)
        client.enter()
        assert client.get("/receive/v").headers["location"] == "/vaults/v"
        shown = client.get("/vaults/v").words
        assert "Nobody compared it" in shown
        assert right not in shown  # it has to come from the paper
        client.post("/vaults/v/approve", {"checksum": "aaaaaaaa"}, on="/vaults/v")
        assert "Nobody compared it" in client.get("/vaults/v").words
        client.post("/vaults/v/approve", {"checksum": f"#{right}"}, on="/vaults/v")
        assert "It was compared with the paper" in client.get("/vaults/v").words


def test_a_home_that_can_only_be_read_is_shown_and_says_so(read_only: Client) -> None:
    for path in PAGES:
        answer = read_only.get(path)
        assert (path, answer.status) == (path, 200)
        assert "can only be read here" in answer.words
        asks = {"/receive/check", "/places/v", "/cards/a/unblock"}
        assert "<button" not in answer.text or path in asks


def test_what_a_page_asks_for_again_can_be_asked_for(client: Client) -> None:
    answered = client.post("/happened/record", on="/happened/lost?about=c")
    assert answered.status == 200
    live = re.findall(r"<[^>]*data-live=[^>]*>", answered.text)
    assert live
    for tag in live:  # the page that answers a form has no address of its own
        at, part = re.search(r'data-at="([^"]+)"', tag), re.search(r'data-part="([^"]+)"', tag)
        assert at is not None
        assert part is not None
        assert client.get(f"{at[1]}?part={part[1]}").status == 200


def test_what_changes_a_home_that_can_only_be_read_is_refused(
    vault: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.database.is_writable", lambda _file: False)
    with serving(vault.home) as page:
        client = Client(page)
        client.enter()
        window = next(iter(page.context.windows._windows.values()))
        for path in ("/receive/v", "/papers/v", "/vaults", "/places/new", "/cards/practice"):
            sent = {"form": new_form(window), "name": "x", "kind": "home", "for": ""}
            refused = client.send(path, sent)
            assert (refused.status, "This was not done" in refused.words) == (400, True)


def test_a_sealed_home_is_shown_without_its_names(vault: Asked) -> None:
    words = "home.passphrase=correct horse battery\n"
    vault("custody", "seal", "--pin-stdin", stdin=words)
    with serving(vault.home) as page:
        client = Client(page)
        client.enter()
        for path in PAGES:
            answer = client.get(path)
            assert (path, answer.status, "at-a" in answer.words) == (path, 200, False)
            assert "are sealed" in answer.words
        assert "No new name is written down" in client.get("/places").words
        window = next(iter(page.context.windows._windows.values()))
        fields = {"form": new_form(window), "name": "x", "kind": "home"}
        assert "sealing words there" in client.send("/places/new", fields).words


def test_an_offline_home_is_shown_and_says_so(vault: Asked) -> None:
    settings = vault.home / "settings.toml"
    settings.write_text(settings.read_text().replace('"regtest:"', '"none:"'))
    with serving(vault.home) as page:
        client = Client(page)
        client.enter()
        for path in PAGES:
            answer = client.get(path)
            assert (path, answer.status, "asks no one" in answer.words) == (path, 200, True)
            assert "Look it up now" not in answer.words


def test_names_of_others_are_neutralised(client: Client, vault: Asked) -> None:
    odd = "\u202e<script>alert(1)</script>\u200b"
    address = vault("address", "list", "v")["addresses"][0]["address"]
    vault("label", "set", address, odd)
    for path in ("/receive/v", f"/receive/check?address={address}"):
        text = client.get(path).text
        assert "&lt;script&gt;" in text
        assert not any(each in text for each in ("\u202e", "\u200b", "<script>alert"))
        assert "\\u202e" in text


def tells_no_command(answer: Answer) -> bool:
    """Tell that a page's sentences name no command: where only the terminal does it, it is code."""
    bare = re.sub(r"<code.*?</code>", "", answer.text, flags=re.DOTALL)
    return not re.search(r"cardquorum\s+[a-z]", re.sub(r"<[^>]+>", " ", bare))


def test_the_first_page_of_an_empty_home_tells_no_command(asked: Asked) -> None:
    asked("init", "--network", "regtest")
    with serving(asked.home) as page:
        client = Client(page)
        client.enter()
        first = client.get("/")
        assert (tells_no_command(first), 'href="/cards"' in first.text) == (True, True)


def test_a_sentence_stays_whole_without_its_command() -> None:
    told = "wait until then: cardquorum drill plan NAME; or move the coins: cardquorum sync v"
    assert command_links.remedy(pages.PAGES, told).sentence == "wait until then; or move the coins"


def test_no_sentence_tells_a_command_the_page_does_itself(client: Client, vault: Asked) -> None:
    vault("card", "stolen", "a")
    vault("spend", "create", "v", "--to", f"{FOREIGN}:100000", "--feerate", "2")
    client.post("/cards/a/check", on="/cards/a")
    failed = ended(client, pin="654321")
    roads = [f"/happened/{each.value}" for each in Report]
    roads += [f"{each}?about=b" for each in roads]
    for answer in (*map(client.get, (*PAGES, *roads)), failed, client.get("/cards/nobody")):
        assert tells_no_command(answer)
    assert 'href="/happened"' in failed.text  # where a forgotten PIN is met
    assert 'href="/cards"' in client.get("/cards/nobody").text


def test_a_vault_of_which_no_card_is_known_says_what_comes_first(
    vault: Asked, tmp_path: Path
) -> None:
    asked = watched(tmp_path, vault("vault", "show", "v")["descriptor"])
    with serving(asked.home) as page:
        client = Client(page)
        client.enter()
        client.post("/vaults/w/prove", on="/vaults/w")
        over = ended(client)
        assert "No card of vault w is known here yet" in over.words
        assert "--" not in over.words
        assert 'href="/cards"' in over.text.partition("<main")[2]
        assert "Nothing is written down yet" in client.get("/places/w").words
        assert "Make one known" in client.get("/papers/w").words


def test_what_does_not_exist_is_said(client: Client) -> None:
    names = ("cards/nobody", "places/nothing", "vaults/x", "receive/x", "papers/x", "receive/v/x")
    for name in names:
        answer = client.get(f"/{name}")
        assert (name, answer.status) == (name, 400)
        assert "This was not done" in answer.words


def test_every_form_carries_a_token(client: Client) -> None:
    for path in PAGES:
        text = client.get(path).text
        assert len(TOKEN.findall(text)) == text.count('method="post"')


def test_secrets_are_asked_for_in_a_way_no_browser_keeps(client: Client) -> None:
    client.post("/cards/a/check", on="/cards/a")
    soon(lambda: client.running.context.tasks.last.question is not None)
    (field,) = re.findall(r"<input[^>]*type=\"password\"[^>]*>", client.get("/task").text)
    assert 'autocomplete="one-time-code"' in field
    assert "value=" not in field


def test_a_camera_fills_a_field_of_its_page(client: Client) -> None:
    for path in PAGES:
        shown = client.get(path).text
        for field in re.findall(r'data-camera="(\w+)"', shown):
            assert (path, f'id="{field}"' in shown) == (path, True)
    assert 'data-camera="to"' in client.get("/pay/new/v").text


def test_no_template_writes_style_or_script_into_the_page() -> None:
    templates = Path("coordinator/web/templates")
    for file in templates.glob("*.html"):
        text = file.read_text()
        assert not re.search(r"\sstyle=|<style|\son\w+=|javascript:|\|\s*safe\b", text), file.name
        assert "http://" not in text, file.name
        assert "https://" not in text, file.name


def test_an_imported_vault_that_nobody_compared_is_compared_first(tmp_path: Path) -> None:
    asked = homes.imported(tmp_path)
    right = asking(tmp_path / "home")("vault", "show", "v")["checksum"]
    with serving(asked.home) as page:
        client = Client(page)
        client.enter()
        assert client.get("/receive/w").headers["location"] == "/vaults/w"
        text = client.get("/vaults/w").text
        assert text.index("Until then no address is given out") < text.index("Its keys")
        assert len(re.findall('<button class="first"', text)) == 1  # one thing at a time
        assert right not in text
        wish = {"to": FOREIGN, "amount": "20 000 sat", "when": "6"}
        refused = client.post("/pay/new/w", wish, on="/pay/new/w")
        assert (refused.status, "ompared" in refused.words) == (409, True)
        assert asked("spend", "list")["ceremonies"] == []
        client.post("/vaults/w/approve", {"checksum": right}, on="/vaults/w")
        text = client.get("/vaults/w").text
        assert text.index("Its keys") < text.index("It was compared with the paper")
        assert client.accept("/receive/w", {}, on="/receive/w").status == 303
