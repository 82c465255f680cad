"""The table of refusals and the bridge into it."""

import pytest

from hsmvault.errors import BadRequest, Conflict, RequestError, Throttled, Unavailable
from hsmvault.login.failures import as_refusal
from hsmvault.login.refusals import ALL, LoginRefused, Refusal, document

OAUTH_ERRORS = {
    "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
    "invalid_scope", "invalid_resource", "invalid_tenant", "invalid_instance", "temporarily_unavailable",
    "server_error",
    # of the device flow (RFC 8628, 3.5), as Entra names them, and of the authorization endpoint (RFC 6749, 4.1.2.1)
    "authorization_pending", "authorization_declined", "slow_down", "expired_token", "access_denied",
    "unsupported_response_type", "login_required", "interaction_required",
}  # fmt: skip


@pytest.mark.parametrize("refusal", ALL, ids=lambda refusal: f"{refusal.code}-{refusal.status}")
def test_every_refusal_has_the_layout_of_entra(refusal: Refusal) -> None:
    assert refusal.error in OAUTH_ERRORS
    assert 400 <= refusal.status <= 503
    names = ("reason", "parameter", "grant", "tenant", "application")
    refused = LoginRefused(refusal, **dict.fromkeys(names, "value"))
    body = document(refused, origin="https://login.x", now=0.0, trace_id="t", correlation_id="c")
    assert set(body) == {
        "error", "error_description", "error_codes", "timestamp", "trace_id", "correlation_id", "error_uri",
    }  # fmt: skip
    assert body["error_description"].startswith(f"AADSTS{refusal.code}: ")
    assert body["error_description"].endswith("Trace ID: t Correlation ID: c Timestamp: 1970-01-01 00:00:00Z")
    assert "{" not in body["error_description"]


@pytest.mark.parametrize(
    ("error", "status", "name", "wait"),
    [
        (Throttled("x", retry_after_seconds=3), 429, "temporarily_unavailable", 3),
        (Unavailable("x", retry_after_seconds=4, detail="secret"), 503, "temporarily_unavailable", 4),
        (BadRequest("x"), 400, "invalid_request", 0),
        (Conflict("x"), 500, "server_error", 0),
        (RequestError("x"), 500, "server_error", 0),
        (RuntimeError("secret"), 500, "server_error", 0),
    ],
)
def test_every_exception_becomes_a_refusal_without_its_text(
    error: Exception, status: int, name: str, wait: int, caplog: pytest.LogCaptureFixture
) -> None:
    refused = as_refusal(error)
    assert (refused.refusal.status, refused.refusal.error, refused.retry_after_seconds) == (status, name, wait)
    assert "secret" not in refused.text
    if isinstance(error, RuntimeError):
        assert "secret" not in caplog.text
