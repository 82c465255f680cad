"""The bodies of the operations on certificates, after the models of the Azure Key Vault REST API reference.

The dates in their attributes are a certificate's own and are not read. Neither is what only answers have.
"""

from dataclasses import replace

from tests.refusals.bodies import Body, Kind

SELF_SIGNED = {
    "key_props": {"kty": "EC", "crv": "P-256"},
    "x509_props": {"subject": "CN=www.contoso.com"},
    "issuer": {"name": "Self"},
}
_NAMES = ("dns_names", "emails", "upns", "uris", "ipAddresses")
POLICY = Body(
    good=SELF_SIGNED,
    members={
        "key_props": Kind.OBJECT,
        "key_props.exportable": Kind.BOOL,
        "key_props.kty": Kind.TEXT,
        "key_props.key_size": Kind.NUMBER,
        "key_props.reuse_key": Kind.BOOL,
        "key_props.crv": Kind.TEXT,
        "secret_props": Kind.OBJECT,
        "secret_props.contentType": Kind.TEXT,
        "x509_props": Kind.OBJECT,
        "x509_props.subject": Kind.TEXT,
        "x509_props.ekus": Kind.TEXTS,
        "x509_props.key_usage": Kind.TEXTS,
        "x509_props.validity_months": Kind.NUMBER,
        "x509_props.sans": Kind.OBJECT,
        **{f"x509_props.sans.{name}": Kind.TEXTS for name in _NAMES},
        "lifetime_actions": Kind.LIFETIME,
        "issuer": Kind.OBJECT,
        "issuer.name": Kind.TEXT,
        "issuer.cty": Kind.TEXT,
        "issuer.cert_transparency": Kind.BOOL,
        "attributes": Kind.OBJECT,
        "attributes.enabled": Kind.BOOL,
        "platformManaged": Kind.OBJECT,
    },
    words=("key_props.kty", "key_props.crv", "secret_props.contentType", "x509_props.key_usage"),
)
_IN_POLICY = {
    "policy": Kind.OBJECT,
    **{f"policy.{name}": kind for name, kind in POLICY.members.items()},
}
_WORDS = tuple(f"policy.{name}" for name in POLICY.words)
_SETTINGS = {"attributes": Kind.OBJECT, "attributes.enabled": Kind.BOOL, "tags": Kind.TEXTS_BY_NAME}
CREATE = Body(
    good={"policy": SELF_SIGNED},
    members={**_IN_POLICY, **_SETTINGS, "preserveCertOrder": Kind.BOOL},
    lacks="policy",  # no star: the next version takes the one there is
    words=_WORDS,
)
IMPORT = Body(
    good={"value": "AAAA"},
    members={"value": Kind.TEXT, "pwd": Kind.TEXT, **CREATE.members},
    required=("value",),
    words=_WORDS,
)
UPDATE = Body(good={"policy": SELF_SIGNED}, members={**_IN_POLICY, **_SETTINGS}, words=_WORDS)
UPDATE_OPERATION = Body(
    good={"cancellation_requested": True},
    members={"cancellation_requested": Kind.BOOL},
    required=("cancellation_requested",),
)
MERGE = Body(good={"x5c": ["AAAA"]}, members={"x5c": Kind.TEXTS, **_SETTINGS}, required=("x5c",))
RESTORE = Body(good={"value": "AAAA"}, members={"value": Kind.TEXT}, required=("value",), encoded=("value",))
SET_ISSUER = Body(
    good={"provider": "Test"},
    members={
        "provider": Kind.TEXT,
        "credentials": Kind.OBJECT,
        "credentials.account_id": Kind.TEXT,
        "credentials.pwd": Kind.TEXT,
        "org_details": Kind.OBJECT,
        "org_details.id": Kind.TEXT,
        "org_details.admin_details": Kind.PEOPLE,
        "attributes": Kind.OBJECT,
        "attributes.enabled": Kind.BOOL,
    },
    required=("provider",),
)
UPDATE_ISSUER = replace(SET_ISSUER, good={}, required=())
CONTACTS = Body(
    good={"contacts": [{"email": "a@contoso.com"}]},
    members={"contacts": Kind.PEOPLE},
    required=("contacts",),  # no star, but a PUT of none would be a delete
)
