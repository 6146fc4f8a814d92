"""Minimal Bytewords (BCR-2020-012): two letters a byte, with a checksum at the end."""

import re
from binascii import crc32
from typing import Final

from coordinator.errors import UsageError

WORDS: Final = (
    "ableacidalsoapexaquaarchatomauntawayaxisbackbaldbarnbeltbetabiasbluebodybragbrewbulbbuzz"
    "calmcashcatschefcityclawcodecolacookcostcruxcurlcuspcyandarkdatadaysdelidicedietdoordown"
    "drawdropdrumdulldutyeacheasyechoedgeepicevenexamexiteyesfactfairfernfigsfilmfishfizzflap"
    "flewfluxfoxyfreefrogfuelfundgalagamegeargemsgiftgirlglowgoodgraygrimgurugushgyrohalfhang"
    "hardhawkheathelphighhillholyhopehornhutsicedideaidleinchinkyintoirisironitemjadejazzjoin"
    "joltjowljudojugsjumpjunkjurykeepkenokeptkeyskickkilnkingkitekiwiknoblamblavalazyleaflegs"
    "liarlimplionlistlogoloudloveluaulucklungmainmanymathmazememomenumeowmildmintmissmonknail"
    "navyneednewsnextnoonnotenumbobeyoboeomitonyxopenovalowlspaidpartpeckplaypluspoempoolpose"
    "puffpumapurrquadquizraceramprealredorichroadrockroofrubyruinrunsrustsafesagascarsetssilk"
    "skewslotsoapsolosongstubsurfswantacotasktaxitenttiedtimetinytoiltombtoystriptunatwinugly"
    "undouniturgeuservastveryvetovialvibeviewvisavoidvowswallwandwarmwaspwavewaxywebswhatwhen"
    "whizwolfworkyankyawnyellyogayurtzapszerozestzinczonezoom"
)
PAIRS: Final = tuple(word[0] + word[-1] for word in re.findall("....", WORDS))
BYTES: Final = {pair: number for number, pair in enumerate(PAIRS)}
CHECKSUM_SIZE: Final = 4


def encode(data: bytes) -> str:
    """Return the letters of bytes and of their checksum."""
    return "".join(PAIRS[byte] for byte in data + crc32(data).to_bytes(CHECKSUM_SIZE, "big"))


def decode(text: str) -> bytes:
    """Return the bytes; raises UsageError for a code that was misread."""
    text = text.lower()
    if len(text) % 2:
        raise UsageError("a UR code was misread: it has an odd number of letters")
    try:
        data = bytes(BYTES[text[at : at + 2]] for at in range(0, len(text), 2))
    except KeyError as unknown:
        raise UsageError(f"a UR code was misread: no byte is written {unknown}") from None
    content, checksum = data[:-CHECKSUM_SIZE], data[-CHECKSUM_SIZE:]
    if not content or crc32(content).to_bytes(CHECKSUM_SIZE, "big") != checksum:
        raise UsageError("a UR code was misread: its checksum is wrong")
    return content
