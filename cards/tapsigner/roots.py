"""The public keys every TAPSIGNER's certificates end in.

Source: Coinkite's protocol description and its client, cktap 1.2.2. The second root is the maker's
own for development, marked "testing only" there; the third is this project's, of `test_roots`.
"""

from typing import Final

from cards.family import Roots
from cards.tapsigner.test_roots import TEST_ROOT

PRODUCTION: Final = bytes.fromhex(
    "03028a0e89e70d0ec0d932053a89ab1da7d9182bdc6d2f03e706ee99517d05d9e1"
)
DEVELOPMENT: Final = bytes.fromhex(
    "027722ef208e681bac05f1b4b3cc478d6bf353ac9a09ff0c843430138f65c27bab"
)
ROOTS: Final = Roots(published=(PRODUCTION,), test=(DEVELOPMENT, TEST_ROOT))
