"""Keys of a vault as sub-resources: the first version is made here, and what is there is read. Their control actions
decide; what the data plane allows, and the vault's firewall, play no part.

The names of members differ from the data plane's: keyOps, keySize, curveName, and `release` in the place of `export`.
Source: Key and KeyCreateParameters of the Microsoft.KeyVault specification.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from hsmvault.errors import Conflict, NotFound
from hsmvault.model.containers import Container
from hsmvault.model.keys import NAME, VERSION, KeyVersion
from hsmvault.model.operations import Kind
from hsmvault.model.rotation import LifetimeAction, RotationPolicy, check_policy, is_empty
from hsmvault.resources.first_keys import First
from hsmvault.resources.key_rotation import KeyRotation
from hsmvault.resources.keys import Keys
from hsmvault.resources.refusals import invalid_name, not_found
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import to_base64url
from hsmvault.wire.key_bodies import Attributes, CreateKey, Policy, settings_of, spec_of
from hsmvault.wire.key_rotation import (
    SetRotationPolicy,
    stated_policy,
)
from hsmvault.wire.management.bodies import decode_request
from hsmvault.wire.management.container_pages import ManagementPages
from hsmvault.wire.management.requests import ManagementHandler, ManagementRequest
from hsmvault.wire.management.vault_answers import OriginOf
from hsmvault.wire.object_answers import attributes_of

Found = Callable[[ManagementRequest], Awaitable[Container]]
"""The vault or pool that a request's path names. Raises NotFound, and whatever else keeps the caller out."""
_OURS: Final = {"release": "export"}
_THEIRS: Final = {"export": "release"}


class KeyProperties(msgspec.Struct, frozen=True):
    kty: str | None = None
    keyOps: list[str] | None = None
    keySize: int | None = None
    curveName: str | None = None
    attributes: Attributes | None = None
    rotationPolicy: SetRotationPolicy | None = None
    release_policy: Policy | None = None


class PutKey(msgspec.Struct, frozen=True):
    properties: KeyProperties
    tags: dict[str, str] | None = None


class KeyHandlers:
    """prefix: of the operations' names. type: of the resource, for instance Microsoft.KeyVault/vaults/keys."""

    def __init__(
        self,
        prefix: str,
        type: str,
        found: Found,
        keys: Keys,
        rotation: KeyRotation,
        pages: ManagementPages,
        origin_of: OriginOf,
    ) -> None:
        self._type = type
        self._found = found
        self._keys = keys
        self._rotation = rotation
        self._pages = pages
        self._origin_of = origin_of
        self.table: Mapping[str, ManagementHandler] = {
            f"{prefix}_get": self._get,
            f"{prefix}_create_if_not_exist": self._put,
            f"{prefix}_list": self._list,
            f"{prefix}_get_version": self._get_version,
            f"{prefix}_list_versions": self._list_versions,
        }

    async def _get(self, request: ManagementRequest) -> WireAnswer:
        container = await self._found(request)
        row = await self._keys.get(container, _name(request), None)
        return await self._answer(container, row)

    async def _get_version(self, request: ManagementRequest) -> WireAnswer:
        container, name, version = await self._found(request), _name(request), request.names["version"]
        if not VERSION.fullmatch(version.lower()):
            raise not_found(Kind.KEYS, name, version[:64])
        row = await self._keys.get(container, name, version.lower())
        return ok(self._version(container, row), _id(container, row))

    async def _put(self, request: ManagementRequest) -> WireAnswer:
        """Twice the same changes nothing, and neither does the first over a key that is there."""
        container, name = await self._found(request), _name(request)
        body = decode_request(request.body, PutKey)
        try:
            row = await self._keys.get(container, name, None)
        except NotFound:
            row = await self._made(container, name, body)
        return await self._answer(container, row)

    async def _made(self, container: Container, name: str, body: PutKey) -> KeyVersion:
        given = body.properties
        policy = None if given.rotationPolicy is None else stated_policy(given.rotationPolicy)
        if policy is not None:
            check_policy(policy, container.rotation_rules)
        wanted = CreateKey(
            kty=given.kty or "RSA",
            key_size=given.keySize,
            key_ops=None if given.keyOps is None else [_OURS.get(word, word) for word in given.keyOps],
            attributes=given.attributes,
            tags=body.tags,
            crv=given.curveName,
            release_policy=given.release_policy,
        )
        spec, hardware = spec_of(wanted, container)
        first = First(None if policy is None or is_empty(policy) else policy)
        try:
            return await self._keys.create(container, name, spec, settings_of(wanted), hardware=hardware, first=first)
        except Conflict as conflict:  # somebody else has made it meanwhile; or its name is deleted
            try:
                return await self._keys.get(container, name, None)
            except NotFound:
                raise conflict from None

    async def _list(self, request: ManagementRequest) -> WireAnswer:
        container = await self._found(request)

        async def read(after: str, most: int) -> Sequence[KeyVersion]:
            return await self._keys.page(container, after or None, most)

        return await self._pages.answer(
            request,
            quote(f"{container.resource_id}/keys"),
            read,
            lambda row: self._key(container, row),
            lambda row: row.name.lower(),
        )

    async def _list_versions(self, request: ManagementRequest) -> WireAnswer:
        container, name = await self._found(request), _name(request)
        await self._keys.get(container, name, None)  # of an unknown name there is no list

        async def read(after: str, most: int) -> Sequence[KeyVersion]:
            return await self._keys.version_page(container, name, int(after) if after else None, most)

        return await self._pages.answer(
            request,
            quote(f"{container.resource_id}/keys/{name}/versions"),
            read,
            lambda row: self._version(container, row),
            lambda row: str(row.sequence),
        )

    async def _answer(self, container: Container, row: KeyVersion) -> WireAnswer:
        policy = await self._rotation.get_policy(container, row.name)
        return ok(self._key(container, row, policy), _id(container, row))

    def _key(self, container: Container, row: KeyVersion, policy: RotationPolicy | None = None) -> dict[str, object]:
        """Key of the reference: the latest version stands for all."""
        members = self._common(container, row)
        if policy is not None:
            members["rotationPolicy"] = _rotation_policy(policy)
        return {
            "id": _id(container, row),
            "name": row.name,
            "type": self._type,
            "location": container.location,
            "tags": dict(row.tags),
            "properties": members,
        }

    def _version(self, container: Container, row: KeyVersion) -> dict[str, object]:
        return {
            "id": f"{_id(container, row)}/versions/{row.version}",
            "name": row.version,
            "type": f"{self._type}/versions",
            "location": container.location,
            "tags": dict(row.tags),
            "properties": self._common(container, row),
        }

    def _common(self, container: Container, row: KeyVersion) -> dict[str, object]:
        uri = f"{self._origin_of(container)}/keys/{row.name}"
        attributes = attributes_of(row, container.retention)
        attributes.pop("recoverableDays", None)
        members: dict[str, object] = {
            "attributes": {**attributes, "exportable": row.exportable},
            "kty": row.wire_type,
            "keyOps": [_THEIRS.get(word, word) for word in row.operations],
        }
        if row.spec.curve is not None:
            members["curveName"] = row.spec.curve.value
        else:
            members["keySize"] = row.spec.size_bits
        members["keyUri"] = uri
        members["keyUriWithVersion"] = f"{uri}/{row.version}"
        if row.release_policy is not None:
            members["release_policy"] = {
                "contentType": row.release_policy.content_type,
                "data": to_base64url(row.release_policy.data),
            }
        return members


def _name(request: ManagementRequest) -> str:
    """Raises BadRequest."""
    name = request.names["name"]
    if not NAME.fullmatch(name):
        raise invalid_name(name[:256])
    return name


def _id(container: Container, row: KeyVersion) -> str:
    return f"{container.resource_id}/keys/{row.name}"


def _rotation_policy(policy: RotationPolicy) -> dict[str, object]:
    attributes: dict[str, object] = {"created": policy.created, "updated": policy.updated}
    if policy.expiry is not None:
        attributes["expiryTime"] = str(policy.expiry)
    return {"attributes": attributes, "lifetimeActions": [_action(action) for action in policy.actions]}


def _action(action: LifetimeAction) -> dict[str, object]:
    trigger = (
        {"timeAfterCreate": str(action.after_create)}
        if action.after_create is not None
        else {"timeBeforeExpiry": str(action.before_expiry)}
    )
    return {"trigger": trigger, "action": {"type": action.type.value.lower()}}
