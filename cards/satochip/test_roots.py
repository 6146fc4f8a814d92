"""A root and a sub-CA for tests only: their private keys stand here for everybody to read.

They have the shape of the maker's own (P-384 above secp256k1, SHA-512), so that emulated cards
prove themselves the way real ones do. A chain that ends here says "test", never "genuine".
"""

import hashlib
from base64 import b64decode

TEST_ROOT_KEY = hashlib.sha384(b"cardquorum TEST root: anybody can sign with it").digest()
TEST_SUB_CA_KEY = hashlib.sha256(b"cardquorum TEST sub-CA: anybody can sign with it").digest()

TEST_ROOT = b64decode(
    "MIIB3TCCAWOgAwIBAgIBATAKBggqhkjOPQQDBDA2MR4wHAYDVQQKDBVjYXJkcXVvcnVtIFRFU1RTIE9OTFkxFDASBgNV"
    "BAMMC1RFU1Qgcm9vdCAxMB4XDTIwMTIwMTEyMDAwMFoXDTQwMTIwMTEyMDAwMFowNjEeMBwGA1UECgwVY2FyZHF1b3J1"
    "bSBURVNUUyBPTkxZMRQwEgYDVQQDDAtURVNUIHJvb3QgMTB2MBAGByqGSM49AgEGBSuBBAAiA2IABPBDwjmR9i6lbcun"
    "3Yds0M4k02MzG51JDa0MdEi37Qmz3Ql2vUiT5+inLc1SMuOay+jOxXXfmoXXw1cvrzBdb/qcHDDv24ozSkwkxblsQfec"
    "Qx9iL2FO2CHUhwF78hf+YaNFMEMwEgYDVR0TAQH/BAgwBgEB/wIBATAdBgNVHQ4EFgQU2tuP+yy1q+LHeVRxlxhnKr9X"
    "Dr4wDgYDVR0PAQH/BAQDAgEGMAoGCCqGSM49BAMEA2gAMGUCMQCeJxg8bxvicxmKJ0dr+d/Yr9xMFFnm239Gm1nNDjOX"
    "GWZypW/TXnl3Y72ld7IaLhwCMC/yawyxkB+qNcEd8oI7x5Q0NPrrPhu/xqr/XXW5INjwDg/MnOyItzme2MOJMwkZRg=="
)
TEST_SUB_CA = b64decode(
    "MIIB0jCCAVigAwIBAgIBAjAKBggqhkjOPQQDBDA2MR4wHAYDVQQKDBVjYXJkcXVvcnVtIFRFU1RTIE9OTFkxFDASBgNV"
    "BAMMC1RFU1Qgcm9vdCAxMB4XDTIwMTIwMTEyMDAwMFoXDTQwMTIwMTEyMDAwMFowSzEeMBwGA1UECgwVY2FyZHF1b3J1"
    "bSBURVNUUyBPTkxZMREwDwYDVQQLDAhTYXRvY2hpcDEWMBQGA1UEAwwNVEVTVCBzdWItQ0EgMTBWMBAGByqGSM49AgEG"
    "BSuBBAAKA0IABOSkfRKG380ROMoP80CGALpFpAiSGy8sE1Gwc6HdFfXS750iYoWc6I3bDgyAtnqWvWYNtoT5JiL2UGd/"
    "n+5j452jRTBDMBIGA1UdEwEB/wQIMAYBAf8CAQAwHQYDVR0OBBYEFNPItIkdcKjxpIE5zptJWbz1+pEuMA4GA1UdDwEB"
    "/wQEAwIBBjAKBggqhkjOPQQDBANoADBlAjAUk9J1nw7KqzJF11WysUI/sQv5+SQs3a2wZnQg6X3EBiI8uCYVpEmL8VKg"
    "GFfAT+4CMQDlhJQiACBtJtkc7Mlt8QjeuO1fMLSY6MpigfnoTYRIX9AS9b4N2AWjntACUTOGcGA="
)
