"""The secret operations on the wire: each handler turns a request into one call of the resources and its result into an
answer."""

import asyncio
from collections.abc import Mapping

from hsmvault.resources.secret_backups import SecretBackups
from hsmvault.resources.secret_formats import SecretFormats
from hsmvault.resources.secrets import Secrets
from hsmvault.wire import secret_bodies as bodies
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import LARGE_BYTES, decode_body, decode_restore, to_base64url
from hsmvault.wire.paging import Pages, place_of_version, sequence_of
from hsmvault.wire.requests import Handler, Request
from hsmvault.wire.secret_answers import answer_bundle, answer_deleted, answer_open, deleted_item, item
from hsmvault.wire.versions import is_since

_OUT_CONTENT_TYPE = "outcontenttype"  # names of query parameters are read in lower case
_OUT_CONTENT_TYPE_SINCE = "2025-07-01"


class SecretLives:
    def __init__(self, secrets: Secrets, backups: SecretBackups, formats: SecretFormats, pages: Pages) -> None:
        self._secrets = secrets
        self._backups = backups
        self._formats = formats
        self._pages = pages
        self.table: Mapping[str, Handler] = {
            "set_secret": self._set,
            "get_secret": self._get,
            "get_secrets": self._list,
            "get_secret_versions": self._list_versions,
            "update_secret": self._update,
            "delete_secret": self._delete,
            "get_deleted_secret": self._get_deleted,
            "get_deleted_secrets": self._list_deleted,
            "recover_deleted_secret": self._recover,
            "purge_deleted_secret": self._purge,
            "backup_secret": self._backup,
            "restore_secret": self._restore,
        }

    async def _set(self, request: Request) -> WireAnswer:
        content = request.body
        is_large = len(content) > LARGE_BYTES
        body = await asyncio.to_thread(bodies.decode_set, content) if is_large else bodies.decode_set(content)
        settings = bodies.settings_of(body)
        return answer_open(request, await self._secrets.set(request.container, request.name, body.value, settings))

    async def _get(self, request: Request) -> WireAnswer:
        secret = await self._secrets.get(request.container, request.name, request.version)
        wanted = request.query.get(_OUT_CONTENT_TYPE)
        if wanted is not None and is_since(request.served_as, _OUT_CONTENT_TYPE_SINCE):
            secret = await self._formats.converted(secret, wanted)
        return answer_open(request, secret)

    async def _list(self, request: Request) -> WireAnswer:
        return await self._pages.answer(
            request,
            "/secrets",
            lambda after, limit: self._secrets.page(request.container, after, limit),
            lambda row: item(request, row, with_version=False),
            lambda row: row.name.lower(),
        )

    async def _list_versions(self, request: Request) -> WireAnswer:
        return await self._pages.answer(
            request,
            f"/secrets/{request.name}/versions",
            lambda after, limit: self._secrets.version_page(request.container, request.name, sequence_of(after), limit),
            lambda row: item(request, row, with_version=True),
            place_of_version,
        )

    async def _list_deleted(self, request: Request) -> WireAnswer:
        return await self._pages.answer(
            request,
            "/deletedsecrets",
            lambda after, limit: self._secrets.deleted_page(request.container, after, limit),
            lambda deleted: deleted_item(request, deleted),
            lambda deleted: deleted.row.name.lower(),
        )

    async def _update(self, request: Request) -> WireAnswer:
        settings = bodies.settings_of(decode_body(request.body, bodies.UpdateSecret))
        row = await self._secrets.update(request.container, request.name, request.version, settings)
        return answer_bundle(request, row)

    async def _delete(self, request: Request) -> WireAnswer:
        return answer_deleted(request, await self._secrets.delete(request.container, request.name))

    async def _get_deleted(self, request: Request) -> WireAnswer:
        return answer_deleted(request, await self._secrets.get_deleted(request.container, request.name))

    async def _recover(self, request: Request) -> WireAnswer:
        return answer_bundle(request, await self._secrets.recover(request.container, request.name))

    async def _purge(self, request: Request) -> WireAnswer:
        await self._secrets.purge(request.container, request.name)
        return WireAnswer(204)

    async def _backup(self, request: Request) -> WireAnswer:
        blob = await self._backups.backup(request.container, request.name)
        return ok({"value": to_base64url(blob)}, f"{request.origin}/secrets/{request.name}")

    async def _restore(self, request: Request) -> WireAnswer:
        blob = await decode_restore(request.body)
        return answer_bundle(request, await self._backups.restore(request.container, blob, request.origin))
