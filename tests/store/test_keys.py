"""Keys in the store: what is written comes back, and only the one who read the newest revision may write."""

import asyncio
from dataclasses import replace

import pytest

from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import KeySpec
from hsmvault.model.keys import KeyName, KeyVersion
from hsmvault.store import keys
from hsmvault.store.database import Conflicted, Database

from .conftest import Opener
from .samples import OTHER_VAULT, VAULT, key_name, key_version


async def create(database: Database, *versions: KeyVersion) -> KeyName:
    """Each is the next version of its name. Returns the name as it is then."""
    for version in versions:
        async with database.write() as tx:
            at_name = await keys.name(tx, version.container_id, version.name)
            await keys.insert_version(tx, version, at_name=at_name)
    return await name_of(database, versions[-1])


async def name_of(database: Database, version: KeyVersion) -> KeyName:
    async with database.read() as tx:
        found = await keys.name(tx, version.container_id, version.name)
    assert found is not None
    return found


async def latest(database: Database, name: str) -> KeyVersion | None:
    async with database.read() as tx:
        return await keys.version(tx, VAULT.id, name, None)


async def test_a_version_comes_back_as_it_was_written(database: Database) -> None:
    version = key_version()
    bare = replace(
        key_version("bare"),
        spec=KeySpec.rsa(4096, 3),
        not_before=None,
        expires=None,
        tags={},
        public=b"",
        operations=(),
    )
    assert await create(database, version) == key_name(version)
    await create(database, bare)
    async with database.read() as tx:
        assert await keys.version(tx, VAULT.id, version.name, version.version) == version
        assert await keys.version(tx, VAULT.id, version.name, None) == version
        found = await keys.version(tx, VAULT.id, "bare", None)
    assert found == bare
    assert found is not None
    assert found.enabled is False
    assert list(version.tags) == list((await latest(database, version.name) or version).tags)


async def test_names_compare_without_case_and_keep_their_first_spelling(database: Database) -> None:
    await create(database, key_version("Signing-Key"), key_version("SIGNING-key", sequence=2))
    async with database.read() as tx:
        found = await keys.versions(tx, VAULT.id, "signing-KEY")
    assert [(version.name, version.sequence) for version in found] == [("Signing-Key", 1), ("Signing-Key", 2)]


async def test_a_key_is_invisible_in_every_other_container(database: Database) -> None:
    version = key_version()
    name = await create(database, version)
    async with database.write() as tx:
        deleted = key_version("deleted")
        await keys.insert_version(tx, deleted, at_name=None)
        await keys.mark_deleted(tx, key_name(deleted), 1, 2)
    async with database.read() as tx:
        for container_id in (OTHER_VAULT.id, "", VAULT.id.upper() + "x"):
            assert await keys.name(tx, container_id, version.name) is None
            assert await keys.version(tx, container_id, version.name, None) is None
            assert await keys.version(tx, container_id, version.name, version.version) is None
            assert await keys.versions(tx, container_id, version.name) == []
            assert await keys.deleted_version(tx, container_id, "deleted") is None
            assert await keys.page(tx, container_id, None, 25) == []
            assert await keys.version_page(tx, container_id, version.name, None, 25) == []
            assert await keys.deleted_page(tx, container_id, None, 25) == []
    foreign = replace(name, container_id=OTHER_VAULT.id)
    with pytest.raises(Conflicted):
        async with database.write() as tx:
            await keys.mark_deleted(tx, foreign, 1, 2)
    with pytest.raises(ValueError, match="another name"):
        async with database.write() as tx:
            await keys.update_version(tx, version, at_name=foreign)


async def test_a_new_version_is_the_latest_and_the_older_one_stays(database: Database) -> None:
    first, second = key_version(), key_version(sequence=2)
    name = await create(database, first, second)
    assert (name.latest_version, name.next_sequence, name.revision) == (second.version, 3, 2)
    assert await latest(database, first.name) == second
    async with database.read() as tx:
        assert await keys.version(tx, VAULT.id, first.name, first.version) == first


async def test_a_sequence_that_is_not_the_next_is_a_mistake(database: Database) -> None:
    name = await create(database, key_version())
    with pytest.raises(ValueError, match="sequence"):
        async with database.write() as tx:
            await keys.insert_version(tx, key_version(sequence=3), at_name=name)


async def test_a_name_cannot_be_made_twice(database: Database) -> None:
    await create(database, key_version())
    with pytest.raises(Conflicted):
        async with database.write() as tx:
            await keys.insert_version(tx, key_version("signing-key"), at_name=None)


async def test_a_key_of_an_unknown_container_is_refused(database: Database) -> None:
    with pytest.raises(Conflicted):
        async with database.write() as tx:
            await keys.insert_version(tx, key_version(container=replace(VAULT, id="nobody")), at_name=None)


async def test_whoever_read_an_older_revision_changes_nothing(database: Database) -> None:
    version = key_version()
    old = await create(database, version)
    await create(database, key_version(sequence=2))
    for write in (
        lambda tx: keys.insert_version(tx, key_version(sequence=2), at_name=old),
        lambda tx: keys.update_version(tx, replace(version, enabled=True), at_name=old),
        lambda tx: keys.mark_deleted(tx, old, 1, 2),
    ):
        with pytest.raises(Conflicted):
            async with database.write() as tx:
                await write(tx)
    async with database.read() as tx:
        found = await keys.versions(tx, VAULT.id, version.name)
    assert len(found) == 2
    assert found[0] == version


async def test_attributes_change_and_material_does_not(database: Database) -> None:
    version = key_version()
    name = await create(database, version)
    changed = replace(
        version,
        enabled=True,
        operations=("sign",),
        not_before=None,
        expires=7,
        exportable=False,
        updated=9,
        tags={"new": "tag"},
    )
    everything_else = {"reference": b"other", "public": b"other", "custody": "soft", "created": 1, "managed": False}
    async with database.write() as tx:
        await keys.update_version(tx, replace(changed, **everything_else), at_name=name)
    assert await latest(database, version.name) == changed
    assert (await name_of(database, version)).revision == name.revision + 1


async def test_updating_a_version_that_is_not_there_is_a_conflict(database: Database) -> None:
    name = await create(database, key_version())
    with pytest.raises(Conflicted):
        async with database.write() as tx:
            await keys.update_version(tx, key_version(), at_name=name)
    assert await name_of(database, key_version()) == name


async def test_a_deleted_key_is_seen_as_deleted_only(database: Database) -> None:
    first, second = key_version(), key_version(sequence=2)
    name = await create(database, first, second)
    async with database.write() as tx:
        await keys.mark_deleted(tx, name, 100, 200)
    deleted = replace(name, deleted_at=100, purge_at=200, revision=name.revision + 1)
    async with database.read() as tx:
        assert await keys.name(tx, VAULT.id, name.name) == deleted
        assert await keys.version(tx, VAULT.id, name.name, None) is None
        assert await keys.version(tx, VAULT.id, name.name, first.version) is None
        assert await keys.page(tx, VAULT.id, None, 25) == []
        assert await keys.version_page(tx, VAULT.id, name.name, None, 25) == []
        assert await keys.deleted_version(tx, VAULT.id, name.name.upper()) == (deleted, second)
        assert await keys.deleted_page(tx, VAULT.id, None, 25) == [(deleted, second)]
        assert await keys.versions(tx, VAULT.id, name.name) == [first, second]


async def test_a_deleted_key_takes_no_change_and_its_name_stays_taken(database: Database) -> None:
    version = key_version()
    name = await create(database, version)
    async with database.write() as tx:
        await keys.mark_deleted(tx, name, 100, 200)
    deleted = await name_of(database, version)
    for write in (
        lambda tx: keys.insert_version(tx, key_version(sequence=2), at_name=deleted),
        lambda tx: keys.insert_version(tx, key_version(), at_name=None),
        lambda tx: keys.update_version(tx, version, at_name=deleted),
        lambda tx: keys.mark_deleted(tx, deleted, 1, 2),
        lambda tx: keys.restore(tx, name, [version]),
    ):
        with pytest.raises(Conflicted):
            async with database.write() as tx:
                await write(tx)
    assert await name_of(database, version) == deleted


async def test_a_recovered_key_is_as_it_was(database: Database) -> None:
    version = key_version()
    name = await create(database, version)
    async with database.write() as tx:
        await keys.mark_deleted(tx, name, 100, 200)
    deleted = await name_of(database, version)
    async with database.write() as tx:
        await keys.mark_recovered(tx, deleted)
    assert await name_of(database, version) == replace(name, revision=3)
    assert await latest(database, version.name) == version
    async with database.read() as tx:
        assert await keys.deleted_version(tx, VAULT.id, name.name) is None


async def test_an_active_key_is_neither_recovered_nor_purged(database: Database) -> None:
    version = key_version()
    name = await create(database, version)
    for write in (lambda tx: keys.mark_recovered(tx, name), lambda tx: keys.purge(tx, name)):
        with pytest.raises(Conflicted):
            async with database.write() as tx:
                await write(tx)
    assert await latest(database, version.name) == version


async def test_a_purged_key_is_gone_and_its_name_is_free(database: Database) -> None:
    await create(database, key_version("bystander"))
    version = key_version()
    name = await create(database, version, key_version(sequence=2))
    async with database.write() as tx:
        await keys.mark_deleted(tx, name, 100, 200)
    deleted = await name_of(database, version)
    async with database.write() as tx:
        await keys.purge(tx, deleted)
    async with database.read() as tx:
        assert await keys.name(tx, VAULT.id, version.name) is None
        assert await keys.versions(tx, VAULT.id, version.name) == []
        assert len(await keys.versions(tx, VAULT.id, "bystander")) == 1
    await create(database, key_version())


async def test_a_restored_key_has_all_its_versions_as_they_were(database: Database) -> None:
    versions = [key_version(sequence=1), key_version(sequence=3), key_version(sequence=7)]
    name = KeyName(VAULT.id, "Signing-Key", versions[1].version, 8, 5, 4)
    async with database.write() as tx:
        await keys.restore(tx, name, versions)
    assert await name_of(database, versions[0]) == name
    assert await latest(database, "signing-key") == versions[1]
    async with database.read() as tx:
        assert await keys.versions(tx, VAULT.id, "signing-key") == versions
    with pytest.raises(Conflicted):
        async with database.write() as tx:
            await keys.restore(tx, name, versions)


async def test_of_two_workers_that_make_a_version_at_once_one_wins(open_database: Opener, database: Database) -> None:
    other = await open_database()
    name = await create(database, key_version())

    async def add(worker: Database) -> None:
        async with worker.write() as tx:
            await keys.insert_version(tx, key_version(sequence=2), at_name=name)

    outcomes = await asyncio.gather(add(database), add(other), add(database), add(other), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [Conflicted] * 3
    async with other.read() as tx:
        assert [version.sequence for version in await keys.versions(tx, VAULT.id, name.name)] == [1, 2]


async def test_of_purge_and_recover_at_once_one_wins(open_database: Opener, database: Database) -> None:
    other = await open_database()
    for number in range(8):
        version = key_version(f"key-{number}")
        name = await create(database, version)
        async with database.write() as tx:
            await keys.mark_deleted(tx, name, 1, 2)
        deleted = await name_of(database, version)

        async def purge(deleted: KeyName = deleted) -> None:
            async with database.write() as tx:
                await keys.purge(tx, deleted)

        async def recover(deleted: KeyName = deleted) -> None:
            async with other.write() as tx:
                await keys.mark_recovered(tx, deleted)

        purged, recovered = await asyncio.gather(purge(), recover(), return_exceptions=True)
        assert {type(purged), type(recovered)} == {type(None), Conflicted}
        async with other.read() as tx:
            assert (await keys.name(tx, VAULT.id, version.name) is None) == (purged is None)
            assert len(await keys.versions(tx, VAULT.id, version.name)) == (0 if purged is None else 1)


async def test_what_is_due_for_purge_comes_from_every_container_the_oldest_first(database: Database) -> None:
    for number, (container, purge_at) in enumerate([(VAULT, 30), (OTHER_VAULT, 10), (VAULT, 20), (VAULT, 40)]):
        name = await create(database, key_version(f"key-{number}", container=container))
        async with database.write() as tx:
            await keys.mark_deleted(tx, name, 5, purge_at)
    await create(database, key_version("active"))
    async with database.read() as tx:
        assert [name.purge_at for name in await keys.due_for_purge(tx, 30, 25)] == [10, 20, 30]
        assert [name.purge_at for name in await keys.due_for_purge(tx, 30, 2)] == [10, 20]
        assert await keys.due_for_purge(tx, 9, 25) == []


@pytest.mark.parametrize("bad", ["a\0b", "a\ud800b", "\udfff"])
async def test_text_that_would_break_a_list_later_is_refused(database: Database, bad: str) -> None:
    good = key_version()
    for version in (
        replace(good, name=bad),
        replace(good, tags={"name": bad}),
        replace(good, tags={bad: "value"}),
        replace(good, operations=(bad,)),
        replace(good, version=bad),
    ):
        with pytest.raises(BadRequest):
            async with database.write() as tx:
                await keys.insert_version(tx, version, at_name=None)
    with pytest.raises(BadRequest):
        async with database.read() as tx:
            await keys.version(tx, VAULT.id, bad, None)
    async with database.read() as tx:
        assert await keys.page(tx, VAULT.id, None, 25) == []


async def test_numbers_beyond_64_bits_are_refused(database: Database) -> None:
    for expires in (2**63, -(2**63) - 1):
        with pytest.raises(BadRequest):
            async with database.write() as tx:
                await keys.insert_version(tx, replace(key_version(), expires=expires), at_name=None)
    version = replace(key_version(), not_before=-(2**63), expires=2**63 - 1)
    await create(database, version)
    assert await latest(database, version.name) == version
