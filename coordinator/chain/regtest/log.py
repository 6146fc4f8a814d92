"""The block log: one append-only file, the truth the embedded chain is read from.

It is framed as Bitcoin Core frames its block files, so that the engine (and a node's
`-loadblock`) reads it as it is. Blocks that lost a race stay in it. What a killed writer left
unfinished at the end is ignored by readers and cut off by the next writer.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from coordinator.chain.regtest.blocks import Block, parse_block
from coordinator.errors import ChainError
from psbt.errors import PsbtError

MAGIC = bytes.fromhex("fabfb5da")
FRAME_SIZE = len(MAGIC) + 4


class BlockLog:
    """Reads what was appended since it last looked; writes only at the end."""

    def __init__(self, file: Path) -> None:
        """Begin before the first block; the file need not exist."""
        self.file = file
        self._end = 0

    def news(self) -> Iterator[Block]:
        """Yield the blocks that follow the last one read."""
        data, start = b"", 0
        with suppress(FileNotFoundError), self.file.open("rb") as stream:
            stream.seek(self._end)
            data = stream.read()
        while (block := _block_at(data, start)) is not None:
            start += FRAME_SIZE + len(block.raw)
            self._end += FRAME_SIZE + len(block.raw)
            yield block
        if data.find(MAGIC, start + 1) >= 0:
            raise ChainError(f"{self.file} is damaged at byte {self._end}")

    def append(self, blocks: Iterable[Block]) -> None:
        """Write blocks after the last one read, and onto the disk; needs the chain's lock."""
        data = b"".join(map(framed, blocks))
        with self.file.open("ab") as stream:
            stream.truncate(self._end)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())


def framed(block: Block) -> bytes:
    """Return a block as a block file holds it."""
    return MAGIC + len(block.raw).to_bytes(4, "little") + block.raw


def _block_at(data: bytes, start: int) -> Block | None:
    """Return the block framed at a place, None where no whole one is."""
    magic, size = data[start : start + 4], data[start + 4 : start + FRAME_SIZE]
    if magic != MAGIC or len(size) < 4:
        return None
    begin = start + FRAME_SIZE
    return _whole_block(data[begin : begin + int.from_bytes(size, "little")])


def _whole_block(body: bytes) -> Block | None:
    try:
        block = parse_block(body)
    except PsbtError:
        return None
    return block if block.whole and block.proof_of_work else None
