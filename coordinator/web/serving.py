"""The page served on this computer: a port, a link, a browser; one program for a home."""

import contextlib
import http.client
import json
import logging
import os
import secrets
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Final

import uvicorn

from coordinator.errors import CoordinatorError, UsageError
from coordinator.files import write_private
from coordinator.foreign_json import read_json
from coordinator.home.settings import TICKS_FILE
from coordinator.web.access import LINK_SECONDS, Windows
from coordinator.web.app import application
from coordinator.web.context import Context, identity_of
from coordinator.web.error_hints import Advice, explained
from coordinator.web.events import Bulletin, HomeWatch
from coordinator.web.reader_watch import ReaderWatch
from coordinator.web.request_checks import ADDRESS, ENTER, LINK
from coordinator.web.tasks import Failure, Tasks
from coordinator.web.ticked_steps import Ticks
from coordinator.workspace.opened_home import OpenedHome

FOLDER: Final = "page"
RUNNING: Final = "running.json"
FORWARD: Final = "open.html"
START_SECONDS: Final = 10.0
STOP_SECONDS: Final = 10.0
ASK_SECONDS: Final = 3.0
SLICE: Final = 0.5
ANSWER_MAX: Final = 4096
PAGE: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>cardquorum</title>'
    '<meta name="referrer" content="no-referrer">'
    '<meta http-equiv="refresh" content="0; url={0}">'
    '<p><a href="{0}" rel="noreferrer">Open the page</a></p></html>'
)

Explain = Callable[[BaseException], Advice]


class Running:
    """The page of a home while it is served."""

    def __init__(self, opened: OpenedHome, explain: Explain, *, port: int = 0) -> None:
        """Take a port of this computer, a free one where it is 0; raises UsageError."""
        home = opened.home
        bulletin, windows = Bulletin(), Windows()
        tasks = Tasks(bulletin)
        watch = ReaderWatch(home, bulletin, lambda: tasks.running is not None)

        def say(error: BaseException) -> Failure:
            return explained(error, explain(error))

        self.folder = home.folder / FOLDER
        ticks = Ticks(home.folder / TICKS_FILE)
        _ = opened.database  # what is wrong with it is said in the terminal
        self.context = Context(
            opened, say, windows, bulletin, tasks, watch, ticks, identity=identity_of(home)
        )
        self._home_watch = HomeWatch(opened, bulletin)
        self.key = secrets.token_urlsafe(32)
        self._socket = _bound(port)
        self.port: int = self._socket.getsockname()[1]
        self._server = uvicorn.Server(
            uvicorn.Config(
                application(self.context, self.port, self.key),
                log_config=None,
                server_header=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=2,
            )
        )
        logging.getLogger("uvicorn.access").disabled = True  # a link in its path opens a window
        served = {"sockets": [self._socket]}
        self._thread = threading.Thread(target=self._server.run, kwargs=served, daemon=True)

    def start(self) -> None:
        """Serve, and watch the readers; others may ask for a link from now on."""
        self._thread.start()
        until = time.monotonic() + START_SECONDS
        while not self._server.started:
            if time.monotonic() > until or not self._thread.is_alive():
                raise CoordinatorError(f"the page could not be served at port {self.port}")
            time.sleep(0.005)
        self.context.watch.start()
        self._home_watch.start()
        with contextlib.suppress(UsageError, OSError):  # a home that can only be read
            self.folder.mkdir(mode=0o700, exist_ok=True)
            running = {"port": self.port, "key": self.key}
            write_private(self.folder / RUNNING, json.dumps(running).encode())

    def link(self) -> str:
        """Return what opens a window, once and within a minute."""
        return f"http://{ADDRESS}:{self.port}{ENTER}{self.context.windows.new_link()}"

    def close(self) -> None:
        """Let every window blank, stop what is being done, and serve no more."""
        for name in (RUNNING, FORWARD):
            with contextlib.suppress(OSError):
                (self.folder / name).unlink(missing_ok=True)
        self.context.windows.close()
        self.context.bulletin.close()
        self.context.tasks.close()
        self.context.watch.close()
        self._home_watch.close()
        self._server.should_exit = True
        self._thread.join(STOP_SECONDS)
        self._socket.close()


def serve(
    opened: OpenedHome,
    explain: Explain,
    announce: Callable[[str], None],
    *,
    port: int = 0,
    browser: bool = True,
) -> None:
    """Serve the page until the program is interrupted.

    `announce` gets the link. Where the home's page is served already it gives another link, and
    nothing is served here.
    """
    folder = opened.home.folder / FOLDER
    there = _link_of_running(folder)
    if there is not None:
        announce(there)
        if browser:
            _open_browser(folder, there)
        return
    running = Running(opened, explain, port=port)
    try:
        running.start()
        link = running.link()
        announce(link)
        if browser:
            _open_browser(folder, link)
        with contextlib.suppress(KeyboardInterrupt):  # how it is meant to end
            while True:
                time.sleep(SLICE)
    finally:
        running.close()


def _bound(port: int) -> socket.socket:
    """Return a socket of this computer alone; without IPPROTO_TCP answers would be delayed."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.bind((ADDRESS, port))
    except (OSError, OverflowError) as failure:
        made.close()
        raise UsageError(f"port {port} of this computer cannot be used: {failure}") from failure
    return made


def _link_of_running(folder: Path) -> str | None:
    """Ask the program that serves this home's page for a link; None where there is none."""
    try:
        said = read_json((folder / RUNNING).read_bytes()[:ANSWER_MAX])
    except (OSError, ValueError):
        return None
    if not isinstance(said, dict):
        return None
    port, key = said.get("port"), said.get("key")
    if not isinstance(port, int) or not 0 < port < 65_536 or not isinstance(key, str):
        return None
    asked = http.client.HTTPConnection(ADDRESS, port, timeout=ASK_SECONDS)
    try:
        asked.request("POST", LINK, headers={"authorization": f"Bearer {key}"})
        answer = asked.getresponse()
        found = read_json(answer.read(ANSWER_MAX)) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        asked.close()
    link = found.get("link") if isinstance(found, dict) else None
    return f"http://{ADDRESS}:{port}{ENTER}{link}" if isinstance(link, str) else None


def _open_browser(folder: Path, link: str) -> None:
    """Have a browser open a private file that forwards to the link; no argument shows the link."""
    if not _has_screen():
        return
    file = folder / FORWARD
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        write_private(file, PAGE.format(escape(link)).encode())
    except (UsageError, OSError):
        return
    late = threading.Timer(LINK_SECONDS, lambda: file.unlink(missing_ok=True))
    late.daemon = True
    late.start()
    with contextlib.suppress(webbrowser.Error):
        webbrowser.open(file.absolute().as_uri())


def _has_screen() -> bool:
    """Tell whether a browser could be a window of its own, not one that takes this terminal."""
    if not sys.platform.startswith("linux") or os.environ.get("BROWSER"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
