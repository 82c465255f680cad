"""The stand-ins of the custody tests run the suites of what they stand for."""

import pytest

from tests.contract.data_key_store import DataKeyStoreContract
from tests.contract.system_key import SystemKeyContract
from tests.custody.doubles import MemoryDataKeyStore, SoftwareSystemKey


@pytest.fixture(scope="module")
def system_key() -> SoftwareSystemKey:
    return SoftwareSystemKey()


@pytest.fixture(scope="module")
def data_keys() -> MemoryDataKeyStore:
    return MemoryDataKeyStore()


class TestSoftwareSystemKey(SystemKeyContract):
    """Nothing of its own."""


class TestMemoryDataKeyStore(DataKeyStoreContract):
    """Nothing of its own."""
