"""What the driver knows of a Satochip's derivation cache."""

import hashlib
from itertools import count

from cards.satochip.session import DerivationCache


def test_32_objects_fit_and_no_more() -> None:
    cache = DerivationCache()
    cache.derived((1, 2, 3, 4), wiped=False)
    for leaf in range(28):
        assert not cache.must_wipe((1, 2, 3, leaf + 100))
        cache.derived((1, 2, 3, leaf + 100), wiped=False)
    assert not cache.must_wipe((1, 2, 3, 4))
    assert not cache.must_wipe((1, 2, 3))
    assert not cache.must_wipe(())
    assert cache.must_wipe((1, 2, 3, 5))


def test_after_a_wipe_only_the_path_itself_is_there() -> None:
    cache = DerivationCache()
    for leaf in range(32):
        cache.derived((leaf,), wiped=False)
    assert cache.must_wipe((32,))
    cache.derived((32,), wiped=True)
    for leaf in range(31):
        assert not cache.must_wipe((leaf,))
        cache.derived((leaf,), wiped=False)
    assert cache.must_wipe((31,))


def test_the_master_key_takes_no_object() -> None:
    cache = DerivationCache()
    for leaf in range(32):
        cache.derived((leaf,), wiped=False)
    cache.derived((), wiped=False)
    assert not cache.must_wipe((31,))


def test_two_paths_of_one_name_never_share_the_cache() -> None:
    names: dict[bytes, int] = {}
    for step in count():
        name = hashlib.sha256(step.to_bytes(4)).digest()[-4:]
        if name in names:
            break
        names[name] = step
    cache = DerivationCache()
    cache.derived((names[name],), wiped=False)
    assert not cache.must_wipe((names[name],))
    assert cache.must_wipe((step,))
    cache.derived((step,), wiped=True)
    assert cache.must_wipe((names[name],))
