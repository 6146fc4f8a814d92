"""What can be wrong with a policy, a PSBT or a transaction.

PsbtError (ValueError)
├── PolicyError
├── AmountContradicted(outpoint, said_sats, known_sats)
├── SignatureInvalid(input_index, pubkey)
├── NotOnlySignatures(field)
├── SignaturesMissing(have, need)
├── InsufficientFunds(have_sats, need_sats)
└── ConsensusRejected(input_index)
"""


class PsbtError(ValueError):
    """The data given is not what it should be."""


class PolicyError(PsbtError):
    """A policy, key or address that cannot be used."""


class AmountContradicted(PsbtError):
    """A PSBT says another amount for a coin than the transaction that made it."""

    def __init__(self, said: str, outpoint: str, said_sats: int, *, known_sats: int) -> None:
        """Keep the coin as txid:n, what `said` so says it has, and what is known."""
        self.outpoint = outpoint
        self.said_sats = said_sats
        self.known_sats = known_sats
        super().__init__(
            f"{said} says {said_sats} sats, the previous transaction {known_sats}"
            f" for coin {outpoint}"
        )


class SignatureInvalid(PsbtError):
    """A signature that does not verify under the key it names."""

    def __init__(self, input_index: int, pubkey: bytes) -> None:
        """Keep the input and the 33-byte public key."""
        self.input_index = input_index
        self.pubkey = pubkey
        super().__init__(f"input {input_index}: the signature of key {pubkey.hex()} is not valid")


class NotOnlySignatures(PsbtError):
    """A PSBT came back with something other than new signatures."""

    def __init__(self, field: str, fault: str = "was changed") -> None:
        """Keep the field's name with its place, as `inputs[3].sighash_type`."""
        self.field = field
        super().__init__(f"only new signatures may come back, but {field} {fault}")


class SignaturesMissing(PsbtError):
    """The quorum is not there yet; counts are those of the poorest input."""

    def __init__(self, have: int, need: int) -> None:
        self.have = have
        self.need = need
        super().__init__(f"{have} of {need} signatures are there")


class InsufficientFunds(PsbtError):
    """The coins do not pay for the outputs and the fee."""

    def __init__(self, have_sats: int, need_sats: int) -> None:
        """Keep both amounts in satoshis."""
        self.have_sats = have_sats
        self.need_sats = need_sats
        super().__init__(f"{need_sats} sats are needed, {have_sats} can be spent")


class ConsensusRejected(PsbtError):
    """A finished transaction that Bitcoin's rules refuse; `input_index` None is the whole of it."""

    def __init__(self, input_index: int | None, reason: str = "its script does not verify") -> None:
        self.input_index = input_index
        where = "the transaction" if input_index is None else f"input {input_index}"
        super().__init__(f"{where} is refused by consensus: {reason}")
