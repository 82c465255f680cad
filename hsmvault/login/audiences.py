"""From what a client asks for to the audience of its token.

The audience is the resource as it was asked for, because clients compare it: `https://management.example//.default`
means the audience `https://management.example/`, with its slash.
"""

from typing import Final

from hsmvault.login.attempts import guid_or_empty
from hsmvault.login.refusals import (
    BAD_DELEGATED_SCOPE,
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
_DELEGATED: Final = (_DEFAULT, "/user_impersonation")
_APPLICATION_SCHEME: Final = "api://"


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


def delegated_resource_in(form: Form, *, dialect: str) -> str:
    """What a person's client asks for; empty when it names nothing, or OpenID Connect's scopes alone."""
    if dialect == "v2" and form.get("resource"):
        raise LoginRefused(RESOURCE_NOT_SUPPORTED)
    if dialect == "v1" or (dialect == "adfs" and form.get("resource")):
        return form.get("resource")
    named = [item for item in form.get("scope").split(" ") if item and item not in _OPENID_SCOPES]
    asked = {_delegated_resource(item) for item in named}
    if len(asked) > 1:
        raise LoginRefused(SEVERAL_RESOURCES)
    return asked.pop() if asked else ""


def _delegated_resource(scope: str) -> str:
    for suffix in _DELEGATED:
        if scope.endswith(suffix):
            return scope.removesuffix(suffix)
    raise LoginRefused(BAD_DELEGATED_SCOPE)


def openid_scopes(form: Form) -> tuple[str, ...]:
    """Those of OpenID Connect, sorted."""
    return tuple(sorted(set(form.get("scope").split(" ")) & _OPENID_SCOPES))


def application_named(resource: str) -> str:
    """The client id of the application that a resource is, as `api://{client id}` or the id alone; else empty."""
    return guid_or_empty(resource.removeprefix(_APPLICATION_SCHEME))


def audience(settings: LoginSettings, resource: str, *, tenant_id: str) -> str:
    """The resource itself when it is one of this instance, with or without one trailing slash. Exact otherwise: case
    counts, because those who check the audience compare it exactly.
    """
    if resource.removesuffix("/") not in settings.known_resources:
        raise LoginRefused(UNKNOWN_RESOURCE, tenant=tenant_id)
    return resource
