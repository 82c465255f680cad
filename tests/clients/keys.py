"""Making keys, keys to share, using keys, and all that can be seen of one."""

import hashlib
import itertools
import re

from azure.keyvault.keys import KeyVaultKey

from tests.clients import reference
from tests.clients.kinds import Kind, digest_of
from tests.clients.vault import Vault

MESSAGE = b"a message"
NEW_DATA = ("encrypt", "wrapKey", "sign")
OLD_DATA = ("decrypt", "unwrapKey", "verify")
_COUNTER = itertools.count(1)


def unique(text: str) -> str:
    """A name for a key that nothing else in the run has, and that says what it was made for."""
    return f"{re.sub('[^0-9a-zA-Z]+', '-', text)[:100].strip('-')}-{next(_COUNTER)}"


async def create(vault: Vault, name: str, kind: Kind, **settings: object) -> KeyVaultKey:
    """By the method of the client that is meant for this kind."""
    if kind.is_rsa:
        return await vault.create_rsa_key(name, size=kind.size, hardware_protected=kind.hardware, **settings)
    return await vault.create_ec_key(name, curve=kind.curve, hardware_protected=kind.hardware, **settings)


async def import_pair(vault: Vault, name: str, kind: Kind, **settings: object) -> KeyVaultKey:
    """A key of this kind for tests to which it does not matter where it comes from. The pair is the same for all of
    them, since making one of RSA takes long."""
    return await vault.import_key(name, reference.key_pair(kind)[1], **settings)


class KeyRing:
    """Keys that many tests use and none changes: one for each vault and kind, made when it is first asked for."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, Kind], KeyVaultKey] = {}
        self._exchange_keys: dict[tuple[str, int], KeyVaultKey] = {}

    async def get(self, vault: Vault, kind: Kind) -> KeyVaultKey:
        place = (vault.url, kind)
        if place not in self._keys:
            self._keys[place] = await create(vault, unique(f"ring-{kind.id}"), kind)
        return self._keys[place]

    async def exchange_key(self, vault: Vault, size: int = 2048) -> KeyVaultKey:
        """A key-exchange key (BYOK). size: of its modulus, in bits."""
        place = (vault.url, size)
        if place not in self._exchange_keys:
            self._exchange_keys[place] = await vault.create_rsa_key(
                unique(f"ring-kek-{size}"), size=size, hardware_protected=True, key_operations=["import"]
            )
        return self._exchange_keys[place]


def digest_for(algorithm: str, message: bytes = MESSAGE) -> bytes:
    """The digest that the algorithm signs."""
    return hashlib.new(digest_of(algorithm), message).digest()


async def use(vault: Vault, key: KeyVaultKey, operation: str) -> None:
    """One remote call with an RSA key and good input. operation: as in key_ops."""
    public = reference.public_key(key.key)
    remote = vault.remote(key)
    if operation in {"decrypt", "unwrapKey"}:
        ciphertext = public.encrypt(b"data", reference.encryption_padding("RSA-OAEP"))
        await (remote.decrypt if operation == "decrypt" else remote.unwrap_key)("RSA-OAEP", ciphertext)
    elif operation == "verify":
        await remote.verify("RS256", digest_for("RS256"), bytes(256))
    elif operation == "sign":
        await remote.sign("RS256", digest_for("RS256"))
    else:
        await (remote.encrypt if operation == "encrypt" else remote.wrap_key)("RSA-OAEP", b"data")


def described(key: KeyVaultKey) -> tuple[object, ...]:
    """Everything that a client shows of a key, to compare two of its sights."""
    properties = key.properties
    return (
        vars(key.key),
        key.id,
        key.key_operations,
        *(getattr(properties, member) for member in ("enabled", "not_before", "expires_on", "created_on")),
        *(getattr(properties, member) for member in ("updated_on", "recovery_level", "recoverable_days", "tags")),
        *(getattr(properties, member) for member in ("version", "managed", "exportable", "hsm_platform")),
    )
