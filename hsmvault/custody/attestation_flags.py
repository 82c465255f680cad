"""What the flags in an attestation mean: whether the key can leave its HSM. Pure; the statement is signed and read."""

from collections.abc import Sequence

from hsmvault.custody.attestation_findings import Findings, Outcome
from hsmvault.custody.attestation_statement import ObjectSays, PrivateStatement, Value, WorldKeySays

_USAGES = ("CKA_ENCRYPT", "CKA_DECRYPT", "CKA_SIGN", "CKA_VERIFY", "CKA_WRAP", "CKA_UNWRAP", "CKA_DERIVE")
_ORIGINS = {
    "generated": "hsmvault says that the key was generated inside the HSM.",
    "imported": "hsmvault says that the key was imported: whoever had it before may have it still.",
    "imported-wrapped": "hsmvault says that the key was imported wrapped for the HSM and opened inside it; whoever had "
    "it before may have it still.",
}


def check_flags(private: PrivateStatement, findings: Findings) -> None:
    """Whether the key can leave, by its flags."""
    server, token = private.server, private.token
    findings.say(
        f"Token '{token.label}' ({token.manufacturer} {token.model}, serial {token.serial}, firmware "
        f"{token.firmware_version})."
    )
    if server.family != "oct":
        findings.check(
            server.proved,
            "The private key was used for the statement, and its answer fits the public key.",
            "The statement does not say that the private key was used for it: it may not belong to the public key.",
        )
    findings.check(bool(token.objects), "The token showed the key.", "The token showed no object of the key.")
    for one in token.objects:
        _about_object(one, server.family, findings)
    if server.custody == "wrapped":
        if findings.check(
            token.world_key is not None,
            "Between uses the key is a blob under a world key that the token showed.",
            "The world key that wraps the key is missing.",
        ):
            assert token.world_key is not None
            _about_world_key(token.world_key, findings)
    else:
        findings.check(
            server.custody == "resident" and all(one.attributes.get("CKA_TOKEN") is True for one in token.objects),
            "The key lives in the token and has no copy elsewhere.",
            "The key is not an object that lives in the token.",
        )
    findings.say(_ORIGINS.get(server.origin, "hsmvault does not know how the key came into the HSM."))
    if server.origin == "generated" and server.custody == "resident":
        if all(one.attributes.get("CKA_NEVER_EXTRACTABLE") is True for one in token.objects):
            findings.say("The token says the same: it was never extractable.")
        else:
            findings.say("The token does not confirm that: it does not say that it was never extractable.")
    if server.exchange:
        findings.say("It is a key exchange key: it opens keys that were wrapped for the HSM, and does nothing else.")
    if server.exportable:
        findings.say(
            "THE KEY IS EXPORTABLE: it can leave the HSM, wrapped to an environment that its release policy accepts."
        )
    elif findings.outcome is not Outcome.FAILS:
        findings.say("The key is not exportable: it cannot leave the HSM in the clear or wrapped to anybody else.")


def _about_object(one: ObjectSays, family: str, findings: Findings) -> None:
    said = one.attributes
    wanted_class = "CKO_SECRET_KEY" if family == "oct" else "CKO_PRIVATE_KEY"
    findings.check(
        said.get("CKA_CLASS") == wanted_class
        and said.get("CKA_SENSITIVE") is True
        and said.get("CKA_EXTRACTABLE") is False
        and said.get("CKA_PRIVATE") is True,
        f"The token's object ({one.use}) is private, sensitive and not extractable.",
        f"The token's object ({one.use}) could leave the token: it is not sensitive, or extractable.",
    )
    findings.check(
        said.get("CKA_WRAP") is not True and said.get("CKA_DERIVE") is not True,
        f"The token's object ({one.use}) wraps and derives no other key.",
        f"The token's object ({one.use}) may wrap or derive other keys.",
    )


def _about_world_key(world: WorldKeySays, findings: Findings) -> None:
    said = world.attributes
    locked: Sequence[tuple[str, Value]] = (
        ("CKA_CLASS", "CKO_SECRET_KEY"),
        ("CKA_KEY_TYPE", "CKK_AES"),
        ("CKA_TOKEN", True),
        ("CKA_PRIVATE", True),
        ("CKA_SENSITIVE", True),
        ("CKA_EXTRACTABLE", False),
        ("CKA_MODIFIABLE", False),
        ("CKA_TRUSTED", True),
        *((usage, usage in ("CKA_WRAP", "CKA_UNWRAP")) for usage in _USAGES),
    )
    wrong = [name for name, value in locked if said.get(name) != value]
    if said.get("CKA_ALLOWED_MECHANISMS") != ["CKM_AES_KEY_WRAP_PAD"]:
        wrong.append("CKA_ALLOWED_MECHANISMS")
    if world.unwrap_template != {"CKA_SENSITIVE": True, "CKA_EXTRACTABLE": False}:
        wrong.append("CKA_UNWRAP_TEMPLATE")
    findings.check(
        not wrong,
        f"The world key {world.id} is trusted and locked: what it unwraps is sensitive and not extractable, always.",
        f"The world key {world.id} is not locked ({', '.join(wrong)}): what it wraps could be opened in the clear.",
    )
