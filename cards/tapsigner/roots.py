"""The public keys every TAPSIGNER's certificates end in.

Source: Coinkite's protocol description and its client, cktap 1.2.2. The second root is the maker's
own for development, marked "testing only" there; the third is this project's,
whose private keys stand here for everybody to read: a chain that ends in it says "test".
"""

import hashlib
from typing import Final

from coincurve import PrivateKey

from cards.family import Roots

TEST_ROOT_KEY: Final = hashlib.sha256(b"cardquorum TEST root: TAPSIGNER, no secret").digest()
TEST_BATCH_KEY: Final = hashlib.sha256(b"cardquorum TEST batch: TAPSIGNER, no secret").digest()
TEST_ROOT: Final = PrivateKey(TEST_ROOT_KEY).public_key.format()

PRODUCTION: Final = bytes.fromhex(
    "03028a0e89e70d0ec0d932053a89ab1da7d9182bdc6d2f03e706ee99517d05d9e1"
)
DEVELOPMENT: Final = bytes.fromhex(
    "027722ef208e681bac05f1b4b3cc478d6bf353ac9a09ff0c843430138f65c27bab"
)
ROOTS: Final = Roots(published=(PRODUCTION,), test=(DEVELOPMENT, TEST_ROOT))
