"""The codes that scripts rely on: they may be added to, never renamed."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("cards", "coordinator", "psbt", "storage")
FROZEN = Path(__file__).parents[1] / "vectors" / "codes.txt"
SAID_BY = {"Finding", "Caution", "Danger", "Notice", "News", "_news"}
CODE = re.compile("[a-z_]+")


def error_codes() -> set[str]:
    """Return the code of each error class: its name in snake_case."""
    names = {
        node.name
        for room in ROOMS
        for path in (ROOT / room).rglob("errors.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    }
    return {re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower() for name in names}


def said_codes() -> set[str]:
    """Return the codes of findings, warnings and dangers, a name in braces where it varies."""
    return {
        code
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        for code in _in(ast.parse(path.read_text()))
    }


def _in(tree: ast.Module) -> Iterator[str]:
    named = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.func) in SAID_BY:
            first = node.args[0]
            if isinstance(first, ast.Constant):
                yield str(first.value)
            elif isinstance(first, ast.Name) and first.id in named:
                yield named[first.id]
            elif isinstance(first, ast.JoinedStr):
                yield ast.unparse(first).removeprefix("f").strip("'\"")


def test_no_code_is_renamed() -> None:
    frozen = set(FROZEN.read_text().split())
    assert frozen - (error_codes() | said_codes()) == set()


def test_codes_of_dangers_can_be_typed() -> None:
    plain = {code for code in said_codes() if "{" not in code}
    assert {code for code in plain if not CODE.fullmatch(code)} == set()
