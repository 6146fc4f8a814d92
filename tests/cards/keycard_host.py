"""A host that says to a Keycard exactly what a test wants, channel and all."""

import hashlib

from coincurve import PrivateKey

from cards.apdu import Command, Form, Response
from cards.keycard import answers, channel, commands
from cards.keycard.channel import open_certified, open_paired, shared_x
from cards.keycard.wire import cbc_encrypt
from cards.pin import Pin, Secret
from cards.transport import CardTransport

PIN = b"123456"
PUK = b"999999789012"
DURESS = b"654321"
TRIES = bytes((3, 5))
SEED = bytes.fromhex(
    "5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc1"
    "9a5ac40b389cd370d086206dec8aa6c43daea6690f20ad3d8d48b2d2ce9e38e4"
)
"""BIP 39's test seed: abandon … about, no passphrase."""


def steps(path: str) -> bytes:
    """Return a written path as the card takes it."""
    return b"".join(
        (int(step.rstrip("'")) | (0x80000000 if step.endswith("'") else 0)).to_bytes(4)
        for step in path.split("/")[1:]
    )


class Host:
    """Speaks to the card on a reader; knows no mercy."""

    def __init__(self, reader: CardTransport) -> None:
        self.reader = reader
        self.channel: channel.Channel | None = None
        self.paired: channel.Pairing | None = None

    def plain(self, apdu: bytes) -> tuple[bytes, int]:
        answer = Response.parse(self.reader.transmit(apdu))
        return answer.data, answer.sw

    def select(self) -> answers.Application:
        self.channel = None
        data, sw = self.plain(commands.SELECT.encode())
        assert sw == 0x9000
        return answers.parse_select(data)

    def initialise(self, credentials: bytes) -> int:
        """INIT with credentials as they are; a pairing secret is put in for 3.x."""
        application = self.select()
        if application.certified:
            self.open()
            return self.command(commands.init_in_channel(credentials))[1]
        ephemeral, iv = PrivateKey(), bytes(range(16))
        key = shared_x(ephemeral, application.point)
        whole = credentials[:18] + channel.default_secret() + credentials[18:]
        point = ephemeral.public_key.format(compressed=False)
        command = commands.init(point, iv, cbc_encrypt(key, iv, whole))
        return self.plain(command.encode())[1]

    def open(self) -> None:
        application = self.select()
        if application.certified:
            self.channel = open_certified(self.reader, application.certificate[:33])
            return
        if self.paired is None or not self.paired.lasting:
            self.paired = channel.pair(self.reader, channel.default_secret())
        assert self.paired is not None
        self.channel = open_paired(self.reader, application.point, self.paired)

    def command(self, command: Command) -> tuple[bytes, int]:
        """Send a command in the channel; an outer status word is returned as it is."""
        assert self.channel is not None
        wrapped = self.channel.wrap(command)
        data, sw = self.plain(wrapped.encode(Form.P3))
        if sw != 0x9000:
            return data, sw
        inner = self.channel.unwrap(data)
        return inner.data, inner.sw

    def send(self, apdu: bytes) -> tuple[bytes, int]:
        return self.command(Command.parse(apdu))

    def ready(self, credentials: bytes = PIN + PUK + TRIES + DURESS, pin: bytes = PIN) -> None:
        """Set the card up and present the PIN."""
        assert self.initialise(credentials) == 0x9000
        self.open()
        assert self.command(commands.verify_pin(Pin(pin)))[1] == 0x9000

    def load(self, seed: bytes = SEED) -> bytes:
        uid, sw = self.command(commands.load_seed(Secret(seed)))
        assert sw == 0x9000
        return uid

    def point(self, path: str) -> bytes:
        """Return the uncompressed public key at a path."""
        data, sw = self.command(Command(0x80, 0xC2, 1, 1, data=steps(path)))
        assert sw == 0x9000
        return data[4:69]


def key_uid(point: bytes) -> bytes:
    return hashlib.sha256(point).digest()
