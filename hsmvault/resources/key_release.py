"""Secure key release: an exportable key for an environment that its release policy accepts, wrapped to the key of that
environment, in a statement signed by the HSM.

The checks stand in one order: the key exists, is enabled and exportable; the request can be read; the environment
assertion is genuine; the policy is met. Only then does anything reach a custodian. A release is allowed outside the
key's times, as every use of old data is.

The statement has the shape that verifiers of the service's own read (microsoft/confidential-sidecar-containers,
microsoft/openvmm): a JWS whose payload repeats the request, and answers the key as `get` does with one member more:
`key_hsm`, base64url of JSON with the wrapped key in `ciphertext`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from hsmvault.custody.custodians import Custodians
from hsmvault.errors import Forbidden, Unavailable
from hsmvault.model import base64url
from hsmvault.model.algorithms import Hash
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyVersion
from hsmvault.model.release_policies import evaluate, parse_policy
from hsmvault.resources import refusals
from hsmvault.resources.environment_assertions import EnvironmentAssertion, EnvironmentAssertions
from hsmvault.resources.key_cache import KeyCache, binding_of, held_by
from hsmvault.resources.key_state import check_enabled
from hsmvault.resources.policy_binding import check_bound

DEFAULT_ENCRYPTION = "CKM_RSA_AES_KEY_WRAP"
ENCRYPTIONS: Mapping[str, Hash] = {
    DEFAULT_ENCRYPTION: Hash.SHA1,
    "RSA_AES_KEY_WRAP_256": Hash.SHA256,
    "RSA_AES_KEY_WRAP_384": Hash.SHA384,
}
"""The hash of RSA-OAEP and its MGF1, by the value of `enc`."""
_LONGEST_NONCE = 1024


class StatementSigner(Protocol):
    """Signs for one security world with a key in the custody of that world."""

    async def sign(self, payload: bytes) -> str:
        """payload: JSON in UTF-8. Returns a compact JWS (RFC 7515, 7.1), RS256, with kid, x5t, x5t#S256 and x5c in its
        header. Raises Unavailable, Throttled."""
        ...


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """What a caller asks for. target: the environment assertion. nonce: repeated in the statement. enc: how to wrap,
    None for DEFAULT_ENCRYPTION. kid: the key as the caller named it. api_version: as the caller gave it.
    """

    target: str = field(repr=False)
    kid: str
    api_version: str
    nonce: str | None = None
    enc: str | None = None


@dataclass(frozen=True, slots=True)
class Released:
    """row: the version that was released. value: the signed statement, a compact JWS."""

    row: KeyVersion
    value: str = field(repr=False)


class KeyRelease:
    """signers: by the id of the security world."""

    def __init__(
        self,
        keys: KeyCache,
        custodians: Custodians,
        assertions: EnvironmentAssertions,
        signers: Mapping[str, StatementSigner],
    ) -> None:
        self._keys = keys
        self._custodians = custodians
        self._assertions = assertions
        self._signers = signers

    async def release(
        self,
        container: Container,
        name: str,
        version: str | None,
        request: ReleaseRequest,
        describe: Callable[[KeyVersion], Mapping[str, object]],
    ) -> Released:
        """describe: the key as `get` answers it (a KeyBundle with the members key, attributes, release_policy).

        Raises NotFound, Forbidden (state, assertion, policy), BadRequest, Unavailable, Throttled.
        """
        _check_releasable((await self._keys.find(container, name, version)).row)
        encryption = DEFAULT_ENCRYPTION if request.enc is None else request.enc
        if encryption not in ENCRYPTIONS:
            raise refusals.invalid_property("enc")
        if request.nonce is not None and len(request.nonce) > _LONGEST_NONCE:
            raise refusals.invalid_property("nonce")
        assertion = await verified(self._assertions, request.target)
        row = (await self._keys.find(container, name, version)).row  # the authority's keys may have taken seconds
        _check_releasable(row)
        await check_bound(self._custodians, container, row)
        check_accepted(row, assertion)
        signer = self._signers.get(container.world_id)
        if signer is None:
            raise Unavailable("The HSM is not available.", detail=f"world {container.world_id} is not served here")
        wrapped = await self._custodians.holding(container, row.custody).export(
            held_by(row),
            binding_of(container.id, row.name, row.version),
            assertion.key.public.spki,
            ENCRYPTIONS[encryption],
        )
        asked = {"api-version": request.api_version, "enc": encryption, "kid": request.kid}
        if request.nonce is not None:
            asked["nonce"] = request.nonce
        answer = _with_key(describe(row), _transfer(assertion.key.id, encryption, wrapped))
        statement = msgspec.json.encode({"request": asked, "response": {"key": answer}})
        return Released(row, await signer.sign(statement))


async def verified(assertions: EnvironmentAssertions, target: str) -> EnvironmentAssertion:
    """Raises BadRequest when there is none, Forbidden when it is not genuine."""
    if not target:
        raise refusals.invalid_property("target")
    return await assertions.verify(target)


def check_accepted(row: KeyVersion, assertion: EnvironmentAssertion) -> None:
    """The key's release policy accepts this environment. A key without a policy accepts none. Raises Forbidden."""
    policy = row.release_policy
    if policy is None or not evaluate(parse_policy(policy.data), assertion.authority, assertion.claims):
        raise Forbidden(
            "Target environment attestation does not meet key release policy requirements.", inner="AccessDenied"
        )


def _check_releasable(row: KeyVersion) -> None:
    check_enabled(row, "release")
    if not row.exportable or row.managed:  # a certificate's key leaves as its secret, or not at all
        raise Forbidden("Operation release is not permitted on this key.", inner="KeyOperationForbidden")


def _with_key(bundle: Mapping[str, object], transfer: str) -> dict[str, object]:
    key = bundle["key"]
    assert isinstance(key, Mapping)
    return {**bundle, "key": {**key, "key_hsm": transfer}}


def _transfer(kid: str, encryption: str, wrapped: bytes) -> str:
    """The key transfer object of BYOK, the other way round. kid: of the environment's key."""
    header = {"kid": kid, "alg": "dir", "enc": encryption}
    blob = {"schema_version": "1.0", "header": header, "ciphertext": base64url.encode(wrapped)}
    return base64url.encode(msgspec.json.encode(blob))
