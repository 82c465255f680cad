"""Scopes of a pool's local RBAC, and how they are kept.

On the wire a scope is '/' or '/keys', which both reach the whole pool, or '/keys/<name>', which reaches all versions of
one key ("Managed HSM local RBAC"). Role assignments keep them below '/local/<container id>', so that no scope of Azure
RBAC reaches into a pool and none of a pool out of it; '/' and '/keys' stay apart, because clients read back what they
wrote.
"""

import re

from hsmvault.errors import BadRequest
from hsmvault.model.roles import covers

ALL = "/"
KEYS = "/keys"
_ONE_KEY = re.compile(r"/keys/[0-9a-zA-Z-]{1,127}", re.ASCII)


def stored_scope(container_id: str, scope: str) -> str:
    """The scope of a RoleAssignment row, from one of the wire. Raises BadRequest for what is no scope of a pool."""
    if scope == ALL:
        return _root(container_id)
    if scope == KEYS or _ONE_KEY.fullmatch(scope):
        return _root(container_id) + scope
    raise BadRequest(f"The role scope '{scope[:256]}' is not valid.")


def shown_scope(container_id: str, stored: str) -> str:
    """The scope of the wire, from that of a row of this pool."""
    return stored.removeprefix(_root(container_id)) or ALL


def reaches(stored: str, container_id: str, key_name: str) -> bool:
    """Whether an assignment at this stored scope reaches one key, or, for "", everything of the pool.

    What is no key of its own (lists, roles, backups) needs a scope that reaches the whole pool.
    """
    root = _root(container_id)
    resource = f"{root}{KEYS}/{key_name}" if key_name else root + KEYS
    return covers(root, stored) and covers(stored, resource)


def scopes(container_id: str) -> tuple[str, ...]:
    """The folded scopes of all that is assigned in a pool are this one and those below it."""
    return (_root(container_id),)


def _root(container_id: str) -> str:
    return f"/local/{container_id}"
