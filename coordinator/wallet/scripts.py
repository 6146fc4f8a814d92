"""Which scripts are a vault's: derived afresh, watched, and looked for so far."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

from sqlalchemy.orm import Session

from coordinator.home.stored_policies import stored_policy
from psbt.errors import PsbtError
from psbt.policy import CHANGE, RECEIVE, Policy, VaultScript, derive_scripts
from storage import chain as chain_book
from storage import scans as scan_book
from storage import vaults as vault_book
from storage.model import Vault

LOOKAHEAD = 100


class Counts(NamedTuple):
    """How many scripts of each keychain."""

    receive: int = 0
    change: int = 0


NONE = Counts()


def keychain_name(keychain: int) -> str:
    """Return what a keychain is called."""
    return "receive" if keychain == RECEIVE else "change"


def scripts_at(policy: Policy, places: Iterable[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """Return the script_pubkey of each (keychain, index), derived afresh."""
    wanted = sorted(set(places))
    return {
        (script.keychain, script.index): script.script_pubkey
        for keychain in (RECEIVE, CHANGE)
        for script in derive_scripts(policy, keychain, [i for b, i in wanted if b == keychain])
    }


class WatchedScripts(Mapping[bytes, VaultScript]):
    """A policy's first scripts by script_pubkey, so many of each keychain (receive, change).

    They are derived when the first of them is wanted: where the chain has no news none is.
    """

    def __init__(self, policy: Policy, reach: Counts) -> None:
        self.reach = reach
        self._policy = policy

    def __getitem__(self, script_pubkey: bytes) -> VaultScript:
        """Return one script and where it is derived."""
        return self._derived[script_pubkey]

    def __iter__(self) -> Iterator[bytes]:
        """Yield every script_pubkey."""
        return iter(self._derived)

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(self.reach)

    @cached_property
    def _derived(self) -> dict[bytes, VaultScript]:
        return {
            script.script_pubkey: script
            for keychain, count in zip((RECEIVE, CHANGE), self.reach, strict=True)
            for script in derive_scripts(self._policy, keychain, range(count))
        }


def watched(db: Session, vault: Vault, policy: Policy, *, least: Counts = NONE) -> WatchedScripts:
    """Return the vault's scripts by script_pubkey: all that were used or issued, and some more.

    At least so many of each keychain.
    """
    return WatchedScripts(policy, watched_counts(db, vault, least))


def watched_counts(db: Session, vault: Vault, least: Counts = NONE) -> Counts:
    """Return how many scripts of each keychain are watched: receive, change."""
    wanted = (chain_book.next_index(db, vault, each) + LOOKAHEAD for each in (RECEIVE, CHANGE))
    return Counts(*map(max, wanted, least))


def reached(db: Session, vault: Vault, least: int = 0) -> Counts:
    """Return how many scripts of each keychain were looked for so far, or `least`, if more."""
    scans = scan_book.scans_of(db, vault)
    done = (scans[each].reach if each in scans else 0 for each in (RECEIVE, CHANGE))
    return Counts(*(max(least, each) for each in done))


def last_looked_at(db: Session, vault: Vault) -> dict[int, int]:
    """Return, by keychain, the last index that a search for the vault's coins looks at.

    That of a home that knows no more than what was used or given out: on this computer it may have
    looked farther, one that starts from the paper will not.
    """
    counts = watched_counts(db, vault)
    return {keychain: count - 1 for keychain, count in zip((RECEIVE, CHANGE), counts, strict=True)}


def own_places(
    db: Session, vault: Vault, policy: Policy, *, paid: Collection[bytes]
) -> dict[bytes, tuple[int, int]]:
    """Return where scripts may be the vault's own; who believes it derives them first."""
    found = chain_book.places_of(db, vault, paid)
    counts = watched_counts(db, vault, reached(db, vault))
    for keychain, count in zip((RECEIVE, CHANGE), counts, strict=True):
        first = chain_book.next_index(db, vault, keychain)
        for script in derive_scripts(policy, keychain, range(first, count)):
            if script.script_pubkey in paid:
                found[script.script_pubkey] = (keychain, script.index)
    return found


def vaults_of(
    db: Session, paid: Collection[bytes], besides: Vault | None = None
) -> Iterator[tuple[bytes, Vault]]:
    """Yield the scripts that are a vault's of this home, each derived afresh, and whose."""
    for vault in vault_book.all_vaults(db):
        if besides is not None and (vault.id == besides.id or vault.network != besides.network):
            continue
        try:
            policy = stored_policy(vault)
        except PsbtError:
            continue  # its own commands say what is wrong with it
        for script, place in own_places(db, vault, policy, paid=paid).items():
            if scripts_at(policy, [place])[place] == script:
                yield script, vault
