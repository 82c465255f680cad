"""Answers of the key operations: bundles, items, and what was made with a key."""

from hsmvault.custody.protocols import Attestation
from hsmvault.model.algorithms import Family
from hsmvault.model.keys import KeyVersion
from hsmvault.model.operations import Kind
from hsmvault.model.release_policies import ReleasePolicy
from hsmvault.resources.key_operations import Used
from hsmvault.resources.keys import DeletedKey
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import to_base64url
from hsmvault.wire.object_answers import attributes_of, deletion
from hsmvault.wire.requests import Request
from hsmvault.wire.versions import is_since

_KEY_SIZE_SINCE = "2026-04-01"


def bundle(request: Request, row: KeyVersion) -> dict[str, object]:
    """KeyBundle of the reference."""
    answer: dict[str, object] = {"key": _jwk(request.origin, row), "attributes": _attributes(request, row)}
    _add_common(answer, row)
    if row.release_policy is not None:
        answer["release_policy"] = _release_policy(row.release_policy)
    return answer


def item(request: Request, row: KeyVersion, *, with_version: bool) -> dict[str, object]:
    """KeyItem of the reference. Lists of keys name no version, lists of versions do."""
    kid = kid_of(request.origin, row) if with_version else f"{request.origin}/keys/{row.name}"
    answer: dict[str, object] = {"kid": kid, "attributes": _attributes(request, row)}
    _add_common(answer, row)
    return answer


def deleted_item(request: Request, deleted: DeletedKey) -> dict[str, object]:
    """DeletedKeyItem of the reference."""
    return item(request, deleted.row, with_version=False) | deletion(request.origin, Kind.KEYS, deleted)


def kid_of(origin: str, row: KeyVersion) -> str:
    return f"{origin}/keys/{row.name}/{row.version}"


def answer_bundle(request: Request, row: KeyVersion) -> WireAnswer:
    return ok(bundle(request, row), kid_of(request.origin, row))


def answer_deleted(request: Request, deleted: DeletedKey) -> WireAnswer:
    members = bundle(request, deleted.row) | deletion(request.origin, Kind.KEYS, deleted)
    return ok(members, kid_of(request.origin, deleted.row))


def answer_used(request: Request, used: Used) -> WireAnswer:
    """KeyOperationResult: iv, tag and aad where there are any."""
    kid = kid_of(request.origin, used.row)
    members: dict[str, object] = {"kid": kid, "value": to_base64url(used.value)}
    parameters = used.parameters
    for name, value in (("iv", parameters.iv), ("tag", parameters.tag), ("aad", parameters.aad)):
        if value:
            members[name] = to_base64url(value)
    return ok(members, kid)


def answer_attested(request: Request, row: KeyVersion, attestation: Attestation) -> WireAnswer:
    """A bundle whose attributes have the attestation. Symmetric keys have no public part to attest."""
    evidence: dict[str, object] = {
        "certificatePemFile": to_base64url(attestation.certificates),
        "privateKeyAttestation": to_base64url(attestation.private_key),
    }
    if attestation.public_key:
        evidence["publicKeyAttestation"] = to_base64url(attestation.public_key)
    members = bundle(request, row)
    members["attributes"] = _attributes(request, row) | {"attestation": evidence | {"version": attestation.version}}
    return ok(members, kid_of(request.origin, row))


def _jwk(origin: str, row: KeyVersion) -> dict[str, object]:
    jwk: dict[str, object] = {"kid": kid_of(origin, row), "kty": row.wire_type, "key_ops": row.operations}
    if row.spec.curve is not None:
        jwk["crv"] = row.spec.curve.value
    for name, value in row.public_members.items():
        jwk[name] = to_base64url(value)
    return jwk


def _attributes(request: Request, row: KeyVersion) -> dict[str, object]:
    attributes = attributes_of(row, request.container.retention)
    attributes["exportable"] = row.exportable
    if not row.hardware:
        attributes["hsmPlatform"] = "0"  # for hardware it would name a validation that only the operator can vouch for
    if row.spec.family is Family.OCT and is_since(request.served_as, _KEY_SIZE_SINCE):
        attributes["key_size"] = row.spec.size_bits
    return attributes


def _release_policy(policy: ReleasePolicy) -> dict[str, object]:
    return {
        "contentType": policy.content_type,
        "data": to_base64url(policy.data),
        "immutable": policy.immutable,
    }


def _add_common(answer: dict[str, object], row: KeyVersion) -> None:
    if row.tags:
        answer["tags"] = dict(row.tags)
    if row.managed:
        answer["managed"] = True
