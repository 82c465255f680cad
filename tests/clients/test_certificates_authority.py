"""Certificates of an authority of our own, through the clients: OpenSSL verifies them and asks for revocation."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.keyvault.certificates import CertificatePolicy, KeyVaultCertificate, LifetimeAction
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID

from tests.clients.certificates import PEM, PKCS12, CertificatesFace, check_identity, loaded, opened, policy_members
from tests.clients.flavours import Clients
from tests.clients.refusals import refused
from tests.custody.certificates import openssl

HOST = "www.contoso.com"


def policy(issuer: str, **settings: Any) -> CertificatePolicy:
    usual = {"subject": f"CN={HOST}", "san_dns_names": [HOST], "key_type": "EC", "key_curve_name": "P-256"}
    return CertificatePolicy(issuer, **usual | {"key_usage": ["digitalSignature"]} | settings)


@pytest.fixture
async def issuer(certificates: CertificatesFace, name: str) -> str:
    await certificates.create_issuer(name, "LocalCA", account_id="dev-ca")
    return name


def written(folder: Path, chain: list[x509.Certificate]) -> list[Path]:
    paths = [folder / f"{number}.pem" for number in range(len(chain))]
    for path, one in zip(paths, chain, strict=True):
        path.write_bytes(one.public_bytes(Encoding.PEM))
    return paths


def verified(paths: list[Path], *options: str | Path) -> str:
    """By the root alone."""
    leaf, issuing, root = paths
    command = ["verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", HOST, *options]
    return openssl(*command, "-CAfile", root, "-untrusted", issuing, leaf)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"content_type": PEM, "exportable": True}, id="pem"),
        pytest.param({"content_type": PKCS12, "exportable": False, "key_curve_name": "P-521"}, id="kept"),
        pytest.param({"key_type": "EC-HSM", "key_curve_name": "P-384"}, id="hard", marks=pytest.mark.slow),
        pytest.param(
            {"key_type": "RSA-HSM", "key_curve_name": None, "key_size": 2048}, id="hard-RSA", marks=pytest.mark.slow
        ),
        pytest.param({"key_type": "RSA", "key_curve_name": None, "key_size": 3072}, id="RSA", marks=pytest.mark.slow),
    ],
)
async def test_openssl_accepts_what_the_authority_issues(
    clients: Clients, name: str, issuer: str, tmp_path: Path, settings: dict[str, Any]
) -> None:
    wanted = policy(
        issuer,
        validity_in_months=6,
        enhanced_key_usage=["1.3.6.1.5.5.7.3.1"],
        lifetime_actions=[LifetimeAction("AutoRenew", days_before_expiry=30)],
        **settings,
    )
    made = await clients.certificates.create(name, wanted, tags={"a": "b"})
    assert isinstance(made, KeyVaultCertificate)
    check_identity(made)
    assert made.properties.tags == {"a": "b"}
    assert policy_members(made.policy)["lifetime_actions"] == [("AutoRenew", None, 30)]
    operation = await clients.certificates.get_certificate_operation(name)
    assert (operation.status, operation.issuer_name) == ("completed", issuer)

    held = opened(await clients.secrets.get_secret(name))
    leaf, issuing, root = held.chain  # in this order
    assert leaf == loaded(made)
    leaf.verify_directly_issued_by(issuing)
    issuing.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
    assert (held.key is not None) == bool(made.policy.exportable)
    assert leaf.subject.rfc4514_string() == f"CN={HOST}"
    extended = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [one.dotted_string for one in extended] == ["1.3.6.1.5.5.7.3.1"]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [HOST]
    assert 170 <= (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days <= 186
    await asyncio.to_thread(verified, written(tmp_path, held.chain))


async def test_the_lists_and_answers_about_revocation_are_where_the_certificate_says(
    clients: Clients, name: str, issuer: str, tmp_path: Path
) -> None:
    await clients.certificates.create(name, policy(issuer))
    chain = opened(await clients.secrets.get_secret(name)).chain
    paths = written(tmp_path, chain)
    lists = b""
    async with aiohttp.ClientSession() as session:
        for one, signer in ((chain[0], chain[1]), (chain[1], chain[2])):
            async with session.get(list_of(one)) as response:
                assert (response.status, response.content_type) == (200, "application/pkix-crl")
                crl = x509.load_der_x509_crl(await response.read())
            assert crl.is_signature_valid(signer.public_key())
            assert crl.get_revoked_certificate_by_serial_number(one.serial_number) is None
            lists += crl.public_bytes(Encoding.PEM)
            async with session.get(access(one, AuthorityInformationAccessOID.CA_ISSUERS)) as response:
                assert response.status == 200
                assert x509.load_der_x509_certificate(await response.read()) == signer
    (tmp_path / "lists.pem").write_bytes(lists)
    await asyncio.to_thread(verified, paths, "-crl_check_all", "-CRLfile", tmp_path / "lists.pem")
    told = await asyncio.to_thread(
        openssl,
        *("ocsp", "-issuer", paths[1], "-cert", paths[0], "-CAfile", paths[2], "-verify_other", paths[1]),
        *("-url", access(chain[0], AuthorityInformationAccessOID.OCSP)),
    )
    assert "Response verify OK" in told
    assert f"{paths[0]}: good" in told


def list_of(certificate: x509.Certificate) -> str:
    points = certificate.extensions.get_extension_for_oid(ExtensionOID.CRL_DISTRIBUTION_POINTS).value
    ((point,),) = ([name.value for name in one.full_name or ()] for one in points)
    return str(point)


def access(certificate: x509.Certificate, method: x509.ObjectIdentifier) -> str:
    descriptions = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    (found,) = [one.access_location.value for one in descriptions if one.access_method == method]
    return str(found)


async def test_a_renewal_by_hand_gives_a_new_certificate_of_the_same_authority(
    clients: Clients, name: str, issuer: str
) -> None:
    seen = []
    for preserve in (False, True):
        made = await clients.certificates.create(name, policy(issuer, reuse_key=preserve), preserve_order=preserve)
        assert made.properties.preserve_order is preserve
        seen.append(opened(await clients.secrets.get_secret(name)).chain)
    first, second = seen
    assert first[1:] == second[1:]
    assert first[0].serial_number != second[0].serial_number
    assert first[0].public_key() == second[0].public_key()


@pytest.mark.parametrize(
    ("settings", "provider", "account"),
    [
        ({"san_user_principal_names": ["ann@contoso.com"]}, "LocalCA", "dev-ca"),
        ({"validity_in_months": 1200}, "LocalCA", "dev-ca"),
        ({"key_usage": ["keyCertSign"]}, "LocalCA", "dev-ca"),
        ({"enhanced_key_usage": ["1.2.3"]}, "LocalCA", "dev-ca"),
        ({}, "LocalCA", "nobody"),
        ({}, "ACME", "nobody"),
        ({}, "Test", "account"),
        ({}, "DigiCert", "account"),
    ],
    ids=str,
)
@pytest.mark.slow
async def test_what_an_issuer_does_not_issue_is_refused_before_anything_is_made(
    sync_clients: Clients, name: str, settings: dict[str, Any], provider: str, account: str
) -> None:
    certificates = sync_clients.certificates
    await certificates.create_issuer(name, provider, account_id=account)
    with refused(400, "BadParameter"):
        await certificates.create(name, policy(name, **settings))
    for call in (certificates.get_certificate_operation(name), sync_clients.keys.get_key(name)):
        with pytest.raises(ResourceNotFoundError):
            await call


async def test_an_issuer_that_is_disabled_issues_nothing(sync_clients: Clients, name: str) -> None:
    certificates = sync_clients.certificates
    await certificates.create_issuer(name, "LocalCA", account_id="dev-ca", enabled=False)
    with refused(400, "BadParameter"):
        await certificates.create(name, policy(name))
    await certificates.update_issuer(name, enabled=True)
    made = await certificates.create(name, policy(name, validity_in_months=120))
    leaf, issuing, root = opened(await sync_clients.secrets.get_secret(name)).chain
    assert loaded(made) == leaf
    assert leaf.not_valid_after_utc <= issuing.not_valid_after_utc <= root.not_valid_after_utc


async def test_the_whole_chain_is_given_in_the_other_format_too(clients: Clients, name: str, issuer: str) -> None:
    for content_type, other in ((PKCS12, PEM), (PEM, PKCS12)):
        await clients.certificates.create(name, policy(issuer, content_type=content_type, exportable=True))
        stored = opened(await clients.secrets.get_secret(name))
        secret = await clients.secrets.get_secret(name, out_content_type=other)
        assert secret.properties.content_type == other
        converted = opened(secret)
        assert converted.chain == stored.chain
        assert converted.key.private_numbers() == stored.key.private_numbers()
