"""The nouns that are remembered.

Whole facts only: bytes, integers, text, UTC moments. What a signature is worth, or what an
address looks like, is decided above this room, each time anew.
"""

from storage.model.cards import Card, Carrier, Item, Key
from storage.model.ceremonies import Ceremony, Reservation, Signature
from storage.model.chain import (
    Address,
    ChainEvent,
    ChainTransaction,
    Coin,
    NodeRules,
    Scan,
    SyncState,
)
from storage.model.custody import CustodyEvent, CustodyText, Holder, Location
from storage.model.descriptors import DescriptorCopy
from storage.model.drills import Drill, DrillProof
from storage.model.knowledge import CardSecret
from storage.model.labels import Label
from storage.model.record import Record
from storage.model.sealing import Seal
from storage.model.succession import Succession
from storage.model.vaults import Cosigner, Vault, Verification

__all__ = [
    "Address",
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
    "Succession",
    "SyncState",
    "Vault",
    "Verification",
]
