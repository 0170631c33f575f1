"""Spells addresses of the web and of mail, as people say them: "example dot com slash docs"."""
# ruff: noqa: RUF001  the quotes that it names are meant

import re
from collections.abc import Iterator

_TOP_DOMAINS = (
    "com|org|net|edu|gov|mil|int|io|co|uk|de|fr|eu|info|biz|us|ca|au|tv|me|ai|app|dev|nl|es|it|ch|at|be|se|no|pl|jp|in"
    "|xyz"
)
_LABEL = r"[A-Za-z0-9-]{1,63}"
_KNOWN_DOMAIN = rf"(?:{_LABEL}\.){{1,8}}(?i:{_TOP_DOMAINS})"
_HOST = rf"{_LABEL}(?:\.{_LABEL}){{0,8}}"
_LEAD = r"(?P<lead>[\"'“‘(<\[]*+)"
_TAIL = r"(?P<tail>[\"'’”)>\].,;:!?]*)"
_REST = r"(?P<port>:\d{1,5})?(?P<path>/[^\s?#]*?)?(?:[?#]\S*?)?"
# With a scheme, www. or a user any host will do; without one, one that ends as hosts do.
_ADDRESS = re.compile(
    rf"{_LEAD}(?:(?i:https?|ftp|wss?)://(?:www\.)?(?P<linked>{_HOST})|(?i:www)\.(?P<web>{_HOST})"
    rf"|(?i:mailto:)?(?P<user>[\w.+-]{{1,64}})@(?P<mail>{_LABEL}(?:\.{_LABEL}){{1,8}})|(?P<plain>{_KNOWN_DOMAIN}))"
    rf"{_REST}{_TAIL}"
)
_MARKS = {".": "dot", "/": "slash", "@": "at", "-": "dash", "_": "underscore", "+": "plus", ":": "colon", "~": "tilde"}
# Read as letters.
_COUNTRY = re.compile(r"(?<=\.)(?:io|uk|de|fr|eu|us|ca|au|tv|ai|nl|es|it|ch|at|be|se|no|pl|jp|in|xyz)(?![\w.])")
_PART = re.compile(r"[^\W_]+|[./@_+:~-]")


def address_words(word: str) -> Iterator[str]:
    """Yields what is said for a word that is an address, with the marks around it; nothing for any other word.

    What follows a question mark or a number sign in it is left out.
    """
    found = _ADDRESS.fullmatch(word) if "." in word or "/" in word or "@" in word else None
    if not found:
        return
    host = found["linked"] or found["web"] or found["mail"] or found["plain"].removeprefix("www.")
    user = f"{found['user']}@" if found["user"] else ""
    address = f"{user}{host}{found['port'] or ''}{found['path'] or ''}".rstrip("/")
    words = [_MARKS.get(part, part) for part in _PART.findall(_COUNTRY.sub(lambda found: found[0].upper(), address))]
    if found["lead"].startswith(('"', "(", "“")):
        words[0] = found["lead"][0] + words[0]
    words[-1] += re.sub(r"[<>\[\]]", "", found["tail"])
    yield from words
