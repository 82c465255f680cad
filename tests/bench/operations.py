"""The operations that are measured, by name. How each is done: uses.py, lives.py, secrets.py, certificates.py and
management.py."""

from collections.abc import Callable
from functools import partial

from tests.bench import certificates, lives, management, uses
from tests.bench.generator import Generator, Work
from tests.bench.instance import Container, Instance
from tests.bench.keys import Key, Keys, get_key
from tests.bench.secrets import Secrets

NAMES = (
    "get-key",
    "list-25",
    "sign-es256-hard",
    "sign-es256-soft",
    "sign-rs256-hard",
    "sign-rs256-soft",
    "verify-es256",
    "verify-rs256",
    "encrypt-gcm-hard",
    "decrypt-gcm-hard",
    "decrypt-oaep-hard",
    "wrap-oaep",
    "unwrap-oaep-hard",
    "create-ec-hard",
    "get-secret",
    "set-secret",
    "list-secrets",
)
"""Those that there are targets for, and what belongs beside them: always measured."""

MORE = (
    "get-key-pool",
    "sign-es384-hard",
    "sign-es512-hard",
    "sign-es256k-hard",
    "sign-ps256-hard",
    "sign-rs256-3072-hard",
    "sign-rs256-4096-hard",
    "sign-hs256-hard",
    "verify-es384",
    "verify-es512",
    "verify-es256k",
    "verify-ps256",
    "verify-hs256-hard",
    "decrypt-oaep-soft",
    "wrap-kw-hard",
    "unwrap-kw-hard",
    "wrap-kwp-hard",
    "unwrap-kwp-hard",
    "create-ec-soft",
    "create-rsa-hard",
    "create-oct-hard",
    "import-ec-hard",
    "rotate-ec-hard",
    "release-ec-hard",
    "attest-ec-hard",
    "random-32",
    "get-secret-version",
    "set-secret-new",
    "get-certificate",
    "create-certificate-hard",
    "create-certificate-soft",
    "arm-get-vault",
    "arm-put-vault",
    "arm-create-vault",
    "login-secret",
    "graph-get-user",
)
"""Measured with --all, at 16 connections."""

_SIGNATURES = {
    "es256-hard": ("p256-hard", "ES256"),
    "es256-soft": ("p256-soft", "ES256"),
    "rs256-hard": ("rsa-hard", "RS256"),
    "rs256-soft": ("rsa-soft", "RS256"),
    "es384-hard": ("p384-hard", "ES384"),
    "es512-hard": ("p521-hard", "ES512"),
    "es256k-hard": ("p256k-hard", "ES256K"),
    "ps256-hard": ("rsa-hard", "PS256"),
    "rs256-3072-hard": ("rsa3072-hard", "RS256"),
    "rs256-4096-hard": ("rsa4096-hard", "RS256"),
    "hs256-hard": ("oct-hard", "HS256"),
}
_KEY_WRAPS = {"kw-hard": "A256KW", "kwp-hard": "CKM_AES_KEY_WRAP_PAD"}
_MOST = 2_000  # keys that are made in one cell
_MOST_RSA = 8  # each takes a quarter of a second and more


class Operations:
    """Makes the work of any name of NAMES and MORE, and the keys, secrets and certificates that it needs.

    listed_secrets: how many secrets there are in the list that is paged through.
    """

    def __init__(self, instance: Instance, generator: Generator, listed_secrets: int) -> None:
        self._cells = 0
        self._works: dict[str, Work] = {}
        secrets = Secrets(instance.vault, generator, listed_secrets)
        self._lasting = _lasting(instance, secrets)
        self._fresh = _fresh(instance, secrets)

    def work(self, name: str) -> Work:
        """Ask anew for each cell: what creates keys gives them other names each time."""
        if name in self._fresh:
            self._cells += 1
            return self._fresh[name](name, self._cells)
        if name not in self._works:
            self._works[name] = self._lasting[name](name)
        return self._works[name]


def _lasting(instance: Instance, secrets: Secrets) -> dict[str, Callable[[str], Work]]:
    """Work that is made once."""
    vault, pool, keys = instance.vault, instance.pool, Keys(instance)
    table: dict[str, Callable[[str], Work]] = {
        "get-key": lambda name: get_key(name, keys.get("p256-hard")),
        "get-key-pool": lambda name: get_key(name, keys.get("p256-pool")),
        "list-25": lambda name: lives.list_page(name, keys, vault),
        "encrypt-gcm-hard": lambda name: uses.encrypt_gcm(name, keys.get("oct-hard")),
        "decrypt-gcm-hard": lambda name: uses.decrypt_gcm(name, keys.get("oct-hard")),
        "wrap-oaep": lambda name: uses.wrap_oaep(name, keys.get("rsa-hard")),
        "unwrap-oaep-hard": lambda name: uses.open_oaep(name, keys.get("rsa-hard"), "unwrapkey"),
        "decrypt-oaep-hard": lambda name: uses.open_oaep(name, keys.get("rsa-hard"), "decrypt"),
        "decrypt-oaep-soft": lambda name: uses.open_oaep(name, keys.get("rsa-soft"), "decrypt"),
        "rotate-ec-hard": lambda name: lives.rotate(name, keys, vault),
        "release-ec-hard": lambda name: lives.release(name, keys, instance),
        "attest-ec-hard": lambda name: lives.attest(name, keys.get("p256-pool")),
        "random-32": lambda name: lives.random_bytes(name, pool),
        "get-secret": lambda name: secrets.get(name, with_version=False),
        "get-secret-version": lambda name: secrets.get(name, with_version=True),
        "set-secret": secrets.set,
        "list-secrets": secrets.page,
        "get-certificate": lambda name: certificates.get(name, vault),
        "arm-get-vault": lambda name: management.get_vault(name, instance),
        "arm-put-vault": lambda name: management.put_vault(name, instance),
        "login-secret": lambda name: management.login(name, instance),
        "graph-get-user": lambda name: management.get_user(name, instance),
    }
    for rest, (key, algorithm) in _SIGNATURES.items():
        table[f"sign-{rest}"] = partial(_used, uses.sign, keys, key, algorithm)
        for verified in (rest, rest.removesuffix("-hard")):
            table[f"verify-{verified}"] = partial(_used, uses.verify, keys, key, algorithm)
    for rest, algorithm in _KEY_WRAPS.items():
        table[f"wrap-{rest}"] = partial(_used, uses.wrap_aes, keys, "oct-hard", algorithm)
        table[f"unwrap-{rest}"] = partial(_used, uses.unwrap_aes, keys, "oct-hard", algorithm)
    return table


def _fresh(instance: Instance, secrets: Secrets) -> dict[str, Callable[[str, int], Work]]:
    """Work that is another in each cell, which has a number."""
    vault, pool = instance.vault, instance.pool
    bodies: dict[str, tuple[Container, dict[str, object], int]] = {
        "create-ec-hard": (vault, {"kty": "EC-HSM", "crv": "P-256"}, _MOST),
        "create-ec-soft": (vault, {"kty": "EC", "crv": "P-256"}, _MOST),
        "create-rsa-hard": (vault, {"kty": "RSA-HSM", "key_size": 2048}, _MOST_RSA),
        "create-oct-hard": (pool, {"kty": "oct-HSM", "key_size": 256}, _MOST),
    }
    table: dict[str, Callable[[str, int], Work]] = {name: partial(_created, *body) for name, body in bodies.items()}
    for kind in ("hard", "soft"):
        table[f"create-certificate-{kind}"] = partial(_certified, vault, kind)
    return table | {
        "import-ec-hard": lambda name, cell: lives.import_ec(name, vault, cell, most=_MOST),
        "set-secret-new": secrets.set_new,
        "arm-create-vault": lambda name, cell: management.create_vault(name, instance, cell),
    }


def _used(make: Callable[[str, Key, str], Work], keys: Keys, key: str, algorithm: str, name: str) -> Work:
    return make(name, keys.get(key), algorithm)


def _certified(container: Container, kind: str, name: str, cell: int) -> Work:
    return certificates.create(name, container, cell, hard=kind == "hard", most=_MOST)


def _created(container: Container, body: dict[str, object], most: int, name: str, cell: int) -> Work:
    return lives.create(name, container, cell, body, most=most)
