"""The refusals of the resource manager about managed HSM pools. Where nothing was seen they are worded as those of
vaults (resources/vaults/refusals.py)."""

from hsmvault.errors import BadRequest, Conflict, MethodNotAllowed, NotFound
from hsmvault.resources.pools.settings import TYPE


def bad(message: str, *, code: str = "BadRequest") -> BadRequest:
    """What a body says is not possible."""
    return BadRequest(message, code=code)


def invalid_name(name: str) -> BadRequest:
    return BadRequest(f"The managed HSM name '{name}' is invalid. {NAME_RULE}", code="ManagedHsmNameNotValid")


NAME_RULE = (
    "A managed HSM's name must be between 3-24 alphanumeric characters. The name must begin with a letter, end with a "
    "letter or digit, and not contain consecutive hyphens."
)


def not_found(name: str, group: str) -> NotFound:
    return NotFound(
        f"The Resource '{TYPE}/{name}' under resource group '{group}' was not found. For more details please go to "
        "https://aka.ms/ARMResourceNotFoundFix",
        code="ResourceNotFound",
    )


def deleted_not_found(name: str) -> NotFound:
    return NotFound(f"The specified deleted managed HSM '{name}' does not exist.", code="DeletedManagedHsmNotFound")


def name_taken(name: str) -> Conflict:
    return Conflict(
        f"The managed HSM name '{name}' is already in use. Managed HSM names are globally unique, so it is possible "
        "that the name is already taken.",
        code="ManagedHsmAlreadyExists",
    )


def held_by_deleted() -> Conflict:
    return Conflict(
        "A managed HSM with the same name already exists in deleted state. You need to either recover or purge the "
        "existing managed HSM.",
        code="ConflictError",
    )


def being_purged(name: str) -> Conflict:
    return Conflict(f"The managed HSM '{name}' is being purged and cannot be recovered any more.", code="ConflictError")


def changed_meanwhile(name: str) -> Conflict:
    """Others have changed it again and again while this request tried to."""
    return Conflict(
        f"The managed HSM '{name}' was changed by other requests at the same time. Please try again.",
        code="ConflictError",
    )


def other_location(name: str, group: str, location: str, wanted: str) -> Conflict:
    return Conflict(
        f"The resource '{name}' already exists in location '{location}' in resource group '{group}'. A resource with "
        f"the same name cannot be created in location '{wanted}'. Please select a new resource name.",
        code="InvalidResourceLocation",
    )


def location_not_available(location: str, known: tuple[str, ...]) -> BadRequest:
    return BadRequest(
        f"The provided location '{location}' is not available for resource type '{TYPE}'. List of available regions "
        f"for the resource type is '{','.join(known)}'.",
        code="LocationNotAvailableForResourceType",
    )


def foreign_tenant(tenant_id: str, of_subscription: str) -> BadRequest:
    return bad(
        f"The tenant '{tenant_id}' of the managed HSM is not the tenant '{of_subscription}' of its subscription."
    )


def no_world(location: str) -> Conflict:
    """Every security world that this installation has for new pools is taken."""
    return Conflict(
        "Operation could not be completed as it results in exceeding the approved quota of managed HSMs in the "
        f"location '{location}'. No security world is left for another one: purge a managed HSM that is not needed, "
        "or have the operator make another world ready.",
        code="QuotaExceeded",
    )


def purge_protected() -> MethodNotAllowed:
    return MethodNotAllowed("Operation 'DeletedManagedHsmPurge' is not allowed.")
