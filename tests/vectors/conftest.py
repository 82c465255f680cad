"""One instance for the folder, and the three places in it where a key can live."""

from collections.abc import Iterator

import pytest

from tests.caller import owner_of
from tests.instance import DevInstance, dev_instance  # noqa: F401  # fixture
from tests.vectors.place import Place


@pytest.fixture(scope="package")
def places(dev_instance: DevInstance) -> Iterator[dict[str, Place]]:  # noqa: F811  # the fixture
    """At the end, nothing may have gone wrong behind the answers."""
    with owner_of(dev_instance) as vault, owner_of(dev_instance, "AZURE_MANAGEDHSM_URL") as pool:
        every = (Place("soft", vault()), Place("hard", vault(), "-HSM"), Place("pool", pool()))
        yield {place.name: place for place in every}
    assert dev_instance.failures() == []
    assert dev_instance.leaks() == []


@pytest.fixture
def place(places: dict[str, Place], request: pytest.FixtureRequest) -> Place:
    """Named by the parameter."""
    return places[request.param]
