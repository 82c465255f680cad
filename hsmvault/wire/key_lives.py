"""Making, reading, changing and removing keys, on the wire: each handler turns a request into one call of the resources
and its result into an answer."""

from collections.abc import Mapping

from hsmvault.resources.key_backups import KeyBackups
from hsmvault.resources.keys import Keys
from hsmvault.wire import key_bodies as bodies
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.byok import wrapped_key_of
from hsmvault.wire.codec import decode_body, decode_restore, to_base64url
from hsmvault.wire.key_answers import answer_bundle, answer_deleted, deleted_item, item
from hsmvault.wire.paging import Pages, place_of_version, sequence_of
from hsmvault.wire.requests import Handler, Request


class KeyLives:
    def __init__(self, keys: Keys, backups: KeyBackups, pages: Pages) -> None:
        self._keys = keys
        self._backups = backups
        self._pages = pages
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
        }

    async def _create(self, request: Request) -> WireAnswer:
        body = decode_body(request.body, bodies.CreateKey)
        spec, hardware = bodies.spec_of(body, request.container)
        settings = bodies.settings_of(body)
        row = await self._keys.create(request.container, request.name, spec, settings, hardware=hardware)
        return answer_bundle(request, row)

    async def _import(self, request: Request) -> WireAnswer:
        body = decode_body(request.body, bodies.ImportKey)
        settings = bodies.settings_of(body)
        container, name = request.container, request.name
        if body.key.key_hsm is not None:
            wrapped = wrapped_key_of(*bodies.wrapped_form_of(body, container), request.origin)
            return answer_bundle(request, await self._keys.admit_wrapped(container, name, wrapped, settings))
        key, hardware = bodies.imported_of(body, container)
        return answer_bundle(request, await self._keys.admit(container, name, key, settings, hardware=hardware))

    async def _get(self, request: Request) -> WireAnswer:
        return answer_bundle(request, await self._keys.get(request.container, request.name, request.version))

    async def _list(self, request: Request) -> WireAnswer:
        return await self._pages.answer(
            request,
            "/keys",
            lambda after, limit: self._keys.page(request.container, after, limit),
            lambda row: item(request, row, with_version=False),
            lambda row: row.name.lower(),
        )

    async def _list_versions(self, request: Request) -> WireAnswer:
        return await self._pages.answer(
            request,
            f"/keys/{request.name}/versions",
            lambda after, limit: self._keys.version_page(request.container, request.name, sequence_of(after), limit),
            lambda row: item(request, row, with_version=True),
            place_of_version,
        )

    async def _list_deleted(self, request: Request) -> WireAnswer:
        return await self._pages.answer(
            request,
            "/deletedkeys",
            lambda after, limit: self._keys.deleted_page(request.container, after, limit),
            lambda deleted: deleted_item(request, deleted),
            lambda deleted: deleted.row.name.lower(),
        )

    async def _update(self, request: Request) -> WireAnswer:
        settings = bodies.changes_of(decode_body(request.body, bodies.UpdateKey))
        row = await self._keys.update(request.container, request.name, request.version, settings)
        return answer_bundle(request, row)

    async def _delete(self, request: Request) -> WireAnswer:
        return answer_deleted(request, await self._keys.delete(request.container, request.name))

    async def _get_deleted(self, request: Request) -> WireAnswer:
        return answer_deleted(request, await self._keys.get_deleted(request.container, request.name))

    async def _recover(self, request: Request) -> WireAnswer:
        return answer_bundle(request, await self._keys.recover(request.container, request.name))

    async def _purge(self, request: Request) -> WireAnswer:
        await self._keys.purge(request.container, request.name)
        return WireAnswer(204)

    async def _backup(self, request: Request) -> WireAnswer:
        blob = await self._backups.backup(request.container, request.name)
        return ok({"value": to_base64url(blob)}, f"{request.origin}/keys/{request.name}")

    async def _restore(self, request: Request) -> WireAnswer:
        blob = await decode_restore(request.body)
        return answer_bundle(request, await self._backups.restore(request.container, blob, request.origin))
