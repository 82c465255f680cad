from collections.abc import Iterator

import pytest

from tests.properties.worker import Worker, worker
from tests.softhsm import SoftToken, copied, folder_for_tokens, softhsm_template  # noqa: F401  # fixture


@pytest.fixture(scope="package")
def the_worker(softhsm_template: SoftToken) -> Iterator[Worker]:  # noqa: F811  # the fixture
    with copied(softhsm_template) as token, folder_for_tokens() as folder, worker(token, folder) as started:
        yield started
