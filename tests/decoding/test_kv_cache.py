"""The cache's accounting, against a dictionary."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trivium_server.decoding.kv_cache import KVCache, KVLayout

LAYOUT = KVLayout(num_layers=2, kv_heads=1, head_dim=2, dtype=np.dtype(np.float32))


def written(cache: KVCache, slot: int) -> set[float]:
    length = cache.lengths[slot]
    return {float(x) for keys, values in cache.rows(slot, 1) for a in (keys, values) for x in a[0, :, :length].ravel()}


@given(actions=st.lists(st.integers(0, 9), max_size=60), slots=st.integers(1, 5))
def test_every_live_slot_keeps_its_own_tokens(actions: list[int], slots: int) -> None:
    cache = KVCache(LAYOUT, slots=slots, capacity=16)
    expected: list[float] = []
    for mark, action in enumerate(actions, start=1):
        if action < 5 and cache.num_free:
            length = 1 + action
            for keys, values in cache.rows(cache.staging, 1):
                keys[0, :, :length] = mark
                values[0, :, :length] = mark
            assert cache.append_staged(length) == len(expected)
            expected.append(mark)
        elif expected:
            slot = action % len(expected)
            moved = cache.remove(slot)
            last = expected.pop()
            assert moved == (len(expected) if slot < len(expected) else None)
            if slot < len(expected):
                expected[slot] = last
        assert cache.num_live == len(expected)
        assert cache.num_live + cache.num_free == slots
        assert [written(cache, slot) for slot in range(len(expected))] == [{mark} for mark in expected]


def test_bytes_per_token() -> None:
    assert LAYOUT.bytes_per_token == 2 * 2 * 1 * 2 * 4
