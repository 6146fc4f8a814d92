"""A Keycard made of software: what comes in, who answers it, and in which order it is refused."""

import secrets
from dataclasses import fields

from coincurve import PrivateKey

from cards.apdu import SW_OK, Response
from cards.emulation import EmulatedTransport
from cards.errors import NotSupported
from cards.keycard import (
    NAME,
    emulator_attestation,
    emulator_channel,
    emulator_codes,
    emulator_extras,
    emulator_keys,
    tlv,
)
from cards.keycard.emulator_channel import free_slots
from cards.keycard.emulator_memory import SLOTS, Card, Flash, Handler, Power, Refusal, Request
from cards.keycard.wire import (
    CAPABILITIES,
    INS_FACTORY_RESET,
    INS_GET_CHALLENGE,
    INS_GET_DATA,
    INS_IDENTIFY,
    INS_INIT,
    INS_MUTUALLY_AUTHENTICATE,
    INS_OPEN,
    INS_PAIR,
    INS_SECURED,
    INS_UNPAIR,
    POINT,
    STATUS_READY,
    SW_CONDITIONS,
    SW_NOT_FOUND,
    SW_SECURITY,
    SW_UNKNOWN_INS,
    SW_WRONG_DATA,
    SW_WRONG_P1_P2,
    TAG_APPLICATION,
    TAG_CAPABILITIES,
    TAG_CERTIFICATE,
    TAG_INSTANCE_UID,
    TAG_INTEGER,
    TAG_KEY_UID,
    TAG_PUBLIC_KEY,
    TAG_STATUS,
    cbc_decrypt,
)

SELECT = bytes.fromhex("00A404")
APPLETS = {
    "keycard": bytes.fromhex("A00000080400010101"),
    "ident": bytes.fromhex("A00000080400010401"),
}
AID_MIN = 8
UID = 16
RESET_MAGIC = (0xAA, 0x55)
SURVIVES_RESET = {"profile", "uid", "identity", "certificate", "one_byte_short"}
HANDLERS: dict[int, Handler] = (
    emulator_codes.HANDLERS | emulator_keys.HANDLERS | emulator_extras.HANDLERS
)
CBC_HANDLERS: dict[int, Handler] = (
    HANDLERS
    | emulator_keys.ONLY_BEFORE_4
    | {
        INS_MUTUALLY_AUTHENTICATE: emulator_channel.mutually_authenticate,
        INS_UNPAIR: emulator_channel.unpair,
        INS_IDENTIFY: emulator_attestation.identify,
    }
)
CCM_HANDLERS: dict[int, Handler] = HANDLERS | emulator_extras.SINCE_4
WITH_OR_WITHOUT_CHANNEL = {INS_IDENTIFY, INS_GET_DATA}


def emulate(profile: str) -> "KeycardEmulator":
    """Make a card as it leaves the factory, certified by the test key."""
    card = blank(profile)
    card.flash.identity = PrivateKey().secret
    card.flash.certificate = emulator_attestation.certificate(card.flash.identity)
    return card


def uncertified(profile: str) -> "KeycardEmulator":
    """Make a card that nobody certified; 4.0 does not work without."""
    if profile == "4.0":
        raise NotSupported(NAME, "working without a certificate on 4.0")
    return blank(profile)


def blank(profile: str) -> "KeycardEmulator":
    """Make a card before the factory certifies it."""
    if profile not in SLOTS:
        raise NotSupported(NAME, f"version {profile}, only {', '.join(SLOTS)}")
    return KeycardEmulator(Flash(profile, secrets.token_bytes(UID)))


def revive(state: bytes) -> "KeycardEmulator":
    """Make the card whose state this is; raises CardError for anything else."""
    return KeycardEmulator(Flash.decode(state))


class KeycardEmulator:
    """A card; without power only its flash matters."""

    def __init__(self, flash: Flash) -> None:
        """Keep the flash."""
        self.flash = flash
        self._card = Card(flash, Power())
        self._reader: EmulatedTransport | None = None

    def insert(self) -> EmulatedTransport:
        """Put the card on a reader, and so take it away from the one it lay on."""
        if self._reader is not None:
            self._reader.eject()
        self._reader = EmulatedTransport(self)
        return self._reader

    def state(self) -> bytes:
        """Return what survives power-off."""
        return self.flash.encode()

    def power_on(self) -> None:
        """Forget channel, login and selection."""
        self._card = Card(self.flash, Power())

    def answer(self, apdu: bytes) -> bytes:
        """Answer one command APDU."""
        try:
            data = self._route(apdu)
        except Refusal as refusal:
            return self._refused(apdu, refusal.sw)
        return self._told(apdu, data)

    def _told(self, apdu: bytes, data: bytes) -> bytes:
        """Answer in the channel where there is one that has been opened before."""
        channel = self._card.power.channel
        if channel is None or not self._card.power.authenticated or apdu[1] in {INS_OPEN, 0xA4}:
            return Response(data, SW_OK).encode()
        return channel.wrap(data, SW_OK)

    def _refused(self, apdu: bytes, sw: int) -> bytes:
        """Refuse in the channel too, unless it does not hold any more."""
        power = self._card.power
        if sw == SW_SECURITY:
            self._card.close_channel()
        if power.channel is None or not power.authenticated or apdu[1:2] == bytes((INS_OPEN,)):
            return Response(sw=sw).encode()
        return power.channel.wrap(b"", sw)

    def _route(self, apdu: bytes) -> bytes:
        """Choose between the card manager, which selects, and the applets."""
        request = Request.read(apdu)
        if apdu.startswith(SELECT):
            return self._select(request.data)
        selected = self._card.power.selected
        if selected == "ident":
            return emulator_attestation.personalise(self._card, request)
        if selected != "keycard":
            raise Refusal(SW_UNKNOWN_INS)
        if self.flash.certified:
            return self._ccm_applet(apdu, request)
        return self._cbc_applet(apdu, request)

    def _select(self, aid: bytes) -> bytes:
        """Select an applet by the beginning of its name: channel and login are gone."""
        found = [name for name, full in APPLETS.items() if full.startswith(aid)]
        if len(aid) < AID_MIN or not found:
            raise Refusal(SW_NOT_FOUND)
        last_chain_code = self._card.power.last_chain_code
        self._card.power = Power(selected=found[0], last_chain_code=last_chain_code)
        if found[0] == "ident":
            return self.flash.certificate
        if self.flash.certified:
            return self._certified_application()
        return self._application()

    def _application(self) -> bytes:
        """Tell who a 3.x card is; before INIT only the key that INIT encrypts to."""
        point = PrivateKey(self.flash.channel_key).public_key.format(compressed=False)
        key = tlv.encode(TAG_PUBLIC_KEY, point)
        if not self.flash.initialised:
            return key
        return tlv.encode(
            TAG_APPLICATION,
            tlv.encode(TAG_INSTANCE_UID, self.flash.uid)
            + key
            + tlv.encode(TAG_INTEGER, self.flash.version)
            + tlv.encode(TAG_INTEGER, bytes((len(free_slots(self._card)),)))
            + self._key_and_capabilities(),
        )

    def _certified_application(self) -> bytes:
        """Tell who a 4.0 card is; the snapshot of its source counts the template short by one."""
        self._need_certificate()
        status = (STATUS_READY | self.flash.pin.left) if self.flash.initialised else 0
        content = (
            tlv.encode(TAG_INTEGER, self.flash.version)
            + tlv.encode(TAG_STATUS, bytes((status,)))
            + self._key_and_capabilities()
            + tlv.encode(TAG_CERTIFICATE, self.flash.certificate)
        )
        template = tlv.encode(TAG_APPLICATION, content)
        if not self.flash.one_byte_short:
            return template
        head = template[: -len(content)]
        return head[:-1] + bytes((head[-1] - 1,)) + content

    def _key_and_capabilities(self) -> bytes:
        capabilities = tlv.encode(TAG_CAPABILITIES, bytes((CAPABILITIES,)))
        return tlv.encode(TAG_KEY_UID, self.flash.key_uid) + capabilities

    def _cbc_applet(self, apdu: bytes, request: Request) -> bytes:
        """Answer as 3.x: some commands in clear, the others only in the channel."""
        if request.ins == INS_FACTORY_RESET:
            return self._factory_reset(request)
        if not self.flash.initialised:
            return self._before_init(request)
        if request.ins == INS_OPEN:
            return emulator_channel.open_paired(self._card, request)
        if request.ins == INS_PAIR:
            return emulator_channel.pair(self._card, request)
        if request.ins not in CBC_HANDLERS:
            raise Refusal(SW_UNKNOWN_INS)
        return CBC_HANDLERS[request.ins](self._card, self._unwrapped(apdu, request))

    def _before_init(self, request: Request) -> bytes:
        """Answer as 3.x before INIT."""
        if request.ins == INS_IDENTIFY:
            return emulator_attestation.identify(self._card, request)
        if request.ins != INS_INIT:
            raise Refusal(SW_UNKNOWN_INS)
        return self._initialise(request.data)

    def _initialise(self, data: bytes) -> bytes:
        """INIT of 3.x: encrypted to the one-shot key, which is another afterwards."""
        point, rest = data[1 : 1 + POINT], data[1 + POINT :]
        if data[:1] != bytes((POINT,)):
            raise Refusal(SW_WRONG_DATA)
        shared_x = emulator_channel.shared_x(self.flash.channel_key, point)
        try:
            plain = cbc_decrypt(shared_x, rest[:16], rest[16:])
        except ValueError:
            raise Refusal(SW_WRONG_DATA) from None
        emulator_codes.initialise(self._card, plain)
        self.flash.channel_key = PrivateKey().secret
        return b""

    def _unwrapped(self, apdu: bytes, request: Request) -> Request:
        """Take a command out of the channel, where one is open or needed."""
        power = self._card.power
        if power.channel is None and request.ins in WITH_OR_WITHOUT_CHANNEL:
            return request
        opening = request.ins == INS_MUTUALLY_AUTHENTICATE
        if power.channel is None or not (power.authenticated or opening):
            raise Refusal(SW_CONDITIONS)
        return power.channel.unwrap(apdu)

    def _ccm_applet(self, apdu: bytes, request: Request) -> bytes:
        """Answer as 4.0: all but OPEN and FACTORY RESET is carried by SECURED."""
        self._need_certificate()
        if request.ins == INS_FACTORY_RESET:
            return self._factory_reset(request)
        if request.ins == INS_OPEN:
            return emulator_channel.open_certified(self._card, request)
        if request.ins != INS_SECURED or self._card.power.channel is None:
            raise Refusal(SW_CONDITIONS)
        return self._inner(self._card.power.channel.unwrap(apdu))

    def _inner(self, inner: Request) -> bytes:
        """Answer what SECURED carried; before INIT almost everything is answered with nothing."""
        if not self.flash.initialised:
            if inner.ins == INS_INIT:
                emulator_codes.initialise(self._card, inner.data)
            return (
                CCM_HANDLERS[inner.ins](self._card, inner)
                if inner.ins == INS_GET_CHALLENGE
                else b""
            )
        if inner.ins not in CCM_HANDLERS:
            raise Refusal(SW_UNKNOWN_INS)
        return CCM_HANDLERS[inner.ins](self._card, inner)

    def _factory_reset(self, request: Request) -> bytes:
        """Forget everything but who the card is (FACTORY RESET)."""
        if (request.p1, request.p2) != RESET_MAGIC:
            raise Refusal(SW_WRONG_P1_P2)
        clean = Flash(self.flash.profile, self.flash.uid)
        for each in fields(Flash):
            if each.name not in SURVIVES_RESET:
                setattr(self.flash, each.name, getattr(clean, each.name))
        self._card.power = Power(selected=self._card.power.selected)
        return b""

    def _need_certificate(self) -> None:
        if not self.flash.certificate:
            raise Refusal(SW_CONDITIONS)
