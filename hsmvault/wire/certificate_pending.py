"""Creating certificates on the wire, and the operation that a creation is: poll, cancel, forget it, merge into it."""

from collections.abc import Mapping
from dataclasses import replace

from hsmvault.clock import Clock
from hsmvault.resources.certificate_completion import Completion
from hsmvault.resources.certificate_creation import Creation, NewCertificate
from hsmvault.resources.certificate_issuance import Issuance
from hsmvault.resources.certificate_operations import Operations
from hsmvault.wire import certificate_bodies as bodies
from hsmvault.wire.answers import WireAnswer
from hsmvault.wire.certificate_answers import answer_bundle, answer_operation
from hsmvault.wire.certificate_lives import check_name
from hsmvault.wire.codec import decode_body
from hsmvault.wire.requests import Handler, Request


class CertificatePending:
    def __init__(
        self, creation: Creation, operations: Operations, completion: Completion, issuance: Issuance, clock: Clock
    ) -> None:
        self._creation = creation
        self._operations = operations
        self._completion = completion
        self._issuance = issuance
        self._clock = clock
        self.table: Mapping[str, Handler] = {
            "create_certificate": self._create,
            "get_certificate_operation": self._get,
            "update_certificate_operation": self._update,
            "delete_certificate_operation": self._forget,
            "merge_certificate": self._merge,
        }

    async def _create(self, request: Request) -> WireAnswer:
        check_name(request.name)
        body = decode_body(request.body, bodies.CreateCertificate)
        policy = None if body.policy is None else bodies.policy_of(body.policy).new(int(self._clock.now()))
        new = NewCertificate(policy, bodies.enabled_of(body), bodies.tags_of(body), bool(body.preserveCertOrder))
        operation = await self._creation.create(request.container, request.name, new)
        if operation.retry_at is not None:  # else nobody but a caller can go on with it
            await self._issuance.begin(request.container, operation.name)
        answer = answer_operation(request, operation)
        location = f"{answer.used}?api-version={request.api_version}&request_id={operation.request_id}"
        return replace(answer, status=202, location=location)

    async def _get(self, request: Request) -> WireAnswer:
        operation = await self._operations.get(request.container, request.name, request.query.get("request_id"))
        return answer_operation(request, operation)

    async def _update(self, request: Request) -> WireAnswer:
        body = decode_body(request.body, bodies.UpdateOperation)
        operation = await self._operations.request_cancellation(
            request.container,
            request.name,
            request.query.get("request_id"),
            requested=body.cancellation_requested,
        )
        if operation.cancellation_requested:
            self._issuance.start(request.container, operation.name)
        return answer_operation(request, operation)

    async def _forget(self, request: Request) -> WireAnswer:
        operation = await self._operations.forget(request.container, request.name, request.query.get("request_id"))
        return answer_operation(request, operation)

    async def _merge(self, request: Request) -> WireAnswer:
        body = decode_body(request.body, bodies.MergeCertificate)
        certificate = await self._completion.merge(
            request.container,
            request.name,
            bodies.certificates_of(body),
            bodies.enabled_of(body),
            bodies.tags_of(body),
        )
        answer = answer_bundle(request, certificate)
        location = f"{request.origin}/certificates/{certificate.row.name}?api-version={request.api_version}"
        return replace(answer, status=201, location=location)
