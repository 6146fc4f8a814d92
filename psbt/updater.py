"""BIP 174's Updater: what a signer needs to know beside the transaction, as fields of its maps."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from psbt import codec, fields, taproot
from psbt.codec import Psbt
from psbt.coins import Outpoint
from psbt.fields import Fields, Maps
from psbt.keys import Path, serialized_key
from psbt.ownership import own_inputs
from psbt.policy import Policy, VaultScript, vault_script
from psbt.sighash import script_code, spent_outputs
from psbt.transaction import Transaction, TransactionOutput, parse_unsigned, sized


class DerivationKinds(NamedTuple):
    """The types of a map's derivations: of a public key, and of an x-only one."""

    key: bytes
    leaf_key: bytes


INPUT: Final = DerivationKinds(fields.IN_BIP32_DERIVATION, fields.IN_TAP_BIP32_DERIVATION)
OUTPUT: Final = DerivationKinds(fields.OUT_BIP32_DERIVATION, fields.OUT_TAP_BIP32_DERIVATION)


def global_fields(policy: Policy) -> Fields:
    """Return each account key of the policy with its origin."""
    version = policy.network.xpub_version
    return {
        fields.GLOBAL_XPUB + serialized_key(expression.key, version): _origin(
            expression.fingerprint, expression.path
        )
        for expression in policy.all_keys
    }


def input_fields(
    policy: Policy, script: VaultScript, spent: TransactionOutput, *, previous: bytes
) -> Fields:
    """Return the output spent, the transaction that made it, its script and who can sign."""
    stated = spent.value_sats.to_bytes(8, "little") + sized(spent.script_pubkey)
    held = {
        fields.IN_NON_WITNESS_UTXO: previous,
        fields.IN_WITNESS_UTXO: stated if script.amount_signed else None,
        fields.IN_REDEEM_SCRIPT: script.redeem_script,
        fields.IN_WITNESS_SCRIPT: script.witness_script,
    }
    if script.kind == "tr":
        version = bytes([taproot.LEAF_VERSION])
        held |= {
            fields.IN_TAP_LEAF_SCRIPT + script.control_block: script.code + version,
            fields.IN_TAP_INTERNAL_KEY: script.internal,
            fields.IN_TAP_MERKLE_ROOT: taproot.leaf_hash(script.code),
        }
    return {**_held(held), **_derivations(policy, script, INPUT)}


def change_fields(policy: Policy, script: VaultScript) -> Fields:
    """Return what shows a signer that an output is the vault's own."""
    held = {
        fields.OUT_REDEEM_SCRIPT: script.redeem_script,
        fields.OUT_WITNESS_SCRIPT: script.witness_script,
    }
    if script.kind == "tr":
        held |= {
            fields.OUT_TAP_INTERNAL_KEY: script.internal,
            fields.OUT_TAP_TREE: taproot.tree_of(script.code),
        }
    return {**_held(held), **_derivations(policy, script, OUTPUT)}


def _held(values: Mapping[bytes, bytes | None]) -> Fields:
    return {key: value for key, value in values.items() if value is not None}


class OwnCoin(NamedTuple):
    """Where a coin of the vault was derived, and the transaction that made it."""

    place: tuple[int, int]
    previous: Transaction


def completed(
    maps: Maps,
    policy: Policy,
    coins: Mapping[Outpoint, OwnCoin],
    *,
    places: Mapping[bytes, tuple[int, int]],
) -> Maps:
    """Return the maps with what they leave out about the vault's own coins and outputs.

    `places` is, by script, where own outputs are derived; nothing is believed that does not derive.
    What is there already stays, but for where the vault's own keys come from.
    """
    transaction = parse_unsigned(maps.globals[fields.GLOBAL_UNSIGNED_TX])
    inputs = [
        _completed_input(given, policy, tx_in.outpoint, coins=coins)
        for given, tx_in in zip(maps.inputs, transaction.inputs, strict=True)
    ]
    outputs = [
        _completed_output(given, policy, tx_out.script_pubkey, places=places)
        for given, tx_out in zip(maps.outputs, transaction.outputs, strict=True)
    ]
    own = {**maps.globals, **global_fields(policy)}
    return Maps(own, tuple(inputs), tuple(outputs))


def without_previous(psbt: Psbt, policy: Policy) -> Psbt:
    """Return a copy without the vault's previous transactions, for devices with little memory.

    Each output spent is stated instead, where its amount is signed (BIP 143): a signer that
    believes a wrong one makes no valid signature. Inputs of others stay as they are.
    """
    slim, spent = codec.copy(psbt), spent_outputs(psbt)
    for index in own_inputs(psbt, policy):
        psbt_in = slim.inputs[index]
        if script_code(index, psbt_in, spent[index].script_pubkey).amount_signed:
            codec.slim_input(psbt_in, spent[index])
    return slim


def _completed_input(
    given: Fields, policy: Policy, outpoint: Outpoint, *, coins: Mapping[Outpoint, OwnCoin]
) -> Fields:
    coin = coins.get(outpoint)
    if coin is None or outpoint.vout >= len(coin.previous.outputs):
        return given
    spent = coin.previous.outputs[outpoint.vout]
    script = vault_script(policy, *coin.place)
    if script.script_pubkey != spent.script_pubkey:
        return given
    derivations = _derivations(policy, script, INPUT)
    return {
        **input_fields(policy, script, spent, previous=coin.previous.raw),
        **given,
        **derivations,
    }


def _completed_output(
    given: Fields, policy: Policy, script_pubkey: bytes, *, places: Mapping[bytes, tuple[int, int]]
) -> Fields:
    place = places.get(script_pubkey)
    script = vault_script(policy, *place) if place else None
    if script is None or script.script_pubkey != script_pubkey:
        return given
    derivations = _derivations(policy, script, OUTPUT)
    return {**change_fields(policy, script), **given, **derivations}


def _derivations(policy: Policy, script: VaultScript, kinds: DerivationKinds) -> Fields:
    """Return where each key of a script comes from; of taproot the internal one's too."""
    place = script.keychain, script.index
    keys = sorted(zip(script.points, policy.places, strict=True))
    found = {pubkey: _origin(use.expression.fingerprint, use.path(*place)) for pubkey, use in keys}
    if script.kind != "tr":
        return {kinds.key + pubkey: origin for pubkey, origin in found.items()}
    leaves = b"\x01" + taproot.leaf_hash(script.code)
    above = _origin(policy.unspendable.fingerprint, place)
    return {
        **{kinds.leaf_key + key[1:]: leaves + origin for key, origin in found.items()},
        kinds.leaf_key + script.internal: b"\x00" + above,
    }


def _origin(fingerprint: bytes, path: Path) -> bytes:
    return fingerprint + b"".join(step.to_bytes(4, "little") for step in path)
