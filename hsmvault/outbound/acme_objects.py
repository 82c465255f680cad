"""What an ACME server tells of orders, authorizations and challenges (RFC 8555, 7.1), decoded once.

Members that we do not use are passed over. Texts are the server's: URLs are checked where they are used (acme_http.py),
tokens here, since they become names of files and arguments of programs.
"""

from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from hsmvault.outbound.acme_problems import UNREADABLE, AcmeUnavailable, Problem

MOST_IDENTIFIERS = 100  # of one order, as the public authorities have it
LONGEST_URL = 2048
Url = Annotated[str, Meta(max_length=LONGEST_URL)]
Token = Annotated[str, Meta(pattern=r"^([A-Za-z0-9_-]{22,200})?\Z")]  # base64url of 128 bits or more; 200 is guessed
Decoded = TypeVar("Decoded")


class Identifier(msgspec.Struct, frozen=True):
    """type: dns (RFC 8555, 9.7.7) or ip (RFC 8738). value: a host name in lower case and A-labels, or an address."""

    type: Annotated[str, Meta(max_length=32)]
    value: Annotated[str, Meta(max_length=255)]


class Challenge(msgspec.Struct, frozen=True):
    """token: empty for types that have none."""

    type: Annotated[str, Meta(max_length=64)]
    url: Url
    status: Literal["pending", "processing", "valid", "invalid"] = "pending"
    token: Token = ""
    error: Problem | None = None


class Authorization(msgspec.Struct, frozen=True):
    """wildcard: whether the order asks for `*.` in front of the identifier."""

    identifier: Identifier
    status: Literal["pending", "valid", "invalid", "deactivated", "expired", "revoked"]
    challenges: Annotated[tuple[Challenge, ...], Meta(max_length=32)] = ()
    wildcard: bool = False


class Order(msgspec.Struct, frozen=True):
    """certificate: the URL of the chain, when the status is valid."""

    status: Literal["pending", "ready", "processing", "valid", "invalid"]
    authorizations: Annotated[tuple[Url, ...], Meta(max_length=MOST_IDENTIFIERS)]
    finalize: Url
    certificate: Url | None = None
    error: Problem | None = None


class DirectoryMeta(msgspec.Struct, frozen=True, rename="camel"):
    terms_of_service: Url = ""


class Directory(msgspec.Struct, frozen=True, rename="camel"):
    new_nonce: Url
    new_account: Url
    new_order: Url
    meta: DirectoryMeta = DirectoryMeta()


def decode(body: bytes, kind: type[Decoded]) -> Decoded:
    """Raises AcmeUnavailable: a gateway in between, or a server that is being repaired, answers with anything."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise AcmeUnavailable(UNREADABLE, f"The ACME server's answer is no {kind.__name__}.") from error
