"""Reading a request's body: a size by route, a deadline, and no content coding."""

import asyncio

from aiohttp.web import BaseRequest, RequestPayloadError

from hsmvault.errors import BadRequest, TooLarge


async def read_body(request: BaseRequest, longest_bytes: int, seconds: float) -> bytes:
    """Raises TooLarge before more than longest_bytes are kept, BadRequest for a body that does not arrive in so many
    seconds, and for a coded one: what inflates has no honest size."""
    if not request.body_exists:
        return b""
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise BadRequest("A request body with a content coding is not accepted.")
    if request.content_length is not None and request.content_length > longest_bytes:
        raise TooLarge("The request body is too large.")
    content = request.content
    if content.is_eof() and content.total_bytes <= longest_bytes:
        return content.read_nowait()  # the whole body came with the headers, as small ones do
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while part := await content.readany():
                size += len(part)
                if size > longest_bytes:
                    raise TooLarge("The request body is too large.")
                parts.append(part)
    except TimeoutError:
        raise BadRequest("The request body did not arrive in time.") from None
    except (OSError, RequestPayloadError):  # the client hung up, or its chunks are none
        raise BadRequest("The request body did not arrive in full.") from None
    return b"".join(parts)
