"""Secrets of a vault as sub-resources: set, changed, and read without their values. Their control actions decide; what
the data plane allows, and the vault's firewall, play no part. A value goes in and never comes out here.

Source: Secret, SecretCreateOrUpdateParameters and SecretPatchParameters of the Microsoft.KeyVault specification.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import quote

import msgspec

from hsmvault.model.containers import Container
from hsmvault.model.keys import NAME
from hsmvault.model.secrets import SecretVersion
from hsmvault.resources.refusals import invalid_name, invalid_property
from hsmvault.resources.secrets import Secrets, SecretSettings
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import LARGE_BYTES
from hsmvault.wire.management.bodies import decode_request
from hsmvault.wire.management.container_pages import ManagementPages
from hsmvault.wire.management.requests import ManagementHandler, ManagementRequest
from hsmvault.wire.management.vault_answers import OriginOf
from hsmvault.wire.management.vault_keys import Found
from hsmvault.wire.object_answers import attributes_of
from hsmvault.wire.secret_bodies import Attributes, UpdateSecret, settings_of

_TYPE = "Microsoft.KeyVault/vaults/secrets"


class SecretProperties(msgspec.Struct, frozen=True):
    """The repr shows nothing of it."""

    value: str | None = None
    contentType: str | None = None
    attributes: Attributes | None = None

    def __repr__(self) -> str:
        return "SecretProperties()"


class PutSecret(msgspec.Struct, frozen=True):
    properties: SecretProperties
    tags: dict[str, str] | None = None


class PatchSecret(msgspec.Struct, frozen=True):
    properties: SecretProperties | None = None
    tags: dict[str, str] | None = None


class SecretHandlers:
    def __init__(self, found: Found, secrets: Secrets, pages: ManagementPages, origin_of: OriginOf) -> None:
        self._found = found
        self._secrets = secrets
        self._pages = pages
        self._origin_of = origin_of
        self.table: Mapping[str, ManagementHandler] = {
            "secrets_get": self._get,
            "secrets_create_or_update": self._put,
            "secrets_update": self._patch,
            "secrets_list": self._list,
        }

    async def _get(self, request: ManagementRequest) -> WireAnswer:
        container = await self._found(request)
        return self._answer(container, await self._secrets.latest(container, _name(request)))

    async def _put(self, request: ManagementRequest) -> WireAnswer:
        """Each one makes a version, as on the data plane."""
        container, name = await self._found(request), _name(request)
        body = decode_request(request.body, PutSecret, most_marks=LARGE_BYTES)
        if body.properties.value is None:
            raise invalid_property("value")
        settings = _settings(body.properties, body.tags)
        made = await self._secrets.set(container, name, body.properties.value, settings)
        return self._answer(container, made.row)

    async def _patch(self, request: ManagementRequest) -> WireAnswer:
        """With a value it makes a version, which takes over from the one before what the body does not say."""
        container, name = await self._found(request), _name(request)
        body = decode_request(request.body, PatchSecret, most_marks=LARGE_BYTES)
        given = body.properties or SecretProperties()
        settings = _settings(given, body.tags)
        if given.value is None:
            return self._answer(container, await self._secrets.update(container, name, None, settings))
        before = await self._secrets.latest(container, name)
        made = await self._secrets.set(container, name, given.value, _completed(settings, before))
        return self._answer(container, made.row)

    async def _list(self, request: ManagementRequest) -> WireAnswer:
        container = await self._found(request)

        async def read(after: str, most: int) -> Sequence[SecretVersion]:
            return await self._secrets.page(container, after or None, most)

        return await self._pages.answer(
            request,
            quote(f"{container.resource_id}/secrets"),
            read,
            lambda row: self._secret(container, row),
            lambda row: row.name.lower(),
        )

    def _answer(self, container: Container, row: SecretVersion) -> WireAnswer:
        return ok(self._secret(container, row), _id(container, row))

    def _secret(self, container: Container, row: SecretVersion) -> dict[str, object]:
        uri = f"{self._origin_of(container)}/secrets/{row.name}"
        properties: dict[str, object] = {
            "attributes": attributes_of(row),
            "secretUri": uri,
            "secretUriWithVersion": f"{uri}/{row.version}",
        }
        if row.content_type is not None:
            properties["contentType"] = row.content_type
        return {
            "id": _id(container, row),
            "name": row.name,
            "type": _TYPE,
            "location": container.location,
            "tags": dict(row.tags),
            "properties": properties,
        }


def _name(request: ManagementRequest) -> str:
    """Raises BadRequest."""
    name = request.names["name"]
    if not NAME.fullmatch(name):
        raise invalid_name(name[:256])
    return name


def _id(container: Container, row: SecretVersion) -> str:
    return f"{container.resource_id}/secrets/{row.name}"


def _settings(given: SecretProperties, tags: Mapping[str, str] | None) -> SecretSettings:
    """Raises BadRequest."""
    return settings_of(UpdateSecret(given.contentType, given.attributes, None if tags is None else dict(tags)))


def _completed(settings: SecretSettings, before: SecretVersion) -> SecretSettings:
    return replace(
        settings,
        enabled=before.enabled if settings.enabled is None else settings.enabled,
        not_before=before.not_before if settings.not_before is None else settings.not_before,
        expires=before.expires if settings.expires is None else settings.expires,
        content_type=before.content_type if settings.content_type is None else settings.content_type,
        tags=before.tags if settings.tags is None else settings.tags,
    )
