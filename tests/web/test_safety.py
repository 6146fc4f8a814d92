"""Who gets in, and what every answer carries: the table of hostile visits."""

import contextlib
import http.client
import json
import re
import shutil
import socket
import stat
import threading
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import pytest

from coordinator.web import access as windows_module
from coordinator.web import answers, app
from coordinator.web.request_checks import BODY_MAX, HEADERS
from coordinator.web.serving import FOLDER, RUNNING, Running, serve
from tests.patience import SECONDS
from tests.program import Asked
from tests.web.browser import TOKEN, Client
from tests.web.conftest import serving


@pytest.fixture(scope="module")
def running(vault_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One page for all of this module: nothing here changes its home."""
    home = tmp_path_factory.mktemp("page") / "home"
    shutil.copytree(vault_home, home)
    with serving(home) as page:
        yield page


@pytest.fixture(autouse=True)
def _nobody_there(running: Running) -> None:
    """Begin each test with no window open."""
    running.context.windows.close()
    running.context.tasks.clear()


PATHS = ("/", "/cards", "/cards/a", "/task", "/events", "/pulse", "/static/page.js", "/nowhere")


@pytest.mark.parametrize("path", PATHS)
def test_without_a_cookie_nothing_is_shown(running: Running, path: str) -> None:
    answer = Client(running).get(path)
    assert (answer.status, "vault" in answer.text) == (403, False)


@pytest.mark.parametrize(
    "host", ["localhost:{port}", "127.0.0.1", "evil.example:{port}", "127.0.0.1:1", "[::1]:{port}"]
)
def test_another_host_is_refused(client: Client, host: str) -> None:
    answer = client.get("/", host=host.format(port=client.running.port))
    assert (answer.status, "vault" in answer.text) == (421, False)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_another_origin_is_refused(client: Client, origin: str) -> None:
    assert client.get("/", origin=origin).status == 403
    assert client.send("/look", {"form": "x"}, origin=origin).status == 403


def test_a_form_without_an_origin_is_refused(client: Client) -> None:
    assert client.ask("POST", "/look", b"form=x").status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_request_that_another_site_made_is_refused(client: Client, site: str) -> None:
    assert client.get("/", **{"sec-fetch-site": site}).status == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "HEAD", "PATCH"])
def test_other_methods_are_refused(client: Client, method: str) -> None:
    assert client.ask(method, "/").status == 405


@pytest.mark.parametrize("path", [*PATHS, "/enter/nothing"])
def test_every_answer_carries_the_headers(client: Client, path: str) -> None:
    if path == "/events":
        return  # it does not end
    answer = client.get(path)
    assert {name: answer.headers.get(name) for name in HEADERS} == dict(HEADERS)
    assert "server" not in answer.headers


def test_a_page_takes_nothing_from_elsewhere_and_is_kept_nowhere(client: Client) -> None:
    headers = client.get("/").headers
    assert headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


def test_the_cookie_is_for_this_port_and_no_script(running: Running) -> None:
    given = Client(running).enter().headers["set-cookie"]
    assert given.startswith(f"cardquorum_{running.port}=")
    assert "HttpOnly" in given
    assert "SameSite=strict" in given


def test_a_link_opens_one_window(running: Running) -> None:
    link = running.link()
    assert Client(running).enter(link).status == 200
    assert Client(running).enter(link).status == 403


def test_a_link_dies_after_a_minute(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows_module, "LINK_SECONDS", -1.0)
    assert Client(running).enter().status == 403


def test_a_second_link_waits_until_the_first_window_lets_it_in(client: Client) -> None:
    second = Client(client.running)
    assert second.enter().status == 200
    assert second.get("/").status == 403
    number = re.search(r"<strong>(\d{4})</strong>", second.get("/wait").text)[1]
    assert number in client.get("/").words
    client.post("/windows", {"number": number, "answer": "yes"})
    assert second.get("/").status == 200


def test_a_second_window_that_is_kept_out_stays_out(client: Client) -> None:
    second = Client(client.running)
    second.enter()
    number = re.search(r"<strong>(\d{4})</strong>", second.get("/wait").text)[1]
    client.post("/windows", {"number": number, "answer": "no"})
    assert (second.get("/").status, second.get("/wait").status) == (403, 403)


def test_where_nobody_sits_at_a_window_a_link_opens_another(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows_module, "PRESENT_SECONDS", -1.0)
    second = Client(client.running)
    second.enter()
    assert second.get("/").status == 200
    assert client.get("/").status == 403  # what was left open is closed


def test_a_window_that_nobody_uses_is_closed(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = client.running.context.windows._clock
    later = windows_module.IDLE_SECONDS - 1
    monkeypatch.setattr(client.running.context.windows, "_clock", lambda: clock() + later)
    assert client.get("/pulse").status == 200  # the page asks by itself: that is no use of it
    assert client.get("/?part=live").status == 200
    monkeypatch.setattr(client.running.context.windows, "_clock", lambda: clock() + later + 2)
    assert client.get("/").status == 403


def test_a_form_is_taken_once(client: Client) -> None:
    token = TOKEN.findall(client.get("/").text)[0]
    fields = {"form": token, "number": "1", "answer": "no"}
    assert client.send("/windows", fields).status == 303
    again = client.send("/windows", fields)
    assert (again.status, "Nothing was done twice" in again.words) == (409, True)


@pytest.mark.parametrize("token", ["", "a.b", "ä.ö", "x" * 10_000])
def test_a_form_without_its_token_does_nothing(client: Client, token: str) -> None:
    assert client.send("/look", {"form": token}).status == 403
    assert client.running.context.tasks.last is None


def answered(client: Client) -> str:
    """Have a form refused; return where its answer is kept."""
    sent = {"form": TOKEN.findall(client.get("/exchange").text)[0], "vault": "v", "file": "bm8="}
    own = {"origin": f"http://{client.host}", "content-type": "application/x-www-form-urlencoded"}
    answer = client.ask("POST", "/exchange/import", urlencode(sent).encode(), own)
    assert answer.status == 303
    return answer.headers["location"]


def test_an_answer_is_shown_in_its_window_alone(client: Client) -> None:
    path = answered(client)
    assert [client.get(path).status for _ in "ab"] == [400, 400]
    assert Client(client.running).get(path).status == 403
    client.running.context.windows.close()
    again = Client(client.running)
    again.enter()
    assert again.get(path).status == 404


def test_only_the_last_answers_are_kept(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "KEPT_MAX", 2)
    paths = [answered(client) for _ in range(3)]
    assert [client.get(path).status for path in paths] == [404, 400, 400]


def test_a_form_of_another_window_does_nothing(client: Client) -> None:
    token = TOKEN.findall(client.get("/").text)[0]
    client.running.context.windows.close()
    client.cookie = None
    client.enter()
    assert client.send("/look", {"form": token}).status == 403


@pytest.mark.parametrize(
    "cookie", ["ä=ö", "cardquorum_{port}=", "cardquorum_{port}=\u00e9", ";" * 99]
)
def test_an_odd_cookie_is_no_cookie(client: Client, cookie: str) -> None:
    client.cookie = cookie.format(port=client.running.port).encode().decode("latin-1")
    assert client.get("/").status == 403


def test_more_than_a_form_can_hold_is_refused(client: Client) -> None:
    assert (
        client.ask(
            "POST",
            "/look",
            headers={"content-length": str(BODY_MAX + 1), "origin": f"http://{client.host}"},
        ).status
        == 413
    )


def test_what_is_no_request_is_survived(client: Client) -> None:
    for junk in (
        b"\x16\x03\x01\x02\x00",
        b"GET " + b"/" * 90_000,
        b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * 9999,
    ):
        with socket.create_connection(("127.0.0.1", client.running.port), timeout=SECONDS) as raw:
            raw.sendall(junk)
            raw.settimeout(2)
            with contextlib.suppress(TimeoutError, ConnectionError):
                raw.recv(100)
    assert client.get("/").status == 200


def test_the_program_alone_gives_another_link(client: Client) -> None:
    asked = {"authorization": "Bearer wrong"}
    assert client.ask("POST", "/link", headers=asked).status == 403
    right = {"authorization": f"Bearer {client.running.key}"}
    assert client.ask("POST", "/link", headers=right).status == 200
    assert (
        client.ask("POST", "/link", headers={**right, "origin": f"http://{client.host}"}).status
        == 403
    )


def test_opened_twice_it_gives_another_link(client: Client) -> None:
    told: list[str] = []
    serve(client.running.context.opened, client.running.context.explain, told.append, browser=False)
    (link,) = told
    assert link.startswith(f"http://{client.host}/enter/")
    assert Client(client.running).enter(link).status == 200


def test_what_a_page_leaves_in_the_home_is_private_and_goes(vault: Asked) -> None:
    folder = vault.home / FOLDER
    with serving(vault.home):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / RUNNING).stat().st_mode) == 0o600
    assert list(folder.iterdir()) == []


def test_a_file_that_a_killed_page_left_does_not_matter(vault: Asked) -> None:
    folder = vault.home / FOLDER
    for left in (
        '{"port": 1, "key": "x"}',
        "{",
        '{"port": "x"}',
        "[]",
        '{"port": 99999, "key": ""}',
    ):
        folder.mkdir(exist_ok=True)
        (folder / RUNNING).write_text(left)
        with serving(vault.home) as page:
            assert json.loads((folder / RUNNING).read_text())["port"] == page.port


def test_events_carry_ids_and_end_with_the_page(vault: Asked) -> None:
    with serving(vault.home) as page:
        client = Client(page)
        client.enter()
        told = streamed(client)
    assert all(re.fullmatch(r"data: (\w+ \d+|end)", line) for line in told)
    assert "data: end" in told


def streamed(client: Client) -> set[str]:
    """Return the lines of the stream of events until the page is closed."""
    connection = http.client.HTTPConnection("127.0.0.1", client.running.port, timeout=SECONDS)
    connection.request("GET", "/events", headers={"cookie": client.cookie})
    stream = connection.getresponse()
    assert client.get("/events").status == 204  # one stream a window
    begun = time.monotonic()
    threading.Thread(target=client.running.close).start()
    lines = stream.read().decode().split("\n")
    assert time.monotonic() - begun < 5
    connection.close()
    return {line for line in lines if line and not line.startswith((":", "event:"))}


def test_ten_windows_are_answered_at_once(client: Client) -> None:
    found: list[int] = []
    asking = [
        threading.Thread(target=lambda: found.append(client.get("/").status)) for _ in range(10)
    ]
    for each in asking:
        each.start()
    for each in asking:
        each.join()
    assert found == [200] * 10


def test_nothing_of_a_visit_is_logged(
    client: Client, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(0):
        client.send("/look", {"form": "x", "pin": "918273645"})
        client.get("/nowhere?pin=918273645")
    assert "918273645" not in caplog.text + "".join(capfd.readouterr())


def test_no_link_stands_in_an_argument(vault: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setenv("BROWSER", "true")
    monkeypatch.setattr("webbrowser.open", opened.append)
    told: list[str] = []
    with serving(vault.home) as page:
        serve(page.context.opened, page.context.explain, told.append)
        (url,) = opened
        file = Path(url.removeprefix("file://"))
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert told[0] in file.read_text()
        assert told[0] not in url


def test_what_changes_while_a_page_is_made_is_asked_for_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    bulletin = client.running.context.bulletin
    shown = app.rendered

    def meanwhile(*given: object) -> str:
        bulletin.post("cards")
        return shown(*given)

    before = bulletin.numbers()["cards"]
    monkeypatch.setattr(app, "rendered", meanwhile)
    told = re.search(r'data-numbers="([^"]*)"', client.get("/cards").text)[1]
    assert json.loads(unescape(told))["cards"] == before
