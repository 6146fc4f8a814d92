"""The house's rules and budgets, held against the code itself."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("cards", "coordinator", "psbt", "storage")
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
TEST_FILES = sorted((ROOT / "tests").rglob("*.py"))
MIGRATIONS = ROOT / "storage" / "migrations"
SECRET_READERS = re.compile(r"commands|channel|emulat|attendant|session|pin|seeds|slots")

BROAD_EXCEPTS = {
    "coordinator/cli/__init__.py",  # the entry
    "coordinator/signing/collector.py",  # the end of a thread that serves a card
    "coordinator/web/app.py",  # the page's entry
    "coordinator/web/tasks.py",  # the end of a thread that does something for the page
}

PLACES = {
    "embit": ("psbt/",),
    "sqlalchemy": ("storage/", "coordinator/"),  # its sessions, which storage hands out, cross
    "alembic": ("storage/",),
    "pbk": ("psbt/", "coordinator/chain/"),
    "smartcard": ("cards/pcsc.py",),
    "typer": ("coordinator/cli/",),
    "questionary": ("coordinator/cli/prompts.py",),
    "starlette": ("coordinator/web/",),
    "uvicorn": ("coordinator/web/serving.py",),
    "filelock": ("cards/emulation.py", "coordinator/chain/", "coordinator/home/"),
}
"""Where each library may be imported: its exceptions are translated there."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function):
            yield node


def is_command(path: Path, function: Function) -> bool:
    """Tell whether Typer calls it, with the command line's options as its arguments."""
    return "cli" in path.parts and (function.name == "_root" or function.name[0] != "_")


def lines_of(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def docstring_lines(path: Path) -> int:
    tree = ast.parse(path.read_text())
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    first = (node.body[0] for node in ast.walk(tree) if isinstance(node, kinds) and node.body)
    return sum(
        (node.end_lineno or node.lineno) - node.lineno + 1
        for node in first
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_a_file_is_at_most_600_lines() -> None:
    lengths = {named(path): len(path.read_text().splitlines()) for path in FILES + TEST_FILES}
    assert {name: length for name, length in lengths.items() if length > 600} == {}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def import_graph() -> dict[str, set[str]]:
    """Return who imports whom, wherever in a file and whatever for.

    A package is imported where a name is taken from it that is no module of its own.
    """
    paths = {module_of(path): path for path in FILES}
    graph: dict[str, set[str]] = {}
    for module, path in paths.items():
        named = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                full = {f"{node.module}.{alias.name}" for alias in node.names}
                named |= full & paths.keys()
                named |= {node.module} if full - paths.keys() else set()
        graph[module] = named & paths.keys()
    return graph


DOCUMENTS = ("coordinator/cli/", "coordinator/web/", "coordinator/interop/")
"""Where JSON is written for people and scripts, and where foreign JSON is read."""


def test_below_the_surface_results_have_types() -> None:
    found = [
        named(path)
        for path in FILES
        if named(path).startswith("coordinator/")
        and not named(path).startswith(DOCUMENTS)
        and "dict[str, Any]" in path.read_text()
    ]
    assert found == []


def test_no_import_goes_in_a_circle() -> None:
    graph = import_graph()
    while leaves := [module for module, wanted in graph.items() if not wanted & graph.keys()]:
        for module in leaves:
            del graph[module]
    assert graph == {}  # whoever is left imports one that imports it, in the end


def test_the_coordinator_itself_is_at_most_a_dozen_files() -> None:
    assert len(list((ROOT / "coordinator").glob("*.py"))) <= 12


def test_a_function_is_at_most_60_lines() -> None:
    lengths = {
        f"{path.relative_to(ROOT)}:{function.name}": lines_of(function)
        for path in FILES
        if MIGRATIONS not in path.parents
        for function in functions(path)
    }
    assert {name: length for name, length in lengths.items() if length > 60} == {}


def test_arguments_beyond_the_third_are_given_by_name() -> None:
    found = [
        f"{named(path)}:{function.lineno} {function.name}"
        for path in FILES
        for function in functions(path)
        if not is_command(path, function)
        and len([a for a in function.args.args if a.arg not in {"self", "cls"}]) > 3
    ]
    assert found == []


def test_docstrings_are_at_most_a_quarter_of_the_lines() -> None:
    total = sum(len(path.read_text().splitlines()) for path in FILES)
    assert sum(docstring_lines(path) for path in FILES) <= total / 4


def test_a_library_has_one_place_each() -> None:
    strangers = [
        f"{named(path)} imports {library}"
        for path in FILES
        for library in {name.split(".")[0] for name in imports(path)} & PLACES.keys()
        if not named(path).startswith(PLACES[library])
    ]
    assert strangers == []


def test_no_assert_and_no_broad_except() -> None:
    found = []
    for path in FILES:
        broad = 0
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assert):
                found.append(f"{named(path)}:{node.lineno} asserts")
            elif isinstance(node, ast.ExceptHandler):
                kind = "Exception" if node.type is None else ast.unparse(node.type)
                broad += kind in {"Exception", "BaseException"}
        if broad > (named(path) in BROAD_EXCEPTS):
            found.append(f"{named(path)} catches everything")
    assert found == []


def test_only_commands_channels_and_emulators_reveal_secrets() -> None:
    revealing = [
        str(path.relative_to(ROOT))
        for path in FILES
        if ".reveal()" in path.read_text() and not SECRET_READERS.search(path.stem)
    ]
    assert revealing == []


def test_one_place_per_room_reads_the_clock() -> None:
    clocks = re.compile(r"datetime\.now\(|datetime\.utcnow\(|time\.time\(")
    readers = [str(p.relative_to(ROOT)) for p in FILES if clocks.search(p.read_text())]
    assert readers == ["cards/satochip/attestation.py", "coordinator/clock.py"]


def test_the_error_trees_are_drawn() -> None:
    for room in ROOMS:
        path = ROOT / room / "errors.py"
        tree = ast.parse(path.read_text())
        drawn = ast.get_docstring(tree) or ""
        classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
        assert [name for name in classes if name not in drawn] == []


def test_no_names_the_house_forbids() -> None:
    forbidden = re.compile(r"(Manager|Helper|Util|Base|Impl)$|^(get|do|handle)_")
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                assert not forbidden.search(node.name), f"{path.name}: {node.name}"
