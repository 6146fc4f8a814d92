"""A ceremony goes from state to state, a coin is let go of once, a signature stays."""

from typing import Final

from storage.migrations.tables import refuse

revision = "0020"
down_revision = "0019"

NEXT: Final = {
    "collecting": ("complete", "final", "broadcast", "confirmed", "abandoned", "replaced"),
    "complete": ("final", "broadcast", "confirmed", "abandoned", "replaced"),
    "final": ("broadcast", "confirmed", "abandoned", "replaced"),
    "broadcast": ("confirmed", "replaced"),
    "confirmed": ("broadcast", "replaced"),
    "abandoned": ("broadcast", "confirmed"),
    "replaced": ("confirmed",),
}
"""Where a ceremony goes from each state; the chain may take it anywhere, and back by a reorg."""
KEPT: Final = ("id", "public_id", "vault_id", "branch", "fee_sats", "paid_sats", "created_at")
SIGNABLE: Final = "('collecting', 'complete')"
UNSENT: Final = "('collecting', 'complete', 'final')"
SETTLED: Final = "('confirmed', 'replaced')"
NO_WAY: Final = "a ceremony does not go to that state from the one it is in"
SAME_PAYMENT: Final = "what a ceremony pays stays as it was opened"


def upgrade() -> None:
    """Have the database refuse what no ceremony does."""
    steps = " OR ".join(
        f"(OLD.state = '{state}' AND NEW.state IN {(state, *then)})" for state, then in NEXT.items()
    )
    whole = "(NEW.state <> 'final' OR NEW.final_tx IS NOT NULL)"
    refuse("ceremony_states", f"UPDATE ON ceremony WHEN NOT (({steps}) AND {whole})", NO_WAY)
    payment = " AND ".join(
        [
            *(f"NEW.{column} = OLD.{column}" for column in (*KEPT, "lifetime_seconds")),
            _same("opened_on"),
            f"(NEW.psbt = OLD.psbt OR OLD.state IN {SIGNABLE})",
            f"(NEW.txid = OLD.txid OR OLD.state NOT IN {SETTLED})",
            f"({_same('final_tx')} OR OLD.state IN {UNSENT} OR OLD.state = 'abandoned')",
            f"(NEW.expires_at = OLD.expires_at OR OLD.state IN {UNSENT})",
            "(OLD.broadcast_at IS NULL OR NEW.broadcast_at IS NOT NULL)",
        ]
    )
    refuse("ceremony_payment", f"UPDATE ON ceremony WHEN NOT ({payment})", SAME_PAYMENT)
    refuse("ceremony_kept", "DELETE ON ceremony", "a ceremony is never removed")
    columns = ("id", "ceremony_id", "txid", "vout", "expires_at")
    freed = " AND ".join(
        [
            *(f"NEW.{column} = OLD.{column}" for column in columns),
            "OLD.released_at IS NULL",
            "NEW.released_at IS NOT NULL",
        ]
    )
    once = "a coin is held for a ceremony and let go of once"
    refuse("reservation_freed", f"UPDATE ON reservation WHEN NOT ({freed})", once)
    refuse("reservation_kept", "DELETE ON reservation", once)
    stays = "a signature stays as it came"
    refuse("signature_unchanged", "UPDATE ON signature", stays)
    refuse("signature_kept", "DELETE ON signature", stays)


def _same(column: str) -> str:
    """Return the condition that a column that may be empty stays as it was."""
    empty = f"(NEW.{column} IS NULL AND OLD.{column} IS NULL)"
    both = f"(NEW.{column} IS NOT NULL AND OLD.{column} IS NOT NULL"
    return f"({empty} OR {both} AND NEW.{column} = OLD.{column}))"
