"""`hsmvault attest`: check an attestation, and print the certificate to check it with."""

import asyncio
import sys
from pathlib import Path

from hsmvault.clock import SystemClock
from hsmvault.config import Settings, read_settings
from hsmvault.custody.attestation_bundle import MOST_BYTES, Unreadable
from hsmvault.custody.attestation_findings import Findings, Outcome
from hsmvault.custody.attestation_verifier import verify
from hsmvault.errors import ConfigurationError

EXIT_CODES = {Outcome.HOLDS: 0, Outcome.FAILS: 1, Outcome.OPEN: 2}
_WORDS = {Outcome.HOLDS: "good", Outcome.FAILS: "WRONG", Outcome.OPEN: "open"}
_CONCLUSIONS = {
    Outcome.HOLDS: "The attestation holds.",
    Outcome.FAILS: "THE ATTESTATION DOES NOT HOLD.",
    Outcome.OPEN: "Nothing is wrong, and not everything could be verified.",
}


def verify_file(path: Path, certificate: Path | None, max_age_seconds: int | None = None) -> int:
    """path: the JSON of a key bundle with its attestation, `-` for standard input. certificate: PEM, trusted.
    max_age_seconds: an older attestation does not hold; None for any age.

    Prints what was found, a line each. Returns 0 when all of it holds; 1 when something does not; 2 when nothing is
    wrong but something could not be verified, above all without a certificate. Raises ConfigurationError, whose exit
    code is 2, when a file cannot be read or is no attestation.
    """
    pinned = None if certificate is None else _read(certificate, "certificate")
    text = sys.stdin.buffer.read(MOST_BYTES + 1) if str(path) == "-" else _read(path, "attestation")
    try:
        findings = verify(text, pinned, now=SystemClock().now(), max_age_seconds=max_age_seconds)
    except Unreadable as error:
        raise ConfigurationError(f"{path} cannot be verified: {error}.") from error
    _print(findings)
    return EXIT_CODES[findings.outcome]


def print_certificate(data_dir: Path, config: Path | None, world: str) -> int:
    """The certificate of a world's attestation key as PEM, for --certificate. config: instead of data_dir."""
    from hsmvault.app.attestation import world_certificate

    settings = _settings(data_dir, config)
    print(asyncio.run(world_certificate(settings, world)).decode(), end="")
    return 0


def _settings(data_dir: Path, config: Path | None) -> Settings:
    if config is not None:
        return read_settings(config)
    from hsmvault.cli.dev import DevOptions, dev_settings

    return dev_settings(DevOptions(data_dir))


def _read(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"The {what} {path} cannot be read ({error.strerror}).") from error


def _print(findings: Findings) -> None:
    """Sentences from the file itself are data: what is not printable is escaped."""
    for one in findings.all:
        print(f"{_WORDS[one.outcome]:5}  {_printable(one.sentence)}")
    print(_CONCLUSIONS[findings.outcome])


def _printable(sentence: str) -> str:
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in sentence)
