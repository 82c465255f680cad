"""What names and texts of the directory may look like."""

import re

from hsmvault.model.principals import Tenant
from hsmvault.resources.directory.refusals import bad, invalid

_LOCAL_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.!#^~'_-]{0,62}[A-Za-z0-9_-])?", re.ASCII)
_NICKNAME = re.compile(r"[!#$%&'*+./0-9=?A-Z^_`a-z{|}~-]{1,64}", re.ASCII)
_DOMAIN = re.compile(r"(?=.{3,253}\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_LONGEST_TEXT = 256
_LONGEST_DESCRIPTION = 1024


def is_guid(text: str) -> bool:
    """In lower case."""
    return _GUID.fullmatch(text) is not None


def checked_display_name(name: str) -> str:
    """1 to 256 printable characters. Raises BadRequest."""
    if not name.strip() or len(name) > _LONGEST_TEXT or not name.isprintable():
        raise invalid("displayName")
    return name


def checked_text(text: str, member: str, longest: int = _LONGEST_DESCRIPTION) -> str:
    """May be empty. Raises BadRequest."""
    if len(text) > longest or "\0" in text:
        raise invalid(member)
    return text


def checked_nickname(text: str) -> str:
    """May be empty. Raises BadRequest."""
    if text and not _NICKNAME.fullmatch(text):
        raise invalid("mailNickname")
    return text


def checked_upn(upn: str, tenant: Tenant) -> str:
    """name@domain of the tenant. Raises BadRequest."""
    local, at, domain = upn.rpartition("@")
    if not at or not _LOCAL_PART.fullmatch(local):
        raise invalid("userPrincipalName")
    if domain.lower() != tenant.domain.lower():
        raise bad(
            "The domain portion of the userPrincipalName property is invalid. You must use one of the verified domain "
            "names in your organization."
        )
    return upn


def checked_domain(domain: str) -> str:
    """Of a tenant, in lower case: at least two labels, so that it is no GUID and no alias. Raises BadRequest."""
    folded = domain.lower()
    if not _DOMAIN.fullmatch(folded):
        raise bad(f"'{domain[:256]}' is not a domain name of at least two labels.")
    return folded
