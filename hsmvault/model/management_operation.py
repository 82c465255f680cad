"""One operation of the management plane, as a row of the tables in key_vault_operations.py and management.py."""

from dataclasses import dataclass
from enum import Enum

KEY_VAULT = "Microsoft.KeyVault"
AUTHORIZATION = "Microsoft.Authorization"
INSIGHTS = "Microsoft.Insights"
RESOURCES = "Microsoft.Resources"
MANAGEMENT = "Microsoft.Management"

SUBSCRIPTION = "/subscriptions/{subscription}"
GROUP = f"{SUBSCRIPTION}/resourceGroups/{{group}}"


class Asks(Enum):
    """ACTION: the operation's action at its scope. ITEMS: the handler shows what the caller may read. ATTRIBUTES: the
    action, with what conditions may ask for; the handler asks, when it has read the body. CALLER: a token is enough.
    NOTHING: no token is asked for."""

    ACTION = "action"
    ITEMS = "items"
    ATTRIBUTES = "attributes"
    CALLER = "caller"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class ManagementOperation:
    """name: ours; of Microsoft.KeyVault that of its client library. path: {x} stands for one segment, {scope} for any
    resource id or nothing. provider: whose api-versions count. since: first api-version, "" for all of them.
    action: control action. audit_name: operationName of the record. scope: template of the ARM id that the permission
    is asked for; "" for what the path names.
    """

    name: str
    method: str
    path: str
    provider: str
    action: str
    audit_name: str
    since: str = ""
    asks: Asks = Asks.ACTION
    scope: str = ""

    @property
    def is_extension(self) -> bool:
        """Whether it applies to any scope."""
        return self.path.startswith("{scope}")
