"""The keys that sign Keycards' certificates: the maker's, and one whose other half is public."""

from cards.family import Roots

MAKERS_KEY = bytes.fromhex("029ab99ee1e7a71bdf45b3f9c58c99866ff1294d2c1e304e228a86e10c3343501c")
TEST_KEY = bytes.fromhex("025877220aaae6e54a6f974602d5995c0fe24a3ea7ddabd8644bec795b9da00743")
TEST_PRIVATE_KEY = bytes.fromhex("a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6e7f8a9b0c1d2e3f4a5b6c7d8e9f0a1b2")
"""It stands in the applet's own tests: anybody can certify a card with it."""

ROOTS = Roots(published=(MAKERS_KEY,), test=(TEST_KEY,))
