"""A card signs the record of its key that another coordinator asks for (BIP 129, round 1)."""

from coordinator.enrolment.enrol import CardAtSlot
from coordinator.enrolment.pins import expect
from coordinator.home.settings import Home
from coordinator.home.stored_policies import key_expression
from coordinator.interop import bsms
from coordinator.interop.wallet_file import WalletKey, key_of_network
from coordinator.person import Attendant
from coordinator.readers.slots import CardPrompts, card_in, unlock
from psbt.network import Network
from psbt.signed_message import format_signature, message_digest
from storage import cards as card_book
from storage.database import Database


def signed_key_record(
    home: Home,
    database: Database,
    asked: CardAtSlot,
    *,
    attendant: Attendant,
    token: bytes | None = None,
) -> str:
    """Return a card's key record with its signature, encrypted where there is a token.

    Raises WrongCard before any PIN for another card, SignatureInvalid for a wrong answer.
    """
    network = Network(home.network)
    with database.begin() as db:
        stored = key_expression(card_book.key_of_card(db, asked.label, home.network))
    key = WalletKey(stored.key, key_of_network(network), stored.fingerprint, stored.path)
    record = bsms.write_key_record(key, network, asked.label, token=token).rstrip("\n")
    digest = message_digest(record)
    with card_in(asked.slot, CardPrompts(attendant, asked.label)) as session:
        if not expect(database, asked, session, attendant=attendant):
            unlock(session, asked.label, attendant, last_attempt=asked.last_attempt)
        answer = session.sign(stored.path, digest)
    signed = f"{record}\n{format_signature(answer, digest, stored.key.public_key)}"
    return signed + "\n" if token is None else bsms.encrypted(signed, token)
