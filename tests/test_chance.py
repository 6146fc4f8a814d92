"""What the tests draw at random is the same in each run."""

import os
import secrets
import uuid

from coincurve import PrivateKey

from tests import chance


def draws() -> list[object]:
    return [PrivateKey().secret, secrets.randbelow(1 << 256), os.urandom(8), uuid.uuid4()]


def test_what_follows_from_one_seed_is_drawn_again() -> None:
    found = []
    for seed in ("a", "a", "b"):
        with chance.following(seed):
            found.append([draws(), draws()])
    assert found[0] == found[1]
    assert not {*map(str, found[0][0])} & {*map(str, found[0][1])}
    assert not {*map(str, found[0][0])} & {*map(str, found[2][0])}


def test_each_process_forked_draws_its_own() -> None:
    drawn = []
    with chance.following("forks"):
        for _ in range(2):
            reading, writing = os.pipe()
            if os.fork() == 0:
                os.write(writing, os.urandom(8))
                os._exit(0)
            os.wait()
            drawn.append(os.read(reading, 8))
            os.close(reading)
            os.close(writing)
        drawn.append(os.urandom(8))
    assert len({*drawn}) == len(drawn)
