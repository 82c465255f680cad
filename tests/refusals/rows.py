"""One operation, as the reference describes it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from tests.refusals import words
from tests.refusals.bodies import Body
from tests.refusals.words import Objects, Refusal


class Absent(Enum):
    """What an operation answers about an object that is not there."""

    OBJECT = "one of this name was not found"
    VERSION = "one of this name, and of this version when one is asked for, was not found"
    DELETED = "no deleted one of this name"
    PENDING = "no pending certificate of this name"
    ISSUER = "no issuer of this name"
    CONTACTS = "no contacts"
    EMPTY = "an empty list"
    NONE = "it names nothing that has to be there"


@dataclass(frozen=True, kw_only=True)
class Row:
    """permissions: words of an access policy of which one is enough, that of refusals first; () where none is.
    vault_action, pool_action: without their prefixes; None where there is none. use: the word in key_ops that it needs.
    is_timely: nbf and exp count. in_vaults, in_pools: who serves it.
    """

    kind: Objects
    method: str
    path: str
    since: str
    permissions: tuple[str, ...]
    vault_action: str | None
    pool_action: str | None
    audit: str
    absent: Absent
    body: Body | None = None
    use: str | None = None
    is_timely: bool = False
    in_vaults: bool = True

    @property
    def in_pools(self) -> bool:
        return self.pool_action is not None

    @property
    def has_name(self) -> bool:
        return "{name}" in self.path

    @property
    def has_version(self) -> bool:
        return "{version}" in self.path

    @property
    def is_list(self) -> bool:
        return self.method == "GET" and self.absent in (Absent.NONE, Absent.EMPTY)

    @property
    def names_object(self) -> bool:
        """An issuer is none: who may set issuers may do so in the whole vault."""
        return self.has_name and not self.path.startswith("/certificates/issuers/")

    def target(self, name: str, version: str = "") -> str:
        """version: empty for the latest."""
        return self.path.replace("{name}", name).replace("{version}", version)

    def answers(self, method: str, target: str) -> bool:
        """Whether a request is one of this operation; an empty version may be left away with its slash."""
        pattern = re.escape(self.path).replace(r"\{name\}", "[^/]+").replace(r"\{version\}", "[^/]*")
        if pattern.endswith("/[^/]*"):
            pattern = pattern.removesuffix("/[^/]*") + "(/[^/]*)?"
        return method == self.method and re.fullmatch(pattern, target) is not None

    def missing(self, name: str, version: str = "") -> Refusal:
        """The refusal when there is none of this name, and version when one is asked for."""
        match self.absent:
            case Absent.OBJECT:
                return words.not_found(self.kind, name)
            case Absent.VERSION:
                return words.not_found(self.kind, name, version)
            case Absent.DELETED:
                return words.deleted_not_found(self.kind, name)
            case Absent.PENDING:
                return words.pending_not_found(name)
            case Absent.ISSUER:
                return words.ISSUER_NOT_FOUND
            case Absent.CONTACTS:
                return words.CONTACTS_NOT_FOUND
        raise AssertionError(self.absent)


def rows_of(kind: Objects, routes: str, permissions: str, bodies: Mapping[str, Body]) -> dict[str, Row]:
    """routes: lines of operation, method, path, since, Absent, audit name. permissions: lines of operation, words of
    access policies with '|' between, data action of vaults, data action of pools, or a dash.
    """
    allowed = {line.split()[0]: line.split()[1:] for line in permissions.strip().splitlines()}
    rows = {}
    for name, method, path, since, absent, audit in (line.split() for line in routes.strip().splitlines()):
        words_, vault_action, pool_action = (None if word == "-" else word for word in allowed.pop(name))
        rows[name] = Row(
            kind=kind,
            method=method,
            path=path,
            since=since,
            permissions=() if words_ is None else tuple(words_.split("|")),
            vault_action=vault_action,
            pool_action=pool_action,
            audit=audit,
            absent=Absent[absent],
            body=bodies.get(name),
        )
    assert not allowed, allowed
    assert set(bodies) <= set(rows), bodies
    return rows
