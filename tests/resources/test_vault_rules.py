"""What is refused of a vault, one row each: code, words, and that nothing has changed."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from hsmvault.errors import BadRequest, Conflict
from hsmvault.model.containers import Container
from hsmvault.resources.network_rules import IpRule, NetworkRuleSet
from hsmvault.resources.vaults import access_policies, rules
from hsmvault.resources.vaults.access_policies import Change, changed, permissions_of, shown_permissions
from hsmvault.resources.vaults.rules import is_name
from hsmvault.resources.vaults.settings import VaultSettings
from hsmvault.store.migrations import migrate
from tests.resources.vault_stage import (
    ACTOR,
    FOREIGN_TENANT,
    PLACE,
    PLAIN,
    SOMEBODY,
    TENANT,
    VaultStage,
    policy,
    vault_stage,
)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "hsmvault.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
async def on(tmp_path: Path, empty: Path) -> AsyncIterator[VaultStage]:
    async with vault_stage(tmp_path / "hsmvault.db", empty) as stage:
        yield stage


@pytest.mark.parametrize("name", ["abc", "a1-", "Ab-9", "a" * 24, "a-b-c"])
def test_names_of_vaults(name: str) -> None:
    assert is_name(name) is (name != "a1-")


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 25, "1bc", "-bc", "ab-", "a--b", "a_b", "äbc", "abc\n", "a.c", "abc "]
)
def test_names_that_no_vault_has(name: str) -> None:
    assert not is_name(name)


_POLICIES = tuple(policy(f"44444444-0000-0000-0000-{number:012}") for number in range(1025))

# What a body says wrong, whether it makes a vault or changes one; then the code, and words of the message.
_ALWAYS: dict[str, tuple[VaultSettings, str, str]] = {
    "a foreign tenant": (VaultSettings(tenant_id=FOREIGN_TENANT), "BadRequest", "tenant"),
    "an unknown family": (VaultSettings(sku_family="B", sku="standard"), "SkuNotSupported", "SKU"),
    "an unknown SKU": (VaultSettings(sku_family="A", sku="gold"), "SkuNotSupported", "SKU"),
    "a family without a name": (VaultSettings(sku_family="A", sku=""), "SkuNotSupported", "SKU"),
    "no soft delete": (VaultSettings(soft_delete=False), "BadRequest", '"enableSoftDelete" cannot be set to false'),
    "no purge protection": (
        VaultSettings(purge_protection=False),
        "BadRequest",
        'The property "enablePurgeProtection" cannot be set to false. Enabling the purge protection for a vault is an '
        "irreversible action.",
    ),
    "a retention of 6 days": (VaultSettings(retention_days=6), "BadRequest", "softDeleteRetentionInDays"),
    "a retention of 91 days": (VaultSettings(retention_days=91), "BadRequest", "softDeleteRetentionInDays"),
    "1,025 policies": (VaultSettings(policies=_POLICIES), "BadRequest", "1025 entries; at most 1024"),
    "a policy of another tenant": (
        VaultSettings(policies=(replace(policy(), tenant_id=FOREIGN_TENANT),)),
        "BadRequest",
        "must have the tenant of the vault",
    ),
    "1,001 rules": (
        VaultSettings(network=NetworkRuleSet(ipRules=[IpRule("1.2.3.4")] * 1001)),
        "BadRequest",
        "1001 rules",
    ),
    "an unreadable rule": (
        VaultSettings(network=NetworkRuleSet(ipRules=[IpRule("1.2.3.4/8")])),
        "BadRequest",
        "ipRules",
    ),
    "an unknown access": (VaultSettings(public_network_access="Sometimes"), "BadRequest", "publicNetworkAccess"),
    "51 tags": (VaultSettings(tags={f"t{number}": "" for number in range(51)}), "BadRequest", "at most 50 tags"),
    "a long name of a tag": (VaultSettings(tags={"t" * 513: ""}), "BadRequest", "tag"),
    "a long value of a tag": (VaultSettings(tags={"t": "v" * 257}), "BadRequest", "tag"),
    "a reserved name of a tag": (VaultSettings(tags={"a/b": ""}), "InvalidTagNameCharacters", "reserved"),
    "the same tag twice": (VaultSettings(tags={"a": "1", "A": "2"}), "BadRequest", "twice"),
}
_AT_FIRST: dict[str, tuple[VaultSettings, str, str]] = {
    "no location": (replace(PLAIN, location=None), "LocationRequired", "location"),
    "an unknown location": (
        replace(PLAIN, location="the moon"),
        "LocationNotAvailableForResourceType",
        "'local,north'",
    ),
    "no tenant": (replace(PLAIN, tenant_id=None), "BadRequest", "tenantId"),
    "no SKU": (replace(PLAIN, sku_family=None, sku=None), "BadRequest", "sku"),
    "no policies": (replace(PLAIN, rbac=False, policies=None), "BadRequest", "accessPolicies"),
}


def _merged(wrong: VaultSettings) -> VaultSettings:
    """A whole body with what is wrong, and nothing else."""
    given = {name: value for name in VaultSettings.__dataclass_fields__ if (value := getattr(wrong, name)) is not None}
    return replace(PLAIN, **{"sku": "premium", **given, "recover": False})


def _made(settings: VaultSettings) -> Container:
    return rules.made(
        PLACE,
        settings,
        ACTOR,
        0,
        id="id",
        world_id="world",
        software_keys=True,
        rbac=True,
        locations=("local", "north"),
        subnets=frozenset(),
    )


_VAULT = _made(replace(PLAIN, sku="premium", retention_days=30, purge_protection=True))


def _check(refused: pytest.ExceptionInfo[BadRequest], code: str, words: str) -> None:
    assert (refused.value.code, refused.value.inner) == (code, None)
    assert words in refused.value.message


@pytest.mark.parametrize("case", [*_ALWAYS, *_AT_FIRST])
def test_a_body_that_makes_no_vault(case: str) -> None:
    settings, code, words = (_ALWAYS | _AT_FIRST)[case]
    with pytest.raises(BadRequest) as refused:
        _made(_merged(settings) if case in _ALWAYS else settings)
    _check(refused, code, words)


_CHANGES = _ALWAYS | {
    "another retention": (VaultSettings(retention_days=31), "BadRequest", "has been set already and it can't be"),
    "a lesser SKU": (VaultSettings(sku_family="A", sku="standard"), "BadRequest", "from premium to standard"),
}


@pytest.mark.parametrize("whole", [True, False], ids=["put", "patch"])
@pytest.mark.parametrize("case", _CHANGES)
def test_a_body_that_changes_no_vault(case: str, *, whole: bool) -> None:
    settings, code, words = _CHANGES[case]
    with pytest.raises(BadRequest) as refused:
        rules.changed(_VAULT, _merged(settings) if whole else settings, whole=whole, subnets=frozenset())
    _check(refused, code, words)


async def test_what_is_refused_leaves_the_vault_as_it_was(on: VaultStage) -> None:
    before = await on.put(replace(PLAIN, sku="premium", retention_days=30, purge_protection=True))
    for settings, _, _ in _CHANGES.values():
        for change in (on.put(_merged(settings)), on.patch(settings)):
            with pytest.raises(BadRequest):
                await change
    with pytest.raises(Conflict, match="already exists in location 'local'") as moved:
        await on.put(replace(PLAIN, sku="premium", location="North"))
    assert moved.value.code == "InvalidResourceLocation"
    assert await on.stored() == before
    assert await on.events() == []


def test_what_is_named_as_it_is_is_no_change() -> None:
    same = VaultSettings(retention_days=30, purge_protection=True, soft_delete=True, sku_family="a", sku="PREMIUM")
    assert rules.changed(_VAULT, same, whole=False, subnets=frozenset()) == _VAULT


async def test_a_bad_name_is_said_before_anything_else(on: VaultStage) -> None:
    with pytest.raises(BadRequest, match="The vault name 'no--name' is invalid") as refused:
        await on.put(place=replace(PLACE, name="no--name", group="nowhere"))
    assert refused.value.code == "VaultNameNotValid"


def test_permissions_compare_without_regard_to_case_and_are_shown_as_documented() -> None:
    held = permissions_of("keys", ["UNWRAPKEY", "Get", "get"])
    assert held == {"unwrapkey", "get"}
    assert shown_permissions("keys", held) == ["get", "unwrapKey"]


@pytest.mark.parametrize(
    ("kind", "word"), [("keys", "set"), ("secrets", "sign"), ("certificates", ""), ("storage", "*")]
)
def test_a_word_that_is_no_permission_of_its_kind(kind: str, word: str) -> None:
    with pytest.raises(BadRequest):
        permissions_of(kind, [word])


@pytest.mark.parametrize(
    ("kind", "held", "given", "left"),
    [
        (Change.ADD, {"get"}, {"list"}, {"get", "list"}),
        (Change.ADD, None, {"list"}, {"list"}),
        (Change.REPLACE, {"get"}, {"list"}, {"list"}),
        (Change.REPLACE, None, {"list"}, {"list"}),
        (Change.REMOVE, {"get", "list"}, {"list", "sign"}, {"get"}),
        (Change.REMOVE, {"get"}, {"get"}, None),
        (Change.REMOVE, None, {"get"}, None),
        (Change.REMOVE, {"get", "list"}, {"all"}, None),
        (Change.REMOVE, {"all"}, set(access_policies.PERMISSIONS["keys"]) - {"all", "get"}, {"get"}),
    ],
)
def test_add_replace_and_remove(kind: Change, held: set[str] | None, given: set[str], left: set[str] | None) -> None:
    other = policy("44444444-0000-0000-0000-000000000009", keys=frozenset({"sign"}))
    before = [other] if held is None else [policy(keys=frozenset(held)), other]
    after = changed(before, kind, [policy(keys=frozenset(given))], TENANT)
    assert other in after
    mine = [one.keys for one in after if one.object_id == SOMEBODY]
    assert mine == ([] if left is None else [left])


def test_an_entry_for_one_application_is_another_entry() -> None:
    plain, compound = policy(keys=frozenset({"get"})), replace(policy(keys=frozenset({"get"})), application_id="a")
    assert set(changed([plain], Change.ADD, [compound], TENANT)) == {plain, compound}
    assert changed([plain, compound], Change.REMOVE, [compound], TENANT) == (plain,)


def test_entries_of_the_same_principal_in_one_list_are_united() -> None:
    both = access_policies.checked([policy(keys=frozenset({"get"})), policy(secrets=frozenset({"get"}))], TENANT)
    assert both == (policy(keys=frozenset({"get"}), secrets=frozenset({"get"})),)


def test_a_vault_has_1024_policies_and_not_one_more() -> None:
    full = access_policies.checked(_POLICIES[:1024], TENANT)
    assert len(full) == 1024
    with pytest.raises(BadRequest, match="at most 1024"):
        changed(full, Change.ADD, [policy("55555555-0000-0000-0000-000000000001")], TENANT)
    assert len(changed(full, Change.ADD, [replace(full[0], keys=frozenset({"get"}))], TENANT)) == 1024
