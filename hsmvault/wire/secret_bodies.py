"""Bodies of the calls that make and change secrets: what clients send, checked member by member."""

from collections.abc import Mapping

import msgspec

from hsmvault.errors import BadRequest
from hsmvault.resources.refusals import invalid_property
from hsmvault.resources.secrets import SecretSettings
from hsmvault.wire.codec import LARGE_BYTES, checked_tags, checked_time, decode_body

_LONGEST_CONTENT_TYPE = 255
_LONGEST_TAG = 512
_LONGEST_SET_BYTES = 512 * 1024
"""A value of 25 KB and fifteen tags, every character of them written as an escape, take less than 350 KB."""
_MOST_MARKS = LARGE_BYTES  # what such a body has of backslashes and commas


class Attributes(msgspec.Struct, frozen=True):
    """created, updated and the recovery members are the server's: ignored when a client sends them."""

    enabled: bool | None = None
    nbf: int | None = None
    exp: int | None = None


class SetSecret(msgspec.Struct, frozen=True):
    """The repr shows nothing of it."""

    value: str
    contentType: str | None = None
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None

    def __repr__(self) -> str:
        return "SetSecret()"


class UpdateSecret(msgspec.Struct, frozen=True):
    """A value is not among what can change: ignored, as every member that the service does not know here."""

    contentType: str | None = None
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None


def decode_set(content: bytes) -> SetSecret:
    """A value may have the character NUL, which nothing else may. Raises BadRequest."""
    if len(content) > _LONGEST_SET_BYTES:
        raise BadRequest("The request body is too large for a secret.")
    return decode_body(content, SetSecret, most_marks=_MOST_MARKS, nul=True)


def settings_of(body: SetSecret | UpdateSecret) -> SecretSettings:
    """Raises BadRequest."""
    given = body.attributes or Attributes()
    return SecretSettings(
        enabled=given.enabled,
        not_before=checked_time(given.nbf, "nbf"),
        expires=checked_time(given.exp, "exp"),
        content_type=_content_type(body.contentType),
        tags=None if body.tags is None else _tags(body.tags),
    )


def _content_type(text: str | None) -> str | None:
    if text is not None and (len(text) > _LONGEST_CONTENT_TYPE or "\0" in text):
        raise invalid_property("contentType")
    return text


def _tags(tags: Mapping[str, str]) -> Mapping[str, str]:
    if any("\0" in name or "\0" in text for name, text in tags.items()):
        raise invalid_property("tags")
    return checked_tags(tags, _LONGEST_TAG)
