"""The keys of a certificate authority of our own: made once, at its first use, in the default world's own custody.

Root and issuing key are two rows with their certificates, which are inserted together: two processes that make an
authority at once agree by those rows, and the late one forgets its keys. They are never replaced. Under a world key
that was rotated they stay good: what an older generation wrapped stays readable.
"""

import asyncio
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsmvault.clock import Clock, Identifiers
from hsmvault.custody.authority_certificates import issuing_template, mismatch, new_serial, root_template
from hsmvault.custody.certificate_signing import Signer, sign_certificate
from hsmvault.custody.custodians import WorldCustody
from hsmvault.custody.intents import Intents
from hsmvault.custody.protocols import Binding, Custodian, CustodyClass, HeldKey
from hsmvault.custody.steps import unusable
from hsmvault.errors import RequestError
from hsmvault.model.authorities import AuthorityRole, AuthorityRow, AuthorityRules
from hsmvault.store import authorities as store
from hsmvault.store.database import Conflicted, Database

_CONTAINER = "authorities"  # of the binding, with a kind of its own: no row of a vault's key opens one
_KIND = "authority"


@dataclass(frozen=True, slots=True)
class AuthorityKey:
    """A key with its certificate. public_bits: of the BIT STRING in its SubjectPublicKeyInfo. key_identifier: its
    subject key identifier.
    """

    certificate_der: bytes = field(repr=False)
    certificate: x509.Certificate = field(repr=False)
    signer: Signer = field(repr=False)
    public_bits: bytes = field(repr=False)
    key_identifier: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authority:
    """Both keys. not_after: the end of the issuing certificate, in seconds since 1970 UTC."""

    root: AuthorityKey
    issuing: AuthorityKey
    not_after: int

    def key(self, role: AuthorityRole) -> AuthorityKey:
        return self.root if role is AuthorityRole.ROOT else self.issuing


@dataclass(frozen=True, slots=True)
class _Made:
    """A key that no row has yet."""

    version: str
    binding: Binding
    held: HeldKey
    signer: Signer


class AuthorityKeys:
    """Of one authority, as one process has them."""

    def __init__(
        self,
        rules: AuthorityRules,
        world: WorldCustody,
        *,
        database: Database,
        clock: Clock,
        identifiers: Identifiers,
        intents: Intents,
    ) -> None:
        self._rules = rules
        self._world = world
        self._database = database
        self._clock = clock
        self._identifiers = identifiers
        self._intents = intents
        self._lock = asyncio.Lock()
        self._authority: Authority | None = None

    async def current(self) -> Authority:
        """Made when there is none. Raises Unavailable, Throttled."""
        if self._authority is not None:
            return self._authority
        async with self._lock:
            if self._authority is None:
                rows = await self._read() or await self._make()
                if reason := mismatch(self._rules, rows):
                    raise unusable(reason)
                self._authority = self._opened(rows)
            return self._authority

    async def _read(self) -> dict[AuthorityRole, AuthorityRow]:
        async with self._database.read() as tx:
            return await store.of_name(tx, self._rules.name)

    async def _make(self) -> dict[AuthorityRole, AuthorityRow]:
        """Both keys and their certificates, unless somebody else makes them meanwhile."""
        made: list[_Made] = []
        try:
            root, issuing = [await self._generate(role, made) for role in (AuthorityRole.ROOT, AuthorityRole.ISSUING)]
            now = int(self._clock.now())
            template = root_template(self._rules, root.held.public, new_serial(self._identifiers), now)
            root_der = await sign_certificate(root.signer, template)
            template = issuing_template(self._rules, issuing.held.public, root_der, new_serial(self._identifiers), now)
            issuing_der = await sign_certificate(root.signer, template)
            rows = (
                self._row(AuthorityRole.ROOT, root, root_der, now),
                self._row(AuthorityRole.ISSUING, issuing, issuing_der, now),
            )
            async with self._database.write() as tx:
                for row, one in zip(rows, (root, issuing), strict=True):
                    await store.insert(tx, row)
                    await self._intents.keep(tx, one.held)
        except Conflicted:
            await self._forget(made)
            found = await self._read()
            if not found:
                raise unusable(f"the authority {self._rules.name} was removed when it was made") from None
            return found
        except RequestError:  # nothing was committed; of any other way out that is not certain
            await self._forget(made)
            raise
        return {row.role: row for row in rows}

    async def _generate(self, role: AuthorityRole, made: list[_Made]) -> _Made:
        custodian = self._world.custodians[self._world.default]
        version = self._identifiers.version()
        binding = self._binding(role, version)
        held = await custodian.generate(self._rules.spec, binding)
        made.append(_Made(version, binding, held, Signer(custodian.open(held, binding), held.spec, held.public)))
        return made[-1]

    async def _forget(self, made: list[_Made]) -> None:
        custodian = self._world.custodians[self._world.default]
        for one in made:
            await custodian.destroy(one.held, one.binding)

    def _row(self, role: AuthorityRole, made: _Made, certificate_der: bytes, now: int) -> AuthorityRow:
        held = made.held
        return AuthorityRow(
            name=self._rules.name,
            role=role,
            spec=held.spec,
            custody=held.custody.value,
            public=held.public,
            reference=held.reference,
            version=made.version,
            certificate_der=certificate_der,
            created=now,
            crl_number=now,
        )

    def _opened(self, rows: dict[AuthorityRole, AuthorityRow]) -> Authority:
        root, issuing = (self._key(rows[role]) for role in (AuthorityRole.ROOT, AuthorityRole.ISSUING))
        return Authority(root, issuing, int(issuing.certificate.not_valid_after_utc.timestamp()))

    def _key(self, row: AuthorityRow) -> AuthorityKey:
        held = HeldKey(CustodyClass(row.custody), row.spec, row.public, row.reference)
        handle = self._custodian(row).open(held, self._binding(row.role, row.version))
        certificate = x509.load_der_x509_certificate(row.certificate_der)
        identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        signer = Signer(handle, row.spec, row.public)
        return AuthorityKey(row.certificate_der, certificate, signer, _public_bits(certificate), identifier)

    def _custodian(self, row: AuthorityRow) -> Custodian:
        custodian = self._world.custodians.get(CustodyClass(row.custody))
        if custodian is None:
            raise unusable(
                f"the authority {row.name} is in {row.custody} custody, which this world does not offer here"
            )
        return custodian

    def _binding(self, role: AuthorityRole, version: str) -> Binding:
        return Binding(_CONTAINER, _KIND, f"{self._rules.name}:{role.value}", version)


def _public_bits(certificate: x509.Certificate) -> bytes:
    public = certificate.public_key()
    if isinstance(public, EllipticCurvePublicKey):
        return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert isinstance(public, RSAPublicKey)
    return public.public_bytes(Encoding.DER, PublicFormat.PKCS1)
