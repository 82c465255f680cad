"""Attestation authorities of the configuration, believed by their published keys."""

import json
from base64 import b64encode
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hsmvault.app.trust import configured_authority
from hsmvault.config.settings import AttestationAuthority
from hsmvault.errors import ConfigurationError, Forbidden
from hsmvault.outbound.jwks import parse_key_set
from hsmvault.resources.environment_assertions import EnvironmentAssertions
from tests.login.world import certificate
from tests.pipeline.world import rsa_key
from tests.resources.attesting import ISSUER, Attesting, jwk


def chain_of(made: x509.Certificate) -> list[str]:
    return [b64encode(made.public_bytes(Encoding.DER)).decode()]


def test_a_key_that_is_published_as_a_certificate_alone_is_taken() -> None:
    """As Microsoft Azure Attestation publishes its keys."""
    member = {"kty": "RSA", "kid": "k1", "x5c": chain_of(certificate(rsa_key(1)))}
    keys = parse_key_set(json.dumps({"keys": [member]}).encode())
    assert keys["k1"] == rsa_key(1).public_key()


@pytest.mark.parametrize("chain", [[], [5], ["*"], ["AAAA"], "AAAA", None, {"0": "AAAA"}])
def test_a_chain_that_is_none_is_left_out(chain: object) -> None:
    assert parse_key_set(json.dumps({"keys": [{"kty": "RSA", "kid": "k1", "x5c": chain}]}).encode()) == {}


def test_numbers_come_before_a_certificate() -> None:
    member = jwk(rsa_key(2).public_key(), kid="k1", use="sig", x5c=chain_of(certificate(rsa_key(1))))
    assert parse_key_set(json.dumps({"keys": [member]}).encode())["k1"] == rsa_key(2).public_key()


async def test_an_authority_is_believed_by_the_keys_in_its_file(tmp_path: Path) -> None:
    attesting, path = Attesting(), tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [jwk(rsa_key(1).public_key(), kid="k1", use="sig")]}))
    settings = AttestationAuthority(issuer=ISSUER + "/", jwks_file=path)
    assertions = EnvironmentAssertions((configured_authority(settings, attesting.clock),), attesting.clock)
    assert (await assertions.verify(attesting.token())).authority == ISSUER
    with pytest.raises(Forbidden):
        await assertions.verify(attesting.token(key=rsa_key(2)))


def test_a_file_that_cannot_be_read_is_the_operators_to_mend(tmp_path: Path) -> None:
    for settings in (
        AttestationAuthority(issuer=ISSUER, jwks_file=tmp_path / "nothing.json"),
        AttestationAuthority(issuer=ISSUER, jwks_uri="https://a.example", ca_file=tmp_path / "nothing.pem"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            configured_authority(settings, Attesting().clock)
        assert "nothing" in str(caught.value)
