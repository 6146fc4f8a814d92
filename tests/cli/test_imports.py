"""What a command imports: start-up is most of a short command's time."""

import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from coordinator import cli
from coordinator.cli import command_tree
from tests.program import Asked, asking, made_vault

HEAVY = frozenset(
    {
        "PIL", "alembic", "bdkpython", "cryptography", "jinja2", "pbk", "pydantic",
        "reportlab", "rich", "segno", "smartcard", "sqlalchemy", "sqlalchemy.dialects.postgresql",
    }
)  # fmt: skip
SQL = {"sqlalchemy"}
SIGNED = SQL | {"cryptography"}
"""Approvals are Ed25519 signatures."""
RUN = f"""
import sys
from coordinator.cli import run
status = run(sys.argv[1:])
print(status, *sorted({set(HEAVY)} & sys.modules.keys()))
"""
ACCEPTED = ("--accept", "keys_unproved", "--accept", "no_copy")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small") / "home"
    asked: Asked = asking(folder)
    made_vault(asked)
    asked("sync")
    return folder


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--help",), set()),
        (("card", "--help"), set()),
        (("status",), SIGNED),
        (("balance",), SQL),
        (("vault", "list"), SQL),
        (("spend", "list"), SQL),
        (("card", "list"), SIGNED),
        (("address", "list", "v", *ACCEPTED), SIGNED),
    ],
    ids=lambda given: " ".join(given[:2]) if isinstance(given, tuple) else "",
)
def test_a_command_imports_only_what_it_uses(
    home: Path, words: tuple[str, ...], wanted: set[str]
) -> None:
    line = [sys.executable, "-c", RUN, "--home", str(home), *words]
    ended = subprocess.run(line, capture_output=True, text=True, check=True)
    status, *imported = ended.stdout.splitlines()[-1].split()
    assert (int(status), set(imported)) == (0, wanted), ended.stderr


def test_the_table_of_commands_names_each_with_its_module() -> None:
    modules = {module.name for module in pkgutil.iter_modules(cli.__path__)} - {"__main__"}
    held = {
        name: getattr(import_module(f"coordinator.cli.{name}"), "COMMANDS", {}) for name in modules
    }
    verbs = {verb: name for name, commands in held.items() for verb in commands.get("", ())}
    assert verbs == command_tree.VERBS
    assert all(noun in held[name] for noun, (name, _) in command_tree.GROUPS.items())
