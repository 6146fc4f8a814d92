"""PSBTs as others may write them: another transaction, other fields, within the same maps."""

from collections.abc import Callable, Sequence

from psbt import codec, fields
from psbt.fields import Fields, Maps
from psbt.fields import write as written
from psbt.transaction import Transaction, TransactionOutput, parse_unsigned

__all__ = ["paying", "with_inputs", "with_transaction", "written"]


def with_transaction(maps: Maps, transaction: Transaction) -> Maps:
    """Return the maps around another unsigned transaction."""
    own = {**maps.globals, fields.GLOBAL_UNSIGNED_TX: transaction.stripped}
    return maps._replace(globals=own)


def paying(psbt: str, outputs: Sequence[TransactionOutput]) -> bytes:
    """Return a PSBT that spends the same coins to these outputs, of which it says nothing."""
    maps = codec.read_maps(psbt)
    old = parse_unsigned(maps.globals[fields.GLOBAL_UNSIGNED_TX])
    new = Transaction(old.inputs, tuple(outputs), old.version, old.locktime)
    return written(with_transaction(maps, new)._replace(outputs=tuple({} for _ in outputs)))


def with_inputs(psbt: str | bytes, change: Callable[[Fields], Fields]) -> bytes:
    """Return a PSBT whose input maps are changed one by one."""
    maps = codec.read_maps(psbt)
    return written(maps._replace(inputs=tuple(change(dict(each)) for each in maps.inputs)))
