"""Answers of the secret operations: bundles and items. A value is in those of set and get alone."""

from hsmvault.model.operations import Kind
from hsmvault.model.secrets import SecretVersion
from hsmvault.resources.secrets import DeletedSecret, OpenSecret
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.object_answers import attributes_of, deletion
from hsmvault.wire.requests import Request


def bundle(request: Request, row: SecretVersion) -> dict[str, object]:
    """SecretBundle of the reference, without its value."""
    attributes = attributes_of(row, request.container.retention)
    answer: dict[str, object] = {"id": id_of(request.origin, row), "attributes": attributes}
    _add_common(answer, row)
    if row.managed:
        answer["kid"] = f"{request.origin}/keys/{row.name}/{row.version}"
        if row.previous_version is not None:
            answer["previousVersion"] = row.previous_version
    return answer


def item(request: Request, row: SecretVersion, *, with_version: bool) -> dict[str, object]:
    """SecretItem of the reference. Lists of secrets name no version, lists of versions do."""
    identifier = id_of(request.origin, row) if with_version else f"{request.origin}/secrets/{row.name}"
    answer: dict[str, object] = {"id": identifier, "attributes": attributes_of(row, request.container.retention)}
    _add_common(answer, row)
    return answer


def deleted_item(request: Request, deleted: DeletedSecret) -> dict[str, object]:
    """DeletedSecretItem of the reference."""
    return item(request, deleted.row, with_version=False) | deletion(request.origin, Kind.SECRETS, deleted)


def id_of(origin: str, row: SecretVersion) -> str:
    return f"{origin}/secrets/{row.name}/{row.version}"


def answer_open(request: Request, secret: OpenSecret) -> WireAnswer:
    """With the value."""
    members: dict[str, object] = {"value": secret.value, **bundle(request, secret.row)}
    if secret.content_type is not None:
        members["contentType"] = secret.content_type
    return ok(members, id_of(request.origin, secret.row))


def answer_bundle(request: Request, row: SecretVersion) -> WireAnswer:
    return ok(bundle(request, row), id_of(request.origin, row))


def answer_deleted(request: Request, deleted: DeletedSecret) -> WireAnswer:
    members = bundle(request, deleted.row) | deletion(request.origin, Kind.SECRETS, deleted)
    return ok(members, id_of(request.origin, deleted.row))


def _add_common(answer: dict[str, object], row: SecretVersion) -> None:
    if row.content_type is not None:
        answer["contentType"] = row.content_type
    if row.tags:
        answer["tags"] = dict(row.tags)
    if row.managed:
        answer["managed"] = True
