"""Importing, reading, changing and removing certificates, on the wire: each handler turns a request into one call of
the resources and its result into an answer."""

from collections.abc import Mapping

from hsmvault.clock import Clock
from hsmvault.model.certificate_policies import CertificatePolicy
from hsmvault.model.certificate_policy_parts import PolicyParts
from hsmvault.resources import refusals
from hsmvault.resources.certificate_backups import CertificateBackups
from hsmvault.resources.certificate_imports import ImportedCertificate, Imports
from hsmvault.resources.certificates import CertificateChanges, Certificates, ChangePolicy
from hsmvault.wire import certificate_bodies as bodies
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.certificate_answers import (
    answer_bundle,
    answer_deleted,
    answer_policy,
    deleted_item,
    item,
)
from hsmvault.wire.codec import decode_body, decode_restore, to_base64url
from hsmvault.wire.paging import Pages, place_of_version, sequence_of
from hsmvault.wire.requests import Handler, Request

_RESERVED = frozenset({"contacts", "issuers"})  # as names they could not be read or deleted: routes.py

_BOOLEANS = {"": False, "true": True, "false": False}
_PENDING = "&includePending=true"


def check_name(name: str) -> None:
    """Of a certificate that is to be made. Raises BadRequest."""
    if name.lower() in _RESERVED:
        raise refusals.invalid_name(name)


class CertificateLives:
    def __init__(
        self, certificates: Certificates, imports: Imports, backups: CertificateBackups, pages: Pages, clock: Clock
    ) -> None:
        self._certificates = certificates
        self._imports = imports
        self._backups = backups
        self._pages = pages
        self._clock = clock
        self.table: Mapping[str, Handler] = {
            "import_certificate": self._import,
            "get_certificate": self._get,
            "get_certificates": self._list,
            "get_certificate_versions": self._list_versions,
            "update_certificate": self._update,
            "get_certificate_policy": self._get_policy,
            "update_certificate_policy": self._update_policy,
            "delete_certificate": self._delete,
            "get_deleted_certificate": self._get_deleted,
            "get_deleted_certificates": self._list_deleted,
            "recover_deleted_certificate": self._recover,
            "purge_deleted_certificate": self._purge,
            "backup_certificate": self._backup,
            "restore_certificate": self._restore,
        }

    async def _import(self, request: Request) -> WireAnswer:
        check_name(request.name)
        body = decode_body(request.body, bodies.ImportCertificate)
        new = ImportedCertificate(
            content=body.value,
            password=body.pwd,
            policy=None if body.policy is None else bodies.policy_of(body.policy),
            enabled=bodies.enabled_of(body),
            tags=bodies.tags_of(body),
            preserve_order=bool(body.preserveCertOrder),
        )
        return answer_bundle(request, await self._imports.admit(request.container, request.name, new))

    async def _get(self, request: Request) -> WireAnswer:
        return answer_bundle(request, await self._certificates.get(request.container, request.name, request.version))

    async def _list(self, request: Request) -> WireAnswer:
        pending = _includes_pending(request)
        return await self._pages.answer(
            request,
            "/certificates",
            lambda after, limit: self._certificates.page(request.container, after, limit, include_pending=pending),
            lambda row: item(request, row, with_version=False),
            lambda row: row.name.lower(),
            kept=_PENDING if pending else "",
        )

    async def _list_versions(self, request: Request) -> WireAnswer:
        container, name = request.container, request.name
        return await self._pages.answer(
            request,
            f"/certificates/{name}/versions",
            lambda after, limit: self._certificates.version_page(container, name, sequence_of(after), limit),
            lambda row: item(request, row, with_version=True),
            place_of_version,
        )

    async def _list_deleted(self, request: Request) -> WireAnswer:
        pending, container = _includes_pending(request), request.container
        return await self._pages.answer(
            request,
            "/deletedcertificates",
            lambda after, limit: self._certificates.deleted_page(container, after, limit, include_pending=pending),
            lambda deleted: deleted_item(request, deleted),
            lambda deleted: deleted.row.name.lower(),
            kept=_PENDING if pending else "",
        )

    async def _update(self, request: Request) -> WireAnswer:
        body = decode_body(request.body, bodies.UpdateCertificate)
        changes = CertificateChanges(
            enabled=bodies.enabled_of(body),
            tags=bodies.tags_of(body),
            policy=None if body.policy is None else self._change_of(bodies.policy_of(body.policy)),
        )
        certificate = await self._certificates.update(request.container, request.name, request.version, changes)
        return answer_bundle(request, certificate)

    async def _get_policy(self, request: Request) -> WireAnswer:
        policy = await self._certificates.get_policy(request.container, request.name)
        return answer_policy(request, request.name, policy)

    async def _update_policy(self, request: Request) -> WireAnswer:
        change = self._change_of(bodies.policy_of(decode_body(request.body, bodies.Policy)))
        policy = await self._certificates.update_policy(request.container, request.name, change)
        return answer_policy(request, request.name, policy)

    async def _delete(self, request: Request) -> WireAnswer:
        return answer_deleted(request, await self._certificates.delete(request.container, request.name))

    async def _get_deleted(self, request: Request) -> WireAnswer:
        return answer_deleted(request, await self._certificates.get_deleted(request.container, request.name))

    async def _recover(self, request: Request) -> WireAnswer:
        certificate = await self._certificates.recover(request.container, request.name)
        return answer_bundle(request, certificate)

    async def _purge(self, request: Request) -> WireAnswer:
        await self._certificates.purge(request.container, request.name)
        return WireAnswer(204)

    async def _backup(self, request: Request) -> WireAnswer:
        blob = await self._backups.backup(request.container, request.name)
        return ok({"value": to_base64url(blob)}, f"{request.origin}/certificates/{request.name}")

    async def _restore(self, request: Request) -> WireAnswer:
        blob = await decode_restore(request.body)
        certificate = await self._backups.restore(request.container, blob, request.origin)
        return answer_bundle(request, certificate)

    def _change_of(self, parts: PolicyParts) -> ChangePolicy:
        now = int(self._clock.now())

        def change(policy: CertificatePolicy) -> CertificatePolicy:
            return parts.replacing(policy, now)

        return change


def _includes_pending(request: Request) -> bool:
    """includePending of the query. Raises BadRequest."""
    wanted = _BOOLEANS.get(request.query.get("includepending", "").lower())
    if wanted is None:
        raise refusals.invalid_property("includePending")
    return wanted
