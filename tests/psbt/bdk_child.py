"""BDK in a process of its own, since it ends the whole process on some inputs."""

import json
import sys

import bdkpython as bdk


def finalized(text: str) -> object:
    """Return the transaction BDK makes of a signed PSBT, or why it makes none."""
    done = bdk.Psbt(text).finalize()
    if not done.could_finalize:
        return {"errors": [str(error) for error in done.errors or []]}
    return {"transaction": bytes(done.psbt.extract_tx().serialize()).hex()}


def addresses(descriptor: str) -> list[list[str]]:
    """Return the first addresses of each keychain."""
    both = bdk.Descriptor(descriptor, bdk.NetworkKind.TEST)
    receive, change = both.to_single_descriptors()
    wallet = bdk.Wallet(receive, change, bdk.Network.REGTEST, bdk.Persister.new_in_memory())
    kinds = (bdk.KeychainKind.EXTERNAL, bdk.KeychainKind.INTERNAL)
    return [[str(wallet.peek_address(kind, n).address) for n in range(3)] for kind in kinds]


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump(
        {
            "transactions": [finalized(text) for text in asked["psbts"]],
            "addresses": [addresses(text) for text in asked["descriptors"]],
        },
        sys.stdout,
    )
