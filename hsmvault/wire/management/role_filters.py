"""The `$filter` of the lists of Microsoft.Authorization: functions and comparisons joined by `and`, each at most once.

    atScope()   atScopeAndBelow()   principalId eq '<guid>'   assignedTo('<guid>')   roleName eq '…'   type eq '…'

Source: "List Azure role assignments using the REST API", "List Azure role definitions", and what the clients send.
"""

import re
from collections.abc import Mapping

from hsmvault.errors import BadRequest
from hsmvault.resources.roles import assignments, definitions

_LONGEST = 2048
_TEXT = r"'((?:[^']|'')*)'"
_TERM = re.compile(
    rf"\s*(?:(?P<function>atScope|atScopeAndBelow|atExactScope)\(\)|assignedTo\(\s*{_TEXT}\s*\)"
    rf"|(?P<field>principalId|roleName|type)\s+eq\s+{_TEXT})\s*",
    re.IGNORECASE,
)
_AND = re.compile(r"and\b", re.IGNORECASE)
_TYPES: Mapping[str, bool] = {"builtinrole": True, "customrole": False}


def of_assignments(text: str) -> assignments.Filter:
    """Raises BadRequest (InvalidFilter)."""
    terms = _terms(text)
    if terms.keys() - {"atscope", "principalid", "assignedto"}:
        raise _invalid(text)
    return assignments.Filter(
        at_scope="atscope" in terms,
        principal_id=terms.get("principalid", "").lower(),
        assigned_to=terms.get("assignedto", "").lower(),
    )


def of_definitions(text: str) -> definitions.Filter:
    """Raises BadRequest (InvalidFilter)."""
    terms = _terms(text)
    kind = terms.get("type", "").lower()
    if terms.keys() - {"atscopeandbelow", "atscope", "rolename", "type"} or (kind and kind not in _TYPES):
        raise _invalid(text)
    return definitions.Filter(
        below="atscopeandbelow" in terms, name=terms.get("rolename", ""), built_in=_TYPES.get(kind)
    )


def _terms(text: str) -> dict[str, str]:
    """Names of functions and fields in lower case, and what is between the quotes of each."""
    found: dict[str, str] = {}
    if len(text) > _LONGEST:
        raise _invalid(text)
    at = 0
    while text[at:].strip():
        term = _TERM.match(text, at)
        if term is None:
            raise _invalid(text)
        name = (term["function"] or term["field"] or "assignedTo").lower()
        if name in found:
            raise _invalid(text)
        found[name] = (term[2] or term[4] or "").replace("''", "'")
        at = term.end()
        if at < len(text):
            join = _AND.match(text, at)
            if join is None or not text[join.end() :].strip():
                raise _invalid(text)
            at = join.end()
    return found


def _invalid(text: str) -> BadRequest:
    return BadRequest(f"The filter '{text[:256]}' is not supported.", code="InvalidFilter")
