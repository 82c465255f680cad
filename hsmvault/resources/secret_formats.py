"""The secret of a certificate in another format on its way out: PKCS#12 as PEM, or PEM as PKCS#12.

What is stored does not change. Secrets that no certificate stands behind are answered as they are, whatever format is
asked for: what they hold is their owner's business.
"""

import base64
from dataclasses import replace

from hsmvault.clock import Identifiers
from hsmvault.custody.pem_bundles import read_pem, write_pem
from hsmvault.custody.pkcs12 import write_pkcs12
from hsmvault.custody.pkcs12_reading import read_pkcs12
from hsmvault.lanes import Lane
from hsmvault.model.certificate_policies import PEM, PKCS12
from hsmvault.resources import refusals
from hsmvault.resources.secrets import OpenSecret

_FORMATS = (PKCS12, PEM)


class SecretFormats:
    """lane: for the conversion, some milliseconds of CPU. legacy: PKCS#12 with 3DES and SHA-1, for old readers."""

    def __init__(self, lane: Lane[None], identifiers: Identifiers, *, legacy: bool = False) -> None:
        self._lane = lane
        self._identifiers = identifiers
        self._legacy = legacy

    async def converted(self, secret: OpenSecret, content_type: str) -> OpenSecret:
        """content_type: one of the two. Raises BadRequest for another, Throttled."""
        wanted = content_type.lower()
        if wanted not in _FORMATS:
            raise refusals.invalid_property("outContentType")
        if not secret.row.managed or secret.content_type not in _FORMATS or secret.content_type == wanted:
            return secret
        to = self._pem_of if wanted == PEM else self._pkcs12_of
        return replace(secret, value=await self._lane.submit(lambda _: to(secret.value)), content_type=wanted)

    def _pem_of(self, value: str) -> str:
        bundle = read_pkcs12(base64.b64decode(value), "")
        return write_pem(bundle.key_pkcs8, bundle.certificates)

    def _pkcs12_of(self, value: str) -> str:
        bundle = read_pem(value)
        content = write_pkcs12(
            bundle.key_pkcs8,
            bundle.certificates,
            leaf=bundle.certificates.index(bundle.leaf),
            legacy=self._legacy,
            identifiers=self._identifiers,
        )
        return base64.b64encode(content).decode()
