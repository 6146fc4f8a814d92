"""All targets side by side, a process each: `python -m tests.fuzz [--seconds N] [NAME…]`.

With atheris (Linux on x86-64; the dependency group `fuzz`) the search is led by coverage; without
it the seeded mutator goes on for as long. A finding is kept as `corpus/NAME/found-…`; with
`--keep` so are the inputs that together reach what was reached, as few and as small as they are.
"""

import argparse
import hashlib
import importlib
import itertools
import os
import re
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from tempfile import mkdtemp

try:
    import atheris
except ImportError:
    atheris = None

PACKAGES = ["psbt", "embit", "cards", "coordinator", "storage"]
with atheris.instrument_imports(include=PACKAGES) if atheris else nullcontext():
    for late in (
        "coordinator.chain.bdk",
        "storage.encryption",
    ):  # imported when needed
        with suppress(ImportError):
            importlib.import_module(late)
    from tests.fuzz.mutation import mutated
    from tests.fuzz.reach import least
    from tests.fuzz.table import TARGETS
    from tests.fuzz.target import CORPUS, Fuzzed, Target, kept
    from tests.fuzz.work import TooMuchWork

TIMEOUT_SECONDS = 25
MEMORY_MB = 2_048
FOUND = "found-"
ARTIFACTS = ("crash-*", "timeout-*", "oom-*", "leak-*")
NUMBERS = re.compile(rb"#(\d+)\s.*?cov: (\d+)")
DIED = 70
LINES_TOLD = 24


def main(words: Sequence[str]) -> int:
    """Run the targets named, or all of them; 1 where anything was found."""
    given = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    given.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TARGETS))
    given.add_argument("--seconds", type=int, default=60)
    given.add_argument("--keep", action="store_true", help="keep the inputs that reach most")
    asked = given.parse_args(words)
    names = asked.names or list(TARGETS)
    folder = Path(mkdtemp(prefix="cardquorum-fuzz-"))
    searches = [Search(TARGETS[name], folder / name) for name in names]
    for pid in [forked(search.whole, asked.seconds, asked.keep) for search in searches]:
        os.waitpid(pid, 0)
    findings = {search.target.name: search.findings() for search in searches}
    print(f"{'target':20} {'runs':>10} {'coverage':>9} findings")  # noqa: T201 -- a program
    for search in searches:
        runs, coverage = search.numbers()
        found = len(findings[search.target.name])
        print(f"{search.target.name:20} {runs:>10} {coverage:>9} {found}")  # noqa: T201 -- a program's output
    for name, told in findings.items():
        for each in told:
            print(f"\n{name}: {each}")  # noqa: T201 -- a program's output
    if any(findings.values()):
        print(f"\nlogs: {folder}")  # noqa: T201 -- a program's output
        return 1
    shutil.rmtree(folder)
    return 0


def forked(act: Callable[..., object], *given: object) -> int:
    """Do something in a process of its own; return its id."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        act(*given)
    finally:
        os._exit(DIED)


class Search:
    """One target, and the folder its search works in."""

    def __init__(self, target: Target, folder: Path) -> None:
        self.target = target
        self._folder = folder
        self._work = folder / "work"
        self._log = folder / "log"

    def whole(self, seconds: int, keep: bool) -> None:  # noqa: FBT001 -- forked
        """Search, then count the work of all that was reached; never returns."""
        self._work.mkdir(parents=True)
        log = os.open(self._log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        given = [*self.target.seeds(), *kept(self.target).values()]
        for number, data in enumerate(given):
            (self._work / f"seed-{number:04}").write_bytes(data)
        os.waitpid(forked(self._search, seconds), 0)
        fuzzed = Fuzzed(self.target, self._folder / "counted")
        for data in self._inputs():
            self._note_what_comes_out(fuzzed.read_counted, data)
        self._keep_findings()
        if keep:
            self._keep_least(fuzzed)
        os._exit(0)

    def numbers(self) -> tuple[int, int]:
        """Return how many runs there were, and how many places they reached."""
        found = NUMBERS.findall(self._log.read_bytes())
        return (int(found[-1][0]), int(found[-1][1])) if found else (0, 0)

    def findings(self) -> list[str]:
        """Return what was found, as text."""
        artifacts = [file.name for kind in ARTIFACTS for file in self._folder.glob(kind)]
        told = [file.read_text() for file in sorted(self._folder.glob(f"{FOUND}*.txt"))]
        return [*told, *artifacts]

    def _search(self, seconds: int) -> None:
        """Search until the time is over; never returns."""
        fuzzed = Fuzzed(self.target, self._folder / "searched")
        if atheris is None:
            self._search_plainly(fuzzed, seconds)
            os._exit(0)
        options = (
            f"-max_total_time={seconds}",
            f"-max_len={self.target.longest}",
            f"-timeout={TIMEOUT_SECONDS}",
            f"-rss_limit_mb={MEMORY_MB}",
            f"-artifact_prefix={self._folder}/",
            "-print_final_stats=1",
            "-reload=0",
        )
        atheris.Setup(
            [sys.argv[0], str(self._work), *options],
            lambda data: self._note_what_comes_out(fuzzed.read, data),
        )
        atheris.Fuzz()

    def _search_plainly(self, fuzzed: Fuzzed, seconds: int) -> None:
        """Mutate the seeds for so long, another way each round."""
        target, seeds = self.target, self._inputs()
        until = time.monotonic() + seconds
        for number in itertools.count():
            for data in mutated(seeds, target.longest, target.runs, f"{target.name} {number}"):
                self._note_what_comes_out(fuzzed.read_counted, data)
            os.write(1, b"#%d cov: 0\n" % ((number + 1) * target.runs))
            if time.monotonic() > until:
                return

    def _inputs(self) -> list[bytes]:
        return [file.read_bytes() for file in sorted(self._work.iterdir())]

    def _note_what_comes_out(self, read: Callable[[bytes], object], data: bytes) -> None:
        """Hand one input over; write it down, once for each place something comes out of."""
        try:
            read(data)
        except (Exception, TooMuchWork) as error:  # noqa: BLE001 -- whatever it is, it is a finding
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{type(error).__name__} {frame.filename} {frame.name}"
            name = FOUND + hashlib.sha256(place.encode()).hexdigest()[:12]
            if not (self._folder / name).exists():
                (self._folder / name).write_bytes(data)
                (self._folder / f"{name}.txt").write_text(
                    "".join(traceback.format_exc().splitlines(keepends=True)[-LINES_TOLD:])
                )

    def _keep_findings(self) -> None:
        place = CORPUS / self.target.name
        place.mkdir(parents=True, exist_ok=True)
        for kind in (f"{FOUND}*", *ARTIFACTS):
            for file in self._folder.glob(kind):
                if file.suffix != ".txt":
                    name = file.name if file.name.startswith(FOUND) else FOUND + file.name[:20]
                    shutil.copy(file, place / name)

    def _keep_least(self, fuzzed: Fuzzed) -> None:
        """Replace what is kept by the fewest inputs that reach as much, beside what was found."""
        place, before = CORPUS / self.target.name, kept(self.target)
        found = {name: data for name, data in before.items() if name.startswith(FOUND)}
        given = [*self.target.seeds(), *found.values()]
        chosen = least(fuzzed.read, given, set(self._inputs()) - set(given))
        for name in before.keys() - found.keys():
            (place / name).unlink()
        for data in chosen:
            (place / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
