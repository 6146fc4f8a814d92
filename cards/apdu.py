"""ISO 7816-4 command and response APDUs as values."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Self

from cards.errors import ProtocolError

SW_OK = 0x9000
SHORT_DATA_MAX = 255
SHORT_RESPONSE_MAX = 256
EXTENDED_DATA_MAX = 0xFFFF


class Form(Enum):
    """How lengths are written: as short as fits, with a fifth byte 00 for none, or extended."""

    ISO = "iso"
    P3 = "p3"
    EXTENDED = "extended"


@dataclass(frozen=True)
class Command:
    """A command APDU; `le` is the number of bytes wanted (256 = all of a short answer).

    A secret command keeps its data out of `repr`, and so out of every log.
    """

    cla: int
    ins: int
    p1: int = 0
    p2: int = 0
    data: bytes = field(default=b"", repr=False)
    le: int | None = None
    secret: bool = False

    def __repr__(self) -> str:
        """Show header and data, or only the data's length where it is secret."""
        shown = f"<{len(self.data)} secret bytes>" if self.secret else self.data.hex()
        return f"Command({self.cla:02X} {self.ins:02X} {self.p1:02X} {self.p2:02X} {shown})"

    def encode(self, form: Form = Form.ISO) -> bytes:
        """Return the APDU's bytes: short where it fits, extended otherwise.

        `Form.P3` gives a command without data and le a fifth byte 00, as old applets demand;
        `Form.EXTENDED` writes every length extended.
        """
        header = bytes((self.cla, self.ins, self.p1, self.p2))
        if len(self.data) > EXTENDED_DATA_MAX:
            raise ValueError(f"an APDU holds {EXTENDED_DATA_MAX} bytes, not {len(self.data)}")
        le = self.le or 0
        long = len(self.data) > SHORT_DATA_MAX or le > SHORT_RESPONSE_MAX
        if long or form is Form.EXTENDED:
            lc = len(self.data).to_bytes(2) + self.data if self.data else b""
            tail = (le & 0xFFFF).to_bytes(2) if self.le is not None else b""
            return header + (b"\0" + lc + tail if lc or tail else b"")
        lc = bytes((len(self.data),)) + self.data if self.data else b""
        tail = bytes((le & 0xFF,)) if self.le is not None else b""
        return header + ((lc + tail) or (b"\0" if form is Form.P3 else b""))

    @classmethod
    def parse(cls, apdu: bytes) -> Self:
        """Read a command APDU, short or extended; a lone fifth byte 00 is an `le` of 256.

        Raises ProtocolError where the lengths do not add up.
        """
        if len(apdu) < 4:
            raise ProtocolError(f"a command APDU has at least 4 bytes, not {len(apdu)}")
        (cla, ins, p1, p2), body = apdu[:4], apdu[4:]
        if not body:
            return cls(cla, ins, p1, p2)
        if len(body) == 1:
            return cls(cla, ins, p1, p2, le=body[0] or SHORT_RESPONSE_MAX)
        if body[0] == 0 and len(body) > 2:
            data, le = _parse_extended(body[1:])
            return cls(cla, ins, p1, p2, data, le)
        data, tail = body[1 : 1 + body[0]], body[1 + body[0] :]
        if len(data) != body[0] or len(tail) > 1:
            raise ProtocolError(f"the command announces {body[0]} bytes and brings {len(body) - 1}")
        return cls(cla, ins, p1, p2, data, (tail[0] or SHORT_RESPONSE_MAX) if tail else None)


@dataclass(frozen=True)
class Response:
    """A response APDU: data and status word."""

    data: bytes = b""
    sw: int = SW_OK

    def encode(self) -> bytes:
        """Return data followed by the status word."""
        return self.data + self.sw.to_bytes(2)

    @classmethod
    def parse(cls, answer: bytes) -> Self:
        """Split an answer; raises ProtocolError where there is no status word."""
        if len(answer) < 2:
            raise ProtocolError(f"a response APDU has at least 2 bytes, not {len(answer)}")
        return cls(answer[:-2], int.from_bytes(answer[-2:]))


def select(aid: bytes) -> Command:
    """SELECT by name (ISO 7816-4, 11.1.1)."""
    return Command(0x00, 0xA4, 0x04, 0x00, data=aid)


def _parse_extended(body: bytes) -> tuple[bytes, int | None]:
    """Read data and `le` behind the leading 00 of an extended command."""
    length = int.from_bytes(body[:2])
    if len(body) == 2:
        return b"", length or EXTENDED_DATA_MAX + 1
    data, tail = body[2 : 2 + length], body[2 + length :]
    if len(data) != length or len(tail) not in {0, 2}:
        raise ProtocolError(f"the command announces {length} bytes and brings {len(body) - 2}")
    return data, (int.from_bytes(tail) or EXTENDED_DATA_MAX + 1) if tail else None
