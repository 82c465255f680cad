"""What a container of keys does, written down a second time: from the reference alone, as small as it can be.

Sources: the pages on soft delete, on the attributes of keys, on backup and restore and on rotation of the Azure Key
Vault documentation. Nothing of the product is used here.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

RETENTION_SECONDS = 90 * 86_400
DEFAULT_OPERATIONS = {
    "RSA": ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"],
    "EC": ["sign", "verify"],
    "oct": ["encrypt", "decrypt", "wrapKey", "unwrapKey"],
}
DEFAULT_POLICY = [{"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "Notify"}}]


@dataclass(frozen=True)
class Refusal:
    status: int
    code: str
    inner: str | None = None


BAD = Refusal(400, "BadParameter")
GONE = Refusal(404, "KeyNotFound")
IN_USE = Refusal(409, "Conflict")
DELETED = Refusal(409, "Conflict", "ObjectIsDeletedButRecoverable")
NOT_PERMITTED = Refusal(403, "Forbidden", "KeyOperationForbidden")
DISABLED = Refusal(403, "Forbidden", "KeyDisabled")
TOO_EARLY = Refusal(403, "Forbidden", "KeyNotYetValid")
TOO_LATE = Refusal(403, "Forbidden", "KeyExpired")


@dataclass
class Version:
    """public: the members of the JWK beside kid, kty and key_ops. policy: the release policy as it is answered."""

    id: str
    kty: str
    public: dict[str, str]
    operations: list[str]
    created: int
    updated: int
    enabled: bool = True
    not_before: int | None = None
    expires: int | None = None
    exportable: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    policy: dict[str, Any] | None = None

    @property
    def family(self) -> str:
        return self.kty.removesuffix("-HSM")

    def attributes(self) -> dict[str, Any]:
        times = {"nbf": self.not_before, "exp": self.expires}
        return {
            "enabled": self.enabled,
            **{name: time for name, time in times.items() if time is not None},
            "created": self.created,
            "updated": self.updated,
            "recoveryLevel": "Recoverable+Purgeable",
            "recoverableDays": 90,
            "exportable": self.exportable,
            **({} if self.kty.endswith("-HSM") else {"hsmPlatform": "0"}),
        }


@dataclass
class Key:
    """name: as it was spelled first. rotation: actions and expiryTime that were set, or None."""

    name: str
    versions: list[Version] = field(default_factory=list)
    deleted: int | None = None
    rotation: tuple[list[dict[str, Any]], str | None] | None = None

    @property
    def latest(self) -> Version:
        return self.versions[-1]


@dataclass
class Model:
    origin: str
    is_pool: bool
    keys: dict[str, Key] = field(default_factory=dict)

    def active(self, name: str) -> Key | None:
        key = self.keys.get(name.lower())
        return None if key is None or key.deleted is not None else key

    def deleted(self, name: str) -> Key | None:
        key = self.keys.get(name.lower())
        return None if key is None or key.deleted is None else key

    def version(self, name: str, version: str | None) -> Version | None:
        """None as version: the latest."""
        key = self.active(name)
        if key is None:
            return None
        return key.latest if version is None else next((one for one in key.versions if one.id == version), None)

    def kty(self, asked: str) -> str:
        return asked.removesuffix("-HSM") + "-HSM" if self.is_pool else asked

    # what refuses

    def refuses_new(self, name: str, kty: str, said: dict[str, Any]) -> Refusal | None:
        """said: attributes, key_ops and release_policy of the request."""
        attributes = said.get("attributes", {})
        kty, exportable = self.kty(kty), bool(attributes.get("exportable"))
        if kty.startswith("oct") and not self.is_pool:
            return BAD
        if exportable is not (said.get("release_policy") is not None):
            return BAD
        if exportable and not kty.endswith("-HSM"):
            return BAD
        if "export" in said.get("key_ops", []) and not exportable:
            return BAD
        if not _in_order(attributes.get("nbf"), attributes.get("exp")):
            return BAD
        return DELETED if self.deleted(name) else None

    def refuses_change(self, name: str, version: str | None, said: dict[str, Any]) -> Refusal | None:
        row = self.version(name, version)
        attributes, operations, policy = said.get("attributes", {}), said.get("key_ops"), said.get("release_policy")
        if operations and "import" in operations and len(operations) > 1:
            return BAD  # it stands alone, whatever the key is
        if row is None:
            return GONE
        if attributes.get("exportable") not in (None, row.exportable):
            return BAD
        if operations and ("import" in operations or ("export" in operations and not row.exportable)):
            return BAD
        if not _in_order(attributes.get("nbf", row.not_before), attributes.get("exp", row.expires)):
            return BAD
        is_immutable = row.policy is not None and row.policy["immutable"]
        if policy not in (None, row.policy) and (is_immutable or not row.exportable):
            return BAD
        return None

    def refuses_use(
        self, name: str, version: str | None, operation: str, family: str | None, now: float
    ) -> Refusal | None:
        """family: of the algorithm; None for one that every family here can be asked for."""
        row = self.version(name, version)
        if row is None:
            return GONE
        if operation not in row.operations:
            return NOT_PERMITTED
        if not row.enabled:
            return DISABLED
        if operation in ("sign", "encrypt", "wrapKey"):  # what makes new data
            if row.not_before is not None and now < row.not_before:
                return TOO_EARLY
            if row.expires is not None and now >= row.expires:
                return TOO_LATE
        return BAD if family not in (None, row.family) else None

    def refuses_rotation(self, name: str) -> Refusal | None:
        key = self.active(name)
        if key is None:
            return GONE
        return BAD if self.is_pool and key.rotation is None else None

    # what changes

    def made(self, name: str, kty: str, said: dict[str, Any], answered: dict[str, Any], now: int) -> None:
        """A new version. answered: its JWK, of which the id and the public part are new to us."""
        attributes = said.get("attributes", {})
        self._add(
            name,
            Version(
                id=answered["kid"].rpartition("/")[2],
                kty=self.kty(kty),
                public=_public(answered),
                operations=list(dict.fromkeys(said.get("key_ops") or DEFAULT_OPERATIONS[kty.removesuffix("-HSM")])),
                created=now,
                updated=now,
                enabled=attributes.get("enabled", True),
                not_before=attributes.get("nbf"),
                expires=attributes.get("exp"),
                exportable=bool(attributes.get("exportable")),
                tags=said.get("tags", {}),
                policy=said.get("release_policy"),
            ),
        )

    def rotated(self, name: str, answered: dict[str, Any], now: int) -> None:
        key = self.keys[name.lower()]
        old, expiry = key.latest, None if key.rotation is None else key.rotation[1]
        self._add(
            name,
            Version(
                id=answered["kid"].rpartition("/")[2],
                kty=old.kty,
                public=_public(answered),
                operations=old.operations,
                created=now,
                updated=now,
                expires=None if expiry is None else _after(now, expiry),
                exportable=old.exportable,
                tags=old.tags,
                policy=old.policy,
            ),
        )

    def change(self, name: str, version: str | None, said: dict[str, Any], now: int) -> None:
        row = self.version(name, version)
        assert row is not None
        attributes = said.get("attributes", {})
        row.enabled = attributes.get("enabled", row.enabled)
        row.not_before = attributes.get("nbf", row.not_before)
        row.expires = attributes.get("exp", row.expires)
        row.tags = said.get("tags", row.tags)
        row.policy = said.get("release_policy", row.policy)
        row.operations = list(dict.fromkeys(said.get("key_ops") or row.operations))
        row.updated = now

    def snapshot(self, name: str) -> Key:
        return deepcopy(self.keys[name.lower()])

    def restore(self, key: Key) -> None:
        self.keys[key.name.lower()] = deepcopy(key)

    def _add(self, name: str, version: Version) -> None:
        self.keys.setdefault(name.lower(), Key(name)).versions.append(version)

    # what is answered

    def bundle(self, key: Key, version: Version) -> dict[str, Any]:
        jwk = {"kid": self.kid(key, version), "kty": version.kty, "key_ops": version.operations, **version.public}
        members = {"key": jwk, "attributes": version.attributes()}
        if version.policy is not None:
            members["release_policy"] = version.policy
        return members | ({"tags": version.tags} if version.tags else {})

    def item(self, key: Key, version: Version, *, with_version: bool) -> dict[str, Any]:
        kid = self.kid(key, version) if with_version else f"{self.origin}/keys/{key.name}"
        members = {"kid": kid, "attributes": version.attributes()}
        return members | ({"tags": version.tags} if version.tags else {})

    def deletion(self, key: Key) -> dict[str, Any]:
        assert key.deleted is not None
        return {
            "recoveryId": f"{self.origin}/deletedkeys/{key.name}",
            "deletedDate": key.deleted,
            "scheduledPurgeDate": key.deleted + RETENTION_SECONDS,
        }

    def kid(self, key: Key, version: Version) -> str:
        return f"{self.origin}/keys/{key.name}/{version.id}"

    def rotation(self, key: Key) -> tuple[list[dict[str, Any]], str | None]:
        """Actions and expiryTime as they are answered."""
        if key.rotation is not None:
            return key.rotation
        return ([] if self.is_pool else DEFAULT_POLICY), None


def _in_order(not_before: int | None, expires: int | None) -> bool:
    return not_before is None or expires is None or not_before <= expires


def _public(jwk: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in jwk.items() if name not in ("kid", "kty", "key_ops")}


def _after(now: int, duration: str) -> int:
    """Of the durations that the steps use: days, or one year."""
    if duration == "P1Y":
        moment = datetime.fromtimestamp(now, UTC)
        return int(moment.replace(year=moment.year + 1).timestamp())
    return now + int(duration.removeprefix("P").removesuffix("D")) * 86_400
