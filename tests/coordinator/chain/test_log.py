from pathlib import Path

import pytest

from coordinator.chain.regtest import RegtestChain
from coordinator.chain.regtest.blocks import GENESIS_HASH, Block, Template, mine_block
from coordinator.chain.regtest.ledger import Ledger
from coordinator.chain.regtest.log import BlockLog, framed
from coordinator.errors import ChainError
from psbt import consensus

SCRIPT = b"\x00\x14" + bytes(20)


@pytest.fixture
def blocks() -> list[Block]:
    line: list[Block] = []
    for height in range(1, 4):
        previous = line[-1].hash if line else GENESIS_HASH
        line.append(mine_block(Template(previous, height, 1_700_000_000 + height, SCRIPT)))
    return line


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "blocks.dat"


def test_a_log_gives_back_what_was_appended(file: Path, blocks: list[Block]) -> None:
    writer, reader = BlockLog(file), BlockLog(file)
    assert list(reader.news()) == []
    writer.append(blocks[:1])
    assert list(reader.news()) == blocks[:1]
    assert list(writer.news()) == blocks[:1]
    writer.append(blocks[1:])
    assert list(reader.news()) == blocks[1:]
    assert list(reader.news()) == []
    assert list(BlockLog(file).news()) == blocks


def test_a_torn_end_is_cut_by_the_next_writer(file: Path, blocks: list[Block]) -> None:
    whole = framed(blocks[0])
    for cut in range(len(framed(blocks[1]))):
        file.write_bytes(whole + framed(blocks[1])[:cut])
        log = BlockLog(file)
        assert list(log.news()) == blocks[:1]
        log.append(blocks[1:])
        assert file.read_bytes() == b"".join(map(framed, blocks))


def test_zeros_after_a_power_cut_are_a_torn_end(file: Path, blocks: list[Block]) -> None:
    file.write_bytes(framed(blocks[0]) + bytes(500))
    assert list(BlockLog(file).news()) == blocks[:1]


@pytest.mark.parametrize("offset", [0, 5, 50, 60, 100])
def test_damage_in_the_middle_is_said_not_cut(file: Path, blocks: list[Block], offset: int) -> None:
    data = bytearray(b"".join(map(framed, blocks)))
    data[len(framed(blocks[0])) + offset] ^= 0xFF
    file.write_bytes(data)
    with pytest.raises(ChainError, match=f"damaged at byte {len(framed(blocks[0]))}"):
        list(BlockLog(file).news())


def test_a_block_of_another_chain_is_said(tmp_path: Path, blocks: list[Block]) -> None:
    folder = tmp_path / "chain"
    folder.mkdir()
    (folder / "blocks.dat").write_bytes(framed(blocks[1]))
    with pytest.raises(ChainError, match="follows none that is known"):
        RegtestChain(folder).tip()


def test_the_first_of_two_equals_wins(blocks: list[Block]) -> None:
    rival = mine_block(Template(blocks[1].hash, 3, 1_800_000_000, SCRIPT))
    heir = mine_block(Template(rival.hash, 4, 1_800_000_001, SCRIPT))
    ledger = Ledger()
    for block in (*blocks, rival):
        ledger.add(block)
    assert ledger.tip.hash == blocks[2].hash
    ledger.add(heir)
    assert ledger.hashes[3:] == [rival.hash, heir.hash]


@pytest.mark.skipif(not consensus.engine_available(), reason="libbitcoinkernel is not installed")
def test_a_log_the_engine_does_not_believe_is_said(tmp_path: Path, blocks: list[Block]) -> None:
    folder = tmp_path / "chain"
    folder.mkdir()
    greedy = mine_block(Template(blocks[0].hash, 2, 1_800_000_000, SCRIPT, fees_sats=1))
    (folder / "blocks.dat").write_bytes(framed(blocks[0]) + framed(greedy))
    with pytest.raises(ChainError, match="the engine stops at block 1 of 2"):
        RegtestChain(folder).mine(1)


def test_a_damaged_mempool_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "chain"
    folder.mkdir()
    (folder / "mempool.dat").write_bytes(b"\x01\x02")
    with pytest.raises(ChainError, match=r"mempool\.dat is damaged"):
        RegtestChain(folder).mempool()
