"""From an error to a sentence, a hint and an exit status: one table."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cards import errors as card
from coordinator import errors as hall
from coordinator.cli.result import ExitStatus
from psbt import errors as psbt
from storage import errors as storage

RESTORE = "cardquorum restore FILE --home NEWDIR"
"""A home is never restored into the one that is damaged."""
SEE_HELP = "see the command's --help"
"""Told as the command it is, where one was typed."""
HINTS: dict[ExitStatus, dict[type[BaseException], str]] = {
    ExitStatus.BUG: {BaseException: "please report this with the command and what -v -v says"},
    ExitStatus.USAGE: {
        card.NotEvidence: (
            "it was not kept; fetch it for the card that cardquorum card show LABEL tells"
        ),
        storage.NotFound: "the list commands show the names there are",
        storage.AlreadyExists: "choose another name",
        hall.SettingsError: "{remedy}",
        hall.ChainPasswordMissing: (
            "the node writes the file .cookie into its data folder while it runs: give its full "
            "name"
        ),
        hall.UsageError: SEE_HELP,
        hall.FeerateTooLow: "run it again with that rate: --feerate RATE",
        hall.Ambiguous: "write it with its kind, as kind:name",
    },
    ExitStatus.CARD: {
        card.CardError: "try again; if it stays: cardquorum card check LABEL",
        card.TransportError: "put the card back and run the same command again",
        card.CardReset: (
            "close the other program that uses the reader, then run the same command again"
        ),
        card.OutOfReach: "{remedy}",
        card.ReaderNotFound: "see: cardquorum reader list, cardquorum emulate list",
        card.CardNotInitialised: "set it up first: cardquorum card setup LABEL --generate",
        card.NotSupported: "see what it can do: cardquorum card show LABEL",
        card.PinNotBlocked: (
            "try the PIN: cardquorum card check LABEL --pin; once no attempt is left, the PUK "
            "frees it"
        ),
        card.PathNotAvailable: "choose another path: cardquorum card enrol LABEL --path PATH",
        card.WrongCard: (
            "lay the card on the reader that is meant; what lies there: cardquorum reader list"
        ),
        card.NotGenuine: "nothing was stored; do not use this card, ask its maker",
        hall.CardNotEnrolled: "{remedy}",
    },
    ExitStatus.PIN: {
        card.PinIncorrect: (
            "look the PIN up, then try again; where it is forgotten: cardquorum guide"
        ),
        card.PukIncorrect: (
            "look the PUK up, then try again; where it is forgotten: cardquorum guide"
        ),
        card.PukBlocked: (
            "nothing opens it any more, so take it for lost: cardquorum card lost LABEL; only a "
            "reset is left, which erases its key: cardquorum card reset LABEL"
        ),
        card.PinBlocked: "free it with its PUK: cardquorum card unblock LABEL",
        card.PinDelayed: "wait {seconds} seconds, then try again",
        card.PinUnsuitable: "it was not presented; give one that fits",
        card.NotUnlocked: "give its PIN: at the terminal, or with --pin-stdin",
        hall.LastAttempt: "look it up; when you are sure of it add --last-attempt",
        hall.PinMissing: "type it at the terminal, or give it with --pin-stdin",
        hall.PassphraseMissing: "type it at the terminal, or add --pin-stdin",
        storage.SealLocked: "type it, or give home.passphrase=… with --pin-stdin",
        storage.PassphraseIncorrect: "look it up; without it use location.1 and so on",
    },
    ExitStatus.REFUSED: {
        card.PairingRefused: (
            "look at reader and card; if it was reset or unpaired: cardquorum card check LABEL "
            "--accept pairing_refused"
        ),
        psbt.PsbtError: "nothing was changed; check where this came from",
        psbt.AmountContradicted: (
            "nothing was kept or signed; ask who made the PSBT, and do not sign it"
        ),
        psbt.InsufficientFunds: (
            "pay less, or wait for more coins; what is there: cardquorum balance"
        ),
        psbt.NotOnlySignatures: "nothing was taken; ask where the file has been",
        psbt.SignatureInvalid: "it was not kept; run: cardquorum vault verify NAME",
        psbt.ConsensusRejected: "do not broadcast it; please report this",
        storage.StorageError: (
            f"look at the home's database and its disk; where it is lost: {RESTORE}"
        ),
        storage.RowDamaged: f"nothing was given out or signed; restore it from a backup: {RESTORE}",
        storage.ReadOnly: "run it as the home's owner, or in a copy of the home that you may write",
        storage.DatabaseUnreachable: (
            "see that the server runs and the line stands, then run it again: cardquorum status"
        ),
        storage.CommitUnknown: (
            "once the line stands, look whether it was done before doing it again: cardquorum "
            "status"
        ),
        storage.PasswordNeeded: (
            "run it on a terminal to be asked, or put the password into libpq's pgpass file"
        ),
        storage.CoinTaken: (
            "finish that one or give it up: cardquorum spend show {ceremony}, "
            "cardquorum spend abandon {ceremony}"
        ),
        storage.SchemaTooOld: (
            "with 0.1.0: cardquorum vault export NAME, cardquorum custody log --export FILE, "
            "cardquorum label export FILE; then, in a new home: cardquorum vault import FILE "
            "--name NAME, cardquorum label import FILE"
        ),
        storage.SchemaTooNew: "use the newer program that wrote this home",
        storage.SealBroken: f"restore it from a backup: {RESTORE}",
        storage.ChainBroken: (
            "the book was altered; compare a printed head: cardquorum custody verify --head HASH"
        ),
        storage.StatementBroken: (
            "nothing was given out or signed; see which row it is: cardquorum custody verify; then "
            f"ask who runs the server, or restore a backup made before: {RESTORE}"
        ),
        hall.CoordinatorError: "see where it stands: cardquorum status",
        hall.Untrusted: "nothing of it was used; ask whoever it came from",
        hall.ApprovalMismatch: (
            f"nothing was given out or signed; restore a backup made before: {RESTORE}"
        ),
        hall.BookRolledBack: (
            "nothing was given out or signed; ask who runs the server. If its backup was restored, "
            "compare a printed head: cardquorum custody verify --head HASH --accept "
            "book_rolled_back"
        ),
        hall.ChecksumDiffers: (
            "read the eight characters after # again; if they are right, this is not the paper's "
            "vault: cardquorum recover FILE --name NAME"
        ),
        hall.NotAccepted: "run it again when you are sure",
        hall.LeafUnproved: "let a card prove it: {command}",
        hall.CardCannotSign: (
            "choose a card that can: cardquorum card list, cardquorum card show LABEL"
        ),
        hall.NotRipe: "wait until then; see: cardquorum coins VAULT",
        hall.SignatureUndelivered: (
            "once there is room, or the server is back, the next command delivers them: "
            "cardquorum status"
        ),
        hall.SignatureNotKept: "{remedy}",
        hall.VaultAltered: (
            f"send nothing to this vault and sign nothing; restore a backup made before: {RESTORE}"
        ),
        hall.InsufficientFunds: "{remedy}",
        hall.NotImportable: "{remedy}",
        hall.NothingToSign: "see where it stands: cardquorum spend show ID",
        hall.CoinReserved: (
            "finish that one or give it up: cardquorum spend show {ceremony}, "
            "cardquorum spend abandon {ceremony}"
        ),
        OSError: "look at the disk's space and the folder's permissions",
    },
    ExitStatus.NOT_YET: {
        psbt.SignaturesMissing: "collect them: cardquorum spend sign ID",
        hall.NotLooked: "run: {command}",
        hall.NotFinal: "run: cardquorum spend finalize ID",
    },
    ExitStatus.CHAIN: {
        hall.TransactionRejected: (
            "nothing was sent; look at what happened meanwhile: cardquorum sync; where it cannot "
            "be sent any more: cardquorum spend abandon ID"
        ),
        hall.ChainError: "nothing was sent; see: cardquorum status",
        hall.BirthdayAhead: "set it right: cardquorum vault birthday NAME DATE; unknown is 0",
        hall.NoEstimate: "give the rate yourself: --feerate SAT_PER_VBYTE",
        hall.ChainUnreachable: "{remedy}",
    },
    ExitStatus.INTERRUPTED: {KeyboardInterrupt: "what was signed is kept; run it again"},
}
"""What to do next, by exit status; an error takes that of the nearest class above its own."""
ADVICE = {error: (status, hint) for status, hints in HINTS.items() for error, hint in hints.items()}
LISTS = {
    "operator": "operator list",
    "card": "card list",
    "card or key": "card list",
    "carrier": "carrier list",
    "ceremony": "spend list",
    "copy": "copy list VAULT",
    "drill": "drill list VAULT",
    "holder": "holder list",
    "key": "key list",
    "location": "location list",
    "secret": "secret list",
    "vault": "vault list",
}
"""What shows the names there are of a kind."""
MESSAGE_MAX = 8_000
SUBJECT = re.compile(r"(cardquorum (card|vault|spend) [a-z]+ )(?:LABEL|NAME|ID)\b")
"""The place of a card, vault or ceremony in a command that a hint names."""
LAST_ONE = "stop here and look it up: one more mistake blocks the card"
LAST_PUK = "stop here and look it up: one more mistake and the card is lost but for a factory reset"


@dataclass(frozen=True)
class Failure:
    """What happened, what to do now, and how the shell hears of it."""

    code: str
    message: str
    hint: str
    status: ExitStatus
    fields: dict[str, Any]

    def about(self, subjects: Mapping[str, str]) -> "Failure":
        """Return the failure with the card, vault and ceremony it is about in its hint, by noun."""

        def named(found: re.Match[str]) -> str:
            subject = subjects.get(found[2])
            return found[0] if subject is None else f"{found[1]}{shlex.quote(subject)}"

        return replace(self, hint=SUBJECT.sub(named, self.hint))

    def document(self) -> dict[str, Any]:
        """Return the failure as the object behind `error`."""
        return {"code": self.code, "message": self.message, "hint": self.hint, **self.fields}


def explain(error: BaseException) -> Failure:
    """Choose the hint and the exit status for an error."""
    status, hint = next(ADVICE[kind] for kind in type(error).__mro__ if kind in ADVICE)
    fields = {name: value for name, value in vars(error).items() if not name.startswith("_")}
    if isinstance(error, card.PinIncorrect):
        hint = _pin_hint(error, hint)
    if isinstance(error, storage.NotFound):
        kind = error.kind if error.kind in LISTS else error.name.partition(":")[0]
        hint = f"see which there are: cardquorum {LISTS[kind]}" if kind in LISTS else hint
    if isinstance(error, hall.NotAccepted) and error.codes:
        options = " ".join(f"--accept {accepted}" for accepted in error.codes)
        hint = f"nothing was done; only if you are sure, run it again with {options}"
    code = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(error).__name__).lower()
    message = str(error) if status is not ExitStatus.BUG else f"unexpected {code}: {error}"
    for file in getattr(error, "__notes__", ()):  # which of those given it is about
        message = message if file in message else f"{file}: {message}"
    if len(message) > MESSAGE_MAX:  # it quotes what was given
        message = f"{message[: MESSAGE_MAX // 2]} … {message[-MESSAGE_MAX // 2 :]}"
    return Failure(code, message, hint.format(**fields) if fields else hint, status, fields)


def _pin_hint(error: card.PinIncorrect, hint: str) -> str:
    """Say what is left to do by the attempts that are."""
    puk = isinstance(error, card.PukIncorrect)
    if error.attempts_left == 0:
        return ADVICE[card.PukBlocked if puk else card.PinBlocked][1]
    if error.attempts_left == 1:
        return LAST_PUK if puk else LAST_ONE
    return hint
