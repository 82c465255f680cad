"""From what a client asks for to the audience of its token.

The audience is the resource as it was asked for, because clients compare it: `https://management.example//.default`
means the audience `https://management.example/`, with its slash.
"""

from hsmvault.login.refusals import (
    BAD_SCOPE,
    RESOURCE_NOT_SUPPORTED,
    SEVERAL_RESOURCES,
    UNKNOWN_RESOURCE,
    LoginRefused,
)
from hsmvault.login.requests import Form
from hsmvault.login.settings import LoginSettings

_OPENID_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})
_DEFAULT = "/.default"


def resource_in(form: Form, *, dialect: str) -> str:
    """What a token request asks for, not yet known to exist.

    dialect: 'v2' has scope, 'v1' has resource, 'adfs' has one of them.
    """
    if dialect == "v2" and form.get("resource"):
        raise LoginRefused(RESOURCE_NOT_SUPPORTED)
    if dialect == "v1" or (dialect == "adfs" and form.get("resource") and not form.get("scope")):
        return form.require("resource")
    return resource_of_scope(form.require("scope"))


def resource_of_scope(scope: str) -> str:
    """The one resource that a scope names; one `/.default` is cut off its end."""
    asked = {item for item in scope.split(" ") if item and item not in _OPENID_SCOPES}
    if not asked or not all(item.endswith(_DEFAULT) for item in asked):
        raise LoginRefused(BAD_SCOPE)
    if len(asked) > 1:
        raise LoginRefused(SEVERAL_RESOURCES)
    return asked.pop().removesuffix(_DEFAULT)


def audience(settings: LoginSettings, resource: str, *, tenant_id: str) -> str:
    """The resource itself when it is one of this instance, with or without one trailing slash. Exact otherwise: case
    counts, because those who check the audience compare it exactly.
    """
    if resource.removesuffix("/") not in settings.known_resources:
        raise LoginRefused(UNKNOWN_RESOURCE, tenant=tenant_id)
    return resource
