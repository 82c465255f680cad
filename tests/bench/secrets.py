"""Work on secrets: read, set, and pages of a long list."""

import json
import random
from urllib.parse import urlsplit

from tests.bench.generator import Generator, Work
from tests.bench.instance import API_VERSION, Container
from tests.bench.processes import BenchError

VALUE = "0123456789abcdef" * 64
"""1 KB; also what the peer keeps."""
NAMES = 16
"""Secrets that take turns."""
PAGE = 25
NUMBER = "@@@@@@@@@"
"""The load generator makes a number of it."""
_SEED = 4  # any: the same order each time


class Secrets:
    """Made through the API when an operation first asks for them. listed: how many the long list has, about."""

    def __init__(self, container: Container, generator: Generator, listed: int) -> None:
        self._container = container
        self._generator = generator
        self._listed = listed
        self._ids: list[str] = []

    def get(self, name: str, *, with_version: bool) -> Work:
        """By the version, or the latest."""
        paths = [path if with_version else path.rpartition("/")[0] for path in self._made()]
        requests = tuple(self._container.request("GET", path) for path in paths)
        return Work(name, self._container.target, requests, has_value)

    def set(self, name: str) -> Work:
        """New versions of secrets that are there."""
        requests = tuple(
            self._container.request("PUT", path.rpartition("/")[0], {"value": VALUE}) for path in self._made()
        )
        return Work(name, self._container.target, requests, has_value)

    def set_new(self, name: str, cell: int) -> Work:
        """New names. cell: a number, so that each cell has names of its own."""
        request = self._container.request("PUT", f"/secrets/new-{cell}-{NUMBER}", {"value": VALUE})
        return Work(name, self._container.target, (request,), has_value)

    def page(self, name: str) -> Work:
        """Pages of the whole list, in any order: the places are those that its next links name."""
        self._fill(self._listed)
        pages = full_pages(self._container)
        if len(pages) * PAGE < self._listed:
            raise BenchError(f"the list has {len(pages)} pages only")
        random.Random(_SEED).shuffle(pages)  # noqa: S311  # an order, and no secret
        requests = tuple(self._container.request("GET", page) for page in pages)
        return Work(name, self._container.target, requests, is_page)

    def _fill(self, count: int) -> None:
        request = self._container.request("PUT", f"/secrets/listed-{NUMBER}", {"value": "one of many"})
        self._generator.fill(Work("filling", self._container.target, (request,), lambda *_: True, most=count))

    def _made(self) -> list[str]:
        """Their paths with a version."""
        if not self._ids:
            for number in range(NAMES):
                answer = self._container.call("PUT", f"/secrets/bench-{number}", {"value": VALUE})
                self._ids.append(urlsplit(answer["id"]).path)
        return self._ids


def full_pages(container: Container) -> list[str]:
    """The path of each page of the container's list, but for the last: from one next link to the other."""
    pages: list[str] = []
    page: str | None = f"/secrets?maxresults={PAGE}"
    while page is not None:
        link: str | None = container.call("GET", page)["nextLink"]
        if link is not None:
            pages.append(page)
        page = None if link is None else _path_of(link)
    return pages


def has_value(_: int, body: bytes) -> bool:
    return bool(json.loads(body)["value"] == VALUE)


def is_page(_: int, body: bytes) -> bool:
    return len(json.loads(body)["value"]) == PAGE


def _path_of(link: str) -> str:
    """Without the api-version, which is put to every request."""
    parts = urlsplit(link)
    return f"{parts.path}?{parts.query.replace(f'api-version={API_VERSION}&', '')}"
