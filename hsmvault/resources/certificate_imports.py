"""Certificates that were made elsewhere, with their private keys.

The content is hostile until it has been read: reading, and the checks of the private key, take CPU time within bounds
and have a lane of their own.
"""

import base64
import binascii
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from hsmvault.clock import Clock, Identifiers
from hsmvault.custody import certificate_chains as chains
from hsmvault.custody import pem_bundles, pkcs12_reading
from hsmvault.custody.admission import material_from_pkcs8
from hsmvault.custody.bundles import Bundle
from hsmvault.custody.intents import Intents
from hsmvault.custody.pem_bundles import read_pem
from hsmvault.custody.pkcs12_reading import read_pkcs12
from hsmvault.custody.protocols import HeldKey, PrivateKeyMaterial
from hsmvault.errors import BadRequest, RequestError
from hsmvault.lanes import Lane, Turns
from hsmvault.model.certificate_policies import PEM, PKCS12, CertificatePolicy
from hsmvault.model.certificate_policy_parts import PolicyParts
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyVersion
from hsmvault.model.operations import Kind
from hsmvault.resources import certificate_rows, certificate_schedule, refusals
from hsmvault.resources.certificate_completion import EXPIRED
from hsmvault.resources.certificate_material import KEY_MISMATCH, CertificateMaterial
from hsmvault.resources.certificate_rows import Issued, NewRows
from hsmvault.resources.certificates import Certificate
from hsmvault.resources.imported_keys import admitted_exponents
from hsmvault.resources.imported_policies import check_fits, policy_of
from hsmvault.resources.key_cache import held_by
from hsmvault.store import certificate_operations as operations
from hsmvault.store.database import Conflicted, Database

NO_KEY_IN_PEM = (
    "Private key is not specified in the specified X.509 PEM certificate content. Please specify private key in the "
    "X.509 PEM certificate content."
)
NO_KEY_IN_PKCS12 = (
    "No certificate with private key found in the specified X.509 certificate content. Please specify X.509 "
    "certificate content with only one certificate containing private key."
)
_BEGIN = "-----BEGIN "
_MOST_READING = 2  # of one vault at once: others have key imports and merges in the same lane
_MOST_WAITING = 32


@dataclass(frozen=True, slots=True)
class ImportedCertificate:
    """content: base64 of a PKCS#12, or PEM text, or base64 of that. password: of the PKCS#12. None: not said."""

    content: str = field(repr=False)
    password: str | None = field(default=None, repr=False)
    policy: PolicyParts | None = None
    enabled: bool | None = None
    tags: Mapping[str, str] | None = None
    preserve_order: bool = False


@dataclass(frozen=True, slots=True)
class _Read:
    """What a content turned out to be. policy: complete; its times are nothing."""

    certificates: tuple[bytes, ...]
    material: PrivateKeyMaterial
    policy: CertificatePolicy


class Imports:
    """reading: a lane of its own; a job takes up to two seconds."""

    def __init__(
        self,
        database: Database,
        material: CertificateMaterial,
        reading: Lane[None],
        clock: Clock,
        identifiers: Identifiers,
        intents: Intents,
    ) -> None:
        self._database = database
        self._material = material
        self._reading = reading
        self._turns = Turns(_MOST_READING, waiting=_MOST_WAITING)
        self._clock = clock
        self._identifiers = identifiers
        self._intents = intents

    async def admit(self, container: Container, name: str, new: ImportedCertificate) -> Certificate:
        """A new certificate, or a new version of an existing one, there at once.

        Raises BadRequest: content that cannot be read, a wrong password, no private key or more than one, a key that is
        not the certificate's, not good or not supported, a certificate that is over, a policy that contradicts
        the content; Conflict as Creation.create; Unavailable, Throttled.
        """
        async with self._database.read() as tx:
            await certificate_rows.names_for_new(tx, container, name)
        exponents, now = admitted_exponents(container), self._clock.now()
        async with self._turns.of(container.id):
            read = await self._reading.submit(lambda _: _read(new, exponents, now))
        version = self._identifiers.version()
        held = await self._material.admitted_key(container, name, version, read.policy, read.material)
        try:
            certificate, gone = await self._commit(container, name, version, held, read, new)
        except (RequestError, Conflicted) as error:
            # As in certificate_creation.py: of any other way out it is not certain that nothing was committed.
            await self._material.destroy(container, name, version, held)
            if isinstance(error, Conflicted):
                raise refusals.changed_meanwhile(Kind.CERTIFICATES, name) from error
            raise
        for row in gone:
            await self._material.destroy(container, row.name, row.version, held_by(row))
        return certificate

    async def _commit(
        self,
        container: Container,
        name: str,
        version: str,
        held: HeldKey,
        read: _Read,
        new: ImportedCertificate,
    ) -> tuple[Certificate, list[KeyVersion]]:
        """Returns the certificate, and the keys of what was pending before and has gone with this."""
        now, gone = int(self._clock.now()), list[KeyVersion]()
        issued = await self._issued(container, name, version, held, read, new)
        placeholder = await self._material.placeholder(container, name, version)
        rows = NewRows(version, held, placeholder, read.policy, now, new.tags, new.preserve_order)
        async with self._database.write() as tx:
            names = await certificate_rows.names_for_new(tx, container, name)
            if names is not None:
                names, gone = await certificate_rows.remove_pending(tx, names)
                for row in gone:
                    await self._intents.give_up(tx, held_by(row))
                await operations.remove(tx, container.id, name)
            names, pending = await certificate_rows.add(tx, container, name, names, rows)
            made = await certificate_rows.publish(tx, names, pending, issued, now)
            await self._intents.keep(tx, held)
            await certificate_schedule.begin(tx, container, names.certificate.policy, made.certificate)
            await certificate_schedule.announce_new(tx, container, made.certificate, self._identifiers, now)
        return Certificate(made.certificate, names.certificate.policy, is_pending_open=False), gone

    async def _issued(
        self,
        container: Container,
        name: str,
        version: str,
        held: HeldKey,
        read: _Read,
        new: ImportedCertificate,
    ) -> Issued:
        issued = await self._material.issued(
            container, name, version, held, read.policy, read.certificates, preserve_order=new.preserve_order
        )
        return replace(issued, enabled=new.enabled is not False)


def _read(new: ImportedCertificate, public_exponents: Collection[int], now: float) -> _Read:
    """CPU work of up to two seconds. Raises BadRequest."""
    parts = new.policy or PolicyParts()
    content_type, bundle = _bundle(new, parts.content_type)
    if bundle.key_pkcs8 is None:
        raise BadRequest(NO_KEY_IN_PEM if content_type == PEM else NO_KEY_IN_PKCS12)
    material = material_from_pkcs8(bundle.key_pkcs8, public_exponents=public_exponents)
    if not chains.fits_key(bundle.leaf, material.public):
        raise BadRequest(KEY_MISMATCH)
    certificates = bundle.chain(preserve=True)
    if chains.expired_in(certificates, now) is not None:
        raise BadRequest(EXPIRED)
    policy = parts.over(policy_of(bundle.leaf, material.spec, content_type))
    check_fits(policy, material.spec)
    return _Read(certificates, material, policy)


def _bundle(new: ImportedCertificate, content_type: str | None) -> tuple[str, Bundle]:
    """The content type is that of the policy; without one it shows in the content."""
    if content_type == PEM or (content_type is None and _BEGIN in new.content):
        return PEM, read_pem(new.content if _BEGIN in new.content else _text(new.content))
    decoded = _decoded(new.content, pkcs12_reading.UNREADABLE)
    if content_type is None and _BEGIN.encode() in decoded:
        return PEM, read_pem(_text(new.content))
    return PKCS12, read_pkcs12(decoded, new.password or "")


def _text(content: str) -> str:
    """Of base64 of PEM text, which the service takes too."""
    try:
        return _decoded(content, pem_bundles.UNREADABLE).decode()
    except UnicodeDecodeError:
        raise BadRequest(pem_bundles.UNREADABLE) from None


def _decoded(content: str, refusal: str) -> bytes:
    try:
        return base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(refusal) from None
