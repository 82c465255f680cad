"""The key and the secret of a certificate: read and used, never changed, and of no use when the certificate is none."""

from datetime import UTC, datetime

import pytest

from tests.custody.certificates import issued
from tests.pipeline.world import b64
from tests.refusals import words
from tests.refusals.certificate_bodies import SELF_SIGNED
from tests.refusals.grounds import IN_HARDWARE
from tests.refusals.places import CERTIFIED, SECRETS, SOFT, Place
from tests.refusals.rig import Rig
from tests.refusals.rows import Absent, Row
from tests.refusals.table import NO_VERSION, ROWS
from tests.refusals.words import Objects, Refusal
from tests.refusals.wrapped import importable

pytestmark = pytest.mark.asyncio(loop_scope="package")

DIGEST = b64(bytes(32))
USES = {
    "sign": {"alg": "ES256", "value": DIGEST},
    "verify": {"alg": "ES256", "digest": DIGEST, "value": b64(bytes(64))},
}
"""What the key usage of the certificates here allows."""
LIVING = {
    "create_key": "create",
    "import_key": "import",
    "update_key": "update",
    "delete_key": "delete",
    "backup_key": "backup",
    "rotate_key": "rotate",
    "update_key_rotation_policy": "setrotationpolicy",
    "set_secret": "set",
    "update_secret": "update",
    "delete_secret": "delete",
    "backup_secret": "backup",
}
MAKING = ("create_key", "import_key", "set_secret")
DELETED = {
    "recover_deleted_key": "recover",
    "purge_deleted_key": "purge",
    "recover_deleted_secret": "recover",
    "purge_deleted_secret": "purge",
}
"""Operations that are refused on them, with the word of the refusal."""
READS = (
    *("get_key", "get_key_versions", "get_key_rotation_policy", "get_deleted_key"),
    *("get_secret", "get_secret_versions", "get_deleted_secret"),
)
OF_THE_VAULT = (
    *("get_keys", "get_deleted_keys", "restore_key", "get_secrets", "get_deleted_secrets", "restore_secret"),
)


async def test_every_operation_on_keys_and_secrets_is_refused_allowed_or_a_use() -> None:
    uses = {name for name, row in ROWS.items() if row.use is not None}
    beside = {name for name, row in ROWS.items() if row.kind is Objects.CERTIFICATES or not row.in_vaults}
    sorts = (set(LIVING), set(DELETED), set(READS), set(OF_THE_VAULT), uses, beside)
    assert set().union(*sorts) == set(ROWS)
    assert sum(map(len, sorts)) == len(ROWS)


def body_of(operation: str) -> object:
    row = ROWS[operation]
    return {"key": importable(hardware=False)} if operation == "import_key" else row.body and row.body.good


@pytest.mark.parametrize("operation", LIVING)
@pytest.mark.parametrize("name", ["good", "GOOD", "pending", "hard"])
async def test_nobody_changes_what_lives_as_its_certificate_does(rig: Rig, operation: str, name: str) -> None:
    row = ROWS[operation]
    expected = words.managed(row.kind, LIVING[operation])
    await rig.refused(CERTIFIED, row, expected, row.target(name), body=body_of(operation))
    if row.has_version:
        version = rig.versions[CERTIFIED.name, name.lower()]
        await rig.refused(CERTIFIED, row, expected, row.target(name, version), body=body_of(operation))


@pytest.mark.parametrize("operation", DELETED)
async def test_what_was_deleted_with_a_certificate_comes_back_and_goes_with_it(rig: Rig, operation: str) -> None:
    row = ROWS[operation]
    await rig.refused(CERTIFIED, row, words.managed(row.kind, DELETED[operation]), row.target("gone"))


LEFT = [name for name in (*LIVING, *READS, *USES) if ROWS[name].absent in (Absent.OBJECT, Absent.VERSION)]


@pytest.mark.parametrize("operation", LEFT)
async def test_what_was_deleted_with_a_certificate_has_left_the_normal_routes(rig: Rig, operation: str) -> None:
    row = ROWS[operation]
    await rig.refused(CERTIFIED, row, row.missing("gone"), row.target("gone"), body=body_of(operation))


@pytest.mark.parametrize("operation", MAKING)
async def test_the_name_of_a_deleted_certificate_is_not_free_for_a_key_or_a_secret(rig: Rig, operation: str) -> None:
    row = ROWS[operation]
    expected = words.name_is_deleted(row.kind, "gone")
    await rig.refused(CERTIFIED, row, expected, row.target("gone"), body=body_of(operation))


@pytest.mark.parametrize(("kind", "source"), [(Objects.KEYS, SOFT), (Objects.SECRETS, SECRETS)], ids=str)
async def test_nothing_is_restored_over_the_key_and_the_secret_of_a_certificate(
    rig: Rig, kind: Objects, source: Place
) -> None:
    row = ROWS[f"restore_{kind.word.lower()}"]
    for name in ("good", "gone"):
        identifier = f"https://{CERTIFIED.host}/{kind}/{name}/{rig.versions[source.name, name]}"
        blob = rig.bodies[source.name, f"restore {name}"]
        await rig.refused(CERTIFIED, row, words.restore_conflict(kind, identifier), row.target(""), body=blob)


@pytest.mark.parametrize("operation", [name for name, row in ROWS.items() if row.use and name not in USES])
async def test_the_key_does_what_the_key_usage_says_and_leaves_in_no_other_way(rig: Rig, operation: str) -> None:
    row = ROWS[operation]
    assert row.use is not None
    await rig.refused(CERTIFIED, row, words.not_permitted(row.use), row.target("good"), body=body_of(operation))


# the state of the certificate


async def refused_everywhere(rig: Rig, name: str, version: str, key: dict[str, Refusal], secret: Refusal) -> None:
    """version: empty for the latest. key: refusals of its uses."""
    for operation, body in USES.items():
        row = ROWS[operation]
        await rig.refused(CERTIFIED, row, key[operation], row.target(name, version), body=body)
    row = ROWS["get_secret"]
    await rig.refused(CERTIFIED, row, secret, row.target(name, version))


async def used(rig: Rig, name: str, version: str = "") -> None:
    for operation, body in USES.items():
        row = ROWS[operation]
        await rig.done(CERTIFIED, row.method, row.target(name, version), body)
    assert "value" in await rig.done(CERTIFIED, "GET", f"/secrets/{name}/{version}")


SHUT = {word: words.disabled(word) for word in USES}
OVER = {word: words.expired(word) for word in USES}
ABOUT_CERTIFICATES: tuple[Row, ...] = tuple(
    ROWS[name]
    for name in ("get_certificate", "get_certificate_versions", "get_certificate_policy", "update_certificate")
)


async def test_a_pending_certificate_has_a_key_and_a_secret_of_no_use(rig: Rig) -> None:
    for name in ("pending", "busy"):
        for version in ("", rig.versions[CERTIFIED.name, name]):
            await refused_everywhere(rig, name, version, SHUT, words.SECRET_DISABLED)


@pytest.mark.parametrize("name", ["turning", "hard"])
async def test_with_a_disabled_certificate_its_key_and_secret_are_of_no_use(rig: Rig, name: str) -> None:
    version = rig.versions[CERTIFIED.name, name]
    await used(rig, name)
    await rig.done(CERTIFIED, "PATCH", f"/certificates/{name}/", {"attributes": {"enabled": False}})
    for at in ("", version):
        await refused_everywhere(rig, name, at, SHUT, words.SECRET_DISABLED)
    for row in ABOUT_CERTIFICATES:
        await rig.done(CERTIFIED, row.method, row.target(name), {} if row.body else None)
    await rig.done(CERTIFIED, "PATCH", f"/certificates/{name}/", {"attributes": {"enabled": True}})
    await used(rig, name, version)


async def test_a_certificate_that_was_made_disabled_has_a_key_and_a_secret_of_no_use(rig: Rig) -> None:
    await rig.make(CERTIFIED, "shut", {"policy": SELF_SIGNED, "attributes": {"enabled": False}})
    await refused_everywhere(rig, "shut", "", SHUT, words.SECRET_DISABLED)


async def test_a_disabled_version_leaves_the_others(rig: Rig) -> None:
    first = await rig.make(CERTIFIED, "twice")
    second = await rig.make(CERTIFIED, "twice")
    await rig.done(CERTIFIED, "PATCH", f"/certificates/twice/{first}", {"attributes": {"enabled": False}})
    await refused_everywhere(rig, "twice", first, SHUT, words.SECRET_DISABLED)
    await used(rig, "twice")
    await rig.done(CERTIFIED, "PATCH", f"/certificates/twice/{second}", {"attributes": {"enabled": False}})
    await rig.done(CERTIFIED, "PATCH", f"/certificates/twice/{first}", {"attributes": {"enabled": True}})
    await refused_everywhere(rig, "twice", "", SHUT, words.SECRET_DISABLED)  # the latest is no older one
    await used(rig, "twice", first)


SHORT = {"subject": "CN=a", "validity_months": 1}


@pytest.mark.parametrize("policy", [SELF_SIGNED, IN_HARDWARE], ids=["soft", "hard"])
async def test_with_an_expired_certificate_its_key_and_secret_are_of_no_use(
    rig: Rig, policy: dict[str, object]
) -> None:
    await rig.make(CERTIFIED, "short", {"policy": policy | {"x509_props": SHORT}})
    end = (await rig.done(CERTIFIED, "GET", "/certificates/short"))["attributes"]["exp"]
    seconds = end - rig.now
    rig.service.clock.jump(seconds - 1)
    try:
        await used(rig, "short")
        rig.service.clock.jump(1)
        for version in ("", rig.versions[CERTIFIED.name, "short"]):
            await refused_everywhere(rig, "short", version, OVER, words.SECRET_EXPIRED)
        await used(rig, "good")
        for row in ABOUT_CERTIFICATES:
            await rig.done(CERTIFIED, row.method, row.target("short"), {} if row.body else None)
    finally:
        rig.service.clock.jump(int(end - seconds - rig.now))


async def test_the_key_of_a_certificate_that_is_not_valid_yet_is_not_used(rig: Rig) -> None:
    made = issued("later", begin=datetime.fromtimestamp(rig.now + 60, UTC), days=1)
    content = {"value": (made.pem_key + made.pem).decode()}
    await rig.done(CERTIFIED, "POST", "/certificates/later/import", content)
    for operation, body in USES.items():
        row = ROWS[operation]
        await rig.refused(CERTIFIED, row, words.not_yet_valid(operation), row.target("later"), body=body)
    rig.service.clock.jump(60)
    try:
        await used(rig, "later")
    finally:
        rig.service.clock.jump(-60)


async def test_a_version_of_a_managed_key_or_secret_that_never_was_is_not_found(rig: Rig) -> None:
    for operation in ("get_key", "update_key", "sign", "get_secret", "update_secret"):
        row = ROWS[operation]
        body = body_of(operation)
        await rig.refused(CERTIFIED, row, row.missing("good", NO_VERSION), row.target("good", NO_VERSION), body=body)
