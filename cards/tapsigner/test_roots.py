"""A root and a batch key for tests only: their private keys stand here for everybody to read.

A chain that ends here says "test", never "genuine".
"""

import hashlib
from typing import Final

from coincurve import PrivateKey

TEST_ROOT_KEY: Final = hashlib.sha256(b"cardquorum TEST root: TAPSIGNER, no secret").digest()
TEST_BATCH_KEY: Final = hashlib.sha256(b"cardquorum TEST batch: TAPSIGNER, no secret").digest()
TEST_ROOT: Final = PrivateKey(TEST_ROOT_KEY).public_key.format()
