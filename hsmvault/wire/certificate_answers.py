"""Answers about certificates: bundles, items, policies and the operations that make them."""

import base64

from hsmvault.model.certificate_policies import AlternativeNames, CertificatePolicy, IssuerParameters, LifetimeAction
from hsmvault.model.certificates import CertificateOperation, CertificateVersion, Status
from hsmvault.model.operations import Kind
from hsmvault.resources.certificates import Certificate, DeletedCertificate
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import to_base64url
from hsmvault.wire.object_answers import attributes_of, deletion
from hsmvault.wire.requests import Request
from hsmvault.wire.versions import is_since

_RECOVERY_LEVEL_SINCE = "2016-10-01"
_RECOVERABLE_DAYS_SINCE = "7.1"
_CURVE_SINCE = "7.0"
_TRANSPARENCY_SINCE = "7.0"
_ORDER_SINCE = "7.6"
_ADDRESSES_SINCE = "2025-07-01"


def bundle(request: Request, row: CertificateVersion) -> dict[str, object]:
    """CertificateBundle of the reference, without its policy and operation."""
    origin = request.origin
    where = f"{row.name}/{row.version}"
    answer: dict[str, object] = {
        "id": id_of(origin, row),
        "kid": f"{origin}/keys/{where}",
        "sid": f"{origin}/secrets/{where}",
    }
    if not row.is_pending:
        answer["x5t"] = to_base64url(row.thumbprint)
        answer["cer"] = _base64(row.certificate)
    retention = request.container.retention
    attributes = attributes_of(row)
    if is_since(request.served_as, _RECOVERY_LEVEL_SINCE):
        attributes["recoveryLevel"] = retention.recovery_level
    if is_since(request.served_as, _RECOVERABLE_DAYS_SINCE):
        attributes["recoverableDays"] = retention.days
    answer["attributes"] = attributes
    if row.tags:
        answer["tags"] = dict(row.tags)
    if is_since(request.served_as, _ORDER_SINCE):
        answer["preserveCertOrder"] = row.preserve_order
    return answer


def item(request: Request, row: CertificateVersion, *, with_version: bool) -> dict[str, object]:
    """CertificateItem of the reference. Lists of certificates name no version, lists of versions do."""
    answer: dict[str, object] = {
        "id": id_of(request.origin, row) if with_version else f"{request.origin}/certificates/{row.name}",
        "attributes": attributes_of(row),
        "subject": row.subject,
    }
    if not row.is_pending:
        answer["x5t"] = to_base64url(row.thumbprint)
    if row.tags:
        answer["tags"] = dict(row.tags)
    return answer


def deleted_item(request: Request, deleted: DeletedCertificate) -> dict[str, object]:
    """DeletedCertificateItem of the reference."""
    return item(request, deleted.row, with_version=False) | deletion(request.origin, Kind.CERTIFICATES, deleted)


def policy_members(request: Request, name: str, policy: CertificatePolicy) -> dict[str, object]:
    """CertificatePolicy of the reference."""
    key, x509, served_as = policy.key, policy.x509, request.served_as
    key_props: dict[str, object] = {
        "exportable": key.exportable,
        "kty": key.wire_type,
        "key_size": key.size_bits,
        "reuse_key": key.reuse,
    }
    if key.curve is not None and is_since(served_as, _CURVE_SINCE):
        key_props["crv"] = key.curve.value
    return {
        "id": f"{request.origin}/certificates/{name}/policy",
        "key_props": key_props,
        "secret_props": {"contentType": policy.content_type},
        "x509_props": {
            "subject": x509.subject,
            "sans": _names(x509.alternative_names, served_as),
            "ekus": x509.ekus,
            "key_usage": x509.key_usage,
            "validity_months": x509.validity_months,
            "basic_constraints": {"ca": False},
        },
        "lifetime_actions": [_action(one) for one in policy.actions],
        "issuer": _issuer(policy.issuer, served_as),
        "attributes": {"enabled": policy.enabled, "created": policy.created, "updated": policy.updated},
    }


def operation_members(request: Request, operation: CertificateOperation) -> dict[str, object]:
    """CertificateOperation of the reference. The last error is shown while it is tried again, too."""
    path = f"{request.origin}/certificates/{operation.name}"
    answer: dict[str, object] = {
        "id": f"{path}/pending",
        "issuer": _issuer(operation.policy.issuer, request.served_as),
        "csr": _base64(operation.csr),
        "cancellation_requested": operation.cancellation_requested,
        "status": operation.status.value,
    }
    if operation.details:
        answer["status_details"] = operation.details
    if operation.error_code is not None:
        answer["error"] = {"code": operation.error_code, "message": operation.error_message or ""}
    if operation.status is Status.COMPLETED:
        answer["target"] = path
    if is_since(request.served_as, _ORDER_SINCE):
        answer["preserveCertOrder"] = operation.preserve_order
    answer["request_id"] = operation.request_id
    return answer


def id_of(origin: str, row: CertificateVersion) -> str:
    return f"{origin}/certificates/{row.name}/{row.version}"


def answer_bundle(request: Request, certificate: Certificate) -> WireAnswer:
    return ok(_with_policy(request, certificate), id_of(request.origin, certificate.row))


def answer_deleted(request: Request, deleted: DeletedCertificate) -> WireAnswer:
    members = _with_policy(request, deleted) | deletion(request.origin, Kind.CERTIFICATES, deleted)
    return ok(members, id_of(request.origin, deleted.row))


def answer_policy(request: Request, name: str, policy: CertificatePolicy) -> WireAnswer:
    members = policy_members(request, name, policy)
    return ok(members, str(members["id"]))


def answer_operation(request: Request, operation: CertificateOperation) -> WireAnswer:
    members = operation_members(request, operation)
    return ok(members, str(members["id"]))


def _with_policy(request: Request, certificate: Certificate | DeletedCertificate) -> dict[str, object]:
    """CertificateBundle of the reference, whole."""
    row = certificate.row
    members = bundle(request, row) | {"policy": policy_members(request, row.name, certificate.policy)}
    if certificate.is_pending_open:
        members["pending"] = {"id": f"{request.origin}/certificates/{row.name}/pending"}
    return members


def _names(names: AlternativeNames, served_as: str) -> dict[str, object]:
    """Without what there is none of."""
    found = {"dns_names": names.dns_names, "emails": names.emails, "upns": names.upns}
    if is_since(served_as, _ADDRESSES_SINCE):
        found |= {"uris": names.uris, "ipAddresses": names.ip_addresses}
    return {name: values for name, values in found.items() if values}


def _action(one: LifetimeAction) -> dict[str, object]:
    if one.lifetime_percentage is not None:
        trigger = {"lifetime_percentage": one.lifetime_percentage}
    else:
        trigger = {"days_before_expiry": one.days_before_expiry or 0}
    return {"trigger": trigger, "action": {"action_type": one.action.value}}


def _issuer(issuer: IssuerParameters, served_as: str) -> dict[str, object]:
    answer: dict[str, object] = {"name": issuer.name}
    if issuer.certificate_type is not None:
        answer["cty"] = issuer.certificate_type
    if issuer.transparency is not None and is_since(served_as, _TRANSPARENCY_SINCE):
        answer["cert_transparency"] = issuer.transparency
    return answer


def _base64(content: bytes) -> str:
    """RFC 4648, 4: with padding."""
    return base64.b64encode(content).decode()
