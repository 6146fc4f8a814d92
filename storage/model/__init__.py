"""The nouns that are remembered.

Whole facts only: bytes, integers, text, UTC moments. What a signature is worth, or what an
address looks like, is decided above this room, each time anew.

A noun's module is imported when the noun is first named: to have SQLAlchemy map all of them takes
longer than most commands work.
"""

import sys
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import CheckConstraint, MetaData

from storage.model.record import Record

if TYPE_CHECKING:
    from storage.model.card_secrets import CardSecret
    from storage.model.cards import Card, Carrier, Item, Key
    from storage.model.ceremonies import Ceremony, Reservation, Signature
    from storage.model.chain import Address, ChainTransaction, Coin, Scan, SyncState
    from storage.model.chain_events import ChainEvent
    from storage.model.custody import CustodyEvent, CustodyText, Holder, Location
    from storage.model.descriptors import DescriptorCopy
    from storage.model.drills import Drill, DrillProof
    from storage.model.labels import Label
    from storage.model.node_rules import NodeRules
    from storage.model.sealing import Seal
    from storage.model.statements import Statement
    from storage.model.succession import Succession
    from storage.model.vaults import BranchKey, Cosigner, Vault, VaultBranch, Verification

__all__ = [
    "Address",
    "BranchKey",
    "Card",
    "CardSecret",
    "Carrier",
    "Ceremony",
    "ChainEvent",
    "ChainTransaction",
    "Coin",
    "Cosigner",
    "CustodyEvent",
    "CustodyText",
    "DescriptorCopy",
    "Drill",
    "DrillProof",
    "Holder",
    "Item",
    "Key",
    "Label",
    "Location",
    "NodeRules",
    "Record",
    "Reservation",
    "Scan",
    "Seal",
    "Signature",
    "Statement",
    "Succession",
    "SyncState",
    "Vault",
    "VaultBranch",
    "Verification",
    "whole_schema",
]

NOUNS: Final = {
    "cards": ("Card", "Carrier", "Item", "Key"),
    "ceremonies": ("Ceremony", "Reservation", "Signature"),
    "chain": ("Address", "ChainTransaction", "Coin", "Scan", "SyncState"),
    "chain_events": ("ChainEvent",),
    "custody": ("CustodyEvent", "CustodyText", "Holder", "Location"),
    "descriptors": ("DescriptorCopy",),
    "drills": ("Drill", "DrillProof"),
    "card_secrets": ("CardSecret",),
    "labels": ("Label",),
    "node_rules": ("NodeRules",),
    "sealing": ("Seal",),
    "statements": ("Statement",),
    "succession": ("Succession",),
    "vaults": ("BranchKey", "Cosigner", "Vault", "VaultBranch", "Verification"),
}  # fmt: skip
"""Which module has which nouns."""
CUSTODY: Final = "storage.model.custody"


@cache
def whole_schema() -> MetaData:
    """Return every table there is, with what each refuses."""
    for module in NOUNS:
        import_module(f"storage.model.{module}")
    for noun in Record.__subclasses__():
        for check in noun.checks:
            Record.metadata.tables[noun.__tablename__].append_constraint(
                CheckConstraint(check.condition, name=check.name)
            )
    return Record.metadata


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- any noun; type checkers read the imports above
    """Import the noun of this name."""
    for module, nouns in NOUNS.items():
        if name in nouns:
            found = getattr(import_module(f"storage.model.{module}"), name)
            if CUSTODY in sys.modules:
                import_module("storage.private_rows")  # what seals and reveals private rows
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
