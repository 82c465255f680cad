"""Where things lie under the data directory (mode 0700, everything in it for its owner alone)."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    data_dir: Path

    @property
    def lock(self) -> Path:
        """Locked while an instance runs; holds the supervisor's process id."""
        return self.data_dir / "lock"

    @property
    def node(self) -> Path:
        """Names this run of this node among all that work on the same database."""
        return self.data_dir / "node"

    @property
    def module_lock(self) -> Path:
        """Locked while a process of this instance initialises the PKCS#11 module or logs in."""
        return self.data_dir / "module.lock"

    @property
    def environment(self) -> Path:
        return self.data_dir / "dev.env"

    @property
    def identity_environment(self) -> Path:
        return self.data_dir / "dev-identity.env"

    @property
    def database(self) -> Path:
        return self.data_dir / "hsmvault.db"

    @property
    def board(self) -> Path:
        """Shared memory of the workers: what each has committed last."""
        return self.data_dir / "changes.board"

    @property
    def audit(self) -> Path:
        return self.data_dir / "audit"

    @property
    def audit_exports(self) -> Path:
        """How far each destination of audit records has come, a file each."""
        return self.data_dir / "audit-exports"

    @property
    def hsm(self) -> Path:
        """The embedded SoftHSM: its configuration and tokens."""
        return self.data_dir / "hsm"

    @property
    def softhsm_conf(self) -> Path:
        return self.hsm / "softhsm2.conf"

    @property
    def tokens(self) -> Path:
        return self.hsm / "tokens"

    @property
    def ca_certificate(self) -> Path:
        return self.data_dir / "tls" / "ca.pem"

    @property
    def ca_key(self) -> Path:
        return self.data_dir / "tls" / "ca.key"

    @property
    def server_certificate(self) -> Path:
        return self.data_dir / "tls" / "server.pem"

    @property
    def server_key(self) -> Path:
        return self.data_dir / "tls" / "server.key"

    @property
    def credentials(self) -> Path:
        """Of an embedded instance: PINs, secrets of the development principals."""
        return self.data_dir / "credentials"

    @property
    def pin(self) -> Path:
        return self.credentials / "hsm-pin"

    @property
    def so_pin(self) -> Path:
        return self.credentials / "hsm-so-pin"

    @property
    def client_certificate(self) -> Path:
        """Certificate and private key of dev-owner, in PEM."""
        return self.credentials / "dev-owner.pem"
