"""What every request passes before the page sees it, and what every answer carries.

Only a browser on this computer that came with a link gets in: the Host must be the one printed
(a name that was rebound to this address is another), the Origin our own.
"""

from collections.abc import Mapping
from html import escape
from typing import Final, NamedTuple

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coordinator.web.access import Windows

ADDRESS: Final = "127.0.0.1"
BODY_MAX: Final = 32_000_000
ENTER: Final = "/enter/"
WAIT: Final = "/wait"
LINK: Final = "/link"
UNUSED: Final = frozenset({"/events", "/pulse"})
"""What a page asks for by itself: nobody used the window for that."""
PART: Final = b"part="
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": POLICY,
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=(), clipboard-read=()",
}
REFUSED: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>cardquorum</title>'
    '<link rel="icon" href="data:,">'
    "<h1>{0}</h1><p>{1}.</p><p>No money has moved.{2}</p></html>"
)
CLOSED: Final = "The page was not used for a while, or it was opened with a link that is used up"
ANEW: Final = " For a new window, go to the terminal and type:</p><p><code>cardquorum open</code>"
BACK: Final = " Go back to the page you came from."


class Refusal(NamedTuple):
    """Why a request goes no further."""

    status: int
    sentence: str


class Gate:
    """Lets a request through to the page, or answers it with why not."""

    def __init__(self, page: ASGIApp, windows: Windows, port: int) -> None:
        self._page = page
        self._windows = windows
        self._host = f"{ADDRESS}:{port}"
        self._origin = f"http://{self._host}"
        self._cookie = cookie_name(port)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":  # no page here speaks anything else
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *given]}
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._page(scope, receive, send_guarded)
            return
        closed = refusal.sentence == CLOSED
        told = ("This window is closed", ANEW) if closed else ("This was not done", BACK)
        page = REFUSED.format(told[0], escape(refusal.sentence), told[1])
        answer = Response(page, refusal.status, media_type="text/html")
        await answer(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers, path = Headers(scope=scope), str(scope["path"])
        if headers.getlist("host") != [self._host]:
            return Refusal(421, "It is served at another address")
        if scope["method"] not in {"GET", "POST"}:
            return Refusal(405, "The page is only read, or sent a form")
        if not self._is_ours(headers, path, posted=scope["method"] == "POST"):
            return Refusal(403, "Another page asked for it")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:12]) > BODY_MAX:
            return Refusal(413, "More was sent than is read")
        cookie = cookie_parser(headers.get("cookie", "")).get(self._cookie)
        asked_by_page = path in UNUSED or PART in scope["query_string"]
        window = self._windows.window(cookie, used=not asked_by_page)
        scope.setdefault("state", {}).update(window=window, cookie=cookie)
        without = path.startswith(ENTER) or path in {WAIT, LINK}
        return None if window is not None or without else Refusal(403, CLOSED)

    def _is_ours(self, headers: Headers, path: str, *, posted: bool) -> bool:
        """Tell whether no other page made the browser ask; a link is followed from anywhere."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        if path == LINK:
            return origin is None
        if path.startswith(ENTER) and not posted:
            return origin in {None, self._origin}
        if origin not in {None, self._origin} or (posted and origin is None):
            return False
        return site in {"none", "same-origin"}


def cookie_name(port: int) -> str:
    """Return the cookie's name: browsers keep cookies by address and not by port."""
    return f"cardquorum_{port}"
