"""Tables of the file about the management plane: regions, and subscriptions that are there from the start."""

from typing import Annotated

from msgspec import Meta

from hsmvault.config.values import Guid, Table, Text

USUAL_SUBSCRIPTION = Guid("00000000-0000-0000-0000-000000000001")
Location = Annotated[str, Meta(pattern=r"^[a-z0-9]+$", max_length=64)]


class Management(Table, frozen=True, kw_only=True):
    """role_assignments: the most in one subscription."""

    locations: Annotated[tuple[Location, ...], Meta(min_length=1)] = ("local",)
    role_assignments: Annotated[int, Meta(ge=1, le=1_000_000)] = 4000


class DeclaredSubscription(Table, frozen=True, kw_only=True):
    """A subscription that is made at start when it is not there. owners: object ids; each is made Owner once, so that
    what an administrator takes away stays away."""

    id: Guid
    tenant: Guid
    name: Text
    owners: tuple[Guid, ...] = ()
