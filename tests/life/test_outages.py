"""Receivers of events and of mail that are away while certificates and secrets live on, and while the worker is
replaced by another."""

import asyncio
import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from hsmvault.store.schedule import What
from tests.life.worker import CONTACTS, DAY, HOUR, Life, Told, told_of

POLICY = {
    "key_props": {"kty": "EC", "crv": "P-256", "exportable": True},
    "secret_props": {"contentType": "application/x-pem-file"},
    "x509_props": {"subject": "CN=www.example.org", "validity_months": 6},
    "issuer": {"name": "Self"},
    "lifetime_actions": [{"action": {"action_type": "AutoRenew"}, "trigger": {"days_before_expiry": 60}}],
}


async def test_what_happened_while_receivers_were_away_arrives_behind_a_restart(
    installation: Life, caplog: pytest.LogCaptureFixture
) -> None:
    one = installation
    async with one.serving():
        await one.good("PUT", "/certificates/contacts", {"contacts": [{"email": address} for address in CONTACTS]})
        assert (await one.create("site", POLICY))["status"] == "completed"
        first = await one.good("GET", "/certificates/site")
        assert one.told() == told_of(first, "NewVersionCreated", one.now())
        due = first["attributes"]["exp"] - 60 * DAY
        assert (await one.scheduled("site"))[What.RENEW] == due
        # renewed, while nobody listens
        one.grid.is_away = one.cloud.is_away = True
        one.mailbox.answer = "451 later"
        await one.move_to(due + 300)
        renewed_at = one.now()
        await one.move(300)
        second = await one.good("GET", "/certificates/site")
        assert second["id"] != first["id"]
        assert one.recorded() == [("CertificateEnroll", 200), ("CertificateRenew", 200)]
        await one.move(HOUR)
        assert (one.told(), one.mails()) == ([], [])
    one.clock.move(HOUR)
    async with one.serving():
        assert (one.told(), one.mails()) == ([], [])
        # one is back, and is not kept by the other
        one.grid.is_away = False
        one.mailbox.answer = "250 OK"
        await one.move(HOUR)
        assert len(one.grid.receiver.received) == 6
        assert len(one.cloud.receiver.received) == 3
        assert one.grid.receiver.received[3].headers["aeg-delivery-count"] != "0"
        one.cloud.is_away = False
        await one.move(HOUR)
        assert one.told() == told_of(second, "NewVersionCreated", renewed_at)
        assert one.mails() == [(contact, "Certificate site in vault north was renewed") for contact in CONTACTS]
        await one.move(6 * HOUR)
        assert (one.told(), one.mails(), one.recorded()) == ([], [], [])
        # the certificate did not suffer from it
        secret = await one.good("GET", "/secrets/site")
        assert secret["contentType"] == "application/x-pem-file"
        leaf = x509.load_der_x509_certificate(base64.b64decode(second["cer"]))
        assert x509.load_pem_x509_certificates(secret["value"].encode()) == [leaf]
        assert load_pem_private_key(secret["value"].encode(), None).public_key() == leaf.public_key()
        assert await one.signs("site") == "signs"
    assert "Traceback" not in caplog.text


@pytest.mark.slow
async def test_an_event_that_was_taken_when_the_worker_died_comes_again(installation: Life) -> None:
    one = installation
    async with one.serving():
        one.grid.receiver.holding = one.cloud.receiver.holding = asyncio.Event()
        made = await one.good("PUT", "/secrets/password", {"value": "sesame"})
        running = asyncio.create_task(one.parts.jobs.tick())
        await one.grid.receiver.gets(1)
        await one.cloud.receiver.gets(1)
        running.cancel()  # as the death of the process: the answers are heard by nobody
        await asyncio.gather(running, return_exceptions=True)
        for job in one.parts.jobs._running.values():
            job.cancel()
        await asyncio.gather(*one.parts.jobs._running.values(), return_exceptions=True)
        one.grid.receiver.holding.set()
        one.grid.receiver.holding = one.cloud.receiver.holding = None
    async with one.serving():
        for hook in (one.grid, one.cloud):
            before, again = hook.receiver.received
            assert before.json == again.json
        assert [told.data["Id"] for told in one.told()] == [made["id"]] * 2


async def test_a_secret_is_told_of_when_it_is_new_before_its_end_and_at_it(worker: Life) -> None:
    one = worker
    begins = one.now()
    ends = begins + 40 * DAY

    def told(version: str, what: str, exp: int | None) -> Told:
        bundle = {"id": "", "kid": "", "sid": version, "attributes": {"nbf": None, "exp": exp}}
        (only,) = [told for told in told_of(bundle, what, one.now()) if told.data["ObjectType"] == "Secret"]
        return only

    first = await one.good("PUT", "/secrets/Password", {"value": "open sesame"})
    await one.settle()
    assert one.told() == [told(first["id"], "NewVersionCreated", None)]
    second = await one.good("PUT", "/secrets/password", {"value": "open", "attributes": {"exp": ends}})
    await one.settle()
    assert second["id"].startswith(f"{one.origin}/secrets/Password/")
    assert one.told() == [told(second["id"], "NewVersionCreated", ends)]
    assert await one.scheduled("password", "secrets") == {What.NEAR_EXPIRY: ends - 30 * DAY, What.EXPIRED: ends}
    await one.move_to(ends - 30 * DAY - HOUR)
    assert (one.told(), one.recorded()) == ([], [])
    await one.move_to(ends - 30 * DAY + 300)
    assert one.told() == [told(second["id"], "NearExpiry", ends)]
    assert one.recorded() == [("SecretNearExpiryEventGridNotification", 200)]
    await one.move_to(ends + 300)
    assert one.told() == [told(second["id"], "Expired", ends)]
    assert one.recorded() == [("SecretExpiredEventGridNotification", 200)]
    assert (await one.good("GET", "/secrets/password"))["value"] == "open"  # the times of a secret inform, no more
    await one.good("DELETE", "/secrets/password")
    await one.move(7 * DAY + HOUR)
    assert (await one.call("GET", "/deletedsecrets/password")).status == 404
    assert one.recorded() == [("SecretPurge", 200)]
    assert (one.told(), one.mails()) == ([], [])
