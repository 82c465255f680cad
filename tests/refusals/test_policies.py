"""Certificate policies: words, sizes, names and actions that cannot be, and parts that contradict each other."""

from copy import deepcopy
from typing import Any

import pytest

from tests.refusals.certificate_bodies import SELF_SIGNED
from tests.refusals.places import CERTIFIED, SOFT, Place
from tests.refusals.rig import Rig
from tests.refusals.table import ROWS
from tests.refusals.words import NO_X500_NAME, NOT_PUBLISHED, Refusal, property_invalid, unsupported_size

pytestmark = pytest.mark.asyncio(loop_scope="package")

RSA_SIZES, EC_SIZES = "[2048, 3072, 4096]", "[256, 384, 521]"
NO_NAMES = ("CN", "=x", "CN=", "XX=1", "CN=a,", "CN=a,,O=b", 'CN="a', "CN=#0401", "C=\u00e4", "CN=a\\", "CN=a\nb")
UNKNOWN = {"name": "Unknown"}


def key(**members: object) -> dict[str, object]:
    return {"key_props": members}


def x509(**members: object) -> dict[str, object]:
    return {"x509_props": {"subject": "CN=a", **members}}


def sans(member: str, *values: str) -> dict[str, object]:
    return x509(sans={member: list(values)})


def lifetime(*actions: tuple[str, dict[str, object]], **more: object) -> dict[str, object]:
    given = [{"action": {"action_type": word}, "trigger": trigger} for word, trigger in actions]
    return {"lifetime_actions": given, **more}


def renew(**trigger: object) -> tuple[str, dict[str, object]]:
    return "AutoRenew", trigger


def mail(**trigger: object) -> tuple[str, dict[str, object]]:
    return "EmailContacts", trigger


def many(value: str, number: int) -> list[str]:
    return [value.format(at) for at in range(number)]


POLICIES: dict[str, tuple[dict[str, Any], Refusal]] = {
    "no name": ({"x509_props": {"subject": ""}}, NO_X500_NAME),
    "no name that is one": (x509(subject="nonsense"), NO_X500_NAME),
    **{f"the name {text!a}": (x509(subject=text), NO_X500_NAME) for text in NO_NAMES},
    "a common name of 65 characters": (x509(subject="CN=" + "x" * 65), NO_X500_NAME),
    "a name of 1025 characters": (x509(subject="STREET=" + "x" * 1018), NO_X500_NAME),
    "a name of 33 attributes": (x509(subject=",".join(["CN=a"] * 33)), NO_X500_NAME),
    "a secret key": (key(kty="oct"), property_invalid("kty")),
    "a secret key in hardware": (key(kty="oct-HSM"), property_invalid("kty")),
    "a type that is none": (key(kty="RSA-SSH"), property_invalid("kty")),
    "a short key": (key(kty="RSA", key_size=1024), unsupported_size(1024, RSA_SIZES)),
    "an odd key": (key(kty="RSA", key_size=2047), unsupported_size(2047, RSA_SIZES)),
    "a long key": (key(kty="RSA", key_size=8192), unsupported_size(8192, RSA_SIZES)),
    "a negative key": (key(kty="RSA", key_size=-1), unsupported_size(-1, RSA_SIZES)),
    "a key of no bits": (key(kty="RSA", key_size=0), unsupported_size(0, RSA_SIZES)),
    "a huge key": (key(kty="RSA", key_size=2**70), unsupported_size(2**70, RSA_SIZES)),
    "a curve of no bits": (key(kty="EC", key_size=0), unsupported_size(0, EC_SIZES)),
    "a curve of other bits": (key(kty="EC", key_size=4096), unsupported_size(4096, EC_SIZES)),
    "a curve of RSA": (key(kty="RSA", crv="P-256"), property_invalid("crv")),
    "a curve of another size": (key(kty="EC", crv="P-256", key_size=384), property_invalid("key_size")),
    "a hard key that comes out": (key(kty="EC-HSM", exportable=True), NOT_PUBLISHED),
    "a text as content": ({"secret_props": {"contentType": "text/plain"}}, property_invalid("contentType")),
    "no months": (x509(validity_months=0), property_invalid("validity_months")),
    "negative months": (x509(validity_months=-1), property_invalid("validity_months")),
    "too many months": (x509(validity_months=1201), property_invalid("validity_months")),
    "far too many months": (x509(validity_months=2**70), property_invalid("validity_months")),
    "no DNS name": (sans("dns_names", "a..b"), property_invalid("dns_names")),
    "a DNS name with spaces": (sans("dns_names", "a b"), property_invalid("dns_names")),
    "a wildcard inside": (sans("dns_names", "a.*.b"), property_invalid("dns_names")),
    "no e-mail address": (sans("emails", "a"), property_invalid("emails")),
    "two e-mail addresses in one": (sans("emails", "a@b,c@d"), property_invalid("emails")),
    "no user principal name": (sans("upns", "a"), property_invalid("upns")),
    "a relative URI": (sans("uris", "/a"), property_invalid("uris")),
    "no address": (sans("ipAddresses", "256.1.1.1"), property_invalid("ipAddresses")),
    "a network": (sans("ipAddresses", "192.0.2.0/24"), property_invalid("ipAddresses")),
    "a zone": (sans("ipAddresses", "fe80::1%eth0"), property_invalid("ipAddresses")),
    "too many names": (sans("dns_names", *many("n{}", 101)), property_invalid("dns_names")),
    "no object identifier": (x509(ekus=["1"]), property_invalid("ekus")),
    "a word as object identifier": (x509(ekus=["serverAuth"]), property_invalid("ekus")),
    "an object identifier below 3": (x509(ekus=["3.1"]), property_invalid("ekus")),
    "an object identifier below 1.40": (x509(ekus=["1.40"]), property_invalid("ekus")),
    "too many usages": (x509(ekus=many("1.2.{}", 33)), property_invalid("ekus")),
    "an action that is none": (lifetime(("Rotate", {"lifetime_percentage": 80})), property_invalid("action_type")),
    "an action without a trigger": (lifetime(renew()), property_invalid("trigger")),
    "an action with two triggers": (
        lifetime(renew(lifetime_percentage=80, days_before_expiry=10)),
        property_invalid("trigger"),
    ),
    "no part of the lifetime": (lifetime(renew(lifetime_percentage=0)), property_invalid("lifetime_percentage")),
    "all of the lifetime": (lifetime(renew(lifetime_percentage=100)), property_invalid("lifetime_percentage")),
    "no day before": (lifetime(mail(days_before_expiry=0)), property_invalid("days_before_expiry")),
    "too many days before": (
        lifetime(mail(days_before_expiry=12 * 27 + 1), **x509(validity_months=12)),
        property_invalid("days_before_expiry"),
    ),
    "one action twice": (
        lifetime(mail(lifetime_percentage=50), mail(days_before_expiry=3)),
        property_invalid("lifetime_actions"),
    ),
    "a renewal by nobody": (lifetime(renew(lifetime_percentage=80), issuer=UNKNOWN), NOT_PUBLISHED),
    "an issuer that cannot be": ({"issuer": {"name": "a_b"}}, property_invalid("name")),
    "an issuer without a name": ({"issuer": {"name": ""}}, property_invalid("name")),
    "a long type": ({"issuer": {"name": "Self", "cty": "x" * 129}}, property_invalid("cty")),
    "a long type of nobody": ({"issuer": {"cty": "x" * 129}}, property_invalid("cty")),
    "a platform's": ({"platformManaged": {"certificateUsage": "x"}}, property_invalid("platformManaged")),
}


@pytest.mark.parametrize("which", POLICIES)
async def test_a_policy_that_cannot_be_is_refused_wherever_it_is_said(rig: Rig, which: str) -> None:
    said, expected = POLICIES[which]
    policy = SELF_SIGNED | deepcopy(said)
    create, update = ROWS["create_certificate"], ROWS["update_certificate"]
    change = ROWS["update_certificate_policy"]
    for name in ("coming-in", "good"):
        await rig.refused(CERTIFIED, create, expected, create.target(name), body={"policy": policy})
    await rig.refused(CERTIFIED, update, expected, update.target("good"), body={"policy": policy})
    await rig.refused(CERTIFIED, change, expected, change.target("good"), body=policy)


@pytest.mark.parametrize("which", POLICIES)
async def test_a_policy_that_cannot_be_is_refused_with_an_import_too(rig: Rig, which: str) -> None:
    """Whether a policy speaks of another key than the one that comes is asked behind this."""
    said, expected = POLICIES[which]
    row, content = ROWS["import_certificate"], rig.bodies[CERTIFIED.name, "import_certificate"]
    body = {**content, "policy": SELF_SIGNED | deepcopy(said)}
    await rig.refused(CERTIFIED, row, expected, row.target("coming-in"), body=body)


ISSUERS = {"an unknown one": "nobody", "a disabled one": "off", "one out of reach": "good", "its name alone": "Test"}


@pytest.mark.parametrize("which", ISSUERS)
async def test_an_issuer_that_issues_nothing_here_is_refused(rig: Rig, which: str) -> None:
    row = ROWS["create_certificate"]
    body = {"policy": SELF_SIGNED | {"issuer": {"name": ISSUERS[which]}}}
    for name in ("coming-in", "turning"):
        await rig.refused(CERTIFIED, row, NOT_PUBLISHED, row.target(name), body=body)


@pytest.mark.parametrize(
    ("place", "kty"), [(SOFT, "EC-HSM"), (SOFT, "RSA-HSM"), (Place("hardware"), "EC"), (Place("hardware"), "RSA")]
)
async def test_a_vault_takes_its_own_classes_of_keys_alone(rig: Rig, place: Place, kty: str) -> None:
    row = ROWS["create_certificate"]
    body = {"policy": SELF_SIGNED | key(kty=kty)}
    await rig.refused(place, row, NOT_PUBLISHED, row.target("coming-in"), body=body)


@pytest.mark.parametrize("other", [{"kty": "RSA"}, {"kty": "EC", "crv": "P-384"}, {"kty": "EC-HSM"}], ids=str)
async def test_a_key_of_another_type_is_not_used_again(rig: Rig, other: dict[str, object]) -> None:
    row = ROWS["create_certificate"]
    body = {"policy": SELF_SIGNED | key(**other, reuse_key=True)}
    await rig.refused(CERTIFIED, row, NOT_PUBLISHED, row.target("good"), body=body)


@pytest.mark.parametrize(
    "tags",
    [{str(number): "" for number in range(16)}, {"n" * 257: ""}, {"n": "v" * 257}],
    ids=["many", "name", "value"],
)
async def test_tags_have_their_limits(rig: Rig, tags: dict[str, str]) -> None:
    content = rig.bodies[CERTIFIED.name, "import_certificate"]
    for operation, body in (
        ("create_certificate", {"policy": SELF_SIGNED}),
        ("import_certificate", content),
        ("update_certificate", {}),
    ):
        row, name = ROWS[operation], "good" if operation == "update_certificate" else "coming-in"
        await rig.refused(CERTIFIED, row, property_invalid("tags"), row.target(name), body={**body, "tags": tags})
