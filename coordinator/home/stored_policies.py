"""Keys and policies as the database has them, read back and held against each other."""

from collections.abc import Callable
from dataclasses import replace

from coordinator.errors import VaultAltered
from psbt.errors import PolicyError, PsbtError
from psbt.keys import ExtendedPublicKey, KeyExpression, parse_path
from psbt.network import Network
from psbt.policy import Branch, Policy, Wait, format_descriptor, parse_descriptor, policy_checksum
from storage.model import Key, Vault


def key_expression(key: Key) -> KeyExpression:
    """Return a stored key as psbt has it; raises PolicyError where the row cannot be one."""
    extended = ExtendedPublicKey(
        key.public_key, key.chain_code, key.depth, key.parent_fingerprint, key.child_number
    )
    return KeyExpression(key.fingerprint, parse_path(key.path), extended)


def stored_policy(vault: Vault) -> Policy:
    """Return a vault's policy from its keys, held against its descriptor.

    Raises VaultAltered where the two tell different stories, or one of them what cannot be.
    """
    try:
        policy = rebuilt_policy(vault)
        same = format_descriptor(policy) == vault.descriptor
    except VaultAltered:
        raise
    except PolicyError as failure:
        raise VaultAltered(vault.name, f"what is stored of its keys: {failure}") from failure
    if not same:
        raise _disagreement(vault)
    return policy


def rebuilt_policy(vault: Vault) -> Policy:
    """Return a vault's policy from its rows; its form and keychains are those of its descriptor.

    Its keys, thresholds, waits, script and network are what the rows say. Raises PolicyError where
    they cannot be those of any policy.
    """
    try:
        network = Network(vault.network)
    except ValueError as failure:
        raise VaultAltered(vault.name, f"vault {vault.name} is for no known network") from failure
    try:
        written = parse_descriptor(vault.descriptor, network)
    except PolicyError as failure:
        raise _disagreement(vault) from failure
    sizes = [len(vault.cosigners), *(len(branch.keys) for branch in vault.recoveries)]
    if sizes != [len(branch.keys) for branch in written.branches]:
        raise _disagreement(vault)
    recoveries = []
    for row, branch in zip(vault.recoveries, written.recoveries, strict=True):
        uses = (
            use._replace(expression=key_expression(place.key))
            for use, place in zip(branch.keys, row.keys, strict=True)
        )
        wait = Wait(row.blocks, row.height)
        recoveries.append(Branch(row.name, row.threshold, tuple(uses), wait))
    return replace(
        written,
        threshold=vault.threshold,
        keys=tuple(key_expression(cosigner.key) for cosigner in vault.cosigners),
        script=vault.script,
        recoveries=tuple(recoveries),
    )


def with_keys(policy: Policy, changed: Callable[[KeyExpression], KeyExpression | None]) -> Policy:
    """Return a policy with other keys in their places, in every branch; None is no change."""

    def own(key: KeyExpression) -> KeyExpression:
        return changed(key) or key

    recoveries = (
        branch._replace(
            keys=tuple(use._replace(expression=own(use.expression)) for use in branch.keys)
        )
        for branch in policy.recoveries
    )
    return replace(policy, keys=tuple(map(own, policy.keys)), recoveries=tuple(recoveries))


def _disagreement(vault: Vault) -> VaultAltered:
    return VaultAltered(
        vault.name,
        f"the keys stored for vault {vault.name} are not those of its descriptor #{vault.checksum}",
    )


def computed_checksum(vault: Vault) -> str | None:
    """Return the checksum of a vault's descriptor, from its keys; None where rows disagree."""
    try:
        return policy_checksum(stored_policy(vault))
    except PsbtError:
        return None
