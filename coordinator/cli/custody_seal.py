"""custody seal, unseal, passphrase: places and people as nobody else's business."""

from coordinator.cli.context import Context
from coordinator.cli.output import Result

SEALED = "places, people and notes are sealed; no plain text of them is left in the home"


def seal(context: Context) -> Result:
    """Seal places, people and notes under a passphrase.

    Without it every command goes on working and shows location.1, holder.1 and so on. A
    passphrase that is forgotten loses these names only. Backups made before still hold them.

    \b
    Example: cardquorum custody seal
    """
    from coordinator.cli import attendant_passphrase

    fresh = attendant_passphrase.seal(context)
    lines = [SEALED] if fresh else ["an earlier sealing was cut off; now it is done", SEALED]
    return Result({"sealed": True}, lines)


def unseal(context: Context) -> Result:
    """Keep places, people and notes as plain text again.

    \b
    Example: cardquorum custody unseal
    """
    from coordinator.cli import attendant_passphrase

    attendant_passphrase.unseal(context)
    return Result({"sealed": False}, ["places, people and notes are plain text again"])


def passphrase(context: Context) -> Result:
    """Change the passphrase of a sealed home.

    With --pin-stdin: home.passphrase=OLD and home.new-passphrase=NEW. Copies made before still
    open with the old one; where somebody has both, unseal and seal again.

    \b
    Example: cardquorum custody passphrase
    """
    from coordinator.cli import attendant_passphrase

    attendant_passphrase.require_open(context)
    attendant_passphrase.change_passphrase(context)
    return Result({"sealed": True}, ["the passphrase was changed"])
