"""Secure key release where an operator trusts an attestation authority of their own: its private key is the test's."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import jwt
import pytest
from azure.keyvault.keys import KeyExportEncryptionAlgorithm, KeyReleasePolicy
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.clients import reference
from tests.clients.keys import import_pair
from tests.clients.kinds import Kind
from tests.clients.nodes import vault_of
from tests.clients.refusals import message, refused
from tests.clients.releases import HASHES, material, policy_of, private_key, statement
from tests.clients.test_byok import pkcs8
from tests.clients.vault import Vault
from tests.instance import folder_for_data
from tests.isolation.node import Node, set_up
from tests.pipeline.world import ec_key, rsa_key
from tests.resources.attesting import environment, jwk

pytestmark = pytest.mark.slow

AUTHORITY = "https://attestation.invalid"
ISVPRODID = {"claim": "x-ms-sgx-product-id", "equals": 7}
VM = {"claim": "x-ms-isolation-tee.x-ms-compliance-status", "equals": "azure-compliant-cvm"}
CLAIMS = {
    "x-ms-sgx-product-id": 7,
    "x-ms-sgx-is-debuggable": False,
    "x-ms-sgx-svn": 3,
    "x-ms-isolation-tee": {"x-ms-compliance-status": "azure-compliant-cvm", "x-ms-attestation-type": "sevsnpvm"},
}


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """Of the authority's two keys one signs with RS256, one with ES384."""
    with folder_for_data() as folder:
        node = set_up(folder)
        rsa_public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key(1).public_key()))
        ec_public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(ec_key(ec.SECP384R1).public_key()))
        keys = {"keys": [{**rsa_public, "kid": "r", "use": "sig"}, {**ec_public, "kid": "e", "use": "sig"}]}
        (folder / "authority.json").write_text(json.dumps(keys))
        with node.configuration.open("a") as file:
            file.write(
                f'\n[[attestation_authorities]]\nissuer = "{AUTHORITY}"\njwks_file = "authority.json"\n'
                'algorithms = ["RS256", "ES384"]\n'
            )
        assert node.command("init").returncode == 0
        with node.serving():
            yield node


@pytest.fixture
async def served(node: Node) -> AsyncIterator[Vault]:
    async with vault_of(node) as opened:
        yield opened


def said(*, key: Any = None, algorithm: str = "RS256", header: dict[str, Any] | None = None, **claims: object) -> str:
    """What the authority says about the environment. None takes a claim away."""
    now = int(time.time())
    runtime = {"keys": [jwk(environment().public_key())]}
    every = {"iss": AUTHORITY, "iat": now, "nbf": now, "exp": now + 600, "x-ms-runtime": runtime, **CLAIMS, **claims}
    known = {name: value for name, value in every.items() if value is not None}
    return jwt.encode(known, key or rsa_key(1), algorithm, {"kid": "r", **(header or {})})


def policy(conditions: object, authority: str = AUTHORITY) -> KeyReleasePolicy:
    return policy_of(authority, conditions)


async def exportable(served: Vault, name: str, given: KeyReleasePolicy) -> None:
    await import_pair(served, name, Kind("EC-HSM", curve="P-256"), exportable=True, release_policy=given)


@pytest.mark.parametrize("algorithm", HASHES, ids=str)
@pytest.mark.parametrize(
    "kind",
    [
        *(Kind("RSA-HSM", size) for size in (2048, 3072, 4096)),
        *(Kind("EC-HSM", curve=curve) for curve in ("P-256", "P-384", "P-521", "P-256K")),
    ],
    ids=lambda kind: kind.id,
)
async def test_the_key_arrives_as_it_was_given(
    served: Vault, name: str, kind: Kind, algorithm: KeyExportEncryptionAlgorithm | None
) -> None:
    await import_pair(served, name, kind, exportable=True, release_policy=policy({"allOf": [ISVPRODID, VM]}))
    released = await served.release_key(name, said(), algorithm=algorithm, nonce="once")
    payload = statement(released.value)
    assert payload["request"]["nonce"] == "once"
    opened = private_key(material(payload, algorithm, environment()))
    assert pkcs8(opened) == pkcs8(reference.private_key(kind.size, kind.curve))


async def test_each_algorithm_of_the_authority_is_believed_with_its_own_key(served: Vault, name: str) -> None:
    await exportable(served, name, policy({"allOf": [ISVPRODID]}))
    elliptic = ec_key(ec.SECP384R1)
    assert (await served.release_key(name, said())).value
    assert (await served.release_key(name, said(key=elliptic, algorithm="ES384", header={"kid": "e"}))).value
    for assertion in (
        said(algorithm="RS384"),
        said(algorithm="PS256"),
        said(key=elliptic, algorithm="ES384"),  # with the id of the other key
        said(header={"kid": "e"}),
    ):
        with refused(403, "Forbidden", "AccessDenied"):
            await served.release_key(name, assertion)


@pytest.mark.parametrize("bits", [3072, 4096])
async def test_the_environments_key_may_be_longer(served: Vault, name: str, bits: int) -> None:
    await exportable(served, name, policy({"allOf": [ISVPRODID]}))
    long_key = reference.private_key(bits, "")
    assert isinstance(long_key, rsa.RSAPrivateKey)
    assertion = said(**{"x-ms-runtime": {"keys": [jwk(long_key.public_key())]}})
    for algorithm in HASHES:
        payload = statement((await served.release_key(name, assertion, algorithm=algorithm)).value)
        opened = private_key(material(payload, algorithm, long_key))
        assert pkcs8(opened) == pkcs8(reference.private_key(0, "P-256"))


@pytest.mark.parametrize(
    "conditions",
    [
        {"allOf": [ISVPRODID, VM, {"claim": "x-ms-sgx-is-debuggable", "equals": "false"}]},
        {"anyOf": [{"claim": "no", "equals": 1}, VM]},
        {"anyOf": [{"allOf": [ISVPRODID, {"claim": "no", "exists": False}]}, {"claim": "no", "equals": 1}]},
        {"allOf": [{"claim": "x-ms-sgx-svn", "greaterOrEquals": 3}, {"claim": "x-ms-sgx-svn", "less": 4}]},
        {"allOf": [{"claim": "x-ms-sgx-product-id", "notEquals": 8}]},
    ],
    ids=str,
)
async def test_a_policy_that_is_met_releases(served: Vault, name: str, conditions: object) -> None:
    await exportable(served, name, policy(conditions))
    assert (await served.release_key(name, said())).value


@pytest.mark.parametrize(
    ("conditions", "authority"),
    [
        ({"allOf": [ISVPRODID, {"claim": "x-ms-sgx-is-debuggable", "equals": True}]}, AUTHORITY),
        ({"anyOf": [{"claim": "x-ms-sgx-product-id", "equals": "7"}]}, AUTHORITY),
        ({"anyOf": [{"claim": "x-ms-isolation-tee", "equals": "azure-compliant-cvm"}]}, AUTHORITY),
        ({"allOf": [{"claim": "x-ms-sgx-svn", "greater": 3}]}, AUTHORITY),
        ({"allOf": [{"claim": "no", "notEquals": 1}]}, AUTHORITY),
        ({"allOf": [ISVPRODID]}, "https://sharedweu.weu.attest.azure.net"),
        ({"allOf": [ISVPRODID]}, AUTHORITY.upper()),
    ],
    ids=str,
)
async def test_a_policy_that_is_not_met_releases_nothing(
    served: Vault, name: str, conditions: object, authority: str
) -> None:
    await exportable(served, name, policy(conditions, authority))
    with refused(403, "Forbidden", "AccessDenied") as caught:
        await served.release_key(name, said())
    assert message(caught.value) == "Target environment attestation does not meet key release policy requirements."


@pytest.mark.parametrize(
    "assertion",
    [
        lambda: said(exp=int(time.time()) - 600),
        lambda: said(exp=None),
        lambda: said(nbf=int(time.time()) + 600),
        lambda: said(iss="https://attestation.example"),
        lambda: said(iss=None),
        lambda: said(key=rsa_key(2)),
        lambda: said(header={"kid": "unknown"}),
        lambda: said(**{"x-ms-runtime": None}),
        lambda: said(**{"x-ms-runtime": {"keys": []}}),
        lambda: said(**{"x-ms-runtime": {"keys": [jwk(environment().public_key(), use="sig")]}}),
        lambda: said(**{"x-ms-runtime": {"keys": [{"kty": "EC", "crv": "P-256", "use": "enc"}]}}),
        lambda: said()[:-5] + "AAAAA",
        lambda: said().rpartition(".")[0] + ".",
        lambda: jwt.encode({"iss": AUTHORITY, **CLAIMS}, "", "none"),
        lambda: "no token",
    ],
    ids=range(15),
)
async def test_what_the_authority_has_not_said_releases_nothing(served: Vault, name: str, assertion: Any) -> None:
    await exportable(served, name, policy({"allOf": [ISVPRODID]}))
    with refused(403, "Forbidden", "AccessDenied") as caught:
        await served.release_key(name, assertion())
    assert message(caught.value) == "Target environment attestation statement cannot be verified."


async def test_an_updated_policy_decides_from_then_on(served: Vault, name: str) -> None:
    await exportable(served, name, policy({"allOf": [{"claim": "no", "equals": 1}]}))
    with refused(403, "Forbidden", "AccessDenied"):
        await served.release_key(name, said())
    fixed = policy_of(AUTHORITY, {"allOf": [ISVPRODID]}, immutable=True)
    await served.update_key_properties(name, release_policy=fixed)
    assert (await served.release_key(name, said())).value
    with refused(400, "BadParameter") as caught:
        await served.update_key_properties(name, release_policy=policy({"allOf": [VM]}))
    assert message(caught.value) == "AKV.SKR.1020: Immutable Key Release Policy cannot be modified."


async def test_a_disabled_key_and_one_that_may_not_leave_stay(served: Vault, name: str) -> None:
    await exportable(served, name, policy({"allOf": [ISVPRODID]}))
    await served.update_key_properties(name, enabled=False)
    with refused(403, "Forbidden", "KeyDisabled"):
        await served.release_key(name, said())
    await import_pair(served, f"{name}-2", Kind("EC-HSM", curve="P-256"))
    with refused(403, "Forbidden", "KeyOperationForbidden"):
        await served.release_key(f"{name}-2", said())


async def test_the_word_of_the_development_authority_counts_for_nothing_here(served: Vault, name: str) -> None:
    await exportable(served, name, policy({"allOf": [ISVPRODID]}))
    with refused(403, "Forbidden", "AccessDenied"):
        await served.release_key(name, said(iss="https://attest.localhost"))
