"""What a pool says about its keys, checked with the command that anybody can run: `hsmvault attest verify`."""

import base64
import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from azure.keyvault.keys import JsonWebKey

from hsmvault.cli.main import main
from tests.clients.keys import KeyRing, create, import_pair
from tests.clients.kinds import KINDS, Kind, each
from tests.clients.releases import policy_of
from tests.clients.test_byok import bring, transfer
from tests.clients.vault import Vault
from tests.instance import DevInstance

POLICY = policy_of("https://attest.example", {"anyOf": [{"claim": "a", "equals": 1}]})


def attest(*arguments: str) -> tuple[int, str]:
    """`hsmvault attest ARGUMENTS`: exit code and what was printed."""
    with redirect_stdout(StringIO()) as printed:
        code = main(["attest", *arguments])
    return code, printed.getvalue()


@pytest.fixture(scope="module")
def certificate(dev_instance: DevInstance, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the pool's world, as an operator hands it out."""
    code, pem = attest("certificate", "--data-dir", str(dev_instance.data_dir), "--world", "devhsm")
    assert code == 0
    path = tmp_path_factory.mktemp("attestation") / "world.pem"
    path.write_text(pem)
    return path


async def attested(pool: Vault, name: str) -> dict[str, Any]:
    response = await pool.send("GET", f"/keys/{name}//attestation")
    assert response.status_code == 200, response.text()
    answer: dict[str, Any] = response.json()
    return answer


def verified(bundle: dict[str, Any], certificate: Path) -> tuple[int, str]:
    path = certificate.with_name("key.json")
    path.write_text(json.dumps(bundle))
    return attest("verify", str(path), "--certificate", str(certificate))


def private_statement(bundle: dict[str, Any]) -> Any:
    jws = bundle["attributes"]["attestation"]["privateKeyAttestation"]
    text = base64.urlsafe_b64decode(jws + "==").decode()
    payload = text.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=="))


async def test_every_way_into_the_pool_is_attested_as_it_was(
    pool: Vault, ring: KeyRing, certificate: Path, name: str
) -> None:
    made = {
        "generated": await create(pool, f"{name}-made", Kind("EC-HSM", curve="P-256")),
        "imported": await import_pair(pool, f"{name}-came", Kind("RSA-HSM", 2048)),
        "imported-wrapped": await bring(
            pool, f"{name}-byok", "oct-HSM", transfer(await ring.exchange_key(pool), bytes(32))
        ),
    }
    for origin, key in made.items():
        bundle = await attested(pool, key.name)
        assert private_statement(bundle)["server"]["origin"] == origin
        code, text = verified(bundle, certificate)
        assert (code, text.splitlines()[-1]) == (0, "The attestation holds."), text


async def test_an_attestation_of_another_key_does_not_hold(pool: Vault, certificate: Path, name: str) -> None:
    for suffix in ("a", "b"):
        await create(pool, f"{name}-{suffix}", Kind("EC-HSM", curve="P-256"))
    mine, others = await attested(pool, f"{name}-a"), await attested(pool, f"{name}-b")
    forged = {**mine, "attributes": others["attributes"]}
    code, text = verified(forged, certificate)
    assert (code, text.splitlines()[-1]) == (1, "THE ATTESTATION DOES NOT HOLD.")


@pytest.mark.slow
@pytest.mark.parametrize("kind", each(tuple(kind for kind in KINDS if kind.hardware)))
async def test_every_kind_of_key_pair_is_attested(pool: Vault, certificate: Path, name: str, kind: Kind) -> None:
    await create(pool, name, kind)
    for settings in ({}, {"exportable": True, "release_policy": POLICY}):
        await import_pair(pool, name, kind, **settings)
        bundle = await attested(pool, name)
        server = private_statement(bundle)["server"]
        assert (server["family"], server["curve"] or server["size_bits"]) == (
            kind.kty.removesuffix("-HSM"),
            kind.curve or kind.size,
        )
        assert server["exportable"] is bool(settings)
        code, text = verified(bundle, certificate)
        assert code == 0, text


@pytest.mark.slow
@pytest.mark.parametrize("length", [16, 24, 32, 48, 64])
async def test_every_secret_is_attested(pool: Vault, certificate: Path, name: str, length: int) -> None:
    await pool.import_key(name, JsonWebKey(kty="oct-HSM", k=bytes(range(length))))
    code, text = verified(await attested(pool, name), certificate)
    assert code == 0, text
