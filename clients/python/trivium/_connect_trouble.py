"""Why a server could not be reached, read from how gRPC words it. Pure."""

from enum import Enum

__all__ = ["LASTING", "ConnectTrouble", "connect_trouble"]


class ConnectTrouble(Enum):
    """What was wrong between both ends. The value says it in terms of the client's arguments, with {target} in it."""

    NOTHING_LISTENS = "no server listens at {target}; `trivium serve` starts one"
    SERVER_IS_PLAIN = "the server does not speak TLS; connect to it with tls=False"
    SERVER_MAY_WANT_TLS = (
        "the server closed a plain-text connection before it answered; connect with tls=True if it speaks TLS"
    )
    UNKNOWN_CERTIFICATE = (
        "the server's certificate is not signed by a trusted authority; give the one that signed it as "
        "tls=TLS(root_certificates=...)"
    )
    OTHER_HOST = (
        "the server's certificate is for another name than the target's; connect by a name that it has, or give that "
        "as tls=TLS(server_name=...)"
    )
    SERVER_MAY_WANT_CERTIFICATE = (
        "the server closed the encrypted connection before it answered; it may ask for a client certificate, "
        "tls=TLS(certificate=..., private_key=...)"
    )


LASTING = (ConnectTrouble.SERVER_IS_PLAIN, ConnectTrouble.UNKNOWN_CERTIFICATE, ConnectTrouble.OTHER_HOST)
"""Those that are certain and that another attempt meets again."""


def connect_trouble(details: str, is_encrypted: bool) -> ConnectTrouble | None:
    """Returns what the details of an UNAVAILABLE status say about the connection, None where it is nothing known.

    is_encrypted: whether this client tried TLS. The wording is that of grpc 1.8x; another one is no trouble, and its
    details are shown as they are.
    """
    if "Connection refused" in details:
        return ConnectTrouble.NOTHING_LISTENS
    if "WRONG_VERSION_NUMBER" in details:
        return ConnectTrouble.SERVER_IS_PLAIN
    if "CERTIFICATE_VERIFY_FAILED" in details:
        return ConnectTrouble.UNKNOWN_CERTIFICATE
    if "Hostname Verification" in details:
        return ConnectTrouble.OTHER_HOST
    if "failed to connect" in details and ("Socket closed" in details or "reset by peer" in details):
        return ConnectTrouble.SERVER_MAY_WANT_CERTIFICATE if is_encrypted else ConnectTrouble.SERVER_MAY_WANT_TLS
    return None
