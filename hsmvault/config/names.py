"""Host names and URLs of an instance. The port disappears at 443.

Challenges and audiences carry the port whenever URLs do: some clients compare it, some do not.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Names:
    """suffix: in lower case. port: the one that clients connect to."""

    suffix: str
    port: int

    @property
    def authority_port(self) -> str:
        """':8443', or nothing at 443."""
        return "" if self.port == 443 else f":{self.port}"

    def host(self, role: str) -> str:
        """role: 'login', 'vault', 'dev.vault', ... Without a port."""
        return f"{role}.{self.suffix}"

    def url(self, role: str) -> str:
        """Without a slash at its end; for 'vault' and 'managedhsm' also the resource of challenges."""
        return f"https://{self.host(role)}{self.authority_port}"

    def vault_host(self, vault: str) -> str:
        return self.host(f"{vault}.vault")

    def vault_url(self, vault: str) -> str:
        return self.url(f"{vault}.vault")

    def pool_host(self, pool: str) -> str:
        return self.host(f"{pool}.managedhsm")

    def pool_url(self, pool: str) -> str:
        return self.url(f"{pool}.managedhsm")

    @property
    def login(self) -> str:
        return self.url("login")

    @property
    def management(self) -> str:
        return self.url("management")

    @property
    def graph(self) -> str:
        return self.url("graph")

    @property
    def attestation(self) -> str:
        return self.url("attest")

    @property
    def vault_resource(self) -> str:
        return self.url("vault")

    @property
    def pool_resource(self) -> str:
        return self.url("managedhsm")

    def fixed_hosts(self) -> tuple[str, ...]:
        """Every host of an embedded instance that no container brings along."""
        return tuple(self.host(role) for role in ("login", "management", "graph", "attest", "devstore.blob"))

    def certificate_names(self) -> tuple[str, ...]:
        """DNS names of a certificate that serves every host. A wildcard right under a suffix of one label would be
        refused by Python and Node, so each role has its own.
        """
        roles = ("*.vault", "*.managedhsm", "login", "management", "graph", "attest", "*.blob")
        return (*(self.host(role) for role in roles), "localhost")
