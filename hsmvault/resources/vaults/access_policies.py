"""Access policies of a vault: which are possible, and what add, replace and remove do to them.

Permissions compare without regard to case and are kept in lower case, as the data plane asks for them. Source: "Assign
a Key Vault access policy" and the Microsoft.KeyVault specification.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Final

from hsmvault.model.containers import AccessPolicy
from hsmvault.resources.vaults.refusals import bad

MOST_POLICIES: Final = 1024
ALL: Final = "all"

_KEYS: Final = (
    *("get", "list", "update", "create", "import", "delete", "recover", "backup", "restore", "decrypt", "encrypt"),
    *("unwrapKey", "wrapKey", "verify", "sign", "purge", "release", "rotate", "getrotationpolicy", "setrotationpolicy"),
)
_SECRETS: Final = ("get", "list", "set", "delete", "recover", "backup", "restore", "purge")
_CERTIFICATES: Final = (
    *("get", "list", "delete", "create", "import", "update", "managecontacts", "getissuers", "listissuers"),
    *("setissuers", "deleteissuers", "manageissuers", "recover", "backup", "restore", "purge"),
)
_STORAGE: Final = (
    *("get", "list", "delete", "set", "update", "regeneratekey", "recover", "purge", "backup", "restore"),
    *("setsas", "listsas", "getsas", "deletesas"),
)
PERMISSIONS: Final[Mapping[str, Mapping[str, str]]] = {
    kind: {word.lower(): word for word in (*words, ALL)}
    for kind, words in (
        ("keys", _KEYS),
        ("secrets", _SECRETS),
        ("certificates", _CERTIFICATES),
        ("storage", _STORAGE),
    )
}
"""By kind of object: how a permission is kept, and how it is shown."""
_KINDS: Final = tuple(PERMISSIONS)


class Change(Enum):
    """The last segment of the route's path."""

    ADD = "add"
    REPLACE = "replace"
    REMOVE = "remove"


def permissions_of(kind: str, given: Iterable[str]) -> frozenset[str]:
    """kind: 'keys', 'secrets', 'certificates' or 'storage'. Raises BadRequest for a word that is no permission."""
    known = PERMISSIONS[kind]
    wanted = frozenset(word.lower() for word in given)
    if unknown := sorted(wanted.difference(known)):
        raise bad(f"The permission '{unknown[0][:64]}' is not a permission of {kind}.")
    return wanted


def shown_permissions(kind: str, permissions: Iterable[str]) -> list[str]:
    """In the order of the documentation."""
    wanted = frozenset(permissions)
    return [shown for word, shown in PERMISSIONS[kind].items() if word in wanted]


def checked(policies: Sequence[AccessPolicy], tenant_id: str) -> tuple[AccessPolicy, ...]:
    """The list that a vault of this tenant keeps: one entry for each principal and application, in the order given.

    Raises BadRequest: too many entries, or one of another tenant.
    """
    _check_number(len(policies))
    for policy in policies:
        if policy.tenant_id != tenant_id:
            raise bad(
                f"An access policy has the tenant '{policy.tenant_id}'; every one must have the tenant of the vault, "
                f"'{tenant_id}'."
            )
    return tuple(_added({}, policies).values())


def changed(
    existing: Sequence[AccessPolicy], kind: Change, given: Sequence[AccessPolicy], tenant_id: str
) -> tuple[AccessPolicy, ...]:
    """What the vault has after a call of the access policies' route. Raises BadRequest as checked()."""
    given = checked(given, tenant_id)
    entries = _added({}, existing)
    match kind:
        case Change.ADD:
            _added(entries, given)
        case Change.REPLACE:
            entries |= {_key(policy): policy for policy in given}
        case Change.REMOVE:
            for policy in given:
                _take(entries, policy)
    _check_number(len(entries))
    return tuple(entries.values())


def _check_number(number: int) -> None:
    if number > MOST_POLICIES:
        raise bad(f"The property 'accessPolicies' has {number} entries; at most {MOST_POLICIES} are allowed.")


_Key = tuple[str, str, str]


def _key(policy: AccessPolicy) -> _Key:
    return policy.tenant_id, policy.object_id, policy.application_id


def _added(entries: dict[_Key, AccessPolicy], given: Iterable[AccessPolicy]) -> dict[_Key, AccessPolicy]:
    for policy in given:
        before = entries.get(_key(policy))
        entries[_key(policy)] = policy if before is None else _united(before, policy)
    return entries


def _united(one: AccessPolicy, other: AccessPolicy) -> AccessPolicy:
    return replace(
        one,
        keys=one.keys | other.keys,
        secrets=one.secrets | other.secrets,
        certificates=one.certificates | other.certificates,
        storage=one.storage | other.storage,
    )


def _take(entries: dict[_Key, AccessPolicy], given: AccessPolicy) -> None:
    """An entry goes when nothing is left of it."""
    before = entries.get(_key(given))
    if before is None:
        return
    left = replace(
        before,
        keys=_without("keys", before.keys, given.keys),
        secrets=_without("secrets", before.secrets, given.secrets),
        certificates=_without("certificates", before.certificates, given.certificates),
        storage=_without("storage", before.storage, given.storage),
    )
    if left.keys or left.secrets or left.certificates or left.storage:
        entries[_key(given)] = left
    else:
        del entries[_key(given)]


def _without(kind: str, held: frozenset[str], taken: frozenset[str]) -> frozenset[str]:
    """'all' stands for every permission: taking all takes what is spelled out, and of who has all the others stay."""
    if ALL in taken:
        return frozenset()
    if ALL in held and taken:
        held = frozenset(PERMISSIONS[kind])
        return held - taken - {ALL}
    return held - taken
