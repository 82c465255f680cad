"""Regions: names that the configuration gives to places of one's own site."""

from collections.abc import Sequence

from hsmvault.errors import BadRequest


def folded_location(location: str) -> str:
    """As locations are kept and compared: 'westeurope' for 'West Europe'."""
    return "".join(location.split()).lower()


def check_location(location: str, locations: Sequence[str], resource_type: str) -> str:
    """The location as it is kept. locations: the configured ones. Raises BadRequest."""
    folded = folded_location(location)
    if folded not in locations:
        raise BadRequest(
            f"The provided location '{location[:64]}' is not available for resource type '{resource_type}'. List of "
            f"available regions for the resource type is '{','.join(locations)}'.",
            code="LocationNotAvailableForResourceType",
        )
    return folded
