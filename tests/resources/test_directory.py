"""Users, groups, applications and their proofs: what is kept, and that what is taken away is gone at once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from hsmvault.errors import BadRequest, Conflict, Forbidden, NotFound
from hsmvault.login.secrets import secret_matches
from hsmvault.model.directory import MOST_FEDERATED_CREDENTIALS, PrincipalDetails, RedirectKind, RedirectUri
from hsmvault.model.principals import CredentialKind
from hsmvault.resources.directory.application_credentials import CertificateOffer
from hsmvault.resources.directory.applications import ApplicationChange, NewApplication
from hsmvault.resources.directory.federation import FederationChange, NewFederation
from hsmvault.resources.directory.groups import NewGroup
from hsmvault.resources.directory.service_principals import ServicePrincipalChange
from hsmvault.resources.directory.users import NewUser, UserChange
from tests.login.world import certificate, der
from tests.resources.directory_stage import PASSWORD, DirectoryStage, directory_stage

MACHINE = "/subscriptions/33333333-0000-0000-0000-000000000001/resourceGroups/rg/providers/{}"
ISSUER = "https://token.actions.example"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[DirectoryStage]:
    async with directory_stage(tmp_path) as stage:
        yield stage


async def test_a_user_is_made_found_and_changed(stage: DirectoryStage) -> None:
    users = stage.directory.users
    new = NewUser("Ada", "ada@dev.example", PASSWORD, details=PrincipalDetails(mail_nickname="ada"))
    made = await users.create(stage.root, new)
    assert PASSWORD not in repr(new)
    assert await users.get(stage.root, "ADA@dev.example") == made == await users.get(stage.root, made.object_id.upper())
    changed = await users.update(stage.root, made.upn, UserChange(display_name="Ada L", details={"surname": "L"}))
    assert (changed.display_name, changed.details.surname, changed.details.mail_nickname) == ("Ada L", "L", "ada")
    assert changed.sessions_valid_from == 0


@pytest.mark.parametrize(
    ("name", "upn", "password"),
    [
        ("", "ada@dev.example", PASSWORD),
        ("Ada", "ada", PASSWORD),
        ("Ada", "ada@other.example", PASSWORD),
        ("Ada", "ada lovelace@dev.example", PASSWORD),
        ("Ada", "@dev.example", PASSWORD),
        ("Ada", "ada@dev.example", "short"),
        ("Ada", "lovelace@dev.example", "lovelace-1815-Ockham"),
    ],
)
async def test_a_user_that_cannot_be_is_refused(stage: DirectoryStage, name: str, upn: str, password: str) -> None:
    with pytest.raises(BadRequest):
        await stage.directory.users.create(stage.root, NewUser(name, upn, password))
    assert await stage.directory.users.page(stage.root, after="", most=10) == []


async def test_a_principal_name_is_taken_in_any_case(stage: DirectoryStage) -> None:
    await stage.directory.users.create(stage.root, NewUser("Ada", "ada@dev.example", PASSWORD))
    with pytest.raises(BadRequest, match="userPrincipalName already exists"):
        await stage.directory.users.create(stage.root, NewUser("Ada", "ADA@dev.example", PASSWORD))


async def test_a_reset_a_lock_and_a_sign_out_end_sessions_on_the_next_request(stage: DirectoryStage) -> None:
    user, users, now = await stage.user("ada"), stage.directory.users, int(stage.clock.now())
    assert (await stage.state(user.object_id)).sessions_valid_from == 0
    await users.revoke_sessions(stage.actor(user.object_id), user.upn)
    assert (await stage.state(user.object_id)).sessions_valid_from == now + 1
    stage.clock.move(10)
    await users.update(stage.root, user.upn, UserChange(password=PASSWORD + "!"))
    assert (await stage.state(user.object_id)).sessions_valid_from == now + 11
    stage.clock.move(10)
    await users.update(stage.root, user.upn, UserChange(enabled=False))
    state = await stage.state(user.object_id)
    assert (state.enabled, state.sessions_valid_from) == (False, now + 21)
    await users.delete(stage.root, user.upn)
    assert await stage.state(user.object_id) is None


async def test_nested_groups_reach_through_and_a_circle_does_no_harm(stage: DirectoryStage) -> None:
    groups, root = stage.directory.groups, stage.root
    ada = await stage.user("ada")
    inner = await groups.create(root, NewGroup("inner", members=[ada.object_id]))
    outer = await groups.create(root, NewGroup("outer", members=[inner.object_id]))
    await groups.add_member(root, inner.object_id, outer.object_id)
    assert (await stage.state(ada.object_id)).groups == {inner.object_id, outer.object_id}
    around = await groups.groups_of(root, ada.object_id, direct=False)
    assert {one.object_id for one in around} == {inner.object_id, outer.object_id}
    assert [one.object_id for one in await groups.groups_of(root, ada.object_id, direct=True)] == [inner.object_id]
    await groups.remove_member(root, inner.object_id, ada.object_id)
    assert (await stage.state(ada.object_id)).groups == frozenset()
    with pytest.raises(BadRequest):
        await groups.add_member(root, inner.object_id, inner.object_id)


async def test_a_deleted_group_takes_its_memberships_along(stage: DirectoryStage) -> None:
    ada = await stage.user("ada")
    group = await stage.directory.groups.create(stage.root, NewGroup("g", members=[ada.object_id]))
    assert (await stage.state(ada.object_id)).groups == {group.object_id}
    await stage.directory.groups.delete(stage.root, group.object_id)
    assert (await stage.state(ada.object_id)).groups == frozenset()
    with pytest.raises(NotFound):
        await stage.directory.groups.add_member(stage.root, group.object_id, ada.object_id)


async def test_members_come_by_pages_and_twice_is_refused(stage: DirectoryStage) -> None:
    groups, root = stage.directory.groups, stage.root
    people = sorted([(await stage.user(f"user-{number}")).object_id for number in range(5)])
    group = await groups.create(root, NewGroup("g", members=people))
    first = await groups.members(root, group.object_id, after="", most=3)
    rest = await groups.members(root, group.object_id, after=first[-1].object_id, most=3)
    assert [one.object_id for one in (*first, *rest)] == people
    with pytest.raises(BadRequest, match="already exist"):
        await groups.add_member(root, group.object_id, people[0])
    with pytest.raises(NotFound):
        await groups.remove_member(root, group.object_id, group.object_id)


async def test_an_application_has_secrets_that_start_end_and_are_shown_once(stage: DirectoryStage) -> None:
    application = await stage.directory.applications.create(stage.root, NewApplication("app"))
    credentials, now = stage.directory.credentials, int(stage.clock.now())
    one, secret = await credentials.add_secret(stage.root, application.object_id, display_name="first")
    assert secret_matches(secret.reveal(), one.verifier)
    assert (one.hint, one.starts, one.expires) == (secret.reveal()[:3], now, now + 2 * 365 * 86_400)
    assert secret.reveal() not in repr((one, secret))
    later, _ = await credentials.add_secret(
        stage.root, application.object_id, display_name="later", starts=now + 100, expires=now + 200
    )
    assert [later.is_good(now + at) for at in (99, 100, 199, 200)] == [False, True, True, False]
    with pytest.raises(BadRequest):
        await credentials.add_secret(stage.root, application.object_id, display_name="", starts=now, expires=now)
    assert {found.id for found in await credentials.of(application.application_id)} == {one.id, later.id}


async def test_a_removed_credential_is_gone_on_the_next_request(stage: DirectoryStage) -> None:
    directory, root = stage.directory, stage.root
    application = await directory.applications.create(root, NewApplication("app"))
    principal = await directory.service_principals.create(root, application.application_id)
    credential, _ = await directory.credentials.add_secret(root, application.object_id, display_name="")
    record = await directory.federation.create(root, application.application_id, NewFederation("ci-1", ISSUER, "main"))
    assert (await stage.state(principal.object_id)).credentials == {credential.id, record.id}
    await directory.credentials.remove(root, application.object_id, credential.id, CredentialKind.SECRET)
    assert (await stage.state(principal.object_id)).credentials == {record.id}
    await directory.federation.delete(root, application.application_id, "CI-1")
    assert (await stage.state(principal.object_id)).credentials == frozenset()
    await directory.service_principals.update(root, principal.object_id, ServicePrincipalChange(enabled=False))
    assert not (await stage.state(principal.object_id)).enabled
    acting = await stage.cache.application_state(stage.tenant.id, application.application_id)
    assert acting is not None and not acting.enabled
    await directory.applications.delete(root, application.object_id)
    assert await stage.state(principal.object_id) is None
    assert await stage.cache.application_state(stage.tenant.id, application.application_id) is None


async def test_certificates_are_exactly_those_that_are_named(stage: DirectoryStage, rsa_key: rsa.RSAPrivateKey) -> None:
    applications, root = stage.directory.applications, stage.root
    first, second = (der(certificate(rsa_key, name)) for name in ("first", "second"))
    made = await applications.create(root, NewApplication("app", certificates=(CertificateOffer("", first),)))
    (kept,) = await stage.directory.credentials.of(made.application_id)
    both = (CertificateOffer(kept.id), CertificateOffer("", second, "second"))
    await applications.update(root, made.object_id, ApplicationChange(certificates=both))
    assert len(await stage.directory.credentials.of(made.application_id)) == 2
    await applications.update(root, made.object_id, ApplicationChange(certificates=(both[0],)))
    assert await stage.directory.credentials.of(made.application_id) == [kept]
    with pytest.raises(BadRequest):
        again = (both[0], CertificateOffer("", first))
        await applications.update(root, made.object_id, ApplicationChange(certificates=again))
    with pytest.raises(BadRequest):
        broken = (CertificateOffer("", b"no certificate"),)
        await applications.update(root, made.object_id, ApplicationChange(certificates=broken))
    assert await stage.directory.credentials.of(made.application_id) == [kept]


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


async def test_redirect_uris_are_kept_by_kind_and_bad_ones_are_refused(stage: DirectoryStage) -> None:
    applications, root = stage.directory.applications, stage.root
    local = RedirectUri(RedirectKind.PUBLIC, "http://localhost")
    made = await applications.create(root, NewApplication("app", redirect_uris=(local,)))
    changed = await applications.update(
        root, made.object_id, ApplicationChange(redirect_uris={RedirectKind.WEB: ("https://app.example/cb",)})
    )
    assert changed.redirect_uris == (local, RedirectUri(RedirectKind.WEB, "https://app.example/cb"))
    for kind, uri in (
        (RedirectKind.WEB, "http://app.example/cb"),
        (RedirectKind.WEB, "myapp://cb"),
        (RedirectKind.PUBLIC, "javascript:alert(1)"),
        (RedirectKind.WEB, "https://app.example/cb#x"),
        (RedirectKind.WEB, "https://*.example/cb"),
        (RedirectKind.WEB, "https://[broken/"),
    ):
        with pytest.raises(BadRequest):
            await applications.update(root, made.object_id, ApplicationChange(redirect_uris={kind: (uri,)}))
    assert await applications.get(root, made.object_id) == changed


async def test_an_identifier_uri_is_of_one_application(stage: DirectoryStage) -> None:
    applications, root = stage.directory.applications, stage.root
    one = await applications.create(root, NewApplication("one"))
    two = await applications.create(root, NewApplication("two"))
    change = ApplicationChange(details={"identifier_uris": ("api://one",)})
    await applications.update(root, one.object_id, change)
    await applications.update(root, one.object_id, change)
    with pytest.raises(BadRequest, match="identifierUris"):
        await applications.update(root, two.object_id, change)


async def test_there_is_one_service_principal_for_a_tenant_and_application(stage: DirectoryStage) -> None:
    directory, root = stage.directory, stage.root
    application = await directory.applications.create(root, NewApplication("app"))
    await directory.service_principals.create(root, application.application_id)
    with pytest.raises(Conflict):
        await directory.service_principals.create(root, application.application_id)
    with pytest.raises(BadRequest):
        await directory.service_principals.create(root, "99999999-0000-0000-0000-000000000000")


async def test_an_application_of_one_tenant_is_a_stranger_in_another_unless_it_is_for_several(
    stage: DirectoryStage,
) -> None:
    directory, theirs = stage.directory, stage.operator.__class__(stage.other.id, "")
    application = await directory.applications.create(stage.root, NewApplication("app"))
    with pytest.raises(BadRequest):
        await directory.service_principals.create(theirs, application.application_id)
    change = ApplicationChange(details={"sign_in_audience": "AzureADMultipleOrgs"})
    await directory.applications.update(stage.root, application.object_id, change)
    there = await directory.service_principals.create(theirs, application.application_id)
    assert there.tenant_id == stage.other.id
    for refused in (
        directory.applications.get(theirs, application.object_id),
        directory.credentials.add_secret(theirs, application.object_id, display_name=""),
        directory.federation.of(theirs, application.application_id),
        directory.users.get(theirs, stage.administrators[next(iter(stage.administrators))]),
    ):
        with pytest.raises(NotFound):
            await refused


async def test_federated_credentials_are_exact_few_and_unique(stage: DirectoryStage) -> None:
    directory, root = stage.directory, stage.root
    id = (await directory.applications.create(root, NewApplication("app"))).application_id
    for new in (
        NewFederation("no", ISSUER, "subject"),
        NewFederation("name", "http://plain.example", "subject"),
        NewFederation("name", ISSUER, ""),
        NewFederation("name", ISSUER, "subject", ()),
        NewFederation("name", ISSUER, "subject", ("a", "b")),
    ):
        with pytest.raises(BadRequest):
            await directory.federation.create(root, id, new)
    for number in range(MOST_FEDERATED_CREDENTIALS):
        await directory.federation.create(root, id, NewFederation(f"name-{number}", ISSUER, f"subject-{number}"))
    with pytest.raises(BadRequest, match="at most 20"):
        await directory.federation.create(root, id, NewFederation("one-more", ISSUER, "subject"))
    await directory.federation.delete(root, id, "name-19")
    for taken in (NewFederation("NAME-0", ISSUER, "x"), NewFederation("other", ISSUER, "subject-0")):
        with pytest.raises(Conflict):
            await directory.federation.create(root, id, taken)
    await directory.federation.update(root, id, "name-1", FederationChange(subject="changed"))
    assert (await directory.federation.get(root, id, "NAME-1")).subject == "changed"


async def test_identities_belong_to_a_resource(stage: DirectoryStage) -> None:
    identities, root = stage.directory.identities, stage.root
    machine = MACHINE.format("Microsoft.Compute/virtualMachines/vm1")
    made, header = await identities.create(root, machine)
    (credential,) = (await stage.state(made.object_id)).credentials
    assert (made.display_name, header.reveal() in repr(header)) == ("vm1", False)
    with pytest.raises(Conflict):
        await identities.create(root, machine.upper())
    with pytest.raises(BadRequest):
        await identities.create(root, "/subscriptions/x")
    await identities.reset_header(root, made.object_id)
    assert credential not in (await stage.state(made.object_id)).credentials
    with pytest.raises(Forbidden):
        await stage.directory.service_principals.delete(root, made.object_id)
    await identities.delete(root, made.object_id)
    assert await stage.state(made.object_id) is None


async def test_a_user_assigned_identity_may_have_federated_credentials(stage: DirectoryStage) -> None:
    made, _ = await stage.directory.identities.create(
        stage.root, MACHINE.format("Microsoft.ManagedIdentity/userAssignedIdentities/id1")
    )
    record = await stage.directory.federation.create(
        stage.root, made.application_id, NewFederation("ci-1", ISSUER, "main")
    )
    assert record.id in (await stage.state(made.object_id)).credentials


async def test_a_tenant_has_a_domain_of_its_own(stage: DirectoryStage) -> None:
    tenants = stage.directory.tenants
    made = await tenants.create("Third", "Third.example")
    assert await tenants.find("THIRD.EXAMPLE") == made
    for domain in ("dev.example", "nodots", "22222222-0000-0000-0000-000000000001", "-x.example", ""):
        with pytest.raises(BadRequest):
            await tenants.create("Again", domain)
