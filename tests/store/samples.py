"""Rows to store: whole ones, with something in every field."""

from dataclasses import replace
from itertools import count

from hsmvault.model.algorithms import Curve, KeySpec
from hsmvault.model.containers import AccessPolicy, AuthorizationModel, Container, ContainerKind
from hsmvault.model.keys import KeyName, KeyVersion
from hsmvault.model.lifecycle import Retention
from hsmvault.model.network import NetworkRules
from hsmvault.model.principals import Credential, CredentialKind, Principal, PrincipalKind, Tenant

VAULT = Container(
    id="11111111-0000-0000-0000-000000000001",
    kind=ContainerKind.VAULT,
    name="north",
    tenant_id="22222222-0000-0000-0000-000000000001",
    subscription_id="33333333-0000-0000-0000-000000000001",
    resource_group="Group",
    location="westeurope",
    world_id="world",
    premium=True,
    software_keys=False,
    authorization=AuthorizationModel.ACCESS_POLICIES,
    retention=Retention(7, purge_protection=True),
    network=NetworkRules.of(allow_by_default=False, ranges=["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]),
    access_policies=(
        AccessPolicy("t", "o", "a", frozenset({"get", "list"}), frozenset({"set"}), frozenset({"import"})),
        AccessPolicy("t", "p", keys=frozenset({"all"})),
    ),
    created=1_750_000_000,
)
OTHER_VAULT = replace(VAULT, id="11111111-0000-0000-0000-000000000002", name="south")

TENANT = Tenant("22222222-0000-0000-0000-000000000001", "Contoso", "Contoso.example")

_versions = count(1)


def key_version(name: str = "Signing-Key", *, container: Container = VAULT, sequence: int = 1) -> KeyVersion:
    """Another version at each call."""
    return KeyVersion(
        container_id=container.id,
        name=name,
        version=f"{next(_versions):032x}",
        sequence=sequence,
        spec=KeySpec.ec(Curve.P256K),
        custody="wrapped",
        public=b"\x30\x00public",
        reference=b"\x01\x00\xffreference",
        public_members={"x": b"\x00" + b"x" * 31, "y": b"\xff" * 32},
        operations=("verify", "sign"),
        created=1_750_000_000,
        updated=1_750_000_001,
        enabled=False,
        not_before=0,
        expires=4_000_000_000,
        exportable=True,
        managed=True,
        tags={"z": "Größe", "a": "", "": "😀"},
    )


def key_name(version: KeyVersion) -> KeyName:
    """The name of a lone version, as insert_version makes it."""
    return KeyName(version.container_id, version.name, version.version, version.sequence + 1, version.created, 1)


def user(number: int, *, tenant: Tenant = TENANT) -> Principal:
    return Principal(
        object_id=f"44444444-0000-0000-0000-{number:012}",
        tenant_id=tenant.id,
        kind=PrincipalKind.USER,
        display_name=f"User {number}",
        upn=f"User{number}@contoso.example",
        password_hash="hash",
    )


def group(number: int, *, tenant: Tenant = TENANT) -> Principal:
    return Principal(
        object_id=f"55555555-0000-0000-0000-{number:012}",
        tenant_id=tenant.id,
        kind=PrincipalKind.GROUP,
        display_name=f"Group {number}",
    )


def identity(number: int, *, tenant: Tenant = TENANT) -> Principal:
    return Principal(
        object_id=f"66666666-0000-0000-0000-{number:012}",
        tenant_id=tenant.id,
        kind=PrincipalKind.MANAGED_IDENTITY,
        display_name=f"Identity {number}",
        application_id=f"77777777-0000-0000-0000-{number:012}",
        resource_id=f"/subscriptions/s/resourceGroups/G/providers/Microsoft.Web/sites/Site{number}",
    )


def secret(number: int, application_id: str) -> Credential:
    return Credential(
        id=f"88888888-0000-0000-0000-{number:012}",
        application_id=application_id,
        kind=CredentialKind.SECRET,
        display_name="first",
        verifier="hash",
        thumbprint_sha1="one",
        thumbprint_sha256="two",
        expires=5,
    )
