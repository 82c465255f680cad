"""`hsmvault directory` on the data directory of an embedded instance that does not run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from hsmvault.cli.main import main
from hsmvault.store.migrations import migrate
from tests.login.world import certificate, key_pem

PASSWORD = "Vor-dem-Tor-steht-7-Linden"
NOBODY = "99999999-0000-0000-0000-000000000000"
Run = Callable[..., str]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("directory") / "hsmvault.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def data_dir(tmp_path: Path, empty: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir(mode=0o700)
    shutil.copy(empty, path / "hsmvault.db")
    return path


@pytest.fixture
def run(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """run(*arguments, code=0): what the command says."""

    def run(*arguments: str, code: int = 0) -> str:
        assert main(["directory", *arguments, "--data-dir", str(data_dir)]) == code
        said = capsys.readouterr()
        return said.err if code else said.out

    return run


@pytest.fixture
def tenant(run: Run) -> dict[str, Any]:
    return json.loads(run("tenant", "create", "Dev", "dev.example"))


def made(run: Run, *arguments: str) -> dict[str, Any]:
    return json.loads(run(*arguments))


def password_file(folder: Path, text: str = PASSWORD) -> str:
    file = folder / "password"
    file.write_text(text + "\n")
    file.chmod(0o600)
    return str(file)


def test_a_first_tenant_is_the_default_one(run: Run) -> None:
    assert "hsmvault directory tenant create" in run("user", "list", code=2)
    first = made(run, "tenant", "create", "Dev", "Dev.example")
    run("tenant", "create", "Other", "other.example")
    assert first["verifiedDomains"][0]["name"] == "dev.example"
    assert len(run("tenant", "list").splitlines()) == 2
    run("tenant", "rename", "dev.example", "Development")
    assert made(run, "tenant", "show", first["id"])["displayName"] == "Development"
    run("group", "create", "here")
    run("group", "create", "there", "--tenant", "other.example")
    assert "here" in run("group", "list") and "there" not in run("group", "list")
    assert "already exists" in run("tenant", "create", "Again", "DEV.example", code=2)


def test_people_come_change_and_go(run: Run, tenant: dict[str, Any], tmp_path: Path) -> None:
    user = made(run, "user", "create", "ada@dev.example", "Ada", "--password-file", password_file(tmp_path))
    assert PASSWORD not in str(user)
    generated = made(run, "user", "create", "bob@dev.example", "Bob", "--generate-password", "--keep")
    assert len(generated["password"]) == 40
    run("user", "update", "ada@dev.example", "--name", "Ada L")
    run("user", "disable", user["id"])
    assert run("user", "list").count("(disabled)") == 1
    run("user", "enable", user["id"])
    run("user", "revoke-sessions", user["id"])
    run("user", "reset-password", user["id"], "--generate-password")
    assert made(run, "user", "show", user["id"])["displayName"] == "Ada L"
    run("user", "delete", "bob@dev.example")
    assert "does not exist" in run("user", "show", "bob@dev.example", code=2)


def test_a_password_comes_from_a_file_of_ones_own_and_must_be_good(
    run: Run, tenant: dict[str, Any], tmp_path: Path
) -> None:
    file = Path(password_file(tmp_path, "weak"))
    new = ("user", "create", "ada@dev.example", "Ada")
    assert "complexity" in run(*new, "--password-file", str(file), code=2)
    file.chmod(0o644)
    assert "chmod 0600" in run(*new, "--password-file", str(file), code=2)
    assert "--generate-password" in run(*new, code=2)
    assert run("user", "list") == ""


@pytest.mark.slow
def test_groups_have_members_and_owners(run: Run, tenant: dict[str, Any]) -> None:
    group, inner = (made(run, "group", "create", name)["id"] for name in ("outer", "inner"))
    run("group", "add-member", group, inner)
    assert run("group", "members", group).split()[:2] == [inner, "Group"]
    assert "already exist" in run("group", "add-member", group, inner, code=2)
    app = made(run, "app", "create", "app")
    run("group", "add-owner", group, app["servicePrincipalId"])
    assert app["servicePrincipalId"] in run("group", "owners", group)
    run("group", "remove-owner", group, app["servicePrincipalId"])
    run("group", "update", group, "--description", "d")
    assert made(run, "group", "show", group)["description"] == "d"
    run("group", "remove-member", group, inner)
    run("group", "delete", inner)
    assert len(run("group", "list").splitlines()) == 1


@pytest.mark.slow
def test_applications_have_secrets_certificates_and_federations(
    run: Run, tenant: dict[str, Any], tmp_path: Path
) -> None:
    app = made(run, "app", "create", "app", "--with-secret", "--public-redirect-uri", "http://localhost")
    client = app["appId"]
    assert app["secretText"][:3] == app["passwordCredentials"][0]["hint"]
    second = made(run, "app", "add-secret", client, "--days", "7", "--name", "ci")
    key = rsa.generate_private_key(65537, 2048)
    file = tmp_path / "cert.pem"
    file.write_bytes(key_pem(key) + certificate(key).public_bytes(Encoding.PEM))
    made(run, "app", "add-certificate", client, str(file))
    made(run, "app", "federate", client, "gitlab", "--issuer", "https://ci.example", "--subject", "main")
    assert "https://ci.example  main  api://AzureADTokenExchange" in run("app", "federations", client)
    run("app", "unfederate", client, "gitlab")
    run("app", "remove-credential", client, second["keyId"])
    updated = made(run, "app", "update", client, "--public-client", "--web-redirect-uri", "https://app.example/cb")
    assert (updated["isFallbackPublicClient"], updated["web"]["redirectUris"]) == (True, ["https://app.example/cb"])
    assert updated["publicClient"]["redirectUris"] == ["http://localhost"]
    assert (len(updated["passwordCredentials"]), len(updated["keyCredentials"])) == (1, 1)
    assert "secretText" not in run("app", "show", client).replace('"secretText": null', "")
    run("app", "add-owner", client, app["servicePrincipalId"])
    run("sp", "disable", client)
    assert "(disabled)" in run("sp", "list")
    run("sp", "enable", client)
    run("sp", "delete", client)
    run("sp", "create", client)
    assert made(run, "sp", "show", client)["appId"] == client
    run("app", "delete", client)
    assert run("app", "list") == run("sp", "list") == ""


@pytest.mark.slow
def test_identities_and_roles(run: Run, tenant: dict[str, Any]) -> None:
    resource = (
        "/subscriptions/33333333-0000-0000-0000-000000000001/resourceGroups/rg"
        "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id1"
    )
    identity = made(run, "identity", "create", resource, "--local")
    assert len(identity["identityHeader"]) == 40 and identity["servicePrincipalType"] == "ManagedIdentity"
    assert made(run, "identity", "reset-header", identity["id"])["identityHeader"] != identity["identityHeader"]
    run("identity", "federate", identity["appId"], "k8s", "--issuer", "https://k.example", "--subject", "s")
    run("role", "add", identity["id"], "Global Administrator")
    assert run("role", "list").startswith(f"Global Administrator  {identity['id']}")
    run("role", "remove", identity["id"], "62e90394-69f5-4237-9190-012177145e10")
    assert run("role", "list") == ""
    assert "There is no role" in run("role", "add", identity["id"], "Emperor", code=2)
    assert "does not exist" in run("role", "add", NOBODY, "Global Administrator", code=2)
    run("identity", "delete", identity["id"])
    assert run("identity", "list") == ""


def test_every_change_is_recorded_and_a_refused_one_too(run: Run, tenant: dict[str, Any], data_dir: Path) -> None:
    secret = made(run, "app", "create", "app", "--with-secret")["secretText"]
    run("group", "delete", NOBODY, code=2)
    run("group", "list")
    (log,) = (data_dir / "audit").glob("audit-directory-*.jsonl")
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(one["operationName"], one["resultSignature"]) for one in records] == [
        ("DirectoryTenantCreate", "Begun"),
        ("DirectoryTenantCreate", "OK"),
        ("DirectoryApplicationCreate", "Begun"),
        ("DirectoryApplicationCreate", "OK"),
        ("DirectoryGroupDelete", "Begun"),
        ("DirectoryGroupDelete", "Failed"),
    ]
    assert records[2]["resourceId"] == f"/TENANTS/{tenant['id'].upper()}/DIRECTORY"
    assert secret not in log.read_text()


def test_a_place_without_an_instance_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["directory", "user", "list", "--data-dir", str(tmp_path / "none")]) == 2
    assert "There is no instance" in capsys.readouterr().err
