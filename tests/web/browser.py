"""A browser as far as the page's rules go: one cookie, its own Origin, forms with their token."""

import http.client
import re
import time
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import urlencode

from coordinator.web import answers
from coordinator.web.serving import Running
from tests.patience import SECONDS

DANGER = re.compile(r'name="(accept:\w+)" value="([^"]+)"')
HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')
TOKEN = re.compile(r'name="form" value="([^"]+)"')


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def words(self) -> str:
        """Return what a person reads of it, in one line."""
        bare = re.sub(r"<(style|script)\b.*?</\1>", "", self.text, flags=re.DOTALL)
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", bare)).split())


@dataclass
class Client:
    """Asks a running page over a real connection."""

    running: Running
    cookie: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.running.port}"

    def enter(self, link: str | None = None) -> Answer:
        """Follow a link, and keep its cookie."""
        path = (link or self.running.link()).partition(self.host)[2]
        answer = self.ask("GET", path)
        given = answer.headers.get("set-cookie", "")
        if given:
            self.cookie = given.partition(";")[0]
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, fields: dict[str, Any] | None = None, *, on: str = "/") -> Answer:
        """Send a form that is found on the page `on`, with what it carries, as soon as it is there.

        Where the page has none for that path, its first one lends its token.
        """
        until = time.monotonic() + SECONDS
        while not TOKEN.search(shown := self.get(on).text):
            assert time.monotonic() < until, f"no form on {on}"
            time.sleep(0.05)
        _, own, rest = shown.partition(f'action="{path}"')
        carried = HIDDEN.findall(rest.partition("</form>")[0]) if own else []
        token = ("form", TOKEN.findall(shown)[0])
        hidden = {name: unescape(value) for name, value in carried or [token]}
        return self.send(path, {**hidden, **(fields or {})})

    def accept(self, path: str, fields: dict[str, Any], *, on: str = "/") -> Answer:
        """Send a form, and once more with every danger accepted that it meets."""
        answer = self.post(path, fields, on=on)
        while answer.status == 409 and (told := dict(DANGER.findall(answer.text))):
            fields = {**fields, **told}
            answer = self.post(path, fields, on=on)
        return answer

    def send(self, path: str, fields: dict[str, Any], **headers: str) -> Answer:
        """Send a form; return what was answered, where that is kept to be asked for."""
        sent = {
            "origin": f"http://{self.host}",
            "content-type": "application/x-www-form-urlencoded",
            **headers,
        }
        answer = self.ask("POST", path, body=urlencode(fields).encode(), headers=sent)
        moved = answer.headers.get("location", "")
        return self.get(moved) if moved.startswith(answers.PATH) else answer

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.running.port, timeout=SECONDS)
        sent = {**self.headers, **(headers or {})}
        if self.cookie is not None:
            sent.setdefault("cookie", self.cookie)
        connection.request(method, path, body, sent)
        found = connection.getresponse()
        answer = Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())
        connection.close()
        return answer
