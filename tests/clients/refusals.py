"""What a refusal looks like to a client: status, code, inner code, message."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError


@contextmanager
def refused(
    status: int, code: str, inner: str | None = None, *, kind: type[HttpResponseError] = HttpResponseError
) -> Iterator["pytest.ExceptionInfo[HttpResponseError]"]:
    """The block raises exactly this kind of error of the client, with what the service said in it."""
    with pytest.raises(HttpResponseError) as caught:
        yield caught
    error = caught.value
    assert (error.status_code, error_code(error), inner_code(error)) == (status, code, inner), error.message
    assert type(error) is kind


def error_code(error: HttpResponseError) -> str | None:
    return error.error.code if error.error is not None else None


def inner_code(error: HttpResponseError) -> str | None:
    inner: Any = error.error.innererror if error.error is not None else None
    return inner["code"] if inner else None


def message(error: HttpResponseError) -> str:
    """The service's own text, without what the client adds, and in a pool without the id of the request behind it."""
    assert error.error is not None and error.response is not None
    text, response = str(error.error.message), error.response
    if ".managedhsm." not in response.request.url:
        return text
    end = f" (Activity ID: {response.headers['x-ms-request-id']})"
    assert text.endswith(end), text
    return text.removesuffix(end)
