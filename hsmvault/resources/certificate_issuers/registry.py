"""Which issuer a policy names: Self, Unknown, or the provider of an issuer object of the vault."""

from collections.abc import Iterable, Mapping

from hsmvault.custody.protocols import Binding
from hsmvault.custody.sealing import Sealer
from hsmvault.errors import BadRequest
from hsmvault.model.certificate_policies import Action, CertificatePolicy
from hsmvault.model.certificates import CertificateIssuer
from hsmvault.model.containers import Container
from hsmvault.resources.backup_scope import sealer_of
from hsmvault.resources.certificate_issuers.protocol import Account, Issuer
from hsmvault.store import certificate_issuers as store
from hsmvault.store.database import Database


def password_binding(container_id: str, name: str) -> Binding:
    """What the password of an issuer object is sealed for. name: of the object."""
    return Binding(container_id, "issuer", name.lower(), "")


class Issuers:
    """own: Self and Unknown. providers: of issuer objects. sealers: by the id of the security world."""

    def __init__(
        self, database: Database, sealers: Mapping[str, Sealer], own: Iterable[Issuer], providers: Iterable[Issuer]
    ) -> None:
        self._database = database
        self._sealers = sealers
        self._own = {one.provider.lower(): one for one in own}
        self._providers = {one.provider.lower(): one for one in providers}

    def provider(self, name: str) -> Issuer | None:
        """Of issuer objects, by the name on the wire, whatever its case."""
        return self._providers.get(name.lower())

    async def resolve(self, container: Container, policy: CertificatePolicy) -> tuple[Issuer, Account | None]:
        """Who issues under this policy, and what the vault's issuer object says to it.

        Raises BadRequest for an issuer object that is not there or disabled, and for a policy that renews by itself
        where the issuer cannot; Unavailable.
        """
        own = self._own.get(policy.issuer.name.lower())
        if own is not None:
            return own, None
        async with self._database.read() as tx:
            row = await store.find(tx, container.id, policy.issuer.name)
        if row is None:
            raise BadRequest(
                f"The issuer '{policy.issuer.name}' of the certificate policy was not found in this vault."
            )
        if not row.enabled:
            raise BadRequest(f"The issuer '{row.name}' of the certificate policy is disabled.")
        issuer = self.provider(row.provider)
        if issuer is None:
            raise BadRequest(f"The provider '{row.provider}' of the issuer '{row.name}' is not known here.")
        if not issuer.enrols and any(one.action is Action.AUTO_RENEW for one in policy.actions):
            raise BadRequest("The lifetime action AutoRenew needs an issuer that can enrol.")
        return issuer, await self._account(container, row)

    async def _account(self, container: Container, row: CertificateIssuer) -> Account:
        password = None
        if row.password is not None:
            sealer = sealer_of(self._sealers, container)
            password = (await sealer.open(row.password, password_binding(container.id, row.name))).decode()
        return Account(row.name, row.provider, row.account_id, password, row.organization)
