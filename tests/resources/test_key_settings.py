"""The rules for what a caller says about a key: on which terms it is made, and what a change may do."""

from dataclasses import replace

import pytest

from hsmvault.custody.protocols import Terms
from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import Family, KeySpec
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.keys import KeyVersion
from hsmvault.model.release_policies import ReleasePolicy
from hsmvault.resources.key_settings import KeySettings, changed_by, check_fits, terms_of, terms_of_new

VAULT = Container(
    id="11111111-0000-0000-0000-000000000001",
    kind=ContainerKind.VAULT,
    name="v",
    tenant_id="t",
    subscription_id="s",
    resource_group="g",
    location="local",
    world_id="w",
)
POOL = replace(VAULT, kind=ContainerKind.POOL)
POLICY = ReleasePolicy(
    b'{"version":"1.0.0","anyOf":[{"authority":"https://attest.example","allOf":[{"claim":"a","equals":"b"}]}]}'
)
OTHER = replace(POLICY, data=POLICY.data.replace(b'"b"', b'"c"'))
ROW = KeyVersion(
    container_id=VAULT.id,
    name="k",
    version="0" * 32,
    sequence=1,
    spec=KeySpec.rsa(2048),
    custody="wrapped",
    public=b"",
    reference=b"",
    public_members={},
    operations=("sign", "verify"),
    created=1,
    updated=1,
)
EXPORTABLE = replace(ROW, exportable=True, release_policy=POLICY)
MISSING, TOO_MUCH = "Exportable keys must have release policy", "Non-exportable keys must not have release policy"
KEY_OPS = "Property key_ops has invalid value\r\n"


def new(
    settings: KeySettings, family: Family = Family.RSA, container: Container = POOL, hardware: bool = True
) -> Terms:
    return terms_of_new(container, family, settings, hardware=hardware)


def refused_new(
    settings: KeySettings, family: Family = Family.RSA, container: Container = POOL, *, hardware: bool = True
) -> str:
    with pytest.raises(BadRequest) as caught:
        new(settings, family, container, hardware)
    return caught.value.message


def refused_change(row: KeyVersion, settings: KeySettings) -> str:
    with pytest.raises(BadRequest) as caught:
        changed_by(row, settings, 2)
    return caught.value.message


def test_terms_follow_from_what_is_said() -> None:
    assert new(KeySettings()) == Terms()
    assert new(KeySettings(operations=("import",))) == Terms(exchange=True)
    exportable = KeySettings(exportable=True, release_policy=POLICY, operations=("sign", "export"))
    for family in Family:
        assert new(exportable, family) == Terms(exportable=True)
    assert new(exportable, container=VAULT) == Terms(exportable=True)
    assert (terms_of(ROW), terms_of(EXPORTABLE)) == (Terms(), Terms(exportable=True))
    assert terms_of(replace(ROW, operations=("import",))) == Terms(exchange=True)


def test_exportable_and_a_release_policy_come_together() -> None:
    assert refused_new(KeySettings(exportable=True)) == MISSING
    assert refused_new(KeySettings(release_policy=POLICY)) == TOO_MUCH
    assert refused_new(KeySettings(exportable=False, release_policy=POLICY)) == TOO_MUCH
    assert refused_new(KeySettings(operations=("sign", "export"))) == KEY_OPS
    bad = KeySettings(exportable=True, release_policy=replace(POLICY, data=b"{}"))
    assert refused_new(bad)


def test_a_key_in_software_is_never_exportable_and_never_for_exchange() -> None:
    exportable = KeySettings(exportable=True, release_policy=POLICY)
    assert refused_new(exportable, Family.RSA, VAULT, hardware=False) == "Exportable keys must be HSM-backed."
    assert refused_new(KeySettings(operations=("import",)), Family.RSA, VAULT, hardware=False) == KEY_OPS


def test_only_rsa_keys_are_for_exchange_and_they_do_not_leave() -> None:
    for family in (Family.EC, Family.OCT):
        assert refused_new(KeySettings(operations=("import",)), family) == KEY_OPS
    both = KeySettings(operations=("import",), exportable=True, release_policy=POLICY)
    assert refused_new(both) == KEY_OPS


def test_a_vault_has_no_oct_keys_and_a_pool_none_in_software() -> None:
    for hardware in (True, False):
        message = refused_new(KeySettings(), Family.OCT, VAULT, hardware=hardware)
        assert message == "The key type 'oct' is not supported by this container."
    assert new(KeySettings(), Family.OCT) == Terms()
    assert "HSM-backed keys only" in refused_new(KeySettings(), Family.EC, POOL, hardware=False)


def test_a_key_for_secure_wrapping_has_a_policy_and_nothing_beside_its_operations() -> None:
    secure = KeySettings(operations=("secureWrapKey", "secureUnwrapKey"), release_policy=POLICY)
    assert new(secure) == new(secure, Family.OCT) == Terms(secure=True)
    assert terms_of(replace(ROW, operations=secure.operations or ())) == Terms(secure=True)
    no_policy = "Keys for secure wrapping must have release policy"
    assert refused_new(replace(secure, release_policy=None)) == no_policy
    assert refused_new(KeySettings(operations=("secureUnwrapKey",)), Family.OCT) == no_policy
    assert refused_new(replace(secure, exportable=True)) == KEY_OPS
    assert refused_new(secure, Family.EC) == KEY_OPS
    assert refused_new(secure, Family.RSA, VAULT, hardware=False) == KEY_OPS
    assert refused_new(replace(secure, operations=("secureUnwrapKey", "unwrapKey"))) == KEY_OPS
    assert refused_new(KeySettings(operations=("secureUnwrapKey", "unwrapKey"))) == KEY_OPS
    row = replace(ROW, operations=("secureUnwrapKey",), release_policy=POLICY)
    assert refused_change(row, KeySettings(operations=("unwrapKey",))) == KEY_OPS
    assert refused_change(row, KeySettings(operations=("secureUnwrapKey", "unwrapKey"))) == KEY_OPS
    assert refused_change(ROW, KeySettings(operations=("secureUnwrapKey",))) == KEY_OPS
    assert changed_by(row, KeySettings(release_policy=OTHER), 2).release_policy == OTHER


@pytest.mark.parametrize(
    "operation", ["encrypt", "decrypt", "wrapKey", "unwrapKey", "secureWrapKey", "secureUnwrapKey"]
)
def test_a_long_oct_key_serves_hmac_alone(operation: str) -> None:
    for bits in (384, 512):
        with pytest.raises(BadRequest) as caught:
            check_fits(("sign", operation), KeySpec.oct(bits))
        assert caught.value.message == KEY_OPS
        check_fits(("sign", "verify", "export"), KeySpec.oct(bits))
    check_fits((operation,), KeySpec.oct(256))


def test_a_long_oct_key_serves_hmac_alone_after_a_change_too() -> None:
    row = replace(ROW, spec=KeySpec.oct(512))
    assert refused_change(row, KeySettings(operations=("sign", "encrypt"))) == KEY_OPS
    assert changed_by(row, KeySettings(operations=("sign",)), 2).operations == ("sign",)


def test_a_change_leaves_what_it_does_not_say() -> None:
    row = replace(EXPORTABLE, not_before=1, expires=9, tags={"a": "b"})
    assert changed_by(row, KeySettings(), 2) == replace(row, updated=2)
    changed = changed_by(row, KeySettings(enabled=False, expires=8, tags={}, release_policy=OTHER), 2)
    assert changed == replace(row, enabled=False, expires=8, tags={}, release_policy=OTHER, updated=2)
    assert refused_change(row, KeySettings(expires=0)) == "Property exp has invalid value\r\n"


def test_exportable_never_changes() -> None:
    assert refused_change(ROW, KeySettings(exportable=True)) == "Property exportable has invalid value\r\n"
    assert refused_change(EXPORTABLE, KeySettings(exportable=False)) == "Property exportable has invalid value\r\n"
    for row in (ROW, EXPORTABLE):
        assert changed_by(row, KeySettings(exportable=row.exportable), 2).exportable is row.exportable
    assert refused_change(ROW, KeySettings(release_policy=POLICY)) == TOO_MUCH
    assert refused_change(ROW, KeySettings(operations=("sign", "export"))) == KEY_OPS
    assert changed_by(EXPORTABLE, KeySettings(operations=("sign", "export")), 2).operations == ("sign", "export")


def test_a_key_exchange_key_stays_one_and_no_other_becomes_one() -> None:
    exchange = replace(ROW, operations=("import",))
    assert refused_change(ROW, KeySettings(operations=("import",))) == KEY_OPS
    assert refused_change(exchange, KeySettings(operations=("sign",))) == KEY_OPS
    assert changed_by(exchange, KeySettings(operations=("import",), enabled=False), 2).operations == ("import",)


def test_an_immutable_policy_stays_and_may_be_said_again() -> None:
    fixed = replace(EXPORTABLE, release_policy=replace(POLICY, immutable=True))
    for policy in (OTHER, replace(OTHER, immutable=True), POLICY):
        assert refused_change(fixed, KeySettings(release_policy=policy)) == (
            "AKV.SKR.1020: Immutable Key Release Policy cannot be modified."
        )
    assert changed_by(fixed, KeySettings(release_policy=fixed.release_policy), 2).release_policy == fixed.release_policy
    made = changed_by(EXPORTABLE, KeySettings(release_policy=replace(POLICY, immutable=True)), 2)
    assert made.release_policy is not None and made.release_policy.immutable
    assert refused_change(EXPORTABLE, KeySettings(release_policy=ReleasePolicy(b"no policy")))
