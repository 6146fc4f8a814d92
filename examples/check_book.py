"""Check an exported custody book without cardquorum: python check_book.py book.jsonl [HEAD].

The book is made by `cardquorum custody log --export book.jsonl`; HEAD is one printed in a kit.
"""

import hashlib
import json
import sys
from pathlib import Path


def cbor(value: int | str | bytes | list | None) -> bytes:
    """Return a value in CBOR's core deterministic encoding (RFC 8949, 4.2.1)."""
    if value is None:
        return b"\xf6"
    if isinstance(value, int):
        major, size, tail = 0, value, b""
    elif isinstance(value, list):
        major, size, tail = 4, len(value), b"".join(map(cbor, value))
    else:
        tail = value.encode() if isinstance(value, str) else value
        major, size = 3 if isinstance(value, str) else 2, len(tail)
    if size < 24:
        return bytes([major << 5 | size]) + tail
    width = next(n for n in range(4) if size < 1 << (8 << n))
    return bytes([major << 5 | 24 + width]) + size.to_bytes(1 << width, "big") + tail


head, heads = bytes(32), [bytes(32).hex()]
for e in map(json.loads, filter(None, Path(sys.argv[1]).read_text("utf-8").split("\n"))):
    for field, said in e["texts"].items():
        opened = hashlib.sha256(bytes.fromhex(said["salt"]) + said["text"].encode())
        if opened.hexdigest() != e["digests"][field]:
            sys.exit(f"event {e['id']}: the {field} is not what was written")
    *digests, photo = [
        bytes.fromhex(text) if text else None
        for text in (
            *map(e["digests"].get, ["item", "location", "by", "seal", "note"]),
            e["photo_sha256"],
        )
    ]
    names = ["id", "item_id", "event", "location_id", "happened_at", "recorded_at"]
    if e["previous"] != head.hex():
        sys.exit(f"event {e['id']} does not follow the one before")
    body = cbor([*map(e.get, names), photo, digests])
    head = hashlib.sha256(b"cardquorum custody v1" + head + body).digest()
    if e["hash"] != head.hex():
        sys.exit(f"event {e['id']} was altered")
    heads.append(e["hash"])
if len(sys.argv) > 2 and "".join("".join(sys.argv[2:]).split()).lower() not in heads:
    sys.exit("the chain holds, but never had the head given: events were cut off or rewritten")
print(f"{len(heads) - 1} events, the chain holds, head {head.hex()}")
