"""The event that tells of changed access policies, as subscribers get it."""

import json

from hsmvault.jobs.event_bodies import Schema, content
from hsmvault.store.outbox import Event
from tests.jobs.rig import VAULT

ORIGIN = "https://dev.vault.localhost:8443"
EVENT = Event("event", "VaultAccessPolicyChanged", 1_750_000_000, VAULT.id, "Vault", "Dev", "", None, None)


def test_an_event_about_a_vault_names_the_vault_itself() -> None:
    body, _ = content(Schema.EVENT_GRID, EVENT, VAULT, ORIGIN, "subscriber", 0)
    (told,) = json.loads(body)
    assert (told["eventType"], told["subject"], told["topic"]) == (
        "Microsoft.KeyVault.VaultAccessPolicyChanged",
        "Dev",
        VAULT.resource_id,
    )
    assert told["data"] == {
        "Id": f"{ORIGIN}/",
        "VaultName": "dev",
        "ObjectType": "Vault",
        "ObjectName": "Dev",
        "Version": "",
        "NBF": None,
        "EXP": None,
    }


def test_the_same_as_a_cloud_event() -> None:
    body, headers = content(Schema.CLOUD_EVENTS, EVENT, VAULT, ORIGIN, "subscriber", 0)
    told = json.loads(body)
    assert (told["type"], told["source"]) == ("Microsoft.KeyVault.VaultAccessPolicyChanged", VAULT.resource_id)
    assert told["data"]["Id"] == f"{ORIGIN}/"
    assert headers["Content-Type"].startswith("application/cloudevents+json")
