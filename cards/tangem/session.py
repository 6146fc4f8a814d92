"""A Tangem as a card session."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from cards.apdu import SW_OK, Command
from cards.bip32 import PublicNode, fingerprint, public_child
from cards.errors import (
    CardError,
    CardNotInitialised,
    NotSupported,
    NotUnlocked,
    PathNotAvailable,
    PinIncorrect,
    ProtocolError,
    StatusWordError,
    WrongCard,
)
from cards.family import CardMemory, Surroundings
from cards.pin import Pin, Secret
from cards.session import (
    HARDENED,
    NO_PARENT,
    Attestation,
    CardIdentity,
    ExtendedKey,
    Path,
    check_digest,
    check_seed,
)
from cards.signature import low_s, verify
from cards.tangem import NAME, answers, attestation, channel, commands
from cards.tangem.answers import CardFacts, Wallet, refusal
from cards.tangem.commands import DEPTH_MAX, Access
from cards.tangem.link import Link, Time
from cards.tangem.wire import DIGESTS_MAX, IMPORT_SINCE, Fields, Ins, Setting, Sw, Tag
from cards.transport import CardTransport

DONE: Final = range(SW_OK, Sw.BOTH_CHANGED + 1)
CODE_REFUSED: Final = {Sw.WRONG_CODE, Sw.INVALID_PARAMS}
LOCKED: Final = "the card has an access code and tells nothing without it"


class Recognition:
    """What is kept of the chips that were unlocked here; a hint, held against the card later."""

    def __init__(self, memory: CardMemory) -> None:
        self._memory = memory

    def keep(self, uid: bytes, identity: CardIdentity) -> None:
        """Keep which card a chip belongs to, and which chip the card's is."""
        kept = [identity.card_id, identity.version, identity.initialised]
        self._write(_entry(uid), json.dumps(kept).encode())
        self._write(_chip_of(identity.card_id), uid)

    def recall(self, uid: bytes) -> CardIdentity | None:
        """Return the card of a chip, or None where it is not known."""
        try:
            kept = json.loads(self._memory.read(_entry(uid)) or b"[]")
        except (ValueError, RecursionError):
            return None
        match kept:
            case [str(card_id), str(version), bool(initialised)]:
                return CardIdentity(card_id, NAME, version, initialised, None)
        return None

    def knows(self, card_id: str) -> bool:
        """Tell whether the chip of this card is kept, so that the card is told before its code."""
        return self._memory.read(_chip_of(card_id)) is not None

    def forget(self, card_id: str) -> None:
        """Keep no hint to this card any more."""
        uid = self._memory.read(_chip_of(card_id))
        if uid is not None:
            self._memory.forget(_entry(uid))
            self._memory.forget(_chip_of(card_id))

    def _write(self, entry: str, data: bytes) -> None:
        """Write what is not there already: a card is unlocked more often than it changes."""
        if self._memory.read(entry) != data:
            self._memory.write(entry, data)


def _chip_of(card_id: str) -> str:
    return f"tangem chip of {card_id}"


def _entry(uid: bytes) -> str:
    return f"tangem chip {uid.hex()}"


class Keyring:
    """Public keys by path; one is certain once a relative or a signature has borne it out."""

    def __init__(self, read: Callable[[Path], PublicNode]) -> None:
        """Begin with nothing read; `read` asks the card."""
        self._read = read
        self._known: dict[Path, PublicNode] = {}
        self._certain: set[Path] = set()

    def extended(self, path: Path) -> ExtendedKey:
        """Return the extended public key at a path; its parent or its child bears witness."""
        found = self._key(path)
        if path and path[-1] < HARDENED:
            self._compare(path[:-1], path)
        elif path not in self._certain:
            self._compare(path, (*path, 0))
        self._certain.add(path)
        if not path:
            return ExtendedKey(*found, 0, NO_PARENT, 0)
        parent = self._key(path[:-1]).public_key
        return ExtendedKey(*found, len(path), fingerprint(parent), path[-1])

    def public_key(self, path: Path) -> bytes:
        """Return the key that signs at a path, computed here where its parent is certain."""
        above = path[:-1]
        computable = path and path[-1] < HARDENED and above in self._certain
        if path in self._known or not computable:
            return self._key(path).public_key
        return public_child(*self._known[above], path[-1])[0]

    def signed(self, path: Path) -> None:
        """Hear that the key at a path signed."""
        if path in self._known:
            self._certain.add(path)

    def failed(self, path: Path) -> None:
        """Hear that another key signed; one that was never certain is read again next time."""
        if path not in self._certain:
            self._known.pop(path, None)

    def forget(self) -> None:
        """Forget every key."""
        self._known.clear()
        self._certain.clear()

    def _key(self, path: Path) -> PublicNode:
        if len(path) > DEPTH_MAX:
            raise PathNotAvailable(path)
        if path not in self._known:
            self._known[path] = self._read(path)
        return self._known[path]

    def _compare(self, parent: Path, child: Path) -> None:
        """Refuse keys that do not follow from each other; neither is believed any more."""
        above, below = self._key(parent), self._key(child)
        try:
            follows = below == public_child(*above, child[-1])
        except ValueError:
            follows = False
        if not follows:
            self._known.pop(parent, None)
            self._known.pop(child, None)
            raise ProtocolError("the card showed a key that is not its parent's child")


def open_session(
    transport: CardTransport, surroundings: Surroundings, clock: Time | None = None
) -> "TangemSession":
    """Open the Tangem on a transport; raises StatusWordError where there is none."""
    link = Link(transport, surroundings, clock or Time())
    link.select()
    return TangemSession(link, surroundings)


class TangemSession:
    """A Tangem that has been selected; identified too, unless it has an access code.

    It loads seeds and resets them where the card, once read, says that it can.
    """

    family = NAME
    load_seed: Callable[[Secret], None]
    reset_seed: Callable[[Pin], None]

    def __init__(self, link: Link, surroundings: Surroundings) -> None:
        """Read the card, if it lets itself be read without a code."""
        self._link = link
        self._surroundings = surroundings
        self._recognition = Recognition(surroundings.memory)
        self._roots = surroundings.roots.get(NAME) or attestation.ROOTS
        self._facts: CardFacts | None = None
        self._code: Secret | None = None
        self._passcode = channel.default_passcode()
        self._fresh = False
        self._wallet: Wallet | None = None
        self._keys = Keyring(self._shown_key)
        self._read_without_code()

    def identity(self) -> CardIdentity:
        """Return who the card is; a locked one is told by its chip, if it was unlocked before.

        That one is not read with the default code again, which would count as a wrong one; raises
        NotUnlocked where it was never unlocked here.
        """
        if self._code is not None:
            facts = self._read(self._code)
            self._find_wallet()
            return self._identity(facts)
        uid = self._link.uid()
        found = None if uid is None else self._recognition.recall(uid)
        if found is None:
            raise NotUnlocked(f"{LOCKED}, not even who it is")
        if self._facts is not None and found.card_id != self._facts.card_id.hex():
            raise WrongCard(self._facts.card_id.hex(), found.card_id)
        return found

    def initialise(self, secrets: Mapping[str, Secret]) -> None:
        """Set `pin` as access code, and `passcode` where it is given."""
        if not self._fresh:
            raise NotSupported(NAME, "being set up twice")
        code = channel.fresh(secrets["pin"])
        passcode = secrets.get("passcode")
        with code, channel.fresh(passcode) if passcode else self._passcode.copy() as second:
            self._ask(commands.set_codes(self._access(fresh=True), code, second))
        self._facts = self._read_facts()._replace(code_is_default=False)
        self._remember()
        self._forget_code()

    def unlock(self, pin: Pin) -> None:
        """Present the access code; a wrong one is not counted, but the next one takes longer."""
        if self._fresh:
            raise CardNotInitialised("the card has no access code yet")
        self._forget_code()
        code = channel.typed(pin)
        try:
            self._read(code, once=True)
            self._code = code
            self._prove_card(full=False)
            self._find_wallet()
        except CardError:
            code.close()
            self._code = None
            raise
        self._remember()

    def change_pin(self, old: Pin, new: Pin) -> None:
        """Replace the access code; a card that has told nothing yet is unlocked with it first."""
        if self._facts is None:
            self.unlock(old)
        facts = self._read_facts()
        with channel.typed(old) as code, channel.fresh(new) as wanted:
            access = Access(facts.card_id, code, self._second())
            command = commands.set_codes(access, wanted, access.passcode)
            response = self._link.send(command, code, once=True)
            if response.sw == Sw.WRONG_CODE:
                raise PinIncorrect(None)
            self._parsed(response.sw, response.data, Ins.SET_PIN)
            if self._code is not None:
                self._forget_code()
                self._code = wanted.copy()

    def generate_key(self) -> None:
        """Have the card make its key."""
        access, index = self._full_access(), self._free_slot()
        self._ask(commands.create_wallet(access, index))
        self._find_wallet()
        self._our_wallet()
        self._remember()

    def made_its_key(self) -> bool:
        """Tell whether this card or a sibling made the key; one that was imported is marked."""
        return not self._our_wallet().imported

    def attest(self) -> Attestation:
        """Check the maker's signature, the card's key, and the wallet's where there is one."""
        if self._code is None:
            raise NotUnlocked(LOCKED)
        facts, access = self._read_facts(), self._access(fresh=True)
        self._prove_card(full=facts.backup_status > 1 and facts.version >= IMPORT_SINCE)
        if self._wallet is not None:
            challenge = attestation.fresh_challenge()
            answer = self._ask(commands.attest_wallet(access, self._wallet.slot, challenge))
            attestation.check_wallet(facts, self._wallet.public_key, challenge, answer=answer)
        kept = attestation.kept_issuer_signatures(self._surroundings.memory, facts)
        return attestation.verdict(facts, self._roots, kept)

    def take_evidence(self, document: bytes) -> None:
        """Keep the issuer's signatures, the JSON of the vendor's server, of this very card."""
        facts, memory = self._read_facts(), self._surroundings.memory
        attestation.keep_issuer_signatures(memory, facts, self._roots, document=document)

    def reset(self) -> None:
        """Erase every key for good, leave the backup set, and take the codes away."""
        if self._read_facts().settings & (Setting.PERMANENT | Setting.NO_DEFAULT_CODE):
            raise NotSupported(NAME, "a reset: its settings keep its keys or its access code")
        access = self._full_access(fresh=True)
        for wallet in self._wallets():
            if wallet.usable:
                self._ask(commands.purge_wallet(access, wallet.slot))
        self._forget_keys()
        if self._read(access.code).backup_status:
            self._ask(commands.reset_backup(access))
        with channel.default_code() as code, channel.default_passcode() as passcode:
            self._ask(commands.set_codes(access, code, passcode))
        self._forget_code()
        self._read_without_code()
        self._remember()

    def xpub(self, path: Path) -> ExtendedKey:
        """Return the extended public key at `path`; its parent or its child bears witness."""
        return self._keys.extended(path)

    def sign(self, path: Path, digest: bytes) -> bytes:
        """Return r‖s by the key at `path`: one command, and one more if the key is not known."""
        return self.sign_batch(path, [digest])[0]

    def sign_batch(self, path: Path, digests: Sequence[bytes]) -> list[bytes]:
        """Return r‖s over each digest, ten to a command."""
        for digest in digests:
            check_digest(digest)
        pieces = range(0, len(digests), DIGESTS_MAX)
        cut = [list(digests[at : at + DIGESTS_MAX]) for at in pieces]
        return [signed for piece in cut for signed in self._signed(path, piece)]

    def pause(self) -> None:
        """Let other programs have the card for a while; it is compared with what it told before."""
        self._link.pause()

    def close(self) -> None:
        """Wipe the codes and let go of the card."""
        self._forget_code()
        self._passcode.close()
        self._forget_keys()
        self._link.transport.close()

    def _signed(self, path: Path, digests: list[bytes]) -> list[bytes]:
        """Sign up to ten digests and verify what comes back."""
        access, slot = self._full_access(), self._our_wallet().slot
        key = self._keys.public_key(path)
        answer = self._ask(commands.sign(access, slot, path, digests=digests))
        found = answers.parse_signatures(answer, len(digests))
        low = [low_s(signature) for signature in found]
        if not all(verify(key, *pair) for pair in zip(digests, low, strict=True)):
            self._keys.failed(path)
            raise ProtocolError("the card signed with another key than it showed")
        self._keys.signed(path)
        return low

    def _shown_key(self, path: Path) -> PublicNode:
        """Read the key at a path; the wallet's own came with the list of wallets."""
        access, wallet = self._access(), self._our_wallet()
        if not path:
            return answers.key_of(wallet.public_key, wallet.chain_code)
        return answers.parse_key(self._ask(commands.read_key(access, wallet.slot, path)))

    def _prove_card(self, *, full: bool) -> None:
        """Have the card sign a fresh challenge: what was recorded of it cannot."""
        challenge = attestation.fresh_challenge()
        access = self._access(fresh=True)
        answer = self._ask(commands.attest_card(access, challenge, full=full))
        attestation.check_card(self._read_facts(), challenge, answer)

    def _read_without_code(self) -> None:
        """Read the card with the default code: it answers unless it has another."""
        code = channel.default_code()
        try:
            facts = self._read(code)
        except PinIncorrect:
            code.close()
            self._fresh = False
            return
        self._fresh = facts.code_is_default
        self._code = code
        self._find_wallet()

    def _read(self, code: Secret, *, once: bool = False) -> CardFacts:
        """READ the card; raises PinIncorrect for a wrong code, WrongCard for another card."""
        command = commands.read_card(code)
        response = self._link.send(command, code, once=once)
        if response.sw in CODE_REFUSED:
            raise PinIncorrect(None)
        if response.sw != SW_OK:
            raise StatusWordError(response.sw, command.ins)
        facts = answers.parse_card(Fields.parse(response.data))
        attestation.refuse_unfit(facts, self._roots)
        known = self._facts
        if known is not None and facts.card_id != known.card_id:
            raise WrongCard(known.card_id.hex(), facts.card_id.hex())
        if known is not None and facts.card_key != known.card_key:
            raise ProtocolError("the card names another key of its own than before")
        self._facts = facts
        self._link.delay = facts.delay
        if facts.version >= IMPORT_SINCE and facts.settings & Setting.KEY_IMPORT:
            self.load_seed, self.reset_seed = self._load_seed, self._reset_seed
        return facts

    def _load_seed(self, seed: Secret) -> None:
        """Load a seed of 16 to 64 bytes, strongly encrypted; refuses where there is a key."""
        check_seed(seed)
        access, index = self._full_access(), self._free_slot()
        self._link.strengthen()
        self._read(access.code)
        self._ask(commands.import_seed(access, index, seed))
        self._find_wallet()
        self._our_wallet()
        self._remember()

    def _reset_seed(self, pin: Pin) -> None:
        """Erase the key; the access code stays."""
        self.unlock(pin)
        self._ask(commands.purge_wallet(self._full_access(), self._our_wallet().slot))
        self._forget_keys()
        self._remember()

    def _ask(self, command: Command) -> Fields:
        """Send a command that carries the session's code and return its answer."""
        if self._code is None:
            raise NotUnlocked(LOCKED)
        response = self._link.send(command, self._code)
        if response.sw == Sw.WRONG_CODE:
            self._forget_code()
            raise NotUnlocked("the card refuses the access code it took before")
        return self._parsed(response.sw, response.data, command.ins)

    def _parsed(self, sw: int, data: bytes, ins: int) -> Fields:
        """Take an answer apart; raises what a refusal means, and WrongCard."""
        if sw not in DONE:
            raise refusal(sw, ins)
        fields = Fields.parse(data)
        card_id = fields.need(Tag.CARD_ID)
        if card_id != self._read_facts().card_id:
            raise WrongCard(self._read_facts().card_id.hex(), card_id.hex())
        return fields

    def _wallets(self) -> list[Wallet]:
        """Read every slot."""
        access, slots = self._access(fresh=True), self._read_facts().slots
        found: list[Wallet] = []
        while len(found) < slots:
            found += answers.parse_wallets(self._ask(commands.read_wallets(access, len(found))))
        return found

    def _find_wallet(self) -> None:
        self._wallet = next((wallet for wallet in self._wallets() if wallet.ours), None)

    def _our_wallet(self) -> Wallet:
        if self._wallet is None:
            raise CardNotInitialised("the card has no key for Bitcoin")
        return self._wallet

    def _free_slot(self) -> int:
        """Return the first empty slot; raises NotSupported where there is a key already."""
        wallets = self._wallets()
        if any(wallet.ours for wallet in wallets):
            raise NotSupported(NAME, "a second key")
        for wallet in wallets:
            if wallet.empty:
                return wallet.slot
        raise NotSupported(NAME, f"another key: none of its {len(wallets)} slots is empty")

    def _read_facts(self) -> CardFacts:
        if self._facts is None:
            raise NotUnlocked(LOCKED)
        return self._facts

    def _access(self, *, fresh: bool = False) -> Access:
        """Return what every command carries; a card without a code only where that is meant."""
        if self._code is None or self._facts is None:
            raise NotUnlocked(LOCKED)
        if self._fresh and not fresh:
            raise CardNotInitialised("the card has no access code yet")
        return Access(self._facts.card_id, self._code, self._passcode)

    def _full_access(self, *, fresh: bool = False) -> Access:
        """Return what the commands carry that want the passcode too."""
        return replace(self._access(fresh=fresh), passcode=self._second())

    def _second(self) -> Secret:
        """Return the passcode's hash, asked for where the card has one."""
        if not self._read_facts().passcode_is_default:
            given = self._surroundings.secret("passcode")
            if given is None:
                raise NotUnlocked("the card has a passcode besides its access code; give it too")
            self._link.select()  # it may have been let go of while a person was asked
            self._link.forget_session()
            self._passcode.close()
            self._passcode = channel.hashed(given)
        return self._passcode

    def _identity(self, facts: CardFacts) -> CardIdentity:
        ready = self._wallet is not None and not facts.code_is_default
        has_code = not facts.code_is_default
        return CardIdentity(facts.card_id.hex(), NAME, str(facts.version), ready, None, has_code)

    def _remember(self) -> None:
        """Keep who the chip is, for when the card is locked."""
        uid = self._link.uid()
        if uid is not None and self._facts is not None:
            self._recognition.keep(uid, self._identity(self._facts))

    def _forget_keys(self) -> None:
        self._wallet = None
        self._keys.forget()

    def _forget_code(self) -> None:
        """Lock the session; the next command needs the code again."""
        code, self._code = self._code, None
        self._fresh = False
        self._link.forget_session()
        if code is not None:
            code.close()
