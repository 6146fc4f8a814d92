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

NEVER = frozenset(
    {
        "PIL", "aiohttp", "alembic", "bdkpython", "cv2", "http.server", "jinja2", "mako",
        "multiprocessing", "numpy", "pbk", "playwright", "prompt_toolkit", "psycopg", "pydantic",
        "qrcode", "questionary", "readline", "reportlab", "rich", "segno", "smartcard",
        "sqlalchemy.dialects.postgresql", "starlette", "uvicorn", "xml.etree", "zxingcpp",
        "coordinator.chain.bdk", "coordinator.web", "tests",
    }
)  # fmt: skip
"""What no command that only looks at a small home may load."""
LINE = {"annotated_doc", "shellingham", "typer"}
SQL = LINE | {"cbor2", "coincurve", "embit", "sqlalchemy", "typing_extensions"}
SIGNED = SQL | {"cryptography"}
"""Approvals are Ed25519 signatures."""
RUN = f"""
import sys
from coordinator.cli import run
status = run(sys.argv[1:])
files = {{name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}}
foreign = {{name.partition(".")[0] for name, file in files.items() if "site-packages" in file}}
print(status, *sorted({set(NEVER)} & sys.modules.keys()))
print(*sorted(name for name in foreign if not name.startswith("_")))
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
        (("--help",), LINE),
        (("card", "--help"), LINE),
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
    ending, foreign = ended.stdout.splitlines()[-2:]
    status, *never = ending.split()
    assert (int(status), never) == (0, []), ended.stderr
    assert set(foreign.split()) == wanted


def test_the_table_of_commands_names_each_with_its_module() -> None:
    modules = {module.name for module in pkgutil.iter_modules(cli.__path__)} - {"__main__"}
    held = {
        name: getattr(import_module(f"coordinator.cli.{name}"), "COMMANDS", {}) for name in modules
    }
    verbs = {verb: name for name, commands in held.items() for verb in commands.get("", ())}
    assert verbs == command_tree.VERBS
    assert all(noun in held[name] for noun, (name, _) in command_tree.GROUPS.items())
