"""Bodies of the management plane: as those of the data plane, with ARM's code for what cannot be read."""

from typing import TypeVar

from hsmvault.errors import BadRequest
from hsmvault.wire.codec import decode_body

Body = TypeVar("Body")


def decode_request(content: bytes, kind: type[Body], *, most_marks: int = 4096) -> Body:
    """A JSON object as a frozen type; unknown members are ignored. most_marks: as of decode_body.

    Raises BadRequest (InvalidRequestContent).
    """
    try:
        return decode_body(content, kind, most_marks=most_marks)
    except BadRequest as error:
        raise BadRequest(
            f"The request content was invalid and could not be deserialized: '{error.message.strip()}'.",
            code="InvalidRequestContent",
        ) from error
