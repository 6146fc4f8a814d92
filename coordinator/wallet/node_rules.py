"""What the chain source relays: asked of it, kept, and what a payment is held against with it."""

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.chain import ChainSource
from coordinator.errors import ChainUnreachable
from psbt.relay import CORE_30, RelayRules
from storage import node_rules as rule_book
from storage.database import Database, reading


def refresh(database: Database, chain: ChainSource) -> None:
    """Ask the source what it relays, and keep it; one that does not answer leaves what it said."""
    try:
        said = chain.relay()
    except ChainUnreachable:
        return
    told = rule_book.Told(
        minimum=said.rules.minimum,
        replacement_step=said.rules.replacement_step,
        datacarrier_size=said.rules.datacarrier_size,
        bare_multisig=said.rules.bare_multisig,
        package_count=said.rules.package_count,
        package_vsize=said.rules.package_vsize,
        median_time=said.median_time,
    )
    with reading(database).begin() as db:
        if rule_book.says(rule_book.kept(db), told):
            return
    with database.begin() as db:
        rule_book.keep(db, told, clock.now())


def rules(db: Session) -> RelayRules:
    """Return what the source said last that it relays; Core 30's values where it said nothing."""
    kept = rule_book.kept(db)
    if kept is None:
        return CORE_30
    return RelayRules(
        kept.minimum,
        kept.replacement_step,
        kept.datacarrier_size,
        kept.bare_multisig,
        kept.package_count,
        kept.package_vsize,
    )
