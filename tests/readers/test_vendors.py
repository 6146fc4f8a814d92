"""The vendors' own clients use our emulated cards through a PC/SC service, by their own way."""

import contextlib
import gc
import hashlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from coincurve import PublicKey

from cards.emulation import Emulator
from cards.family import EmulatedCard, family_named
from cards.keycard.channel import default_secret
from cards.keycard.emulator import emulate as emulate_keycard
from cards.keycard.roots import TEST_KEY
from cards.pcscd import Service
from cards.signature import verify
from tests.cards.tapsigner_host import CVC, with_key
from tests.judges import judge
from tests.readers.conftest import Put

Connect = Callable[[str], Any]
PIN, PUK, DURESS = "123456", "850273619482", "654321"
DIGEST = hashlib.sha256(b"a digest").digest()
PATH = "m/48'/0'/0'/2'/0/5"

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def connection_to(service: Service) -> Iterator[Callable[[str], Any]]:
    """Return what makes pyscard's own connection to the card on a reader."""
    made = []

    def connect(reader: str) -> Any:  # noqa: ANN401 -- pyscard ships no types
        (found,) = (r for r in judge("smartcard.System").readers() if r.name == reader)
        made.append(found.createConnection())
        made[-1].connect()
        return made[-1]

    assert service
    yield connect
    for connection in made:
        connection.release()
    made.clear()
    gc.collect()


def test_status_own_client_pairs_and_signs(put: Put, connection_to: Connect) -> None:
    card = emulate_keycard("3.2")
    reader = put(0, card)
    keycard = judge("keycard.keycard")
    theirs = judge("keycard.transport").Transport()
    theirs.connection = connection_to(reader)
    client = keycard.KeyCard(theirs, ca_public_keys=[TEST_KEY])
    client.select()
    client.init(PIN, PUK, default_secret(), alt_pin=DURESS)
    client.select()
    client.pair(default_secret())
    client.open_secure_channel()
    assert client.verify_pin(PIN)
    client.generate_key()
    for digest in (DIGEST, hashlib.sha256(DIGEST).digest()):
        # The applet pads a low S that begins with zeros: one time in 256 the client refuses it.
        with contextlib.suppress(ValueError):
            result = client.sign_with_path(digest, PATH)
            break
    key = PublicKey(bytes(result.public_key))
    assert key.verify(result.signature_der, digest, hasher=None)


def test_coinkites_own_client_signs(put: Put, connection_to: Connect) -> None:
    card = with_key("1.0.3")
    assert isinstance(card, Emulator)
    transport = judge("cktap.transport")
    connection = connection_to(put(0, card))
    theirs = transport.CKTapCard(transport.CKTapNFCTransport(connection))
    assert theirs.is_tapsigner
    pubkey = theirs.get_pubkey(CVC)
    signature = theirs.sign_digest(CVC, DIGEST)
    assert verify(pubkey, DIGEST, signature[-64:])


def test_satochips_own_client_opens_its_channel(
    put: Put, connection_to: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    card: EmulatedCard = family_named("satochip").emulate("0.14-0.1")
    connector = judge("pysatochip.CardConnector")

    def no_reader(**_wanted: object) -> None:
        raise connector.CardRequestTimeoutException

    monkeypatch.setattr(connector, "CardRequest", no_reader)
    monkeypatch.setattr(
        connector, "CardMonitor", lambda: SimpleNamespace(addObserver=lambda _: None)
    )
    client = connector.CardConnector(card_filter=["satochip"])
    connection = connection_to(put(0, card))
    client.card_present = True
    client.cardservice = SimpleNamespace(connection=connection)
    client.UID_SHA1 = "00"
    client.card_select()
    client.card_get_status()
    client.card_initiate_secure_channel()
    answer = client.card_setup(
        5, 3, list(b"123456"), list(b"12345678"), 1, 1, list(b"9999"), list(b"8888"), 32, 0, 1, 1, 1
    )
    assert answer[1] << 8 | answer[2] == 0x9000
    client.set_pin(0, list(b"123456"))
    client.card_verify_PIN()
    assert client.card_get_status()[3]["setup_done"]
    connection.disconnect()
