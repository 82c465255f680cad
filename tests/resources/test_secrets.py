"""Secrets below the wire: sealed values, what is cached, what happens at the same moment, and formats."""

import asyncio
import base64
from collections.abc import AsyncIterator
from math import inf
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12

from hsmvault.custody.pem_bundles import write_pem
from hsmvault.errors import BadRequest, Conflict, Damaged, Forbidden, NotFound
from hsmvault.model.secrets import SecretVersion
from hsmvault.resources.secret_cache import SecretCache, SecretInUse, binding_of
from hsmvault.resources.secrets import OpenSecret, SecretSettings
from hsmvault.store.migrations import migrate
from hsmvault.store.secrets import SECRETS
from tests.custody.certificates import Issued, issued, openssl
from tests.managed import managed_secret
from tests.resources.secret_stage import ELSEWHERE, FOREIGN, SOUTH, SecretStage, secret_stage
from tests.resources.stage import VAULT

NOTHING = SecretSettings()
PKCS12, PEM = "application/x-pkcs12", "application/x-pem-file"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "hsmvault.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
async def on(tmp_path: Path, empty: Path) -> AsyncIterator[SecretStage]:
    async with secret_stage(tmp_path / "hsmvault.db", empty) as stage:
        yield stage


async def row_of(on: SecretStage, name: str, container: Any = VAULT) -> SecretVersion:
    async with on.database.read() as tx:
        row = await SECRETS.version(tx, container.id, name, None)
    assert row is not None
    return row


async def value_of(on: SecretStage, name: str, version: str | None = None) -> str:
    return (await on.secrets.get(VAULT, name, version)).value


async def test_the_database_holds_no_value_and_equal_values_look_different(on: SecretStage, tmp_path: Path) -> None:
    value = "correct-horse-battery-staple"
    for name in ("a", "b"):
        await on.secrets.set(VAULT, name, value, NOTHING)
    assert (await row_of(on, "a")).sealed[29:] != (await row_of(on, "b")).sealed[29:]
    assert len((await row_of(on, "a")).sealed) == len(value) + 45
    for file in tmp_path.iterdir():
        assert value.encode() not in file.read_bytes()
    secret = await on.secrets.get(VAULT, "a", None)
    assert value not in repr(secret) + repr(await row_of(on, "a")) + repr(on.cache._names)


async def test_a_value_opens_for_its_own_row_alone(on: SecretStage) -> None:
    """Swapped with another secret, an older version, or one of another vault: none is answered, the others go on."""
    first = (await on.secrets.set(VAULT, "a", "one", NOTHING)).row
    second = (await on.secrets.set(VAULT, "a", "two", NOTHING)).row
    other = (await on.secrets.set(VAULT, "b", "three", NOTHING)).row
    await on.secrets.set(SOUTH, "a", "four", NOTHING)
    foreign = (await row_of(on, "a", SOUTH)).sealed
    changed = second.sealed[:-1] + bytes([second.sealed[-1] ^ 1])
    for sealed in (first.sealed, other.sealed, foreign, changed, second.sealed[:40], b"", b"\x02" + second.sealed[1:]):
        async with on.database.write() as tx:
            at_name = await SECRETS.name(tx, VAULT.id, "a")
            assert at_name is not None
            await SECRETS.update_version(tx, _with(second, sealed), at_name=at_name)
        for _ in range(2):
            with pytest.raises(Damaged) as caught:
                await value_of(on, "a")
            assert caught.value.message == "The object is not available."
        assert [await value_of(on, "a", first.version), await value_of(on, "b")] == ["one", "three"]


def _with(row: SecretVersion, sealed: bytes) -> SecretVersion:
    return SecretVersion(row.container_id, row.name, row.version, row.sequence, sealed, row.created, row.updated)


async def test_setting_one_name_at_the_same_time_makes_one_version_each(on: SecretStage) -> None:
    made = await asyncio.gather(*(on.secrets.set(VAULT, "a", str(number), NOTHING) for number in range(20)))
    rows = await on.secrets.version_page(VAULT, "a", None, 100)
    assert [row.sequence for row in rows] == list(range(1, 21))
    assert {row.version for row in rows} == {one.row.version for one in made}
    for one in made:
        assert await value_of(on, "a", one.row.version) == one.value
    assert (await on.secrets.get(VAULT, "a", None)).row.version == rows[-1].version


async def test_a_row_that_changed_while_it_was_read_is_not_kept(on: SecretStage) -> None:
    await on.secrets.set(VAULT, "a", "old", NOTHING)
    loop = asyncio.get_running_loop()

    class Overtaken:
        async def version(self, *arguments: Any) -> SecretVersion | None:
            """In the thread of the connection."""
            row = await SECRETS.version(*arguments)
            asyncio.run_coroutine_threadsafe(on.secrets.set(VAULT, "a", "new", NOTHING), loop).result()
            return row

    quick: Any = on.database._quick
    quick._lane_until = inf
    on.cache._source = Overtaken()  # type: ignore[assignment]  # reads versions alone
    assert await value_of(on, "a") == "old"
    on.cache._source = SECRETS
    assert await value_of(on, "a") == "new"


async def test_what_leaves_use_leaves_the_cache(on: SecretStage) -> None:
    version = (await on.secrets.set(VAULT, "a", "v", NOTHING)).row.version
    await value_of(on, "a", version)
    await on.secrets.update(VAULT, "a", None, SecretSettings(enabled=False))
    for asked in (None, version):
        with pytest.raises(Forbidden):
            await value_of(on, "a", asked)
    await on.secrets.delete(VAULT, "a")
    for asked in (None, version):
        with pytest.raises(NotFound):
            await value_of(on, "a", asked)
    await on.secrets.recover(VAULT, "a")
    await on.secrets.update(VAULT, "a", None, SecretSettings(enabled=True))
    assert await value_of(on, "a") == "v"
    with pytest.raises(NotFound):
        await on.secrets.get(SOUTH, "a", version)
    with pytest.raises(NotFound):
        await on.secrets.get(VAULT, "b", version)


def test_the_cache_is_bounded_in_names_and_in_bytes() -> None:
    cache = SecretCache(None, most=3, most_bytes=10_000)  # type: ignore[arg-type]  # nothing is read

    def use(name: str, size: int, version: str = "") -> None:
        row = SecretVersion("c", name, "v", 1, bytes(size), 0, 0)
        cache._keep("c", name, version, SecretInUse(row, binding_of("c", name, "v")))

    for name in "abcd":
        use(name, 10)
    assert [name for _, name in cache._names] == ["b", "c", "d"]
    use("e", 7000)
    assert [name for _, name in cache._names] == ["d", "e"]
    use("e", 10)  # in place of the long one
    for name in "fg":
        use(name, 3000)
    assert [name for _, name in cache._names] == ["e", "f", "g"]
    use("e", 10_000, "1")
    assert not cache._names
    assert cache._bytes == 0
    use("h", 100)
    cache.forget("c", "h")
    use("i", 100)
    cache.forget_all()
    assert cache._bytes == 0


@pytest.fixture(scope="module")
def leaf() -> Issued:
    return issued("leaf.example", issued("root.example"), ca=False)


def pfx_of(leaf: Issued) -> str:
    return base64.b64encode(
        pkcs12.serialize_key_and_certificates(b"leaf", leaf.key, leaf.certificate, None, NoEncryption())
    ).decode()


async def converted(on: SecretStage, value: str, stored: str, wanted: str, name: str) -> OpenSecret:
    await managed_secret(on.database, on.sealer, VAULT, name=name, value=value, content_type=stored)
    secret = await on.secrets.get(VAULT, name, None)
    return await on.formats.converted(secret, wanted)


async def test_a_certificate_is_answered_as_pem_and_as_pkcs12(on: SecretStage, leaf: Issued, tmp_path: Path) -> None:
    pem = await converted(on, pfx_of(leaf), PKCS12, PEM, "pfx")
    assert pem.content_type == PEM
    assert await on.formats.converted(pem, PEM) is pem
    assert pem.value == write_pem(leaf.pkcs8, [leaf.der])
    back = await converted(on, pem.value, PEM, PKCS12, "pem")
    assert back.content_type == PKCS12
    key, certificate, others = pkcs12.load_key_and_certificates(base64.b64decode(back.value), None)
    assert key is not None
    assert (certificate, others) == (leaf.certificate, [])
    assert key.private_numbers() == leaf.key.private_numbers()  # type: ignore[union-attr]  # an EC key
    (tmp_path / "back.pfx").write_bytes(base64.b64decode(back.value))
    assert "CN = leaf.example" in openssl("pkcs12", "-in", tmp_path / "back.pfx", "-nodes", "-passin", "pass:")


async def test_only_the_secrets_of_certificates_are_converted(on: SecretStage, leaf: Issued) -> None:
    settings = SecretSettings(content_type=PKCS12)
    await on.secrets.set(VAULT, "own", pfx_of(leaf), settings)
    secret = await on.secrets.get(VAULT, "own", None)
    assert await on.formats.converted(secret, PEM) is secret
    text = await converted(on, "a text", "text/plain", PEM, "text")
    assert (text.value, text.content_type) == ("a text", "text/plain")


# -- backups


async def test_a_backup_outlives_the_vault_and_its_data_keys(on: SecretStage) -> None:
    values = [f"value {number}" for number in range(120)]
    made = [(await on.secrets.set(VAULT, "Many", value, SecretSettings(tags={"n": value}))).row for value in values]
    await on.secrets.update(VAULT, "many", made[3].version, SecretSettings(enabled=False, expires=77))
    blob = await on.backups.backup(VAULT, "mANY")
    assert not [value for value in values if value.encode() in blob]
    await on.secrets.delete(VAULT, "many")
    await on.secrets.purge(VAULT, "many")
    on.sealer.forget()
    latest = await on.backups.restore(SOUTH, blob, "https://south")
    rows = await on.secrets.version_page(SOUTH, "many", None, 200)
    assert [(row.version, row.created, row.sequence, dict(row.tags)) for row in rows] == [
        (row.version, row.created, row.sequence, dict(row.tags)) for row in made
    ]
    assert (latest.version, rows[3].enabled, rows[3].expires) == (made[-1].version, False, 77)
    for row, value in [*zip(made, values, strict=True)][4:]:
        assert (await on.secrets.get(SOUTH, "many", row.version)).value == value
    with pytest.raises(Conflict):
        await on.backups.restore(SOUTH, blob, "https://south")
    await on.secrets.set(SOUTH, "many", "next", NOTHING)
    assert (await on.secrets.get(SOUTH, "many", None)).row.sequence == 121


async def test_a_backup_opens_nowhere_else_and_in_no_other_form(on: SecretStage) -> None:
    await on.secrets.set(VAULT, "a", "v", NOTHING)
    blob = await on.backups.backup(VAULT, "a")
    refused: set[str] = set()
    turned = bytes([blob[-1] ^ 1])
    for container, bad in [
        (FOREIGN, blob),
        (ELSEWHERE, blob),
        (SOUTH, blob[:-1] + turned),
        (SOUTH, blob[:-1]),
        (SOUTH, blob + b"\0"),
        (SOUTH, b""),
        (SOUTH, blob.replace(b'"secret"', b'"key"   ')),
    ]:
        with pytest.raises(BadRequest) as caught:
            await on.backups.restore(container, bad, "https://x")
        refused.add(caught.value.message)
        with pytest.raises(NotFound):
            await on.secrets.get(container, "a", None)
    assert refused == {"The backup blob is not valid for this vault."}


@pytest.mark.slow
async def test_the_largest_backup_can_be_restored_and_one_version_more_cannot_be_made(on: SecretStage) -> None:
    for _ in range(500):
        await on.secrets.set(VAULT, "a", "x" * 25_600, NOTHING)
    blob = await on.backups.backup(VAULT, "a")
    assert len(blob) * 4 / 3 < 24 * 1024 * 1024 - 1024  # as wire/data_plane.py takes it
    await on.backups.restore(SOUTH, blob, "https://south")
    assert (await on.secrets.get(SOUTH, "a", None)).value == "x" * 25_600
    await on.secrets.set(VAULT, "a", "one more", NOTHING)
    with pytest.raises(BadRequest, match="more than 500 versions"):
        await on.backups.backup(VAULT, "a")


@pytest.mark.slow
async def test_what_is_too_large_to_be_restored_is_not_backed_up(on: SecretStage) -> None:
    settings = SecretSettings(tags={f"{number}": "я" * 512 for number in range(15)})
    for _ in range(480):
        await on.secrets.set(VAULT, "a", "x" * 25_600, settings)
    with pytest.raises(BadRequest, match="too large together"):
        await on.backups.backup(VAULT, "a")
