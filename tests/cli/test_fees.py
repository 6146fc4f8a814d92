"""What paying costs, and whose word that is."""

from pathlib import Path

import pytest

from coordinator.chain.regtest import RegtestChain
from coordinator.errors import NoEstimate
from tests.cli.test_money import STRANGER, pay
from tests.program import Asked, Program, run_program

TO = ("--to", f"{STRANGER}:400000")


@pytest.fixture
def knows_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain that estimates for 24 blocks and more only."""

    def feerate(_: RegtestChain, blocks: int) -> int:
        if blocks < 24:
            raise NoEstimate(f"no fee rate is known for {blocks} blocks")
        return 3_250

    monkeypatch.setattr(RegtestChain, "feerate", feerate)


def test_a_rate_is_typed_or_estimated(vault: Asked) -> None:
    assert pay(vault, *TO)["feerate_source"] == "typed"
    made = vault("spend", "create", "v", *TO, "--target", "6")
    assert made["feerate_source"] == "estimate"
    assert 1_000 <= made["review"]["feerate"] < 1_020
    assert vault("spend", "create", "v", *TO)["feerate_source"] == "estimate"
    both = ("--feerate", "1", "--target", "2")
    assert vault("spend", "create", "v", *TO, *both, check=2)["error"]["code"] == "usage_error"


@pytest.mark.usefixtures("knows_little")
def test_without_an_estimate_the_fallback_is_taken_and_told(vault: Asked, program: Program) -> None:
    words = ("spend", "create", "v", *TO, "--dry-run")
    told = program("--json", *words, "--target", "1")
    assert told.document["feerate_source"] == "fallback"
    assert 10_000 <= told.document["review"]["feerate"] < 10_100
    assert told.err == "the chain has no estimate for 1 block: 10 sat/vB are taken\n"
    known = program("--json", *words, "--target", "24")
    assert (known.document["feerate_source"], known.err) == ("estimate", "")
    assert 3_250 <= known.document["review"]["feerate"] < 3_280
    merged = vault("spend", "consolidate", "v")
    assert merged["feerate_source"] == "fallback"
    assert 10_000 <= merged["review"]["feerate"] < 10_100


@pytest.mark.usefixtures("knows_little")
def test_rates_are_listed_by_target(program: Program) -> None:
    program("init", "--network", "regtest")
    found = program("--json", "fees").document["fees"]
    assert [each["target"] for each in found] == [1, 3, 6, 12, 24, 144]
    assert [each["source"] for each in found] == ["fallback"] * 4 + ["estimate"] * 2
    assert [each["feerate"] for each in found] == [10_000] * 4 + [3_250] * 2
    lines = program("fees").out.splitlines()
    assert lines[1].split() == ["1", "block", "10", "fallback"]
    assert lines[-1].split() == ["144", "blocks", "3.25", "estimate"]


def test_a_home_without_a_chain_has_no_rates(tmp_path: Path) -> None:
    home = tmp_path / "home"
    run_program(home, "init", "--network", "mainnet", "--chain", "none:")
    assert "--feerate" in run_program(home, "fees", check=2).err
