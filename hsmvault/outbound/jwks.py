"""The published keys of outside issuers: from a file, or from one configured URL (RFC 7517).

It connects to nothing but the configured URL. An unknown key id asks again at most once a minute, a known one once an
hour, so that a withdrawn key does not stay for ever; keys that were read stay when a refresh fails.
"""

import asyncio
import logging
import ssl
from base64 import b64decode
from pathlib import Path

import aiohttp
import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import load_der_x509_certificate

from hsmvault.clock import Clock
from hsmvault.errors import ConfigurationError
from hsmvault.model.strict_json import NotStrictJson, parse_object

LOG = logging.getLogger("hsmvault.outbound")
_LONGEST_BYTES = 1 << 20
_SHORTEST_RSA_BITS = 2048
_REFRESH_SECONDS = 60.0
_RENEW_SECONDS = 3600.0
_TIMEOUT_SECONDS = 10.0

PublicKey = RSAPublicKey | EllipticCurvePublicKey


def parse_key_set(content: bytes) -> dict[str, PublicKey]:
    """Key id to key. Keys without an id, for other uses, of other types, or too short, are left out.

    Raises ValueError when it is not a JWK set.
    """
    keys: dict[str, PublicKey] = {}
    members = parse_object(content).get("keys")
    if not isinstance(members, list):
        raise NotStrictJson("no list of keys")
    for member in members:
        if not isinstance(member, dict) or member.get("use", "sig") != "sig" or not isinstance(member.get("kid"), str):
            continue
        key = _key_of(member)
        if isinstance(key, RSAPublicKey) and key.key_size < _SHORTEST_RSA_BITS:
            continue
        if isinstance(key, RSAPublicKey | EllipticCurvePublicKey):
            keys[member["kid"]] = key
    return keys


def _key_of(member: dict[str, object]) -> object:
    """The key that a member of the set holds, or None. Some authorities (Microsoft Azure Attestation) write no `n` and
    `e` but a certificate alone; the set as a whole is what is trusted, so that its chain means nothing here.
    """
    public = {name: member[name] for name in ("kty", "n", "e", "crv", "x", "y") if isinstance(member.get(name), str)}
    if public.get("kty") not in ("RSA", "EC"):
        return None
    chain = member.get("x5c")
    try:
        if len(public) == 1 and isinstance(chain, list) and chain and isinstance(chain[0], str):
            return load_der_x509_certificate(b64decode(chain[0], validate=True)).public_key()
        return jwt.PyJWK(public, algorithm="RS256" if public["kty"] == "RSA" else None).key
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError):
        return None


class FileKeySet:
    """A JWK set in a file."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._looked = clock.monotonic()
        try:
            self._keys = parse_key_set(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"jwks_file {path} cannot be read as a JWK set ({type(error).__name__})."
            ) from error

    async def find(self, kid: str) -> PublicKey | None:
        age = self._clock.monotonic() - self._looked
        if age >= (_RENEW_SECONDS if kid in self._keys else _REFRESH_SECONDS):
            self._looked = self._clock.monotonic()
            try:
                self._keys = parse_key_set(await asyncio.to_thread(self._path.read_bytes))
            except (OSError, ValueError) as error:
                LOG.warning("jwks_file %s cannot be read: %s", self._path, type(error).__name__)
        return self._keys.get(kid)


class RemoteKeySet:
    """A JWK set behind a URL. context: trusts the configured CA file, or the system's CAs."""

    def __init__(self, url: str, clock: Clock, context: ssl.SSLContext) -> None:
        self._url = url
        self._clock = clock
        self._context = context
        self._keys: dict[str, PublicKey] = {}
        self._looked: float | None = None
        self._refreshing: asyncio.Task[None] | None = None

    async def find(self, kid: str) -> PublicKey | None:
        is_known = kid in self._keys
        if self._refreshing is None and self._is_older_than(_RENEW_SECONDS if is_known else _REFRESH_SECONDS):
            self._refreshing = asyncio.create_task(self._refresh())
        if not is_known and self._refreshing is not None:
            await asyncio.shield(self._refreshing)
        return self._keys.get(kid)

    def _is_older_than(self, seconds: float) -> bool:
        return self._looked is None or self._clock.monotonic() - self._looked >= seconds

    async def _refresh(self) -> None:
        self._looked = self._clock.monotonic()
        try:
            timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(self._url, ssl=self._context, allow_redirects=False) as response,
            ):
                if response.status != 200:
                    raise ValueError(f"status {response.status}")
                content = bytearray()
                async for part in response.content.iter_any():
                    content += part
                    if len(content) > _LONGEST_BYTES:
                        raise ValueError("too long")
            self._keys = parse_key_set(bytes(content))
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            LOG.warning("the keys at %s cannot be fetched: %s", self._url, type(error).__name__)
        finally:
            self._refreshing = None
