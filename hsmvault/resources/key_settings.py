"""What a caller says about a key besides its material, and the rules for it: for a new version, and for a change.

A key's terms (custody/protocols.py) follow from what is said when it is made and never change: a key-exchange key is
one whose key_ops are ["import"], an exportable key has a release policy, a key for secure wrapping has key_ops for that
alone and a release policy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hsmvault.custody.protocols import Terms
from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import OCT_SIZES_BITS, Family, KeySpec
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyVersion
from hsmvault.model.release_policies import ReleasePolicy, check_policy
from hsmvault.resources import refusals

EXCHANGE = ("import",)
"""key_ops of a key-exchange key (BYOK)."""
SECURE = frozenset({"secureWrapKey", "secureUnwrapKey"})
"""key_ops of a key that wraps data keys for attested environments alone (resources/key_secure_wrap.py)."""
_CIPHERS = SECURE | {"encrypt", "decrypt", "wrapKey", "unwrapKey"}


@dataclass(frozen=True, slots=True)
class KeySettings:
    """What a caller may say about a key, besides its material. None: not said.

    operations: key_ops; none or an empty list mean the defaults of the key type. Times: seconds since 1970 UTC.
    """

    operations: tuple[str, ...] | None = None
    enabled: bool | None = None
    not_before: int | None = None
    expires: int | None = None
    tags: Mapping[str, str] | None = None
    exportable: bool | None = None
    release_policy: ReleasePolicy | None = None


def terms_of_new(container: Container, family: Family, settings: KeySettings, *, hardware: bool) -> Terms:
    """Whether a container makes or takes in such a key, and on which terms. Raises BadRequest."""
    refusals.check_key_type(container, family, hardware=hardware)
    check_order(settings.not_before, settings.expires)
    operations, exportable = settings.operations or (), bool(settings.exportable)
    check_export(operations, exportable=exportable, has_policy=settings.release_policy is not None)
    if exportable and not hardware:
        raise BadRequest("Exportable keys must be HSM-backed.")
    exchange, secure = operations == EXCHANGE, _are_secure(operations)
    if (exchange or secure) and (exportable or not hardware):
        raise refusals.invalid_property("key_ops")
    if (exchange and family is not Family.RSA) or (secure and family is Family.EC):
        raise refusals.invalid_property("key_ops")
    if secure and settings.release_policy is None:
        raise BadRequest("Keys for secure wrapping must have release policy")
    if settings.release_policy is not None:
        check_policy(settings.release_policy.data)
    return Terms(exchange=exchange, exportable=exportable, secure=secure)


def terms_of(row: KeyVersion) -> Terms:
    """The terms of an existing key as its row has them, for a successor that is like it."""
    return Terms(exchange=row.operations == EXCHANGE, exportable=row.exportable, secure=is_secure(row))


def is_secure(row: KeyVersion) -> bool:
    """Whether the row says that the key is for secure wrapping. Its custodian knows better (Custodian.open)."""
    return not SECURE.isdisjoint(row.operations)


def check_fits(operations: tuple[str, ...], spec: KeySpec) -> None:
    """Raises BadRequest for operations that no algorithm has for such a key: long oct keys serve HMAC alone."""
    if spec.family is Family.OCT and spec.size_bits not in OCT_SIZES_BITS and not _CIPHERS.isdisjoint(operations):
        raise refusals.invalid_property("key_ops")


def check_export(operations: tuple[str, ...], *, exportable: bool, has_policy: bool) -> None:
    """Of a new key: exportable and a release policy come together, and `export` needs both. A key for secure wrapping
    has a policy and is not exportable. Raises BadRequest."""
    if exportable and not has_policy:
        raise BadRequest("Exportable keys must have release policy")
    if has_policy and not exportable and not _are_secure(operations):
        raise BadRequest("Non-exportable keys must not have release policy")
    if "export" in operations and not exportable:
        raise refusals.invalid_property("key_ops")


def changed_by(row: KeyVersion, settings: KeySettings, now: int) -> KeyVersion:
    """The row with what settings say; what they do not say stays. now: seconds since 1970 UTC. Raises BadRequest."""
    if settings.exportable not in (None, row.exportable):
        raise refusals.invalid_property("exportable")
    operations = settings.operations or row.operations
    if (operations == EXCHANGE) is not (row.operations == EXCHANGE):
        raise refusals.invalid_property("key_ops")  # the material of a key-exchange key does nothing else
    if _are_secure(operations) is not is_secure(row):
        raise refusals.invalid_property("key_ops")  # it would open for everybody what was for some environments
    if "export" in operations and not row.exportable:
        raise refusals.invalid_property("key_ops")
    check_fits(settings.operations or (), row.spec)
    changed = replace(
        row,
        operations=operations,
        enabled=row.enabled if settings.enabled is None else settings.enabled,
        not_before=row.not_before if settings.not_before is None else settings.not_before,
        expires=row.expires if settings.expires is None else settings.expires,
        tags=row.tags if settings.tags is None else settings.tags,
        release_policy=_changed_policy(row, settings.release_policy),
        updated=now,
    )
    check_order(changed.not_before, changed.expires)
    return changed


def _are_secure(operations: tuple[str, ...]) -> bool:
    """Raises BadRequest when secure and ordinary operations stand together."""
    found = SECURE.intersection(operations)
    if found and len(found) != len(operations):
        raise refusals.invalid_property("key_ops")
    return bool(found)


def check_order(not_before: int | None, expires: int | None) -> None:
    """Raises BadRequest when a key would expire before it is valid."""
    if not_before is not None and expires is not None and expires < not_before:
        raise refusals.invalid_property("exp")


def _changed_policy(row: KeyVersion, given: ReleasePolicy | None) -> ReleasePolicy | None:
    """The same policy again is no change: clients send back what they were answered."""
    if given is None or given == row.release_policy:
        return row.release_policy
    if not row.exportable and not is_secure(row):
        raise BadRequest("Non-exportable keys must not have release policy")
    if row.release_policy is not None and row.release_policy.immutable:
        raise BadRequest("AKV.SKR.1020: Immutable Key Release Policy cannot be modified.")
    check_policy(given.data)
    return given
