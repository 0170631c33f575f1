"""Long work on the event loop in short pieces."""

import asyncio
import time

_SHARE_S = 0.002


class Pacer:
    """Lets the other calls go on: await `pause` between pieces of work that are short themselves."""

    def __init__(self) -> None:
        self._due_s = time.monotonic() + _SHARE_S

    async def pause(self) -> None:
        """Gives the event loop back where it was held for two milliseconds since the last time."""
        if time.monotonic() >= self._due_s:
            await asyncio.sleep(0)
            self._due_s = time.monotonic() + _SHARE_S
