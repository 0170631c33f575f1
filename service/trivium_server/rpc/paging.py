"""Tokens of lists in pages. A token names the last item of a page; nothing in it is secret."""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass

from trivium_server.errors import FieldViolation, InvalidArgument

DEFAULT_PAGE_SIZE = 100
_CHECK_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """The tokens of one method. method: its full name. choice: what a list is chosen by, in words."""

    method: str
    choice: str

    def token(self, last: str, chosen: str) -> str:
        """Returns the token for what comes after `last` in the list that was chosen by `chosen`."""
        content = json.dumps([chosen, last]).encode()
        return base64.urlsafe_b64encode(self._checksum(content) + content).decode().rstrip("=")

    def after(self, token: str, chosen: str) -> str:
        """Returns the last item of the page before; raises InvalidArgument for a token that does not belong here."""
        try:
            raw = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        except (ValueError, binascii.Error):
            raw = b""
        check, content = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
        if check != self._checksum(content):
            raise InvalidArgument(FieldViolation("page_token", "was not made by this server"))
        token_chosen, last = json.loads(content)
        if token_chosen != chosen:
            raise InvalidArgument(FieldViolation("page_token", f"belongs to a list with another {self.choice}"))
        return str(last)

    def _checksum(self, content: bytes) -> bytes:
        # Tells our tokens from others'.
        return hashlib.sha256(f"{self.method}\0".encode() + content).digest()[:_CHECK_BYTES]
