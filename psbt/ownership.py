"""Which scripts of a PSBT are the vault's, proven by deriving them.

The derivations written in a PSBT only say which index to try; a script is the vault's if the
policy gives it.
"""

from functools import lru_cache

from psbt import codec, taproot
from psbt.address import p2sh, p2tr, p2wsh
from psbt.codec import InputScope, OutputScope, Psbt
from psbt.errors import PsbtError
from psbt.keys import HARDENED
from psbt.miniscript import names_key
from psbt.policy import KEYS_MAX, Policy, VaultScript, vault_script
from psbt.sighash import spent_outputs

derived_script = lru_cache(maxsize=4096)(vault_script)


def own_inputs(psbt: Psbt, policy: Policy) -> dict[int, VaultScript]:
    """Return the vault's script that each input of its own spends, by the input's index.

    Others may spend their coins beside it; raises PsbtError where no input is the vault's.
    """
    found = {}
    for index, (psbt_in, spent) in enumerate(zip(psbt.inputs, spent_outputs(psbt), strict=True)):
        script = _proven(psbt_in, spent.script_pubkey, policy)
        if script is not None:
            found[index] = script
    if not found:
        which = "input 0 does not spend" if len(psbt.inputs) == 1 else "no input spends"
        raise PsbtError(f"{which} a coin of this policy")
    return found


def output_scripts(psbt: Psbt, policy: Policy) -> list[VaultScript | None]:
    """Return the vault's script that each output pays to, None where it is not the vault's."""
    return [_proven(psbt_out, psbt_out.script_pubkey.data, policy) for psbt_out in psbt.outputs]


def claims_own(psbt_out: OutputScope, policy: Policy) -> bool:
    """Tell whether fields of an output say that it is the vault's, whoever wrote them.

    They do where they name one of its cosigners, or a script that is not the output's.
    """
    return names_cosigner(psbt_out, policy) or not scripts_fit(psbt_out)


def names_cosigner(scope: InputScope | OutputScope, policy: Policy) -> bool:
    """Tell whether a derivation names the fingerprint of one of the vault's cosigners."""
    fingerprints = {key.fingerprint for key in policy.all_keys}
    return any(origin.fingerprint in fingerprints for _, origin in codec.origins(scope))


def scripts_fit(psbt_out: OutputScope, *, tree: bytes | None = None) -> bool:
    """Tell whether the scripts stated of an output, or its taproot tree, are those it pays to.

    A redeem script may be left out; `tree` is the one known elsewhere, where it is left out.
    """
    wanted = psbt_out.script_pubkey.data
    internal, tree = codec.internal_key(psbt_out), codec.tap_tree(psbt_out) or tree
    if internal is not None:
        root = b"" if tree is None else taproot.tree_root(tree)
        if root is None or p2tr(taproot.output_key(internal, root).x) != wanted:
            return False
    inner = psbt_out.redeem_script.data if psbt_out.redeem_script else None
    if inner is not None and p2sh(inner) != wanted:
        return False
    if psbt_out.witness_script is None:
        return True
    program = p2wsh(psbt_out.witness_script.data)
    return program == inner if inner is not None else wanted in (program, p2sh(program))


def _proven(
    scope: InputScope | OutputScope, script_pubkey: bytes, policy: Policy
) -> VaultScript | None:
    for keychain, index in _hints(scope, script_pubkey, policy):
        script = derived_script(policy, keychain, index)
        if script.script_pubkey == script_pubkey:
            return script
    return None


def _innermost(scope: InputScope | OutputScope, script_pubkey: bytes) -> bytes:
    """Return the script behind an output as far as it is stated, empty where that is another's."""
    if isinstance(scope, InputScope):
        for control, leaf in codec.leaf_scripts(scope).items():
            key = taproot.committed_key(control, leaf)
            if key is not None and p2tr(key) == script_pubkey:
                return leaf
    script, wanted = b"", script_pubkey
    if scope.redeem_script is not None:
        script = scope.redeem_script.data
        if p2sh(script) != wanted:
            return b""
        wanted = script
    if scope.witness_script is not None:
        script = scope.witness_script.data
        return script if p2wsh(script) == wanted else b""
    return script


def _hints(
    scope: InputScope | OutputScope, script_pubkey: bytes, policy: Policy
) -> list[tuple[int, int]]:
    """Return each (keychain, index) the derivations name; never more than a policy has keys.

    Of more, and where the witness script is there, those of keys outside it say nothing.
    """
    most = max(KEYS_MAX, len(policy.places))
    code, origins = b"", codec.origins(scope)
    if len(origins) > most + 1:
        code = _innermost(scope, script_pubkey)
    found: dict[tuple[int, int], None] = {}
    for pubkey, origin in origins:
        if code and not names_key(code, pubkey):
            continue
        end = origin.derivation[-2:]
        if len(end) == 2 and end[1] < HARDENED:
            found.update(dict.fromkeys((keychain, end[1]) for keychain in policy.named(end[0])))
        if len(found) >= most:
            break
    return list(found)
