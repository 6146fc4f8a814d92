"""Keys and policies as the database has them, read back and held against each other."""

from psbt.errors import PolicyError, PsbtError
from psbt.keys import ExtendedPublicKey, KeyExpression, parse_path
from psbt.network import Network
from psbt.policy import Policy, format_descriptor, parse_descriptor, policy_checksum
from storage.model import Key, Vault


def key_expression(key: Key) -> KeyExpression:
    """Return a stored key as psbt has it; raises PolicyError where the row cannot be one."""
    extended = ExtendedPublicKey(
        key.public_key, key.chain_code, key.depth, key.parent_fingerprint, key.child_number
    )
    return KeyExpression(key.fingerprint, parse_path(key.path), extended)


def stored_policy(vault: Vault) -> Policy:
    """Return a vault's policy from its keys, held against its descriptor.

    Raises PolicyError where the two rows tell different stories.
    """
    policy = rebuilt_policy(vault)
    if format_descriptor(policy) != vault.descriptor:
        raise _disagreement(vault)
    return policy


def rebuilt_policy(vault: Vault) -> Policy:
    """Return a vault's policy from its rows; its form and keychains are those of its descriptor.

    Its keys, threshold, script and network are what the rows say.
    """
    keys = tuple(key_expression(cosigner.key) for cosigner in vault.cosigners)
    try:
        network = Network(vault.network)
    except ValueError as failure:
        raise PolicyError(f"vault {vault.name} is for no known network") from failure
    try:
        written = parse_descriptor(vault.descriptor, network)
    except PolicyError as failure:
        raise _disagreement(vault) from failure
    keychains = written.keychains if len(written.keys) == len(keys) else ()
    return Policy(vault.threshold, keys, network, vault.script, written.sorted_keys, keychains)


def _disagreement(vault: Vault) -> PolicyError:
    return PolicyError(
        f"the keys stored for vault {vault.name} are not those of its descriptor #{vault.checksum}"
    )


def computed_checksum(vault: Vault) -> str | None:
    """Return the checksum of a vault's descriptor, from its keys; None where rows disagree."""
    try:
        return policy_checksum(stored_policy(vault))
    except PsbtError:
        return None
