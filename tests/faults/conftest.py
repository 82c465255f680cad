"""Processes for the folder: to start one takes longer than most of what is done with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.management_wire import Client, Site, at_both, site_of
from tests.faults.processes import Processes, processes
from tests.instance import DevInstance, folder_for_data, running
from tests.softhsm import SoftToken, folder_for_tokens, softhsm, softhsm_template

__all__ = ["softhsm", "softhsm_template"]


@pytest.fixture(scope="package")
def two(softhsm_template: SoftToken, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Processes]]:
    """Two that can be at work at once."""
    with processes(softhsm_template, tmp_path_factory.mktemp("database"), 2) as both:
        yield both


@pytest.fixture
def folder() -> Iterator[Path]:
    with folder_for_tokens() as made:
        yield made


@pytest.fixture(scope="package")
def instance() -> Iterator[DevInstance]:
    """With two workers. Tests choose their own names for what they make in it."""
    with folder_for_data() as folder, running(folder / "data", workers=2) as started:
        yield started
        assert started.failures() == []


@pytest.fixture
def site(instance: DevInstance) -> Iterator[Site]:
    """The same, with its planes; every connection ends with the test."""
    with site_of(instance) as opened:
        yield opened


@pytest.fixture
def arms(site: Site) -> tuple[Client, Client]:
    """The owner's connections to the management plane, each to another worker."""
    return at_both(site, site.arm)
