"""What is installed is pinned by hash, and what is built is the same wherever it is built."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = sorted((ROOT / "locks").glob("*.txt"))
PACKAGES = ("coordinator", "cards", "psbt", "storage")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
PIN = re.compile(r"[A-Za-z0-9._-]+==[^ ;]+( ; .+)?")
MONTH = 30 * 24 * 3600


class Pinned(NamedTuple):
    """A line of a lock file: a requirement and its hashes."""

    text: str
    hashes: list[str]

    @property
    def requirement(self) -> Requirement:
        return Requirement(self.text)


def pins(name: str) -> Iterator[Pinned]:
    text = (ROOT / "locks" / f"{name}.txt").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        pin, *hashes = (word.strip() for word in re.split(r"(?=--)", line))
        yield Pinned(pin, hashes)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_a_lock_holds_versions_and_hashes_and_nothing_of_where_they_came_from(lock: Path) -> None:
    text = lock.read_text()
    assert not re.search(r"://|file:|index|find-links|^-", text, re.MULTILINE)
    for pin in pins(lock.stem):
        assert PIN.fullmatch(pin.text), pin.text
        assert pin.hashes, pin.text
        assert all(HASH.fullmatch(each) for each in pin.hashes), pin.text


def wanted(lock: str) -> list[str]:
    """Return the requirements of pyproject.toml a lock is made for."""
    extras, groups = PROJECT["project"]["optional-dependencies"], PROJECT["dependency-groups"]
    run = [*PROJECT["project"]["dependencies"], *extras["regtest"]]
    test = [*run, *groups["dev"], *groups["fuzz"]]
    of_lock = {
        "base": PROJECT["project"]["dependencies"],
        "run": run,
        "test": test,
        "judges": [*test, *groups["judges"], *extras["pcsc"], *extras["bdk"], *extras["camera"]],
    }
    found: list[str] = of_lock.get(lock) or groups[lock]
    return found


@pytest.mark.parametrize("lock", [path.stem for path in LOCKS])
def test_every_range_of_the_project_has_a_pin_that_fits(lock: str) -> None:
    """Where this fails a dependency was added or changed: run make locks."""
    locked: dict[str, list[Pinned]] = {}
    for pin in pins(lock):
        locked.setdefault(canonicalize_name(pin.requirement.name), []).append(pin)
    for text in wanted(lock):
        requirement = Requirement(text)
        versions = {
            specifier.version
            for pin in locked.get(canonicalize_name(requirement.name), [])
            for specifier in pin.requirement.specifier
        }
        fitting = [
            each for each in versions if requirement.specifier.contains(each, prereleases=True)
        ]
        assert fitting, f"{text} has no pin in locks/{lock}.txt"


@pytest.mark.parametrize("lock", ["base", "run", "test"])
def test_what_a_camera_needs_is_installed_by_those_who_want_it(lock: str) -> None:
    assert not any(pin.requirement.name == "opencv-python-headless" for pin in pins(lock))


def test_the_smaller_locks_pin_what_the_largest_does() -> None:
    largest = {pin.text: pin.hashes for pin in pins("judges")}
    names = {pin.requirement.name for pin in pins("judges")}
    for lock in ("base", "run", "test", "build"):
        for pin in pins(lock):
            if pin.requirement.name in names:
                assert largest[pin.text] == pin.hashes, lock


def test_two_builds_of_the_wheel_are_identical(tmp_path: Path) -> None:
    """Folder, time, umask and time zone leave no trace."""
    built = []
    for name, umask, age, zone in (
        ("one", 0o022, 0, "UTC"),
        ("other/deep", 0o077, MONTH, "Asia/Tokyo"),
    ):
        tree = tmp_path / name
        for package in PACKAGES:
            shutil.copytree(
                ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__")
            )
        for file in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
            shutil.copy(ROOT / file, tree / file)
        for path in tree.rglob("*"):
            os.utime(path, (path.stat().st_mtime - age,) * 2)
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "out"],
            cwd=tree, check=True, capture_output=True, umask=umask, env={**os.environ, "TZ": zone},
        )  # fmt: skip
        (wheel,) = (tree / "out").glob("*.whl")
        built.append((wheel.name, wheel.read_bytes()))
    assert built[0] == built[1]
