"""`hsmvault dev`: the embedded default, everything on loopback, everything it owns in one directory."""

import asyncio
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hsmvault.cli import hosts as hosts_file
from hsmvault.cli.certificates import ensure_certificates
from hsmvault.cli.directory import DataDirectory
from hsmvault.cli.environment import remove_environment, write_environment
from hsmvault.cli.hardening import harden
from hsmvault.cli.instance import Parts, run_instance
from hsmvault.cli.listeners import bind
from hsmvault.cli.pins import made_pin
from hsmvault.clock import SystemClock
from hsmvault.config import Layout, Prepared, Settings, read_issuers
from hsmvault.config.certificates import CertificateAuthority, Pki
from hsmvault.config.settings import Attestation, Audit, Hsm, Login, Server, TrustedIssuer
from hsmvault.errors import ConfigurationError
from hsmvault.telemetry import configure_logs

_AUTHORITY = CertificateAuthority(
    name="dev-ca",
    root_subject="CN=hsmvault development root,O=hsmvault",
    subject="CN=hsmvault development CA,O=hsmvault",
    longest_months=120,
)


@dataclass(frozen=True, slots=True)
class DevOptions:
    """The command line of `hsmvault dev`. workers: 0 for one per core. hosts: the hosts file, or None to leave it."""

    data_dir: Path
    port: int = 8443
    workers: int = 0
    suffix: str = "localhost"
    trust_issuer: tuple[Path, ...] = ()
    hosts: Path | None = hosts_file.HOSTS_FILE


def run_dev(options: DevOptions, parts: Parts | None = None) -> int:
    """Run in the foreground until a signal. Raises OperatorError; before the lock and the port are ours nothing is
    touched.
    """
    harden()
    settings = dev_settings(options)
    configure_logs(settings.log.level)
    with DataDirectory.claim(options.data_dir) as claimed:
        layout = claimed.layout
        remove_environment(layout)
        with bind(settings) as bound:
            ensure_certificates(layout, settings.names, SystemClock())
            pin, so_pin = made_pin(layout.pin), made_pin(layout.so_pin)

            known: set[str] = set()

            async def announced(hosts: Sequence[str]) -> None:
                """Each worker tells of a vault that is made while they run."""
                new = [host for host in hosts if host not in known]
                known.update(new)
                if new:
                    await asyncio.to_thread(_make_known, new, options)

            async def prepared(result: Prepared) -> None:
                await announced((*settings.names.fixed_hosts(), *result.hosts))

            def ready(result: Prepared) -> None:
                write_environment(settings, result)
                _say(_welcome(settings, result))

            return run_instance(
                settings,
                claimed,
                bound,
                pin,
                parts or Parts(),
                so_pin=so_pin,
                prepared=prepared,
                ready=ready,
                announced=announced,
                stopping=lambda: remove_environment(layout),
            )


def dev_settings(options: DevOptions) -> Settings:
    """The settings of an embedded instance. Raises ConfigurationError (--trust-issuer)."""
    layout = Layout(options.data_dir.absolute())
    return Settings(
        server=Server(
            data_dir=layout.data_dir,
            suffix=options.suffix,
            port=options.port,
            workers=options.workers,
            certificate_file=layout.server_certificate,
            key_file=layout.server_key,
        ),
        hsm=Hsm(pin_file=layout.pin, so_pin_file=layout.so_pin, softhsm_conf=layout.softhsm_conf),
        audit=Audit(directory=layout.audit),
        login=Login(enabled=True, managed_identities=True, password_grant=True),
        attestation=Attestation(development=True),
        issuers=_trusted(options),
        authorities=(_AUTHORITY,),
        pki=Pki(port=options.port + 1),  # shares the listener of the managed identities
    )


def _trusted(options: DevOptions) -> tuple[TrustedIssuer, ...]:
    issuers: list[TrustedIssuer] = []
    seen: set[str] = set()
    for path in options.trust_issuer:
        for issuer in read_issuers(path):
            if not seen.isdisjoint(issuer.issuers):
                raise ConfigurationError(f"{path}: issuers: '{issuer.issuers[0]}' was named by --trust-issuer before.")
            seen.update(issuer.issuers)
            issuers.append(issuer)
    return tuple(issuers)


def _make_known(hosts: Sequence[str], options: DevOptions) -> None:
    """Have these names resolve to this machine, or say what to do."""
    path = options.hosts or hosts_file.HOSTS_FILE
    if hosts_file.listed(hosts, path) or not (unknown := hosts_file.unresolved(hosts)):
        return
    if options.hosts is not None and hosts_file.add_block(unknown, options.data_dir.absolute(), path):
        _say(f"Added {len(unknown)} names to {path}.")
        return
    lines = "\n".join(hosts_file.host_lines(unknown))
    _say(f"These names do not resolve to this machine; add to {path}:\n{lines}")


def _welcome(settings: Settings, prepared: Prepared) -> str:
    layout, names = settings.layout, settings.names
    directory = (
        "" if layout.data_dir == Path(".hsmvault").absolute() else f" --data-dir {shlex.quote(str(layout.data_dir))}"
    )
    command = Path(sys.executable).with_name("hsmvault")
    lines = [
        f"hsmvault is ready: {names.vault_url('dev')}",
        f'  for this shell\'s Azure clients: eval "$({command} env{directory})"',
        f"  data directory: {layout.data_dir}",
        f"  metrics: http://127.0.0.1:{settings.metrics_port}/metrics",
        *prepared.notes,
    ]
    return "\n".join(lines)


def _say(text: str) -> None:
    print(text, flush=True)
