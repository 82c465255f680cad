"""az for somebody who may read and nothing else: dev-user, whose group is Key Vault Reader of the vault `dev`."""

import pytest

from tests.az.runner import Az, AzFailed

pytestmark = pytest.mark.slow


def test_a_reader_sees_one_vault_and_what_it_has_and_changes_nothing(az: Az, newcomer: Az) -> None:
    environment, vault = newcomer.environment, ("--vault-name", "dev")
    az("keyvault", "secret", "set", *vault, "-n", "az-hidden", "--value", "not for readers")
    key = az("keyvault", "key", "create", *vault, "-n", "az-public", "--kty", "EC", "--curve", "P-256")["key"]["kid"]
    az("keyvault", "create", "-n", "az-unseen", "-g", "hsmvault", "-l", "local", "--retention-days", "7")

    login = environment["AZURE_AUTHORITY_HOST"] + "/adfs"  # test_people.py says why
    newcomer("cloud", "update", "-n", "hsmvault", "--endpoint-active-directory", login)
    (account,) = newcomer("login", "-u", environment["HSMVAULT_USER_NAME"], "-p", environment["HSMVAULT_USER_PASSWORD"])
    assert account["id"] == environment["AZURE_SUBSCRIPTION_ID"]
    assert [one["name"] for one in newcomer("keyvault", "list")] == ["dev"]
    assert [one["name"] for one in newcomer("resource", "list")] == ["dev"]
    shown = newcomer("keyvault", "show", "-n", "dev")
    assert newcomer("keyvault", "key", "show", "--id", key)["key"]["kid"] == key
    assert "az-hidden" in {one["name"] for one in newcomer("keyvault", "secret", "list", *vault)}
    person = newcomer("ad", "signed-in-user", "show")
    assert person["userPrincipalName"] == environment["HSMVAULT_USER_NAME"]
    roles = {one["roleDefinitionName"] for one in newcomer("role", "assignment", "list", "--scope", shown["id"])}
    assert "Key Vault Reader" in roles

    digest = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    for words in (
        ("secret", "show", *vault, "-n", "az-hidden"),
        ("secret", "set", *vault, "-n", "az-hidden", "--value", "x"),
        ("key", "sign", "--id", key, "--algorithm", "ES256", "--digest", digest),
        ("key", "delete", *vault, "-n", "az-public"),
        ("key", "create", *vault, "-n", "az-mine", "--kty", "EC"),
    ):
        with pytest.raises(AzFailed, match="not authorized to perform action"):
            newcomer("keyvault", *words)
    for words in (
        ("keyvault", "update", "-n", "dev", "--set", "tags.mine=yes"),
        ("keyvault", "delete", "-n", "dev"),
        ("keyvault", "create", "-n", "az-mine", "-g", "hsmvault", "-l", "local"),
        ("keyvault", "show", "-n", "az-unseen", "-g", "hsmvault"),
        ("group", "create", "-n", "az-mine", "-l", "local"),
        (
            *("role", "assignment", "create", "--role", "Key Vault Administrator", "--scope", shown["id"]),
            *("--assignee-object-id", person["id"], "--assignee-principal-type", "User"),
        ),
    ):
        with pytest.raises(AzFailed, match="AuthorizationFailed"):
            newcomer(*words)
    with pytest.raises(AzFailed, match="Insufficient privileges"):
        newcomer("ad", "group", "create", "--display-name", "az-mine", "--mail-nickname", "az-mine")
    assert az("keyvault", "show", "-n", "dev")["tags"] == shown["tags"]
    az("keyvault", "delete", "-n", "az-unseen")
    az("keyvault", "purge", "-n", "az-unseen")
