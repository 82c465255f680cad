"""Certificates from ACME servers: orders that any worker can go on with, and what becomes of every refusal."""

import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from hsmvault.clock import MovedClock
from hsmvault.errors import BadRequest, Throttled, Unavailable
from hsmvault.model.certificate_policies import AlternativeNames, CertificatePolicy, X509Properties
from hsmvault.outbound.acme_hook import Hook
from hsmvault.outbound.acme_jws import ExternalBinding
from hsmvault.resources.certificate_issuers.acme_challenges import DnsHook, ServedHere
from hsmvault.resources.certificate_issuers.protocol import Account, Enrolment, Issued, Issuer, Refused, Waiting
from hsmvault.store import acme_challenges, meta
from hsmvault.store.migrations import migrate
from tests.acme_server import AcmeDouble, acme_double
from tests.outbound.acme_parts import REQUEST_KEY
from tests.pebble import pebble
from tests.resources.acme_rig import ACCOUNT, NAME, Rig, enrolment, kept, opened, served
from tests.resources.stage import VAULT, WORLD_ID, stage
from tests.softhsm import SoftToken, softhsm_for_module, softhsm_template

__all__ = ["softhsm_for_module", "softhsm_template"]

ADDRESS = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
HOOK = """#!/bin/sh
# zone add|remove NAME VALUE: a file for each record
case "$2" in
  add) mkdir -p "$1/$3" && touch "$1/$3/$4" ;;
  remove) rm -f "$1/$3/$4" ;;
esac
"""


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("acme") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path


class Publications(ServedHere):
    """The real one, with a list of what was done."""

    def __init__(self, *parts: object) -> None:
        super().__init__(*parts)  # type: ignore[arg-type]  # as given
        self.done: list[str] = []
        self.open: set[str] = set()
        self.failures: list[Exception] = []

    async def publish(self, name: str, token: str, authorization: str) -> None:
        if self.failures:
            raise self.failures.pop(0)
        await super().publish(name, token, authorization)
        self.done.append(f"publish {name}")
        self.open.add(token)

    async def withdraw(self, name: str, token: str, authorization: str) -> None:
        await super().withdraw(name, token, authorization)
        self.done.append(f"withdraw {name}")
        self.open.discard(token)


@asynccontextmanager
async def rig_of(double: AcmeDouble, template: Path, path: Path) -> AsyncIterator[Rig]:
    """The double looks for answers where the listener for plain HTTP would."""
    clock = MovedClock()
    async with opened(template, path, clock) as database:

        async def validate(kind: str, name: str, token: str, answer: str) -> bool:
            async with database.read() as tx:
                return kind == "http-01" and await acme_challenges.find(tx, token) == answer

        double.validate = validate
        yield Rig(double, database, Publications(database, clock), clock)


@pytest.fixture
async def double(tmp_path: Path) -> AsyncIterator[AcmeDouble]:
    async with acme_double(tmp_path) as made:
        yield made


@pytest.fixture
async def rig(double: AcmeDouble, template: Path, tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig_of(double, template, tmp_path / "hsmvault.db") as made:
        yield made


def published(rig: Rig) -> Publications:
    assert isinstance(rig.publisher, Publications)
    return rig.publisher


def leaf_of(outcome: Issued | Refused) -> x509.Certificate:
    assert isinstance(outcome, Issued), outcome
    chain = [x509.load_der_x509_certificate(one) for one in outcome.chain]
    for certificate, issuer in pairwise(chain):
        certificate.verify_directly_issued_by(issuer)
    return chain[0]


def names_of(certificate: x509.Certificate) -> set[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in names}


# real servers


async def test_pebble_issues_for_hosts_and_an_address_that_are_proved_by_http(template: Path, tmp_path: Path) -> None:
    clock = MovedClock()
    async with pebble(tmp_path, rejected_nonces=15) as real, opened(template, tmp_path / "v.db", clock) as database:
        rig = Rig(real, database, ServedHere(database, clock), clock)
        async with served(database, real.http_port) as asked:
            outcome = await rig.issue(enrolment("a.example.com", "b.example.com", ADDRESS, common_name="a.example.com"))
        leaf = leaf_of(outcome)
        assert names_of(leaf) == {"a.example.com", "b.example.com", "127.0.0.1"}
        assert leaf.public_key() == REQUEST_KEY.public_key()
        root = x509.load_pem_x509_certificate(await real.root())
        x509.load_der_x509_certificate(outcome.chain[-1]).verify_directly_issued_by(root)  # type: ignore[union-attr]  # Issued
        async with database.read() as tx:
            left = [await acme_challenges.find(tx, path.rpartition("/")[2]) for path in asked]
        assert len(left) >= 3
        assert not any(left)


@pytest.mark.slow
async def test_pebble_issues_for_a_wildcard_that_a_hook_proves_and_a_key_in_the_hsm_signs(
    softhsm_for_module: SoftToken, tmp_path: Path
) -> None:
    program, zone, key = tmp_path / "hook", tmp_path / "zone", bytes(range(32))
    program.write_text(HOOK)
    program.chmod(0o700)
    bindings = [("kid-1", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")]
    async with stage(softhsm_for_module, tmp_path / "v.db") as on, pebble(tmp_path, bindings=bindings) as real:
        real.resolver.zone = zone
        publisher = DnsHook(Hook((str(program), str(zone)), 10.0))
        world = on.custodians.worlds[WORLD_ID]
        rig = Rig(real, on.database, publisher, on.clock, world=world, binding=ExternalBinding("kid-1", key))
        leaf = leaf_of(await rig.issue(enrolment("*.example.com", "example.com")))
        assert names_of(leaf) == {"example.com", "*.example.com"}
        assert [one for one in zone.rglob("*") if one.is_file()] == []
        async with on.database.read() as tx:
            assert await meta.get(tx, f"statement-key:acme:{NAME}:{WORLD_ID}") is not None


@pytest.mark.slow
async def test_pebble_refuses_what_nobody_proves(template: Path, tmp_path: Path) -> None:
    clock = MovedClock()
    async with pebble(tmp_path) as real, opened(template, tmp_path / "v.db", clock) as database:
        rig = Rig(real, database, ServedHere(database, clock), clock)
        outcome = await rig.issue(enrolment("a.example.com"))  # nothing listens
        assert isinstance(outcome, Refused)
        assert outcome.code == "Request rejected"
        assert outcome.message == (
            "a.example.com could not be validated. The ACME server answered connection: It could not connect to where "
            "the name leads."
        )


# the way of an order


async def test_each_step_is_kept_before_anything_is_done_for_it(rig: Rig, double: AcmeDouble) -> None:
    asking = enrolment("a.example.com", "b.example.com")
    first = await rig.visit(asking)
    assert isinstance(first, Waiting)
    assert first.retry_at == int(rig.clock.now())
    assert published(rig).done == []
    second = await rig.visit(asking := kept(asking, first))
    assert isinstance(second, Waiting)
    assert second.retry_at == int(rig.clock.now())
    assert published(rig).done == []
    assert not any("challenges" in path for path in double.asked)
    third = await rig.visit(kept(asking, second))
    assert isinstance(third, Issued)
    assert published(rig).done == [
        *("publish a.example.com", "publish b.example.com", "withdraw a.example.com", "withdraw b.example.com")
    ]
    assert sum("new-order" in path for path in double.asked) == 1
    assert sum("new-account" in path for path in double.asked) == 1


async def test_a_state_can_be_asked_for_twice_without_harm(rig: Rig, double: AcmeDouble) -> None:
    asking = enrolment("a.example.com")
    for _ in range(2):
        asking = kept(asking, await rig.visit(asking))
    chains = {leaf_of(await rig.issue(asking)).serial_number for _ in range(3)}
    assert len(chains) == 1
    assert len(double.orders) == 1


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)])
async def test_an_answer_that_is_lost_anywhere_costs_nothing_but_time(
    every: int, double: AcmeDouble, template: Path, tmp_path: Path
) -> None:
    asking, double.processing = enrolment("a.example.com", "b.example.com"), 1
    async with rig_of(double, template, tmp_path / "clean.db") as rig:
        leaf_of(await rig.issue(asking))
    length = len(double.asked)
    assert length >= 20
    for lost in range(0, length, every):
        double.forget()
        double.asked.clear()
        double.lost = lost
        async with rig_of(double, template, tmp_path / f"{lost}.db") as rig:
            leaf = leaf_of(await rig.issue(asking))
            assert names_of(leaf) == {"a.example.com", "b.example.com"}
            assert len(rig.failures) == 1, double.asked[lost]
            assert len(double.orders) <= 2
            assert published(rig).open == set()


async def test_names_that_are_proved_already_are_not_proved_again(rig: Rig, double: AcmeDouble) -> None:
    leaf_of(await rig.issue(enrolment("a.example.com")))
    done = len(published(rig).done)
    asking = enrolment("a.example.com")
    asking = kept(asking, await rig.visit(asking))
    for authorization in double.authorizations.values():
        authorization.status = "valid"
    leaf_of(await rig.issue(asking))
    assert len(published(rig).done) == done


async def test_one_account_serves_every_order_and_learns_of_new_contacts(rig: Rig, double: AcmeDouble) -> None:
    for contacts in (["pki@example.com"], ["pki@example.com"], ["new@example.com"], ["new@example.com"]):
        rig.contacts = contacts
        leaf_of(await rig.issue(enrolment("a.example.com")))
    assert sum("new-account" in path for path in double.asked) == 1
    assert sum("/accounts/" in path for path in double.asked) == 1
    assert list(double.contacts.values()) == [["mailto:new@example.com"]]


@pytest.mark.parametrize("visits", [0, 1, 2])
async def test_a_server_that_has_forgotten_everything_gets_a_new_account_and_a_new_order(
    rig: Rig, double: AcmeDouble, visits: int
) -> None:
    leaf_of(await rig.issue(enrolment("first.example.com")))
    asking = enrolment("a.example.com")
    for _ in range(visits):
        asking = kept(asking, await rig.visit(asking))
    double.forget()
    assert names_of(leaf_of(await rig.issue(asking))) == {"a.example.com"}
    assert len(double.key_of) == 1


async def test_an_account_key_that_was_replaced_gets_an_account_and_the_order_begins_anew(
    rig: Rig, double: AcmeDouble
) -> None:
    asking = enrolment("a.example.com")
    for _ in range(2):
        asking = kept(asking, await rig.visit(asking))
    async with rig.database.write() as tx:
        await meta.put(tx, f"acme-account:{NAME}", "damaged")
    rig.clock.move(10 * 365 * 86_400)  # the life of its certificate
    leaf_of(await rig.issue(asking))
    assert len(double.key_of) == 2
    assert len(double.orders) == 2
    assert published(rig).open == set()


async def test_a_server_that_goes_on_forgetting_is_given_up(rig: Rig, double: AcmeDouble) -> None:
    asking = enrolment("a.example.com")
    for _ in range(5):
        asking = kept(asking, await rig.visit(asking))
        double.orders.clear()
    outcome = await rig.visit(asking)
    assert outcome == Refused("Certificate issuer error", "The ACME server forgets its orders.")


@pytest.mark.parametrize("state", [b"{", b'{"format":2}', b"[" * 50_000])
async def test_a_state_that_cannot_be_read_begins_anew(rig: Rig, state: bytes) -> None:
    asking = enrolment("a.example.com")
    leaf_of(await rig.issue(replace(asking, operation=replace(asking.operation, state=state))))


# waiting


async def test_an_order_in_processing_is_waited_for_and_then_asked_again_later(rig: Rig, double: AcmeDouble) -> None:
    double.processing = 100
    asking = enrolment("a.example.com")
    for _ in range(3):
        outcome = await rig.visit(asking)
        asking = kept(asking, outcome)
    assert isinstance(outcome, Waiting)
    assert outcome.details == "The ACME server says that the order is processing."
    assert rig.pauses == [0.5, 1.0, 2.0, 4.0]
    before = rig.clock.now()
    double.retry_after = "700"
    outcome = await rig.visit(asking)
    assert isinstance(outcome, Waiting)
    assert outcome.retry_at == int(before) + 700
    assert len(rig.pauses) == 4
    for order in double.orders.values():
        order.processing = 0
    assert isinstance(await rig.visit(asking), Issued)
    assert published(rig).open == set()


@pytest.mark.parametrize(
    ("path", "kind", "status"),
    [
        ("/directory", "serverInternal", 500),
        ("/new-order", "rateLimited", 429),
        ("/challenges", "serverInternal", 500),
        *(
            pytest.param(path, "serverInternal", 503, marks=pytest.mark.slow)
            for path in ("/nonce", "/new-account", "/orders", "/authorizations", "/finalize", "/certificates")
        ),
    ],
)
async def test_what_may_pass_is_raised_with_its_time_and_then_tried_again(
    rig: Rig, double: AcmeDouble, path: str, kind: str, status: int
) -> None:
    double.fail(path, status, kind, Retry_After="3600")
    leaf_of(await rig.issue(enrolment("a.example.com")))
    (failure,) = rig.failures
    assert failure.retry_after_seconds == 3600
    reason = "503." if path == "/nonce" else f"{kind}: {kind} of the test"  # the answer to HEAD has no body
    assert failure.message == f"The ACME server answered {reason}"
    assert published(rig).open == set()


async def test_the_hsm_or_a_publication_out_of_reach_is_worth_another_try(rig: Rig) -> None:
    rig.custodian.is_out = True
    with pytest.raises(Unavailable):
        await rig.issuer().enrol(enrolment("a.example.com"))
    rig.custodian.is_out = False
    published(rig).failures = [Unavailable("no", detail="disk"), Throttled("later")]
    asking = enrolment("a.example.com")
    for _ in range(2):
        asking = kept(asking, await rig.visit(asking))
    for error in (Unavailable, Throttled):
        with pytest.raises(error):
            await rig.issuer().enrol(asking)
    leaf_of(await rig.issue(asking))


async def test_many_names_are_proved_in_several_visits(rig: Rig) -> None:
    """A hook may take long for each: others shall have their turn."""
    publish = published(rig).publish

    async def slowly(name: str, token: str, authorization: str) -> None:
        rig.clock.move(5)
        await publish(name, token, authorization)

    published(rig).publish = slowly  # type: ignore[method-assign]  # slower than the real one
    hosts = [f"h{number}.example.com" for number in range(9)]
    leaf_of(await rig.issue(enrolment(*hosts)))
    assert len(rig.waits) == 2 + 4
    assert sorted(published(rig).done) == sorted(f"{word} {host}" for word in ("publish", "withdraw") for host in hosts)


# refusals


@pytest.mark.parametrize(
    ("path", "kind", "status", "code"),
    [
        ("/new-order", "rejectedIdentifier", 400, "Request rejected"),
        ("/new-account", "externalAccountRequired", 403, "Certificate issuer error"),
        ("/challenges", "malformed", 400, "Certificate issuer error"),
        ("/finalize", "badCSR", 400, "Request rejected"),
        *(
            pytest.param(*row, "Certificate issuer error", marks=pytest.mark.slow)
            for row in (
                ("/new-account", "userActionRequired", 403),
                ("/new-order", "malformed", 400),
                ("/authorizations", "unauthorized", 403),
                ("/certificates", "malformed", 404),
            )
        ),
    ],
)
async def test_a_refusal_ends_the_enrolment_with_the_servers_reason(
    rig: Rig, double: AcmeDouble, path: str, kind: str, status: int, code: str
) -> None:
    double.fail(path, status, kind)
    outcome = await rig.issue(enrolment("a.example.com"))
    assert isinstance(outcome, Refused)
    assert outcome.code == code
    assert outcome.message.startswith(f"The ACME server answered {kind}: ")
    assert published(rig).open == set()


async def test_an_order_that_becomes_invalid_says_which_name_and_why_but_not_what_the_server_found_there(
    rig: Rig, double: AcmeDouble, caplog: pytest.LogCaptureFixture
) -> None:
    async def never(*_: str) -> bool:
        return False

    double.validate = never
    outcome = await rig.issue(enrolment("a.example.com", "b.example.com"))
    assert isinstance(outcome, Refused)
    assert outcome.code == "Request rejected"
    assert outcome.message.startswith("a.example.com could not be validated. The ACME server answered unauthorized: ")
    assert "no such answer" not in outcome.message
    assert "no such answer" in caplog.text
    assert published(rig).open == set()
    asking = enrolment("a.example.com")
    asking = kept(asking, await rig.visit(asking))
    for order in double.orders.values():
        order.status, order.error = "invalid", {"type": "urn:ietf:params:acme:error:caa", "detail": "CAA forbids it"}
    outcome = await rig.visit(asking)
    expected = "The ACME server answered caa: CAA records forbid it to issue for the name."
    assert outcome == Refused("Request rejected", expected)


async def test_a_challenge_that_was_told_before_a_crash_is_not_an_error(rig: Rig, double: AcmeDouble) -> None:
    asking = enrolment("a.example.com")
    for _ in range(2):
        asking = kept(asking, await rig.visit(asking))
    double.fail("/challenges", 400, "malformed")  # and meanwhile it has been validated

    async def validated(*_: object) -> None:
        for authorization in double.authorizations.values():
            authorization.status = authorization.challenge_status = "valid"

    publish = published(rig).publish

    async def both(name: str, token: str, authorization: str) -> None:
        await publish(name, token, authorization)
        await validated()

    published(rig).publish = both  # type: ignore[method-assign]  # and something else happens at that moment
    double.rewrite["/authorizations"] = lambda body, seen=[]: (
        seen.append(1)
        or (  # type: ignore[misc]  # counts
            body if len(seen) > 1 else body | {"status": "pending"}
        )
    )
    leaf_of(await rig.issue(asking))


async def test_a_challenge_that_is_not_offered_is_a_refusal(rig: Rig, double: AcmeDouble) -> None:
    double.types = ("dns-01",)
    outcome = await rig.issue(enrolment("a.example.com"))
    expected = "The ACME server has no http-01 challenge for a.example.com."
    assert outcome == Refused("Certificate issuer error", expected)


@pytest.mark.parametrize("name", ["evil.example.com", "../../etc"])
async def test_a_server_that_wants_other_names_proved_gets_nothing(rig: Rig, double: AcmeDouble, name: str) -> None:
    double.rewrite["/authorizations"] = lambda body: body | {"identifier": {"type": "dns", "value": name}}
    outcome = await rig.issue(enrolment("a.example.com"))
    assert isinstance(outcome, Refused)
    assert "nobody asked for" in outcome.message
    assert published(rig).done == []


async def test_a_url_elsewhere_ends_the_enrolment(rig: Rig, double: AcmeDouble) -> None:
    double.rewrite["/orders"] = lambda body: body | {"authorizations": ["https://169.254.169.254/latest/meta-data"]}
    outcome = await rig.issue(enrolment("a.example.com"))
    assert outcome == Refused("Certificate issuer error", "The ACME server names a URL that is not its own.")


async def test_a_certificate_for_another_key_is_not_taken(rig: Rig) -> None:
    asking = enrolment("a.example.com")
    other = enrolment("a.example.com", key=ec.generate_private_key(ec.SECP256R1()))
    outcome = await rig.issue(replace(asking, operation=other.operation))
    assert outcome == Refused("Certificate issuer error", "The ACME server's certificate is for another key.")


async def test_a_cancelled_enrolment_leaves_nothing_published(rig: Rig, double: AcmeDouble) -> None:
    double.validates, asking = False, enrolment("a.example.com", "b.example.com")
    for _ in range(3):
        asking = kept(asking, outcome := await rig.visit(asking))
    assert isinstance(outcome, Waiting)
    assert outcome.details == "The ACME server says that the order is pending."
    assert len(published(rig).open) == 2
    await rig.issuer().abandon(asking)
    assert published(rig).open == set()
    await rig.issuer().abandon(enrolment("a.example.com"))
    await rig.issuer().abandon(replace(asking, account=None))


async def test_an_answer_stays_published_until_the_server_has_seen_it(rig: Rig, double: AcmeDouble) -> None:
    double.validates, asking = False, enrolment("a.example.com")
    for _ in range(5):
        asking = kept(asking, await rig.visit(asking))
    assert published(rig).done == ["publish a.example.com"]
    assert sum("challenges" in path for path in double.asked) == 1
    for authorization in double.authorizations.values():
        authorization.status = "valid"
    leaf_of(await rig.issue(asking))
    assert published(rig).open == set()


async def test_an_account_that_is_lost_during_a_visit_is_made_anew(rig: Rig, double: AcmeDouble) -> None:
    leaf_of(await rig.issue(enrolment("first.example.com")))
    rig.contacts = ("new@example.com",)
    double.forget()
    asking = enrolment("a.example.com")
    asking = kept(asking, await rig.visit(asking))
    double.fail("/authorizations", 400, "accountDoesNotExist")
    leaf_of(await rig.issue(asking))
    assert list(double.contacts.values()) == [["mailto:new@example.com"]]
    assert len(rig.failures) == 1


# before anything is made


def policy(dns: tuple[str, ...] = (), **more: tuple[str, ...]) -> CertificatePolicy:
    subject = "CN=not.example.com" if not dns and not more else "O=Contoso"
    return CertificatePolicy(x509=X509Properties(subject, AlternativeNames(dns_names=dns, **more)))


async def check(issuer: Issuer, policy: CertificatePolicy, account: Account | None = ACCOUNT) -> None:
    await issuer.check(VAULT, policy, account)


async def test_a_policy_that_the_server_could_never_fulfil_is_refused(rig: Rig) -> None:
    issuer = rig.issuer()
    assert issuer.provider == "ACME"
    assert issuer.enrols
    for good in (
        policy(("a.example.com", "B.Example.COM")),
        policy(),
        policy(ip_addresses=("192.0.2.1", "2001:DB8::1")),
        policy(("xn--bcher-kva.example",)),
        policy(tuple(f"h{number}.example.com" for number in range(100))),
    ):
        await check(issuer, good)
    for bad in (
        policy(("*.example.com",)),
        policy(("bücher.example",)),
        policy(("a b",)),
        policy(("-a.example.com",)),
        policy(("a..example.com",)),
        policy(("a.example.com\n",)),
        policy(("x" * 64 + ".example.com",)),
        policy((".".join(["x" * 60] * 5),)),
        policy(("a.example.com",), emails=("a@example.com",)),
        policy(("a.example.com",), upns=("a@example.com",)),
        policy(("a.example.com",), uris=("https://a.example.com",)),
        policy(ip_addresses=("192.0.2",)),
        policy(ip_addresses=("fe80::1%eth0",)),
        policy(tuple(f"h{number}.example.com" for number in range(101))),
        CertificatePolicy(x509=X509Properties("CN=Some Service")),
        CertificatePolicy(x509=X509Properties("no name")),
    ):
        with pytest.raises(BadRequest):
            await check(issuer, bad)


@pytest.mark.parametrize("account_id", [None, "", "other", "https://evil.example.com/directory"])
async def test_an_account_names_a_server_of_the_configuration_or_nothing(rig: Rig, account_id: str | None) -> None:
    for account in (None, replace(ACCOUNT, account_id=account_id)):
        with pytest.raises(BadRequest, match="account_id"):
            await check(rig.issuer(), policy(), account)
        outcome = await rig.issuer().enrol(enrolment("a.example.com", account=account))
        assert isinstance(outcome, Refused)


@pytest.mark.parametrize(
    "asking",
    [
        enrolment(x509.UniformResourceIdentifier("https://a.example.com")),
        enrolment("a.example.com", x509.RFC822Name("a@example.com")),
        enrolment("*.example.com"),
        enrolment(common_name="Some Service"),
        replace(enrolment("a"), operation=replace(enrolment("a").operation, csr=b"\x30\x00")),
    ],
)
async def test_a_request_that_no_server_would_take_never_leaves_us(
    rig: Rig, double: AcmeDouble, asking: Enrolment
) -> None:
    outcome = await rig.issuer().enrol(asking)
    assert isinstance(outcome, Refused)
    assert outcome.code == "Request rejected"
    assert double.asked == []


async def test_a_common_name_that_is_a_host_is_proved_too(rig: Rig, double: AcmeDouble) -> None:
    asking = enrolment("b.example.com", common_name="A.example.com")
    await rig.visit(asking)
    (order,) = double.orders.values()
    assert [one["value"] for one in order.identifiers] == ["b.example.com", "a.example.com"]
