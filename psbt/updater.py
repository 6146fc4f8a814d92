"""BIP 174's Updater: what a signer needs to know beside the transaction, as fields of its maps."""

from psbt import fields
from psbt.fields import Fields
from psbt.keys import KeyExpression, Path
from psbt.network import Network
from psbt.policy import Policy, VaultScript
from psbt.transaction import TransactionOutput, sized


def global_fields(policy: Policy) -> Fields:
    """Return the account key of each cosigner with its origin."""
    return {
        fields.GLOBAL_XPUB + _extended_key(key, policy.network): _origin(key, ())
        for key in policy.keys
    }


def input_fields(
    policy: Policy, script: VaultScript, spent: TransactionOutput, previous: bytes
) -> Fields:
    """Return the output spent, the transaction that made it, its script and who can sign."""
    return {
        fields.IN_NON_WITNESS_UTXO: previous,
        fields.IN_WITNESS_UTXO: spent.value_sats.to_bytes(8, "little") + sized(spent.script_pubkey),
        fields.IN_WITNESS_SCRIPT: script.witness_script,
        **_derivations(fields.IN_BIP32_DERIVATION, policy, script),
    }


def change_fields(policy: Policy, script: VaultScript) -> Fields:
    """Return what shows a signer that an output is the vault's own."""
    return {
        fields.OUT_WITNESS_SCRIPT: script.witness_script,
        **_derivations(fields.OUT_BIP32_DERIVATION, policy, script),
    }


def _derivations(kind: bytes, policy: Policy, script: VaultScript) -> Fields:
    keys = sorted(zip(script.pubkeys, policy.keys, strict=True))
    return {kind + pubkey: _origin(key, (script.branch, script.index)) for pubkey, key in keys}


def _origin(key: KeyExpression, rest: Path) -> bytes:
    steps = (step.to_bytes(4, "little") for step in (*key.path, *rest))
    return key.fingerprint + b"".join(steps)


def _extended_key(expression: KeyExpression, network: Network) -> bytes:
    """Serialize as BIP 32 does, without base58."""
    key = expression.key
    return (
        network.xpub_version
        + bytes([key.depth])
        + key.parent_fingerprint
        + key.child_number.to_bytes(4, "big")
        + key.chain_code
        + key.public_key
    )
