"""Which scripts of a PSBT are the vault's, proven by deriving them.

The derivations written in a PSBT only say which index to try; a script is the vault's if the
policy gives it.
"""

from collections.abc import Iterator
from functools import lru_cache

from embit.psbt import InputScope, OutputScope

from psbt.codec import Psbt
from psbt.errors import PsbtError
from psbt.keys import HARDENED
from psbt.policy import CHANGE, RECEIVE, Policy, VaultScript, vault_script
from psbt.sighash import spent_outputs

derived_script = lru_cache(maxsize=4096)(vault_script)


def input_scripts(psbt: Psbt, policy: Policy) -> list[VaultScript]:
    """Return the vault's script that each input spends; an input of anybody else is refused."""
    found = []
    for index, (psbt_in, spent) in enumerate(zip(psbt.inputs, spent_outputs(psbt), strict=True)):
        script = _proven(psbt_in, spent.script_pubkey, policy)
        if script is None:
            raise PsbtError(f"input {index} does not spend a coin of this policy")
        found.append(script)
    return found


def output_scripts(psbt: Psbt, policy: Policy) -> list[VaultScript | None]:
    """Return the vault's script that each output pays to, None where it is not the vault's."""
    return [_proven(psbt_out, psbt_out.script_pubkey.data, policy) for psbt_out in psbt.outputs]


def _proven(
    scope: InputScope | OutputScope, script_pubkey: bytes, policy: Policy
) -> VaultScript | None:
    for branch, index in _hints(scope):
        script = derived_script(policy, branch, index)
        if script.script_pubkey == script_pubkey:
            return script
    return None


def _hints(scope: InputScope | OutputScope) -> Iterator[tuple[int, int]]:
    """Yield each (branch, index) the derivations name, once."""
    ends = {tuple(origin.derivation[-2:]) for origin in scope.bip32_derivations.values()}
    for end in ends:
        if len(end) == 2 and end[0] in (RECEIVE, CHANGE) and end[1] < HARDENED:
            yield end[0], end[1]
