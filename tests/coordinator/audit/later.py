"""A vault of three cards at three places, with two later keys, as the facts of an audit."""

from dataclasses import replace
from datetime import UTC, datetime

from coordinator.audit.facts import (
    BranchFacts,
    CoinAges,
    CopyFacts,
    CosignerFacts,
    PlaceFacts,
    VaultFacts,
)
from coordinator.chain.block_dates import ChainClock
from tests.coordinator.audit.test_findings import carrier, key, vault

NOW = datetime(2026, 11, 23, tzinfo=UTC)
TIP = 900_000
YEAR = 52_560
PLACES = {
    name: PlaceFacts(name, kind=kind)
    for name, kind in (
        ("bank", "bank-vault"),
        ("friend", "friend"),
        ("home", "home"),
        ("daughter", "other"),
        ("lawyer", "office"),
    )
}
COSIGNERS = tuple(key(name[0], carrier(name[0], name)) for name in ("bank", "friend", "home"))
HEIR = key("heir", carrier("heir", "daughter"))
LAWYER = key("lawyer", carrier("lawyer", "lawyer"))
NET = BranchFacts("recovery", 2, (HEIR, LAWYER), blocks=YEAR)


def later(*branches: BranchFacts, oldest: int | None = TIP, **more: object) -> VaultFacts:
    """Return the vault with these branches; with two coins, one of the tip, unless it has none."""
    copies = tuple(CopyFacts(f"copy:{name}", name, None) for name in PLACES)
    facts = vault(*COSIGNERS, places=PLACES, copies=copies, created_at=NOW, drilled_at=NOW)
    ages = None if oldest is None else CoinAges(oldest, TIP, 2)
    chain = ChainClock(TIP, NOW, NOW)
    return replace(facts, **{"branches": branches, "ages": ages, "chain": chain, **more})


def with_key(branch: BranchFacts, *keys: CosignerFacts) -> BranchFacts:
    """Return a branch of other keys."""
    return branch._replace(keys=keys)
