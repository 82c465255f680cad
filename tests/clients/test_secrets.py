"""Secrets through the unmodified clients, both flavours: every operation, every member, every poller."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.keyvault.secrets import ContentType

from tests.clients.flavours import Clients
from tests.clients.refusals import message, refused
from tests.clients.secrets import SecretsFace, described

TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
YEAR = TOMORROW + timedelta(days=365)


async def test_a_secret_is_set_read_and_changed(secrets: SecretsFace, name: str) -> None:
    made = await secrets.set_secret(
        name, "päss", content_type="password", tags={"a": "b"}, not_before=TOMORROW, expires_on=YEAR, enabled=True
    )
    properties = made.properties
    assert (made.name, made.value, made.id) == (name, "päss", f"{secrets.url}/secrets/{name}/{properties.version}")
    assert (properties.content_type, properties.tags) == ("password", {"a": "b"})
    assert (properties.enabled, properties.not_before, properties.expires_on) == (True, TOMORROW, YEAR)
    assert (properties.recovery_level, properties.recoverable_days) == ("Recoverable+Purgeable", 90)
    assert (properties.key_id, properties.managed, properties.vault_url) == (None, None, secrets.url)
    assert abs(properties.created_on.timestamp() - time.time()) <= 5
    for version in (None, properties.version):
        read = await secrets.get_secret(name, version)
        assert (read.value, described(read)) == ("päss", described(made))

    changed = await secrets.update_secret_properties(name, properties.version, content_type="text", tags={})
    assert (changed.content_type, changed.tags, changed.expires_on) == ("text", None, YEAR)
    assert not hasattr(changed, "value")
    newer = await secrets.set_secret(name, "")
    assert (await secrets.get_secret(name)).value == ""
    assert newer.properties.content_type is None
    versions = await secrets.items("list_properties_of_secret_versions", name)
    assert [one.version for one in versions] == [properties.version, newer.properties.version]
    assert [described(one) for one in versions] == [described(changed), described(newer)]

    await secrets.update_secret_properties(name, newer.properties.version, enabled=False)
    with refused(403, "Forbidden", "SecretDisabled") as caught:
        await secrets.get_secret(name)
    assert message(caught.value) == "Operation get is not allowed on a disabled secret."
    listed = [one for one in await secrets.items("list_properties_of_secrets") if one.name == name]
    assert [(one.id, one.enabled, one.version) for one in listed] == [(f"{secrets.url}/secrets/{name}", False, None)]


async def test_what_a_change_leaves_out_stays(secrets: SecretsFace, name: str) -> None:
    settings = {"content_type": "text", "tags": {"a": "b"}, "not_before": TOMORROW, "expires_on": YEAR}
    await secrets.set_secret(name, "value", **settings)
    later = YEAR + timedelta(days=1)
    for change, member, value in (
        ({"enabled": False}, "enabled", False),
        ({"enabled": True}, "enabled", True),
        ({"expires_on": later}, "expires_on", later),
        ({"not_before": YEAR}, "not_before", YEAR),
        ({"content_type": "other"}, "content_type", "other"),
        ({"tags": {"c": "d"}}, "tags", {"c": "d"}),
    ):
        settings |= {member: value}
        changed = await secrets.update_secret_properties(name, **change)
        assert {member: getattr(changed, member) for member in settings} == settings
    assert (await secrets.get_secret(name)).value == "value"


async def test_a_time_is_information_and_does_not_keep_a_secret_closed(secrets: SecretsFace, name: str) -> None:
    for times in ({"not_before": TOMORROW}, {"expires_on": TOMORROW - timedelta(days=30)}):
        await secrets.set_secret(name, "value", **times)
        assert (await secrets.get_secret(name)).value == "value"


async def test_a_secret_is_deleted_recovered_and_purged(secrets: SecretsFace, name: str) -> None:
    made = await secrets.set_secret(name, "value", tags={"a": "b"}, content_type="text")
    deleted = await secrets.delete(name)
    assert (deleted.name, deleted.id, deleted.recovery_id) == (name, made.id, f"{secrets.url}/deletedsecrets/{name}")
    assert deleted.scheduled_purge_date - deleted.deleted_date == timedelta(days=90)
    seen = await secrets.get_deleted_secret(name)
    assert (seen.id, seen.deleted_date, seen.scheduled_purge_date) == (
        *(made.id, deleted.deleted_date, deleted.scheduled_purge_date),
    )
    assert described(seen.properties) == described(deleted.properties) == described(made)
    (listed,) = [one for one in await secrets.items("list_deleted_secrets") if one.name == name]
    assert (listed.id, listed.recovery_id) == (f"{secrets.url}/secrets/{name}", deleted.recovery_id)
    for reading in (secrets.get_secret(name), secrets.update_secret_properties(name), secrets.backup_secret(name)):
        with refused(404, "SecretNotFound", kind=ResourceNotFoundError):
            await reading
    with refused(409, "Conflict", "ObjectIsDeletedButRecoverable", kind=ResourceExistsError) as caught:
        await secrets.set_secret(name, "again")
    assert message(caught.value) == (
        f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, "
        "the secret can only be recovered or purged."
    )
    recovered = await secrets.recover(name)
    assert (recovered.id, recovered.tags, recovered.created_on) == (made.id, {"a": "b"}, made.properties.created_on)
    assert (await secrets.get_secret(name)).value == "value"
    await secrets.delete(name)
    await secrets.purge_deleted_secret(name)
    with refused(404, "SecretNotFound", kind=ResourceNotFoundError) as caught:
        await secrets.get_deleted_secret(name)
    assert message(caught.value) == f"Deleted Secret not found: {name}"
    await secrets.set_secret(name, "again")
    assert len(await secrets.items("list_properties_of_secret_versions", name)) == 1


async def test_pollers_tell_how_far_they_are(sync_clients: Clients, name: str) -> None:
    client: Any = sync_clients.secrets.client
    client.set_secret(name, "value")
    deletion = client.begin_delete_secret(name)
    assert deletion.result().name == name  # at once: the client has it from the first answer
    deletion.wait()
    assert (deletion.done(), deletion.status()) == (True, "finished")
    recovery = client.begin_recover_deleted_secret(name)
    recovery.wait()
    assert (recovery.done(), recovery.status(), recovery.result().name) == (True, "finished", name)


async def test_a_disabled_secret_is_deleted_by_the_poller_too(secrets: SecretsFace, name: str) -> None:
    await secrets.set_secret(name, "value", enabled=False)
    deleted = await secrets.delete(name)
    assert (deleted.name, deleted.properties.enabled) == (name, False)
    with refused(403, "Forbidden", "AccessDenied") as caught:
        await secrets.get_deleted_secret(name)
    assert message(caught.value) == "Operation get is not permitted on this object."
    assert (await secrets.recover(name)).enabled is False


async def test_a_backup_is_restored_with_every_version(secrets: SecretsFace, name: str) -> None:
    first = await secrets.set_secret(name, "one", content_type="text")
    second = await secrets.set_secret(name, "two", expires_on=YEAR)
    blob = await secrets.backup_secret(name)
    with refused(409, "Conflict", kind=ResourceExistsError) as caught:
        await secrets.restore_secret_backup(blob)
    assert message(caught.value).endswith("- secret already exists or concurrent access")
    await secrets.delete(name)
    with refused(409, "Conflict", kind=ResourceExistsError):
        await secrets.restore_secret_backup(blob)
    await secrets.purge_deleted_secret(name)
    restored = await secrets.restore_secret_backup(blob)
    assert (restored.id, restored.expires_on) == (second.id, YEAR)
    for made in (first, second):
        read = await secrets.get_secret(name, made.properties.version)
        assert (read.value, described(read)) == (made.value, described(made))
    with refused(400, "BadParameter"):
        await secrets.restore_secret_backup(blob[:-1] + bytes([blob[-1] ^ 1]))


async def test_every_page_is_read_and_none_twice(secrets: SecretsFace, name: str) -> None:
    names = [f"{name}-{number:02}" for number in range(30)]
    for one in names:
        await secrets.set_secret(one, "value")
    for size in (None, 7, 25):
        options = {} if size is None else {"max_page_size": size}
        pages = await secrets.pages("list_properties_of_secrets", **options)
        found = [one.name for page in pages for one in page]
        assert [one for one in found if one in names] == names
        assert len(found) == len(set(found))
        assert all(len(page) == (size or 25) for page in pages[:-1])
        assert 1 <= len(pages[-1]) <= (size or 25)
    for one in names:
        await secrets.delete(one)
    pages = await secrets.pages("list_deleted_secrets", max_page_size=7)
    found = [one.name for page in pages for one in page]
    assert [one for one in found if one in names] == names
    assert all(len(page) == 7 for page in pages[:-1])
    with refused(400, "BadParameter"):
        await secrets.items("list_properties_of_secrets", max_page_size=26)


async def test_the_versions_of_a_secret_come_in_pages(secrets: SecretsFace, name: str) -> None:
    ids = [(await secrets.set_secret(name, str(number))).id for number in range(27)]
    for size in (4, 25):
        pages = await secrets.pages("list_properties_of_secret_versions", name, max_page_size=size)
        assert all(len(page) == size for page in pages[:-1])
        assert [one.id for page in pages for one in page] == ids
    assert await secrets.items("list_properties_of_secret_versions", f"{name}-none") == []


async def test_values_of_any_text_come_back(secrets: SecretsFace, name: str) -> None:
    for value in ("я" * 12_800, "\0\x01\x1f\x7f\u2028", "🔑" * 6400, '"\\\n' * 100, "\ufeff\u202e", "e\u0301 é"):
        await secrets.set_secret(name, value)
        assert (await secrets.get_secret(name)).value == value
    for value in ("x" * 25_601, "я" * 12_801):
        with refused(400, "BadParameter"):
            await secrets.set_secret(name, value)


async def test_a_format_is_asked_for(secrets: SecretsFace, name: str) -> None:
    await secrets.set_secret(name, "value")
    assert (await secrets.get_secret(name, out_content_type=ContentType.PEM)).value == "value"
    with refused(400, "BadParameter"):
        await secrets.get_secret(name, out_content_type="text/plain")


async def test_many_at_once_see_their_own_values(secrets: SecretsFace, name: str) -> None:
    made = await asyncio.gather(*(secrets.set_secret(name, str(number)) for number in range(20)))
    read = await asyncio.gather(*(secrets.get_secret(name, one.properties.version) for one in made))
    assert [one.value for one in read] == [str(number) for number in range(20)]
    assert len({one.properties.version for one in made}) == 20


async def test_what_is_not_there_is_said_in_the_words_of_the_service(secrets: SecretsFace, name: str) -> None:
    for version, named in ((None, name), ("0" * 32, f"{name}/{'0' * 32}")):
        with refused(404, "SecretNotFound", kind=ResourceNotFoundError) as caught:
            await secrets.get_secret(name, version)
        assert message(caught.value) == (
            f"A secret with (name/id) {named} was not found in this key vault. If you recently deleted this secret you "
            "may be able to recover it using the correct recovery command. For help resolving this issue, please see "
            "https://go.microsoft.com/fwlink/?linkid=2125182"
        )
    for call in (secrets.get_deleted_secret(name), secrets.purge_deleted_secret(name), secrets.recover(name)):
        with refused(404, "SecretNotFound", kind=ResourceNotFoundError) as caught:
            await call
        assert message(caught.value) == f"Deleted Secret not found: {name}"
    with pytest.raises(ResourceNotFoundError):
        await secrets.delete(name)
