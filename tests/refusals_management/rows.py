"""One operation of the management plane, as the reference describes it, and the paths that name something to it."""

import re
from dataclasses import dataclass
from typing import Final

from tests.pipeline.world import TENANT
from tests.wire.management.stage import SUBSCRIPTION

IN_SUBSCRIPTION: Final = "/subscriptions/{subscription}"
IN_GROUP: Final = f"{IN_SUBSCRIPTION}/resourceGroups/{{group}}"
NAMES: Final = {
    "subscription": SUBSCRIPTION,
    "group": "rg",
    "vault": "good",
    "pool": "goodhsm",
    "location": "local",
    "kind": "add",
    "name": "good",
    "version": "0" * 32,
    "id": "aaaaaaaa-0000-0000-0000-000000000001",
    "scope": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/good",
}
"""What there is (grounds.py), as long as a test does not say otherwise."""
ROOT_GROUP: Final = f"/providers/Microsoft.Management/managementGroups/{TENANT}"


@dataclass(frozen=True, kw_only=True)
class Row:
    """action: whole; "" where none is asked for. at: what it is asked for at, a template as path; "" where whoever has
    a token is answered. shows: the permission is asked for each item that is shown, and not before. since: of
    Microsoft.KeyVault, the api-version that it came with. body: name of its model (models.py); "" when none is read.
    """

    method: str
    path: str
    provider: str
    action: str
    at: str
    audit: str
    since: str = ""
    shows: bool = False
    body: str = ""

    @property
    def asks(self) -> bool:
        """Whether a caller without the permission is refused before anything else is looked at."""
        return bool(self.at) and not self.shows

    def has(self, variable: str) -> bool:
        return "{" + variable + "}" in self.path

    def target(self, **names: str) -> str:
        """The path with what is there in its variables, unless names say otherwise."""
        return filled(self.path, **names)

    def answers(self, method: str, target: str) -> bool:
        """Whether a request is one of this operation."""
        pattern = re.escape(self.path).replace(r"\{scope\}", ".*")
        pattern = re.sub(r"\\\{[a-z]+\\\}", "[^/]+", pattern)
        return method == self.method and re.fullmatch(pattern, target.rstrip("/"), re.IGNORECASE) is not None


def filled(template: str, **names: str) -> str:
    for name, value in (NAMES | names).items():
        template = template.replace("{" + name + "}", value)
    return template
