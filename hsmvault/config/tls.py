"""The TLS of the listeners: 1.2 and 1.3, key exchange with forward secrecy, authenticated encryption, nothing else."""

import ssl
from pathlib import Path

from hsmvault.config.network import FurtherListener
from hsmvault.config.settings import Settings
from hsmvault.errors import ConfigurationError

_TLS_1_2_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)


def listener_context(settings: Settings, listener: FurtherListener | None = None) -> ssl.SSLContext:
    """listener: None for the main one. Raises ConfigurationError."""
    server = settings.server
    if server.certificate_file is None or server.key_file is None:
        raise ConfigurationError("server.certificate_file and server.key_file are needed: the API is served over TLS.")
    context = server_context(server.certificate_file, server.key_file)
    if listener is not None and listener.client_ca_file is not None:
        _ask_for_certificates(context, listener.client_ca_file)
    return context


def _ask_for_certificates(context: ssl.SSLContext, ca_file: Path) -> None:
    """Without a certificate of this authority nobody comes in. Every connection proves it anew: no session is taken up
    again."""
    try:
        context.load_verify_locations(ca_file)
    except (OSError, ssl.SSLError, ValueError) as error:  # an SSLError is an OSError
        raise ConfigurationError(
            f"server.listeners: client_ca_file {ca_file} cannot be read, or holds no certificate in PEM."
        ) from error
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0


def server_context(certificate_file: Path, key_file: Path) -> ssl.SSLContext:
    """A server's context. certificate_file: PEM, the server's certificate first, then the chain.

    Raises ConfigurationError when a file cannot be read or the key is not the certificate's.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_TLS_1_2_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    for key, path in (("server.certificate_file", certificate_file), ("server.key_file", key_file)):
        try:
            path.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{key}: {path} cannot be read ({error.strerror}).") from error
    try:
        # An encrypted key would make OpenSSL ask on the terminal; it is refused instead.
        context.load_cert_chain(certificate_file, key_file, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        raise ConfigurationError(
            f"server.certificate_file {certificate_file} and server.key_file {key_file} are not a certificate and its "
            "unencrypted private key in PEM."
        ) from error
    return context
