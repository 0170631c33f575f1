"""Guesses what somebody meant who named a model that there is not."""

import difflib
from collections.abc import Iterable

_NEAR = 0.55
_MOST = 3


def near_matches(name: str, known: Iterable[str]) -> list[str]:
    """Returns up to three known names that look like `name`, or begin like it: `smolm2` for `smollm2-135m-instruct`."""
    asked = name.casefold()

    def likeness(candidate: str) -> float:
        folded = candidate.casefold()
        if len(asked) > 2 and asked in folded:
            return 1.0
        # Somebody who types half a name may mistype that half.
        beginning = difflib.SequenceMatcher(None, asked, folded[: len(asked) + 1]).ratio() if len(asked) > 2 else 0.0
        return max(difflib.SequenceMatcher(None, asked, folded).ratio(), beginning)

    ranked = sorted(((likeness(candidate), candidate) for candidate in known), key=lambda pair: (-pair[0], pair[1]))
    return [candidate for score, candidate in ranked if score >= _NEAR][:_MOST]
