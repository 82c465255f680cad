"""Certificates from an ACME server in the life of a whole worker: proved over the listener for plain HTTP and by a DNS
hook, renewed, refused, and while the server is away. What was published for a challenge never stays."""

import asyncio
import base64
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from hsmvault.outbound.acme_jws import dns_answer
from tests.acme_server import AcmeDouble, Fault, acme_double
from tests.caller import eventually
from tests.life.worker import CONTACTS, DAY, HOUR, Life, life, told_of
from tests.resources.acme_rig import get
from tests.softhsm import SoftToken

HOOK = """#!/bin/sh
# zone add|remove NAME VALUE: a file for each record; in trouble while there is a file named so,
# and busy likewise
test ! -e "$1/trouble" || { echo "the zone is locked"; exit 3; }
if test -e "$1/busy" && test "$2" = add; then touch "$1/begun"; while test -e "$1/busy"; do sleep 0.02; done; fi
case "$2" in
  add) mkdir -p "$1/$3" && touch "$1/$3/$4" ;;
  remove) rm -f "$1/$3/$4" ;;
esac
echo "$2 $3" >> "$1/log"
"""


def policy_of(*names: str) -> dict[str, Any]:
    return {
        "key_props": {"kty": "EC", "crv": "P-256", "exportable": False},
        "x509_props": {"subject": f"CN={names[0]}", "sans": {"dns_names": names}},
        "issuer": {"name": "public"},
        "lifetime_actions": [{"action": {"action_type": "AutoRenew"}, "trigger": {"days_before_expiry": 45}}],
    }


@asynccontextmanager
async def ordering(token: SoftToken, folder: Path, table: str) -> AsyncIterator[tuple[Life, AcmeDouble]]:
    """A worker whose vault has an issuer `public`, and its server, whose certificates are good for 90 days. table: the
    rest of [[acme]]."""
    (folder / "acme").mkdir()
    async with acme_double(folder / "acme") as double:
        acme = f'[[acme]]\nname = "double"\ndirectory = "{double.directory}"\nca_file = "acme/ca.pem"\n{table}'
        async with life(token, folder, acme + "terms_agreed = true\n") as one, one.serving():
            double.dates = lambda: (now_of(one) - timedelta(hours=1), now_of(one) + timedelta(days=90))
            await one.good("PUT", "/certificates/contacts", {"contacts": [{"email": one} for one in CONTACTS]})
            issuer = {"provider": "ACME", "credentials": {"account_id": "double"}}
            await one.good("PUT", "/certificates/issuers/public", issuer)
            yield one, double


def now_of(one: Life) -> datetime:
    return datetime.fromtimestamp(one.now(), UTC)


def published(one: Life) -> int:
    """Answers that the listener for plain HTTP would give."""
    with sqlite3.connect(one.folder / "data" / "hsmvault.db") as database:
        return int(database.execute("SELECT count(*) FROM acme_challenges").fetchone()[0])


def names_of(bundle: dict[str, Any]) -> list[str]:
    certificate = x509.load_der_x509_certificate(base64.b64decode(bundle["cer"]))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return sorted(names.get_values_for_type(x509.DNSName))


def mails_of(subject: str) -> list[tuple[str, str]]:
    return [(contact, subject) for contact in CONTACTS]


@pytest.mark.slow
async def test_a_certificate_is_proved_over_http_and_renewed_when_its_server_is_back(
    softhsm: SoftToken, tmp_path: Path
) -> None:
    async with ordering(softhsm, tmp_path, "") as (one, double):
        looked: list[tuple[str, int]] = []
        is_reachable = True

        async def validate(kind: str, name: str, token: str, answer: str) -> bool:
            status, body = await get(f"http://127.0.0.1:{one.settings.pki_port}/.well-known/acme-challenge/{token}")
            looked.append((name, status))
            return is_reachable and kind == "http-01" and body == answer.encode()

        double.validate = validate
        operation = await one.create("web", policy_of("a.example.org", "b.example.org"))
        assert operation["status"] == "completed"
        first = await one.good("GET", "/certificates/web")
        assert names_of(first) == ["a.example.org", "b.example.org"]
        assert sorted(looked) == [("a.example.org", 200), ("b.example.org", 200)]
        assert published(one) == 0
        assert one.told() == told_of(first, "NewVersionCreated", one.now())
        assert one.recorded() == [("CertificateEnroll", 200)]
        # the server is away when it is time to renew
        due = first["attributes"]["exp"] - 45 * DAY
        double.faults = [Fault("/", 503, times=1_000_000)]
        await one.move_to(due + 300)
        operation = await one.good("GET", "/certificates/web/pending")
        assert (operation["status"], operation["error"]["code"]) == ("inProgress", "ServiceUnavailable")
        for _ in range(25):
            await one.move(HOUR)
        assert one.mails() == mails_of("Certificate web in vault north could not be renewed")
        assert operation["error"]["message"] in one.mailbox.messages[-1].get_content()
        assert (one.told(), one.recorded()) == ([], [])
        assert await one.signs("web") == "signs"
        # it is back
        double.faults = []
        await one.move(HOUR)
        operation = await one.good("GET", "/certificates/web/pending")
        assert operation["status"] == "completed"
        assert "error" not in operation
        second = await one.good("GET", "/certificates/web")
        assert second["id"] != first["id"]
        assert second["attributes"]["exp"] > first["attributes"]["exp"]
        assert one.told() == told_of(second, "NewVersionCreated", one.now())
        assert one.recorded() == [("CertificateRenew", 200)]
        await one.move(600)
        assert one.mails() == mails_of("Certificate web in vault north was renewed")
        assert published(one) == 0
        # a renewal that the server refuses is told, and begun again a day later
        is_reachable = False
        due = second["attributes"]["exp"] - 45 * DAY
        await one.move_to(due + 300)
        operation = await one.good("GET", "/certificates/web/pending")
        assert (operation["status"], operation["error"]["code"]) == ("failed", "Request rejected")
        assert "could not be validated" in operation["error"]["message"]
        assert one.recorded() == [("CertificateRenew", 400)]
        await one.move(600)
        assert one.mails() == mails_of("Certificate web in vault north could not be renewed")
        assert operation["error"]["message"].split(".")[0] in one.mailbox.messages[-1].get_content()
        assert (published(one), one.told(), await one.signs("web")) == (0, [], "signs")
        assert (await one.good("GET", "/certificates/web"))["id"] == second["id"]
        is_reachable = True
        await one.move(DAY)
        third = await one.good("GET", "/certificates/web")
        assert one.told() == told_of(third, "NewVersionCreated", one.now())
        assert one.recorded() == [("CertificateRenew", 200)]
        assert len((await one.good("GET", "/certificates/web/versions"))["value"]) == 3
        await one.move(600)
        assert one.mails() == mails_of("Certificate web in vault north was renewed")
        assert published(one) == 0
        assert len(double.contacts) == 1  # one account for all of them


@pytest.mark.slow
async def test_a_name_that_cannot_be_proved_fails_the_operation_and_leaves_no_answer(
    softhsm: SoftToken, tmp_path: Path
) -> None:
    async with ordering(softhsm, tmp_path, "") as (one, double):
        open_then: list[int] = []

        async def validate(kind: str, name: str, token: str, answer: str) -> bool:
            open_then.append(published(one))
            return name == "a.example.org"

        double.validate = validate
        operation = await one.create("web", policy_of("a.example.org", "b.example.org"))
        assert operation["status"] == "failed"
        assert operation["error"]["code"] == "Request rejected"
        assert operation["error"]["message"].startswith("b.example.org could not be validated.")
        assert max(open_then) > 0
        assert published(one) == 0
        assert one.told() == []
        assert one.recorded() == [("CertificateEnroll", 400)]
        bundle = await one.good("GET", "/certificates/web")
        assert "cer" not in bundle
        assert (await one.opens("web"), await one.signs("web")) == ("SecretDisabled", "KeyDisabled")
        # the next attempt takes its place
        double.validate = None
        operation = await one.create("web", policy_of("a.example.org", "b.example.org"))
        assert operation["status"] == "completed"
        made = await one.good("GET", "/certificates/web")
        assert made["id"] != bundle["id"]
        assert len((await one.good("GET", "/keys/web/versions"))["value"]) == 1


async def under_way(one: Life) -> None:
    """An order of which the server does not look at the published answer."""
    operation = await one.create("web", policy_of("a.example.org"))
    assert operation["status"] == "inProgress"
    assert published(one) == 1


async def test_whoever_ends_an_order_takes_its_answers_away(softhsm: SoftToken, tmp_path: Path) -> None:
    async with ordering(softhsm, tmp_path, "") as (one, double):
        double.validates = False
        # cancelled
        await under_way(one)
        await one.good("PATCH", "/certificates/web/pending", {"cancellation_requested": True})
        await one.settle()
        assert (await one.good("GET", "/certificates/web/pending"))["status"] == "cancelled"
        assert published(one) == 0
        # forgotten
        await under_way(one)
        await one.good("DELETE", "/certificates/web/pending")
        assert published(one) == 0
        assert (await one.call("GET", "/certificates/web")).status == 404
        # deleted with its certificate
        await under_way(one)
        await one.good("DELETE", "/certificates/web")
        await one.settle()
        assert published(one) == 0
        await one.good("POST", "/deletedcertificates/web/recover")
        assert (await one.good("GET", "/certificates/web/pending"))["status"] == "cancelled"
        double.validates = True
        assert (await one.create("web", policy_of("a.example.org")))["status"] == "completed"


@pytest.mark.slow
async def test_a_hook_proves_by_dns_and_its_trouble_is_waited_for(softhsm: SoftToken, tmp_path: Path) -> None:
    zone, program = tmp_path / "zone", tmp_path / "hook"
    zone.mkdir()
    program.write_text(HOOK)
    program.chmod(0o700)
    table = f'challenge = "dns-01"\nhook = ["{program}", "{zone}"]\n'
    async with ordering(softhsm, tmp_path, table) as (one, double):

        async def validate(kind: str, name: str, token: str, answer: str) -> bool:
            return kind == "dns-01" and (zone / f"_acme-challenge.{name}" / dns_answer(answer)).exists()

        def records() -> list[str]:
            return [path.name for path in zone.glob("_acme-challenge.*/*")]

        double.validate = validate
        (zone / "trouble").touch()
        operation = await one.create("web", policy_of("*.example.org"))
        assert operation["status"] == "inProgress"
        assert operation["error"]["message"] == "The answer to the ACME server's challenge could not be published."
        assert "zone" not in str(operation)
        (zone / "trouble").unlink()
        await one.move(61)
        first = await one.good("GET", "/certificates/web")
        assert names_of(first) == ["*.example.org"]
        assert (zone / "log").read_text().splitlines() == [
            "add _acme-challenge.example.org",
            "remove _acme-challenge.example.org",
        ]
        assert records() == []
        assert one.recorded() == [("CertificateEnroll", 200)]
        await one.move_to(first["attributes"]["exp"] - 45 * DAY + 300)
        second = await one.good("GET", "/certificates/web")
        assert second["id"] != first["id"]
        assert one.recorded() == [("CertificateRenew", 200)]
        assert records() == []
        # forgotten while the hook is at work: what it publishes after that is taken away
        double.validates = False
        (zone / "busy").touch()
        creating = asyncio.create_task(one.create("late", policy_of("late.example.org")))
        await asyncio.to_thread(eventually, (zone / "begun").exists, 30, "the hook is not called")
        await one.good("DELETE", "/certificates/late/pending")
        (zone / "busy").unlink()
        with pytest.raises(AssertionError, match="PendingCertificateNotFound"):
            await creating
        assert [line for line in (zone / "log").read_text().splitlines() if "late" in line] == [
            f"{action} _acme-challenge.late.example.org" for action in ("remove", "add", "remove")
        ]
        assert records() == []
