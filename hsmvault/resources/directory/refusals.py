"""Refusals of the directory, with the words and codes of Microsoft Graph."""

from hsmvault.errors import BadRequest, Conflict, Forbidden, NotFound

CODE = "Request_BadRequest"


def not_found(id: str) -> NotFound:
    return NotFound(
        f"Resource '{id[:256]}' does not exist or one of its queried reference-property objects are not present.",
        code="Request_ResourceNotFound",
    )


def denied() -> Forbidden:
    return Forbidden("Insufficient privileges to complete the operation.", code="Authorization_RequestDenied")


def bad(message: str) -> BadRequest:
    return BadRequest(message, code=CODE)


def invalid(member: str) -> BadRequest:
    return bad(f"Invalid value specified for property '{member}' of resource.")


def taken(member: str) -> BadRequest:
    return bad(f"Another object with the same value for property {member} already exists.")


def same_key(message: str) -> Conflict:
    return Conflict(message, code="Request_MultipleObjectsWithSameKeyValue")


def is_there(collection: str) -> BadRequest:
    """collection: members or owners."""
    return bad(
        f"One or more added object references already exist for the following modified properties: '{collection}'."
    )
