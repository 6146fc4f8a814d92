"""Homes of the tests' that remember on a server without knowing: for suites run on each engine."""

import hashlib
from pathlib import Path
from typing import Final

from sqlalchemy import URL
from sqlalchemy.engine import make_url

from coordinator.home.settings import DATABASE_FILE, SETTINGS_FILE, Home
from storage.copying import copy_rows
from storage.database import open_database
from tests.servers.postgresql import Engines

SUITES: Final = frozenset(
    {
        "coordinator/enrolment/test_setup_again",
        "coordinator/enrolment/test_setup_faults",
        "coordinator/home/test_seals",
        "coordinator/payment/test_ceremonies",
        "coordinator/payment/test_kill",
        "coordinator/payment/test_sign_faults",
        "coordinator/vault/test_key_proofs",
        "coordinator/wallet/test_scans",
        "cli/test_audit",
        "cli/test_audit_over_time",
        "cli/test_branches",
        "cli/test_cards_known",
        "cli/test_carriers",
        "cli/test_chain_news",
        "cli/test_corrections",
        "cli/test_custody",
        "cli/test_dangers",
        "cli/test_drill",
        "cli/test_fee_bump",
        "cli/test_guide_cards",
        "cli/test_guide_emergency",
        "cli/test_guide_later",
        "cli/test_history",
        "cli/test_import_psbt",
        "cli/test_incident",
        "cli/test_keys",
        "cli/test_kit",
        "cli/test_money",
        "cli/test_receiving",
        "cli/test_replace",
        "cli/test_secret_custody",
        "cli/test_shared_payments",
        "cli/test_spend",
        "cli/test_status",
        "cli/test_tx_broadcast",
    }
)
"""Files of tests that `make test-all` runs on a server, too."""

_servers_of: dict[tuple[int, str], str] = {}
"""The database that holds what a file held, by the server's port and what the file hashes to."""


class ServedHomes:
    """Gives each home a database of its own on a server, with what its file or its model held."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._urls: dict[Path, URL] = {}

    def url(self, home: Home) -> URL:
        """Return where a home remembers; what lies in its folder is brought there once."""
        if home.folder not in self._urls:
            self._urls[home.folder] = self._engines.server.url(self._database(home))
            self._note(home.folder)
        return self._urls[home.folder]

    def server(self, home: Home) -> str:
        """Return the same as settings have it."""
        return self.url(home).render_as_string()

    def _database(self, home: Home) -> str:
        server, file = self._engines.server, home.folder / DATABASE_FILE
        named = tuple.__getitem__(home, Home._fields.index("server"))
        if named is not None:
            return server.database(str(make_url(named).database))
        if not file.exists():
            return server.database(self._engines.template)
        template = _moved(self._engines, file)
        file.unlink()
        return server.database(template)

    def _note(self, folder: Path) -> None:
        settings = folder / SETTINGS_FILE
        if settings.exists():
            kept = [line for line in settings.read_text().splitlines() if "database =" not in line]
            where = self._urls[folder].render_as_string()
            settings.write_text("\n".join([*kept, f'database = "{where}"', ""]))


def _moved(engines: Engines, file: Path) -> str:
    """Return the database with what a file holds."""
    source = open_database(URL.create("sqlite", database=str(file)))
    source.kw["bind"].dispose()
    known = (engines.server.port, hashlib.sha256(file.read_bytes()).hexdigest())
    if known not in _servers_of:
        name = engines.server.database(engines.template, lasting=True)
        target = open_database(engines.server.url(name))
        copy_rows(source, target)
        source.kw["bind"].dispose()
        target.kw["bind"].dispose()
        _servers_of[known] = name
    return _servers_of[known]
