"""A vault's watch-only wallet on a Bitcoin Core node: compared, filled and scanned.

The node's wallet is not believed because of its name. At each opening its descriptors and their
ranges are held against the vault's, and what it counts against what was noted here. A wallet with
anything else in it is left alone, and one of another name is made. A scan counts as done when the
node said of each range of blocks that it looked through it.
"""

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from coordinator.chain import Birthday, Report, Scanned, Tip, Watch, first_block
from coordinator.chain.core.rpc import Call, Node, RpcError, call, calls
from coordinator.chain.core.scan_note import ScanNote, read_note, write_note
from coordinator.errors import BirthdayAhead, ChainError
from coordinator.foreign_json import HEIGHT_MAX, TIME_MAX, Field
from psbt.errors import PolicyError
from psbt.policy import checksum

CHAINS: Final = {
    "main": "mainnet", "testnet4": "testnet4", "signet": "signet", "regtest": "regtest",
}  # fmt: skip
NAME_SIZE_MAX: Final = 20
POLL_SECONDS: Final = 0.5
AHEAD: Final = 1_000
"""How many scripts a keychain Core looks at beyond the last one used, as its own wallets do."""
LOOKED: Final = 100
WALLET_PREFIX: Final = "cardquorum-"
NAMES_MAX: Final = 9
STEP_BLOCKS: Final = 2_016
"""How many blocks the node looks through at a time: what a cut-off scan has to do again."""
EARLIER: Final = timedelta(days=1)
"""How long before a birthday a block is that may say it is later: clocks and medians differ."""
WALLETS_MAX: Final = 10_000
DESCRIPTORS_MAX: Final = 1_000
DESCRIPTOR_SIZE_MAX: Final = 10_000
INDEX_MAX: Final = 1_000_000
"""Scripts of a keychain that are believed to be used: each costs a derivation here."""
TRANSACTIONS_MAX: Final = 2**40
PAIR = re.compile(r"/<([0-9]{1,10});([0-9]{1,10})>/\*")

MISC_ERROR, WALLET_ERROR, NOT_FOUND, NO_METHOD = -1, -4, -18, -32601
OUT_OF_RANGE: Final = -8
LOADED_ALREADY: Final = frozenset({-35, WALLET_ERROR})
LOADED: Final = "already loaded"
PRUNED: Final = "prune"


class Keychain(NamedTuple):
    """How many scripts of a keychain a wallet watches, after how many none was used, since when."""

    watched: int
    used: int
    made: int
    active: bool


class Prepared(NamedTuple):
    """A wallet that holds what was looked for: how many scripts of each keychain, from where on.

    `anew` where it was scanned just now: what it holds was not told before.
    """

    wallet: "CoreWallet"
    reach: tuple[int, int]
    scanned: Scanned
    anew: bool
    notes: tuple[str, ...]


class CoreWallet:
    """A wallet on the node, by its name."""

    def __init__(self, node: Node, name: str) -> None:
        """Name it; nothing is asked yet."""
        self.node = node
        self.name = name

    def __str__(self) -> str:
        """Write the wallet and its node."""
        return f"wallet {self.name} on {self.node}"

    def ask(self, method: str, *params: object) -> Field:
        """Return the wallet's answer."""
        return call(self.node, method, *params, wallet=self.name)

    def transactions(self, txids: Sequence[str]) -> Iterator[Field]:
        """Yield what the wallet has of transactions; raises RpcError for one it does not know."""
        wanted = [("gettransaction", (txid, True)) for txid in txids]
        for answer in calls(self.node, wanted, wallet=self.name):
            if isinstance(answer, RpcError):
                raise answer
            yield answer

    def open(self) -> bool:
        """Load the wallet; make it where there is none. False where the node cannot use it."""
        try:
            loaded = call(self.node, "listwallets").items(WALLETS_MAX)
            if self.name in [each.text() for each in loaded]:
                return True
            call(self.node, "loadwallet", self.name)
        except RpcError as failure:
            if failure.rpc_code == NO_METHOD:
                raise ChainError(
                    f"{self.node} has no wallets: it runs with -disablewallet, or was built so"
                ) from failure
            if failure.rpc_code in LOADED_ALREADY and LOADED in failure.rpc_message:
                return True
            if failure.rpc_code == WALLET_ERROR and PRUNED in failure.rpc_message.lower():
                return False
            if failure.rpc_code != NOT_FOUND:
                raise
            # No private keys, blank, no passphrase, reuse allowed, descriptors, load on startup.
            call(self.node, "createwallet", self.name, True, True, "", False, True, True)
        return True

    def is_watch_only(self) -> bool:
        """Tell whether the wallet is one that descriptors without private keys fit in."""
        info = self.ask("getwalletinfo")
        knows_descriptors = info.member("descriptors")
        return not _is(info, "private_keys_enabled") and (
            knows_descriptors is None or knows_descriptors.flag()
        )

    def count(self) -> int:
        """Return how many transactions the wallet holds."""
        return self.ask("getwalletinfo")["txcount"].integer(0, TRANSACTIONS_MAX)

    def listed(self) -> dict[str, Keychain]:
        """Return what the wallet watches, by descriptor without its checksum."""
        found = {}
        for each in self.ask("listdescriptors")["descriptors"].items(DESCRIPTORS_MAX):
            body = bare(each["desc"].text(DESCRIPTOR_SIZE_MAX))
            span = each.member("range")
            watched = 1 if span is None else span[1].integer(0, HEIGHT_MAX) + 1
            made = each.member("timestamp")
            # A node before version 24 calls otherwise after how many scripts none was used.
            used = each.member("next_index") or each.member("next")
            found[body] = Keychain(
                watched,
                0 if used is None else used.integer(0, INDEX_MAX),
                0 if made is None else made.integer(0, TIME_MAX),
                _is(each, "active"),
            )
        return found

    def is_scanning(self, report: Report) -> bool:
        """Report how far a scan is; False where none is going on."""
        scanning = self.ask("getwalletinfo")["scanning"]
        if scanning.value is False:
            return False
        share = scanning["progress"].number(0, 1) * 100
        report(f"{self.node} looks through the blocks: {share:.0f} %")
        return True


class _Answered(CoreWallet):
    """A wallet that was asked already: what it said is read like any answer."""

    def __init__(self, node: Node, name: str, answers: Mapping[str, Field]) -> None:
        super().__init__(node, name)
        self._answers = answers

    def ask(self, method: str, *_params: object) -> Field:
        return self._answers[method]


class VaultWallet:
    """The wallet of one vault, whichever on the node that is."""

    def __init__(self, node: Node, folder: Path, network: str, *, report: Report) -> None:
        """Keep where the node is; what is scanned is noted in the folder."""
        self._node = node
        self._folder = folder
        self._network = network
        self._report = report
        self._said: list[str] = []

    def prepare(self, watch: Watch) -> Prepared:
        """Open the vault's wallet; fill it and look through old blocks where that is not done."""
        ours = keychain_descriptors(watch.descriptor)
        file = self._note_file(watch)
        kept = read_note(file, watch.descriptor)
        wallet, listed = self._opened(kept, watch.descriptor[-8:], ours)
        note = self._compared(kept, wallet, [listed.get(body) for body in ours])
        keychains, imported = self._filled(wallet, ours, listed, reach=watch.reach)
        if note is not None and imported:
            note = note._replace(made=_made(keychains))
        scan = _Scan(self._node, wallet, self._network, report=self._report)
        done, anew = scan.run(note, watch, keychains, keep=lambda each: write_note(file, each))
        keychains = [found for body in ours if (found := wallet.listed().get(body))]
        # What came since is the wallet's too: a wallet that has less is another one.
        counted = done._replace(transactions=wallet.count())
        if counted != kept:
            write_note(file, counted)
        prepared = _prepared(wallet, keychains, note=done, watch=watch)
        return prepared._replace(anew=anew, notes=tuple(self._said))

    def standing(self, watch: Watch) -> Prepared | None:
        """Return the wallet where one request shows that nothing came since the watch's tip.

        None wherever anything is not just as it was noted, or lists a transaction: then the node is
        asked step by step.
        """
        since, file = watch.since, self._note_file(watch)
        kept = read_note(file, watch.descriptor)
        looks = watch.rescan is not None or watch.widened or watch.birthday.moment is not None
        if kept is None or since is None or looks:
            return None
        wanted: list[Call] = [
            ("getblockchaininfo", ()),
            ("getwalletinfo", ()),
            ("listdescriptors", ()),
            ("listsinceblock", (since.hash, 1, True, True, True)),
        ]
        given = calls(self._node, wanted, wallet=kept.wallet)
        answers = {method: answer for (method, _), answer in zip(wanted, given, strict=True)}
        told = {m: answer for m, answer in answers.items() if not isinstance(answer, RpcError)}
        if len(told) < len(answers) or not self._stands(told, since):
            return None
        return self._as_noted(_Answered(self._node, kept.wallet, told), kept, watch)

    def _stands(self, told: Mapping[str, Field], since: Tip) -> bool:
        """Tell whether the node's newest block is that one, and its wallet lists nothing since."""
        info, listed = told["getblockchaininfo"], told["listsinceblock"]
        return (
            CHAINS.get(info["chain"].text(NAME_SIZE_MAX)) == self._network
            and not info["initialblockdownload"].flag()
            and info["headers"].height() == info["blocks"].height() == since.height
            and info["bestblockhash"].hash() == listed["lastblock"].hash() == since.hash
            and told["getwalletinfo"]["scanning"].value is False
            and listed["transactions"].value == []
        )

    def _as_noted(self, wallet: CoreWallet, kept: ScanNote, watch: Watch) -> Prepared | None:
        """Return a wallet that is the one noted and was looked through as far as is wanted."""
        # The checksum held when this descriptor was noted.
        ours, listed = _keychains(watch.descriptor.partition("#")[0]), wallet.listed()
        keychains = [listed.get(body) for body in ours]
        first = first_block(self._network, watch.descriptor)
        born = max(first, watch.birthday.height or 0)
        if (
            listed.keys() != set(ours)
            or not wallet.is_watch_only()
            or self._compared(kept, wallet, keychains) is None
            or not _covers(listed, ours, watch.reach)
            or not kept.done
            or kept.start > min(born, watch.since.height if watch.since else 0)
            or any(done < least for done, least in zip(kept.reach, watch.reach, strict=True))
            or wallet.count() != kept.transactions
        ):
            return None
        return _prepared(wallet, [listed[body] for body in ours], note=kept, watch=watch)

    def _note_file(self, watch: Watch) -> Path:
        return self._folder / f"{WALLET_PREFIX}{watch.descriptor[-8:]}.scanned"

    def _opened(
        self, note: ScanNote | None, ending: str, ours: Sequence[str]
    ) -> tuple[CoreWallet, dict[str, Keychain]]:
        """Return the first wallet of the vault's names that holds nothing else, made if need be."""
        first = WALLET_PREFIX + ending
        names = [first, *(f"{first}-{number}" for number in range(2, NAMES_MAX + 1))]
        if note is not None and note.wallet in names:
            names = [note.wallet, *(name for name in names if name != note.wallet)]
        for name in names:
            wallet = CoreWallet(self._node, name)
            if not wallet.open():
                self._said.append(f"{wallet} is behind what the node pruned and is left alone")
                continue
            while wallet.is_scanning(self._report):
                threading.Event().wait(POLL_SECONDS)
            self._report("")
            if not wallet.is_watch_only():
                self._said.append(f"{wallet} is not a watch-only wallet and is left alone")
                continue
            listed = wallet.listed()
            if not (foreign := len(listed.keys() - set(ours))):
                return wallet, listed
            self._said.append(
                f"{wallet} watches {foreign} descriptors that are not this vault's and is left "
                "alone: another wallet is used"
            )
        raise ChainError(f"{self._node} has {len(names)} wallets named {first}, none of this vault")

    def _compared(
        self, note: ScanNote | None, wallet: CoreWallet, keychains: Sequence[Keychain | None]
    ) -> ScanNote | None:
        """Return what was noted of the wallet; None where this is another one."""
        if note is None:
            return None
        there = [keychain for keychain in keychains if keychain is not None]
        same = (
            note.wallet == wallet.name
            and len(there) == len(keychains)
            and all(b.watched >= n for b, n in zip(there, note.reach, strict=True))
            and all(b.made <= n for b, n in zip(there, note.made, strict=True))
            and wallet.count() >= note.transactions
        )
        if same:
            return note
        self._said.append(f"{wallet} is not the one that was scanned before: it is scanned again")
        return None

    def _filled(
        self,
        wallet: CoreWallet,
        ours: Sequence[str],
        listed: Mapping[str, Keychain],
        *,
        reach: Sequence[int],
    ) -> tuple[list[Keychain], bool]:
        """Have the wallet watch at least so many scripts of each keychain; never less than it does.

        Returns what it watches then, and whether anything was imported.
        """
        if _covers(listed, ours, reach):
            return [listed[body] for body in ours], False
        requests = []
        for number, (body, count) in enumerate(zip(ours, reach, strict=True)):
            known = listed.get(body, Keychain(0, 0, 0, active=False))
            end = max(known.watched - 1, count - 1 + AHEAD)
            requests.append({
                "desc": f"{body}#{checksum(body)}",
                "active": True,
                "internal": number == 1,
                "range": [0, end],
                "next_index": min(known.used, end),
                # Old blocks are looked through afterwards, by their heights.
                "timestamp": "now",
            })  # fmt: skip
        refusals = _refusals(
            _in_background(
                wallet, self._report, lambda patient: patient.ask("importdescriptors", requests)
            ),
            len(requests),
        )
        listed = wallet.listed()
        if not _covers(listed, ours, reach):
            told = refusals[0] if refusals else "it does not list what it was given"
            raise ChainError(f"{self._node} does not take the vault: {told}")
        return [listed[body] for body in ours], True


def _prepared(
    wallet: CoreWallet, keychains: Sequence[Keychain], *, note: ScanNote, watch: Watch
) -> Prepared:
    """Return a wallet with how many scripts of each keychain were looked for, from where on."""
    receive, change = (
        max(least, min(keychain.used + LOOKED, looked))
        for keychain, least, looked in zip(keychains, watch.reach, note.reach, strict=True)
    )
    scanned = Scanned(note.start, note.earlier_unknown)
    return Prepared(wallet, (receive, change), scanned, anew=False, notes=())


class _Scan:
    """Looking through old blocks, a stretch at a time: what was cut off goes on."""

    def __init__(self, node: Node, wallet: CoreWallet, network: str, *, report: Report) -> None:
        self._node = node
        self._wallet = wallet
        self._network = network
        self._report = report

    def run(
        self,
        note: ScanNote | None,
        watch: Watch,
        keychains: Sequence[Keychain],
        *,
        keep: Callable[[ScanNote], None],
    ) -> tuple[ScanNote, bool]:
        """Look through the blocks that were not, and return what is noted then.

        The flag tells whether any were looked through.
        """
        wanted = self._wanted(note, watch)
        begin = max(wanted, self._lowest_block())
        reach = keychains[0].watched, keychains[1].watched
        covers = note is not None and all(
            done >= least for done, least in zip(note.reach, watch.reach, strict=True)
        )
        if note is not None and note.done and covers and watch.rescan is None:
            if note.start <= wanted:
                return note, False
            if note.start <= begin:
                return note._replace(earlier_unknown=True), False
        if note is not None and not note.done and covers and self._goes_on(note, watch, begin):
            going = note
        else:
            before = note.start if note is not None and note.done and covers else begin
            start = min(begin, before)
            going = ScanNote(
                wallet=self._wallet.name,
                descriptor=watch.descriptor,
                start=start,
                earlier_unknown=start > wanted,
                reach=reach if note is None or not covers else note.reach,
                made=_made(keychains),
                transactions=0,
                begin=begin,
                height=begin - 1,
                block="",
                done=False,
            )
        keep(going)
        return self._through(going, keep), True

    def _wanted(self, note: ScanNote | None, watch: Watch) -> int:
        """Return from which block on is to be looked."""
        if watch.rescan is not None:
            return self._height(watch.rescan, "the rescan's first block", watch.descriptor)
        born = self._height(watch.birthday, "the vault's birthday", watch.descriptor)
        if note is not None and note.done and note.start <= born:
            return born
        # A wallet that lacks a coin known here does not see it being spent.
        return min(born, min(watch.known().values(), default=born))

    def _height(self, birthday: Birthday, name: str, descriptor: str) -> int:
        """Return the first block that can be as late as a moment, or the height itself."""
        first, tip = first_block(self._network, descriptor), self._tip().height
        if birthday.moment is None:
            if (birthday.height or 0) > tip:
                raise BirthdayAhead(f"{name}, block {birthday.height}, is not on the chain yet")
            return min(max(first, birthday.height or 0), tip)
        moment = (birthday.moment - EARLIER).timestamp()
        low, high = min(first, tip), tip
        if self._median_time(tip) < moment:
            return low  # it was written down by a clock that was wrong
        while low < high:
            middle = (low + high) // 2
            if self._median_time(middle) < moment:
                low = middle + 1
            else:
                high = middle
        return low

    def _lowest_block(self) -> int:
        """Return the first block the node still has."""
        lowest = call(self._node, "getblockchaininfo").member("pruneheight")
        return 0 if lowest is None else lowest.height()

    def _goes_on(self, note: ScanNote, watch: Watch, begin: int) -> bool:
        """Tell whether a scan that was cut off holds up to where it came."""
        if begin < (note.start if watch.rescan is None else note.begin):
            return False
        if note.height < note.begin:
            return True
        try:
            return self._hash(note.height) == note.block
        except RpcError as failure:
            if failure.rpc_code == OUT_OF_RANGE:
                return False
            raise

    def _through(self, going: ScanNote, keep: Callable[[ScanNote], None]) -> ScanNote:
        """Have the node look through the blocks that are left; each stretch is kept."""
        tip = self._tip()
        while going.height < tip.height:
            first = going.height + 1
            last = min(going.height + STEP_BLOCKS, tip.height)
            going = self._stretch(going, first, last, tip=tip)
            keep(going)
            tip = self._tip()
        self._report("")
        done = going._replace(done=True)
        keep(done)
        return done

    def _stretch(self, going: ScanNote, first: int, last: int, *, tip: Tip) -> ScanNote:
        """Look through some blocks; the node must say that it did, of exactly these."""
        block = self._hash(last)
        self._report(f"{self._node} looks through block {first} of {tip.height}")
        try:
            answer = _in_background(
                self._wallet,
                self._report,
                lambda patient: patient.ask("rescanblockchain", first, last),
            )
        except RpcError as failure:
            lowest = self._lowest_block()
            if failure.rpc_code == MISC_ERROR and lowest > first:
                # Pruned meanwhile: what is gone cannot be looked at any more.
                skipped = min(lowest, tip.height + 1)
                return going._replace(start=skipped, begin=skipped, height=skipped - 1,
                                      earlier_unknown=True)  # fmt: skip
            raise
        looked = answer["start_height"].height(), answer["stop_height"].height()
        if looked != (first, last):
            raise ChainError(
                f"{self._node} says that it looked through blocks {looked[0]} to {looked[1]}, "
                f"not {first} to {last}"
            )
        return going._replace(height=last, block=block)

    def _tip(self) -> Tip:
        info = call(self._node, "getblockchaininfo")
        return Tip(info["blocks"].height(), info["bestblockhash"].hash())

    def _hash(self, height: int) -> str:
        return call(self._node, "getblockhash", height).hash()

    def _median_time(self, height: int) -> int:
        return call(self._node, "getblockheader", self._hash(height))["mediantime"].moment()


def keychain_descriptors(descriptor: str) -> tuple[str, str]:
    """Return a two-path descriptor's keychains, without checksums; raises ChainError."""
    body, _, given = descriptor.partition("#")
    try:
        if not PAIR.search(body) or checksum(body) != given:
            raise ChainError("the vault's descriptor has no two keychains, or a wrong checksum")
    except PolicyError as failure:
        raise ChainError(f"the vault's descriptor cannot be read: {failure}") from failure
    return _keychains(body)


@lru_cache(maxsize=16)
def _keychains(body: str) -> tuple[str, str]:
    receive, change = (bare(PAIR.sub(rf"/\{group}/*", body)) for group in (1, 2))
    return receive, change


def bare(descriptor: str) -> str:
    """Return a descriptor without its checksum, hardened steps written with h."""
    return descriptor.partition("#")[0].replace("'", "h")


def _covers(listed: Mapping[str, Keychain], ours: Sequence[str], reach: Sequence[int]) -> bool:
    return all(
        body in listed and listed[body].active and listed[body].watched >= least
        for body, least in zip(ours, reach, strict=True)
    )


def _made(keychains: Sequence[Keychain]) -> tuple[int, int]:
    return keychains[0].made, keychains[1].made


def _refusals(answer: Field, count: int) -> list[str]:
    """Return why the node refused what it was given: nothing where it took all."""
    told = list(answer.items(count))
    if len(told) != count:
        answer.refuse(f"{count} answers")
    return [each["error"]["message"].text() for each in told if not each["success"].flag()]


def _in_background(wallet: CoreWallet, report: Report, ask: Callable[[CoreWallet], Field]) -> Field:
    """Ask what takes as long as it takes, and report meanwhile how far the node is."""
    answers: list[Field] = []
    failures: list[ChainError] = []
    patient = CoreWallet(wallet.node._replace(seconds=None), wallet.name)

    def asking() -> None:
        try:
            answers.append(ask(patient))
        except ChainError as failure:
            failures.append(failure)

    thread = threading.Thread(target=asking, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(POLL_SECONDS)
        if thread.is_alive():
            wallet.is_scanning(report)
    report("")
    if failures:
        raise failures[0]
    if not answers:
        raise ChainError(f"{wallet} gave no answer")
    return answers[0]


def _is(answer: Field, name: str) -> bool:
    """Return a flag that may be left out."""
    found = answer.member(name)
    return found is not None and found.flag()
