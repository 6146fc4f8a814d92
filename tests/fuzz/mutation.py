"""A seeded mutator in plain Python: it serves where atheris is not installed."""

import random
from collections.abc import Iterator, Sequence

TOKENS = (
    b"", b"\x00", b"\xff", b"\x7f", b"\x80", b"\xfd\xff\xff", b"\xfe\xff\xff\xff\xff",
    b"\xff" * 9, b"-1", b"0", b"18446744073709551616", b"1e999990", b"1e308", b"NaN", b"0.1",
    b"null", b"true", b"[]", b"{}", b'""', b"[" * 64, b'{"a":' * 32, b"\n", b"\r", b"\t", b",",
    b";", b":", b"#", b"/", b"\xef\xbb\xbf", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80",
    "\u2028".encode(), "\u202e".encode(), "\u0660".encode(), b"\x1b[31m", b"\\ud800", b"%00",
)  # fmt: skip
STEPS_MOST = 4


def mutated(seeds: Sequence[bytes], longest: int, runs: int, seed: str) -> Iterator[bytes]:
    """Yield so many inputs made from the seeds, the same ones every time."""
    rng = random.Random(seed)
    pool = list(seeds) or [b""]
    for _ in range(runs):
        data = rng.choice(pool)
        for _ in range(rng.randint(1, STEPS_MOST)):
            data = _step(data, pool, rng)[:longest]
        yield data


def _step(data: bytes, pool: Sequence[bytes], rng: random.Random) -> bytes:
    start, end = sorted(rng.randint(0, len(data)) for _ in "ab")
    end = min(end, start + rng.choice((1, 4, 16, 256)))
    head, middle, tail = data[:start], data[start:end], data[end:]
    other = rng.choice(pool)
    at = rng.randint(0, len(other))
    changes = (
        head + tail,
        head + rng.choice(TOKENS) + tail,
        head + rng.choice(TOKENS) + middle + tail,
        head + middle * rng.choice((2, 3, 40)) + tail,
        head + rng.randbytes(len(middle) or 1) + tail,
        head + other[at : at + max(len(middle), 8)] + tail,
        head,
        head + tail + middle,
        head + _flipped(middle, rng) + tail,
    )
    return rng.choice(changes)


def _flipped(data: bytes, rng: random.Random) -> bytes:
    """Turn one bit over."""
    if not data:
        return data
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
