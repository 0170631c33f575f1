"""Finds where an answer began to go round in circles, as models do on sound that is cut off, or is no speech."""

from collections.abc import Sequence

# A cycle is at most so many tokens long, and was gone through so often, for so many tokens in all.
_LONGEST_CYCLE = 12
_ROUNDS = 4
_SHORTEST_LOOP = 16


def loop_start(tokens: Sequence[int]) -> int | None:
    """Returns from where on the tokens repeat what stands before, where they end in a loop; else None.

    What people say more often than once in a row stays: three rounds, and up to 15 tokens.
    """
    for cycle in range(1, _LONGEST_CYCLE + 1):
        length = cycle * max(_ROUNDS, -(-_SHORTEST_LOOP // cycle))
        if length > len(tokens):
            continue
        tail = tokens[-length:]
        if all(tail[place] == tail[place - cycle] for place in range(cycle, length)):
            start = len(tokens) - length
            # The loop may be longer than what proves it.
            while start > 0 and tokens[start - 1] == tokens[start - 1 + cycle]:
                start -= 1
            return start + cycle
    return None
