"""The key operations on the wire: each handler turns a request into one call of the resources and its result into an
answer. Which handler serves which operation is one table at the end; what is not in it is not built yet."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from hsmvault.model.containers import Container
from hsmvault.model.keys import NAME, VERSION, KeyVersion
from hsmvault.model.operations import Operation
from hsmvault.resources import refusals
from hsmvault.resources.key_backups import KeyBackups
from hsmvault.resources.key_operations import KeyOperations, Used
from hsmvault.resources.keys import DeletedKey, Keys
from hsmvault.wire import key_bodies as bodies
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import LARGE_BYTES, decode_body, from_base64url, to_base64url
from hsmvault.wire.paging import SkipTokens, page_size


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """What a handler needs of a request. name and version are checked; origin begins every id of the answer."""

    container: Container
    origin: str
    name: str
    version: str | None
    query: Mapping[str, str]
    body: bytes
    api_version: str

    def __repr__(self) -> str:
        return f"KeyRequest({self.container.name}/{self.name})"


Handler = Callable[[KeyRequest], Awaitable[WireAnswer]]


def check_segments(operation: Operation, name: str, version: str | None) -> None:
    """Raises BadRequest for a bad name and NotFound for what cannot be a version of anything."""
    if "{name}" in operation.path and not NAME.fullmatch(name):
        raise refusals.invalid_name(name[:256])
    if version is not None and not VERSION.fullmatch(version.lower()):
        raise refusals.not_found(operation.kind, name, version[:64])


class KeyHandlers:
    def __init__(self, keys: Keys, operations: KeyOperations, backups: KeyBackups, skip_tokens: SkipTokens) -> None:
        self._keys = keys
        self._operations = operations
        self._backups = backups
        self._skip_tokens = skip_tokens
        self.table: Mapping[str, Handler] = {
            "create_key": self._create,
            "import_key": self._import,
            "get_key": self._get,
            "get_keys": self._list,
            "get_key_versions": self._list_versions,
            "update_key": self._update,
            "delete_key": self._delete,
            "get_deleted_key": self._get_deleted,
            "get_deleted_keys": self._list_deleted,
            "recover_deleted_key": self._recover,
            "purge_deleted_key": self._purge,
            "backup_key": self._backup,
            "restore_key": self._restore,
            "sign": self._sign,
            "verify": self._verify,
            "encrypt": self._encrypt,
            "wrap_key": self._wrap,
            "decrypt": self._decrypt,
            "unwrap_key": self._unwrap,
        }

    async def _create(self, request: KeyRequest) -> WireAnswer:
        body = decode_body(request.body, bodies.CreateKey)
        spec, hardware = bodies.spec_of(body)
        settings = bodies.settings_of(body.key_ops, body.attributes, body.tags, body.release_policy)
        row = await self._keys.create(request.container, request.name, spec, settings, hardware=hardware)
        return _bundle(request, row)

    async def _import(self, request: KeyRequest) -> WireAnswer:
        body = decode_body(request.body, bodies.ImportKey)
        settings = bodies.settings_of(body.key.key_ops, body.attributes, body.tags, body.release_policy)
        key, hardware = bodies.imported_of(body)
        return _bundle(
            request, await self._keys.admit(request.container, request.name, key, settings, hardware=hardware)
        )

    async def _get(self, request: KeyRequest) -> WireAnswer:
        return _bundle(request, await self._keys.get(request.container, request.name, request.version))

    async def _list(self, request: KeyRequest) -> WireAnswer:
        limit = page_size(request.query)
        after = await self._skip_tokens.read(request.query, request.container.id, "keys")
        rows = await self._keys.page(request.container, after, limit + 1)
        values = [bodies.item(request.origin, request.container, row, with_version=False) for row in rows[:limit]]
        place = rows[limit - 1].name.lower() if len(rows) > limit else None
        return await self._page(request, "keys", "/keys", values, place, limit)

    async def _list_versions(self, request: KeyRequest) -> WireAnswer:
        limit = page_size(request.query)
        collection = f"keys/{request.name.lower()}/versions"
        after = await self._skip_tokens.read(request.query, request.container.id, collection)
        rows = await self._keys.version_page(
            request.container, request.name, None if after is None else int(after), limit + 1
        )
        values = [bodies.item(request.origin, request.container, row, with_version=True) for row in rows[:limit]]
        place = str(rows[limit - 1].sequence) if len(rows) > limit else None
        return await self._page(request, collection, f"/keys/{request.name}/versions", values, place, limit)

    async def _list_deleted(self, request: KeyRequest) -> WireAnswer:
        limit = page_size(request.query)
        after = await self._skip_tokens.read(request.query, request.container.id, "deletedkeys")
        rows = await self._keys.deleted_page(request.container, after, limit + 1)
        values = [
            bodies.item(request.origin, request.container, deleted.row, with_version=False)
            | bodies.deletion(request.origin, deleted)
            for deleted in rows[:limit]
        ]
        place = rows[limit - 1].row.name.lower() if len(rows) > limit else None
        return await self._page(request, "deletedkeys", "/deletedkeys", values, place, limit)

    async def _update(self, request: KeyRequest) -> WireAnswer:
        body = decode_body(request.body, bodies.UpdateKey)
        settings = bodies.settings_of(body.key_ops, body.attributes, body.tags, body.release_policy)
        row = await self._keys.update(request.container, request.name, request.version, settings)
        return _bundle(request, row)

    async def _delete(self, request: KeyRequest) -> WireAnswer:
        deleted = await self._keys.delete(request.container, request.name)
        return _deleted(request, deleted)

    async def _get_deleted(self, request: KeyRequest) -> WireAnswer:
        return _deleted(request, await self._keys.get_deleted(request.container, request.name))

    async def _recover(self, request: KeyRequest) -> WireAnswer:
        return _bundle(request, await self._keys.recover(request.container, request.name))

    async def _purge(self, request: KeyRequest) -> WireAnswer:
        await self._keys.purge(request.container, request.name)
        return WireAnswer(204)

    async def _backup(self, request: KeyRequest) -> WireAnswer:
        blob = await self._backups.backup(request.container, request.name)
        return ok({"value": to_base64url(blob)}, f"{request.origin}/keys/{request.name}")

    async def _restore(self, request: KeyRequest) -> WireAnswer:
        content = request.body
        blob = await asyncio.to_thread(_blob_of, content) if len(content) > LARGE_BYTES else _blob_of(content)
        return _bundle(request, await self._backups.restore(request.container, blob, request.origin))

    async def _sign(self, request: KeyRequest) -> WireAnswer:
        body = decode_body(request.body, bodies.UseKey)
        digest = from_base64url(body.value, "value")
        return _used(
            request,
            await self._operations.sign(request.container, request.name, request.version, body.alg, digest),
        )

    async def _verify(self, request: KeyRequest) -> WireAnswer:
        body = decode_body(request.body, bodies.VerifyWithKey)
        digest, signature = from_base64url(body.digest, "digest"), from_base64url(body.value, "value")
        is_good = await self._operations.verify(
            request.container, request.name, request.version, body.alg, digest, signature
        )
        return ok({"value": is_good})

    async def _encrypt(self, request: KeyRequest) -> WireAnswer:
        return await self._to_public(request, "encrypt")

    async def _wrap(self, request: KeyRequest) -> WireAnswer:
        return await self._to_public(request, "wrapKey")

    async def _decrypt(self, request: KeyRequest) -> WireAnswer:
        return await self._to_private(request, "decrypt")

    async def _unwrap(self, request: KeyRequest) -> WireAnswer:
        return await self._to_private(request, "unwrapKey")

    async def _to_public(self, request: KeyRequest, operation: str) -> WireAnswer:
        body = decode_body(request.body, bodies.UseKey)
        plaintext = from_base64url(body.value, "value")
        return _used(
            request,
            await self._operations.encrypt(
                request.container, request.name, request.version, operation, body.alg, plaintext
            ),
        )

    async def _to_private(self, request: KeyRequest, operation: str) -> WireAnswer:
        body = decode_body(request.body, bodies.UseKey)
        ciphertext = from_base64url(body.value, "value")
        return _used(
            request,
            await self._operations.decrypt(
                request.container, request.name, request.version, operation, body.alg, ciphertext
            ),
        )

    async def _page(
        self,
        request: KeyRequest,
        collection: str,
        path: str,
        values: list[dict[str, object]],
        place: str | None,
        limit: int,
    ) -> WireAnswer:
        """place: of the last value when more follow."""
        link = None
        if place is not None:
            token = await self._skip_tokens.write(place, request.container.id, collection)
            link = f"{request.origin}{path}?api-version={request.api_version}&$skiptoken={token}&maxresults={limit}"
        return ok({"value": values, "nextLink": link}, request.origin + path)


def _blob_of(content: bytes) -> bytes:
    return from_base64url(decode_body(content, bodies.RestoreKey).value, "value")


def _bundle(request: KeyRequest, row: KeyVersion) -> WireAnswer:
    return ok(bodies.bundle(request.origin, request.container, row), bodies.kid_of(request.origin, row))


def _deleted(request: KeyRequest, deleted: DeletedKey) -> WireAnswer:
    return ok(
        bodies.bundle(request.origin, request.container, deleted.row) | bodies.deletion(request.origin, deleted),
        bodies.kid_of(request.origin, deleted.row),
    )


def _used(request: KeyRequest, used: Used) -> WireAnswer:
    kid = bodies.kid_of(request.origin, used.row)
    return ok({"kid": kid, "value": to_base64url(used.value)}, kid)
