"""Secrets and certificates of applications. They belong to the registration: every service principal of the
application is proven by them. The text of a secret is shown once and not kept.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

from hsmvault.model.directory import Application
from hsmvault.model.principals import Credential, CredentialKind
from hsmvault.resources.directory import names
from hsmvault.resources.directory.lookups import application_of
from hsmvault.resources.directory.parts import DirectoryParts
from hsmvault.resources.directory.proofs import NewSecret
from hsmvault.resources.directory.refusals import bad, invalid, not_found
from hsmvault.resources.directory.rules import Actor, permit_application
from hsmvault.store import directory, federated_credentials
from hsmvault.store.database import Transaction

_MOST = 100
_LIFE_SECONDS = 2 * 365 * 86_400  # of a secret without an end of its own, as Graph's addPassword
_LATEST = 253_402_300_799  # 9999-12-31T23:59:59Z


@dataclass(frozen=True, slots=True)
class CertificateOffer:
    """certificate_der: empty for one that is registered already and stays. id: of it, or for a new one its id or "".
    starts, expires: seconds since 1970 UTC, 0 for the certificate's own.
    """

    id: str
    certificate_der: bytes = field(default=b"", repr=False)
    display_name: str = ""
    starts: int = 0
    expires: int = 0


class ApplicationCredentials:
    def __init__(self, parts: DirectoryParts) -> None:
        self._parts = parts

    async def of(self, application_id: str) -> list[Credential]:
        """Secrets and certificates, by id, the expired ones too."""
        async with self._parts.database.read() as tx:
            found = await directory.credentials_of(tx, application_id)
        return [one for one in found if one.kind is not CredentialKind.IDENTITY_HEADER]

    async def add_secret(
        self, actor: Actor, object_id: str, *, display_name: str, starts: int = 0, expires: int = 0
    ) -> tuple[Credential, NewSecret]:
        """object_id: of the registration. starts, expires: seconds since 1970 UTC; 0 for now, and for two years later.

        Raises NotFound, Forbidden, BadRequest.
        """
        starts = starts or self._parts.now
        expires = expires or starts + _LIFE_SECONDS
        if not 0 < starts < expires <= _LATEST:
            raise bad("Credential lifetime is not valid: endDateTime must be later than startDateTime.")
        made = self._parts.proofs.new_secret()
        async with self._parts.database.write() as tx:
            application = await self._may_change(tx, actor, object_id)
            await _check_number(tx, application.application_id, 1)
            credential = Credential(
                id=self._parts.identifiers.guid(),
                application_id=application.application_id,
                kind=CredentialKind.SECRET,
                display_name=names.checked_text(display_name, "displayName", 256),
                verifier=made.verifier,
                expires=expires,
                starts=starts,
                hint=made.hint,
            )
            await directory.insert_credential(tx, credential)
        return credential, made.secret

    async def add_certificate(self, actor: Actor, object_id: str, offer: CertificateOffer) -> Credential:
        """One more. Raises NotFound, Forbidden, BadRequest."""
        async with self._parts.database.write() as tx:
            application = await self._may_change(tx, actor, object_id)
            return await _register(tx, self._parts, application.application_id, offer)

    async def remove(self, actor: Actor, object_id: str, credential_id: str, *kinds: CredentialKind) -> None:
        """Its tokens end on their next use. Raises NotFound, Forbidden, BadRequest."""
        async with self._parts.database.write() as tx:
            application = await self._may_change(tx, actor, object_id)
            found = await directory.credentials_of(tx, application.application_id)
            if not any(one.id == credential_id.lower() and one.kind in kinds for one in found):
                word = "password" if kinds == (CredentialKind.SECRET,) else "credential"
                raise bad(f"No {word} credential found with keyId.")
            await directory.delete_credential(tx, application.application_id, credential_id.lower())

    @staticmethod
    async def _may_change(tx: Transaction, actor: Actor, object_id: str) -> Application:
        application = await application_of(tx, actor.tenant_id, object_id)
        await permit_application(tx, actor, application)
        return application


async def register_certificates(
    tx: Transaction, parts: DirectoryParts, application_id: str, wanted: Sequence[CertificateOffer]
) -> None:
    """Exactly these: new ones come, and those that are not named go. Raises BadRequest, NotFound."""
    found = await directory.credentials_of(tx, application_id)
    known = {one.id: one for one in found if one.kind is CredentialKind.CERTIFICATE}
    kept = {offer.id.lower() for offer in wanted if offer.id.lower() in known}
    for id in known.keys() - kept:
        await directory.delete_credential(tx, application_id, id)
    for offer in wanted:
        if offer.id.lower() in known:
            continue
        if not offer.certificate_der:
            raise not_found(offer.id)
        await _register(tx, parts, application_id, offer)


async def forget_credentials(tx: Transaction, application_id: str) -> None:
    """All of them, federated ones too."""
    for credential in await directory.credentials_of(tx, application_id):
        await directory.delete_credential(tx, application_id, credential.id)
    for federated in await federated_credentials.of_application(tx, application_id):
        await federated_credentials.delete(tx, application_id, federated.id)


async def _register(tx: Transaction, parts: DirectoryParts, application_id: str, offer: CertificateOffer) -> Credential:
    await _check_number(tx, application_id, 1)
    facts = parts.proofs.read_certificate(offer.certificate_der)
    if any(
        one.thumbprint_sha256 == facts.thumbprint_sha256 for one in await directory.credentials_of(tx, application_id)
    ):
        raise bad("The certificate is registered for this application already.")
    expires = min(offer.expires or facts.expires, facts.expires)
    if offer.starts >= expires:
        raise invalid("keyCredentials")
    if offer.id and not names.is_guid(offer.id.lower()):
        raise invalid("keyId")
    credential = Credential(
        id=parts.identifiers.guid(),  # never the caller's: ids of credentials stand in tokens
        application_id=application_id,
        kind=CredentialKind.CERTIFICATE,
        display_name=names.checked_text(offer.display_name, "displayName", 256),
        verifier=base64.b64encode(offer.certificate_der).decode("ascii"),
        thumbprint_sha1=facts.thumbprint_sha1,
        thumbprint_sha256=facts.thumbprint_sha256,
        expires=expires,
        starts=offer.starts,
    )
    await directory.insert_credential(tx, credential)
    return credential


async def _check_number(tx: Transaction, application_id: str, more: int) -> None:
    if len(await directory.credentials_of(tx, application_id)) + more > _MOST:
        raise bad(f"An application has at most {_MOST} credentials.")
