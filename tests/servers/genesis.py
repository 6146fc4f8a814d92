"""The first block of the regtest network, which no block log holds."""

from coordinator.chain.regtest.blocks import GENESIS_TIME, SUBSIDY_SATS, Block, Header, merkle_root
from psbt.transaction import NULL_OUTPOINT, Transaction, TransactionInput, TransactionOutput, sized

HEADLINE = b"The Times 03/Jan/2009 Chancellor on brink of second bailout for banks"
PUBKEY = bytes.fromhex(
    "04678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb6"
    "49f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5f"
)
SCRIPT_SIG = bytes.fromhex("04ffff001d0104") + sized(HEADLINE)
COINBASE = Transaction(
    (TransactionInput(NULL_OUTPOINT, SCRIPT_SIG),),
    (TransactionOutput(SUBSIDY_SATS, sized(PUBKEY) + b"\xac"),),
    version=1,
)
GENESIS = Block(
    Header("00" * 32, merkle_root([COINBASE.txid]), GENESIS_TIME, nonce=2, version=1), (COINBASE,)
)
