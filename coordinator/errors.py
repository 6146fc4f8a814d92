"""What can go wrong in the hall.

CoordinatorError
├── SettingsError(remedy) → ChainPasswordMissing
├── UsageError → Ambiguous(name, candidates) · FeerateTooLow(least_feerate)
├── Untrusted · ApprovalMismatch · ChecksumDiffers(vault) · NotAccepted(codes)
├── BookRolledBack(seen, found)
├── LastAttempt(label) · PinMissing(label)
├── PassphraseMissing(name)
├── CardCannotSign(label, family, script) · LeafUnproved(who, path, command)
├── NotLooked(vault, command) · CardNotEnrolled(remedy)
├── NotRipe(branch, height, date)
├── ChainError → BirthdayAhead · ChainUnreachable · NoEstimate · TransactionRejected(reason)
└── CeremonyError → NotFinal · NothingToSign · CoinReserved(outpoint, ceremony, until)
    ├── SignatureUndelivered(label, count)
    └── SignatureNotKept(label, count, psbt)

PsbtError → InsufficientFunds(have_sats, need_sats, reasons, ceremonies, remedy)
PolicyError → NotImportable(remedy) · VaultAltered(vault)
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import zip_longest

from coordinator import clock
from psbt import errors as psbt_errors


class CoordinatorError(Exception):
    """Something asked of the program cannot be done."""


LOOK_AT_URL = "try again; else look at the URL in the home's settings.toml: docs/chain.md"


MAKE_A_HOME = (
    "name another folder with --home DIR, or make a home there: cardquorum guide, or "
    "cardquorum init --network NETWORK; chain URLs are in docs/chain.md"
)


class SettingsError(CoordinatorError):
    """The home is missing, exists already, or says something that cannot be."""

    def __init__(self, what: str, remedy: str = MAKE_A_HOME) -> None:
        self.remedy = remedy
        super().__init__(what)


class ChainPasswordMissing(SettingsError):
    """A node is to be asked, and nobody said where its password lies."""


class UsageError(CoordinatorError):
    """What was typed cannot be meant."""


class Ambiguous(UsageError):
    """A name that fits several things."""

    def __init__(self, name: str, candidates: Sequence[str]) -> None:
        """Keep the candidates, each as kind:name."""
        self.candidates = tuple(candidates)
        super().__init__(f"{name} may be {' or '.join(candidates)}")


class FeerateTooLow(UsageError):
    """No node would take a payment in place of another one at this rate."""

    def __init__(self, message: str, least_feerate: int) -> None:
        """Keep the least rate that nodes take, in sat/kvB."""
        self.least_feerate = least_feerate
        super().__init__(message)


class Untrusted(CoordinatorError):
    """A file is not what its signature says, or not signed by whom it should be."""


class ApprovalMismatch(CoordinatorError):
    """What is stored differs from what this home approved; nobody can accept that."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} differs from what this home approved: somebody changed the database"
        )


class BookRolledBack(CoordinatorError):
    """A book on a server, custody events or what operators signed, is not the one seen there."""

    def __init__(self, seen: int, found: int, *, entry: str = "event", gaps: bool = False) -> None:
        """Keep how far the book went, or goes where it has gaps, and how many entries there are."""
        self.seen = seen
        self.found = found
        book = "custody book" if entry == "event" else f"operators' {entry}s"
        told = f"the {book} on the server has another {entry} {seen} than this home saw"
        if gaps:
            told = f"the {book} on the server goes to {entry} {seen} and has {found}: some are gone"
        elif found < seen:
            told = f"the {book} on the server ends at {entry} {found}, this home saw {seen}"
        super().__init__(f"{told}: it was rolled back or replaced")


class ChecksumDiffers(CoordinatorError):
    """The checksum a person read from paper is not that of the vault here."""

    def __init__(self, vault: str) -> None:
        """Keep the vault's name; the right checksum is not told: it has to come from the paper."""
        self.vault = vault
        super().__init__(
            f"the checksum given is not that of vault {vault} as it is stored here; it was not "
            "approved"
        )


class NotAccepted(CoordinatorError):
    """A danger was not accepted, or a person said no."""

    def __init__(self, codes: Sequence[str], sentences: Sequence[str] = ()) -> None:
        """Keep the codes of the dangers nobody accepted; none when a person said no."""
        self.codes = tuple(codes)
        self._sentences = tuple(sentences)
        told = "; ".join(
            f"{sentence} ({code})" for code, sentence in zip(codes, sentences, strict=False)
        )
        super().__init__(
            f"danger: {told or ', '.join(codes)}"
            if codes
            else "it was not confirmed; nothing was done"
        )

    @property
    def dangers(self) -> dict[str, str]:
        """Return the sentence of each code."""
        return dict(zip_longest(self.codes, self._sentences[: len(self.codes)], fillvalue=""))


class LastAttempt(CoordinatorError):
    """The card allows one more PIN attempt only; it was not touched."""

    def __init__(self, label: str) -> None:
        self.label = label
        super().__init__(f"card {label} allows one more PIN attempt; the PIN was not presented")


class PinMissing(CoordinatorError):
    """A PIN, PUK or seed is needed and nobody gave it."""

    def __init__(self, label: str, kind: str = "pin") -> None:
        self.label = label
        self.kind = kind
        super().__init__(f"the {kind} of card {label} was not given")


class PassphraseMissing(CoordinatorError):
    """A passphrase is to be set and nobody gave it."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"no {name} was given")


class CardCannotSign(CoordinatorError):
    """A card carries a key of a policy whose scripts it cannot sign for."""

    def __init__(self, label: str, family: str, script: str) -> None:
        self.label = label
        self.family = family
        self.script = script
        super().__init__(f"card {label} ({family}) cannot sign for {script}; nothing was made")


class LeafUnproved(CoordinatorError):
    """A key of a taproot vault is on no card that proved to sign for a leaf of it."""

    def __init__(self, who: str, path: str, command: str) -> None:
        self.who = who
        self.path = path
        self.command = command
        super().__init__(
            f"{who} has not proved that it signs by BIP 340 with a leaf of {path}; nothing was made"
        )


class NotLooked(CoordinatorError):
    """Nobody looked for the vault's coins yet."""

    def __init__(self, vault: str, command: str) -> None:
        self.vault = vault
        self.command = command
        super().__init__(f"vault {vault} was not looked for yet: what it holds is not known")


class NotRipe(CoordinatorError):
    """A branch is not open yet for what is to be spent."""

    def __init__(
        self, what: str, branch: str, *, height: int | None, date: datetime | None, about: str
    ) -> None:
        """Keep the branch, the first block in which it can spend, and about when that comes."""
        self.branch = branch
        self.height = height
        self.date = date
        when = "it waits for its block" if height is None else f"from block {height} on, {about}"
        super().__init__(f"{what} cannot be spent by branch {branch} yet: {when}")


class CardNotEnrolled(CoordinatorError):
    """A card that may carry a key of the vault is not known here; `remedy` enrols it."""

    def __init__(self, what: str, remedy: str) -> None:
        self.remedy = remedy
        super().__init__(what)


class ChainError(CoordinatorError):
    """The chain did not do what was asked."""


class BirthdayAhead(ChainError):
    """A vault is to be looked for from a block that is not mined yet."""


class ChainUnreachable(ChainError):
    """The chain source does not answer, another process holds it, or there is none."""

    def __init__(self, message: str, remedy: str = LOOK_AT_URL) -> None:
        self.remedy = remedy
        super().__init__(message)


class NoEstimate(ChainError):
    """The chain source knows no fee rate for this target."""


class TransactionRejected(ChainError):
    """The chain source refused a transaction or block."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the transaction was rejected: {reason}")


class InsufficientFunds(psbt_errors.InsufficientFunds):
    """The coins that are free do not pay for a payment; why others are not free, and what helps."""

    def __init__(
        self,
        have_sats: int,
        need_sats: int,
        *,
        reasons: Sequence[str],
        ceremonies: Sequence[Mapping[str, object]],
        remedy: str,
    ) -> None:
        super().__init__(have_sats, need_sats)
        self.reasons = tuple(reasons)
        self.ceremonies = tuple(ceremonies)
        self.remedy = remedy
        self.args = ("; ".join((str(self), *reasons)),)


class NotImportable(psbt_errors.PolicyError):
    """A file holds something else than a vault this program can keep."""

    def __init__(self, what: str, remedy: str) -> None:
        self.remedy = remedy
        super().__init__(what)


class VaultAltered(psbt_errors.PolicyError):
    """A vault's own rows contradict one another: somebody or something changed the database."""

    def __init__(self, vault: str, why: str) -> None:
        self.vault = vault
        super().__init__(why)


class CeremonyError(CoordinatorError):
    """A ceremony is not in a state for this."""


class NotFinal(CeremonyError):
    """The ceremony has no final transaction yet."""


class NothingToSign(CeremonyError):
    """Every signature this card could give is kept already."""


class CoinReserved(CeremonyError):
    """Another ceremony holds the coin."""

    def __init__(
        self,
        outpoint: str,
        ceremony: str,
        until: datetime | None = None,
        *,
        opened_on: str | None = None,
    ) -> None:
        """Keep the coin as txid:n, the ceremony's id, until when, and on which computer."""
        self.outpoint = outpoint
        self.ceremony = ceremony
        self.until = until
        self.opened_on = opened_on
        opened = f", opened on {opened_on}," if opened_on else ""
        upto = f" until {clock.text(until)}" if until else ""
        super().__init__(f"coin {outpoint} is reserved by ceremony {ceremony}{opened}{upto}")


WRITABLE_AGAIN = "once there is room on the disk, or the database's server is back"


class SignatureUndelivered(CeremonyError):
    """A card signed, and the home keeps what it gave: the database did not take it."""

    def __init__(self, label: str, count: int, reason: str) -> None:
        self.label = label
        self.count = count
        super().__init__(
            f"{count} of card {label}'s signatures are kept on this computer, not delivered: "
            f"{reason}"
        )


class SignatureNotKept(CeremonyError):
    """A card signed, and what it gave could not be stored."""

    def __init__(
        self, label: str, count: int, reason: BaseException, *, psbt: str | None = None
    ) -> None:
        """Keep whose signatures, how many, and a PSBT (base64) that holds them, where one can."""
        self.label = label
        self.count = count
        self.psbt = psbt
        self.remedy = f"{WRITABLE_AGAIN}, run the same command again"
        if psbt is not None:
            self.remedy = (
                f"save the PSBT shown; {WRITABLE_AGAIN}, give it back: cardquorum spend add ID FILE"
            )
        super().__init__(f"{count} of card {label}'s signatures could not be stored: {reason}")
