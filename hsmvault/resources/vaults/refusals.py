"""The refusals of the resource manager about vaults, with its codes and, where they were seen, its words."""

from hsmvault.errors import BadRequest, Conflict, MethodNotAllowed, NotFound
from hsmvault.resources.vaults.settings import TYPE


def invalid_name(name: str) -> BadRequest:
    return BadRequest(f"The vault name '{name}' is invalid. {NAME_RULE}", code="VaultNameNotValid")


NAME_RULE = (
    "A vault's name must be between 3-24 alphanumeric characters. The name must begin with a letter, end with a letter "
    "or digit, and not contain consecutive hyphens. Follow this link for more information: "
    "https://go.microsoft.com/fwlink/?linkid=2147742"
)


def bad(message: str, *, code: str = "BadRequest") -> BadRequest:
    """What a body says is not possible."""
    return BadRequest(message, code=code)


def not_found(name: str, group: str) -> NotFound:
    return NotFound(
        f"The Resource '{TYPE}/{name}' under resource group '{group}' was not found. For more details please go to "
        "https://aka.ms/ARMResourceNotFoundFix",
        code="ResourceNotFound",
    )


def group_not_found(group: str) -> NotFound:
    return NotFound(f"Resource group '{group}' could not be found.", code="ResourceGroupNotFound")


def deleted_not_found(name: str) -> NotFound:
    return NotFound(f"The specified deleted vault '{name}' does not exist.", code="DeletedVaultNotFound")


def name_taken(name: str) -> Conflict:
    """The misspelling is the service's."""
    return Conflict(
        f"The vault name '{name}' is already in use. Vault names are globaly unique so it is possible that the name is "
        "already taken. If you are sure that the vault name was not taken then it is possible that a vault with the "
        "same name was recently deleted but not purged after being placed in a recoverable state. If the vault is in a "
        "recoverable state then the vault will need to be purged before reusing the name. For more information about "
        "VaultAlreadyExists, soft delete and purging a vault follow this link "
        "https://go.microsoft.com/fwlink/?linkid=2147740.",
        code="VaultAlreadyExists",
    )


def held_by_deleted() -> Conflict:
    return Conflict(
        "A vault with the same name already exists in deleted state. You need to either recover or purge existing key "
        "vault. Follow this link https://go.microsoft.com/fwlink/?linkid=2149745 for more information on soft delete.",
        code="ConflictError",
    )


def being_purged(name: str) -> Conflict:
    return Conflict(f"The vault '{name}' is being purged and cannot be recovered any more.", code="ConflictError")


def changed_meanwhile(name: str) -> Conflict:
    """Others have changed it again and again while this request tried to."""
    return Conflict(
        f"The vault '{name}' was changed by other requests at the same time. Please try again.", code="ConflictError"
    )


def other_location(name: str, group: str, location: str, wanted: str) -> Conflict:
    return Conflict(
        f"The resource '{name}' already exists in location '{location}' in resource group '{group}'. A resource with "
        f"the same name cannot be created in location '{wanted}'. Please select a new resource name.",
        code="InvalidResourceLocation",
    )


def foreign_tenant(tenant_id: str, of_subscription: str) -> BadRequest:
    return BadRequest(
        f"The tenant '{tenant_id}' of the vault is not the tenant '{of_subscription}' of its subscription.",
        code="BadRequest",
    )


def model_change() -> BadRequest:
    return BadRequest(
        "Caller is not allowed to change permission model. The change of enableRbacAuthorization needs the action "
        "'Microsoft.Authorization/roleAssignments/write' at the vault, without a condition.",
        code="InsufficientPermissions",
    )


def purge_protected() -> MethodNotAllowed:
    return MethodNotAllowed("Operation 'DeletedVaultPurge' is not allowed.")
