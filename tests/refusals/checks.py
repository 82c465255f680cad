"""What every refusal must look like: status, body and headers, in the form of vaults or of pools."""

import json
import re
from pathlib import Path
from typing import Any

from tests.pipeline.world import LOGIN
from tests.refusals.places import Place
from tests.refusals.words import Refusal
from tests.wire.service import Answer

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def check(answer: Answer, expected: Refusal, place: Place) -> None:
    """Status, body and headers of a refusal, in the form of vaults or of pools."""
    request_id = answer.header("x-ms-request-id")
    assert request_id is not None and _GUID.fullmatch(request_id)
    assert answer.status == expected.status, answer.body
    challenge = f'Bearer authorization="{LOGIN}/{place.tenant}", resource="{place.resource}"'
    assert answer.header("WWW-Authenticate") == (challenge if expected.status == 401 else None)
    assert answer.header("Retry-After") is None
    _check_headers(answer, place)
    if place.is_pool and expected.message is not None and expected.message.startswith("AKV10000"):
        assert (answer.body, answer.header("Content-Type")) == (b"OK", "text/plain")
        return
    assert answer.header("Content-Type") == "application/json; charset=utf-8"
    error: dict[str, object] = {"code": expected.code, "message": answer.message}
    if expected.inner is not None:
        error["innererror"] = {"code": expected.inner}
    assert answer.json == {"error": error}
    if place.is_pool:
        end = f" (Activity ID: {request_id})"
        assert answer.message.endswith(end)
        if expected.message is not None:
            assert answer.message == (expected.in_pools or expected.message).rstrip() + end
    elif expected.message is not None:
        assert answer.message == expected.message


def _check_headers(answer: Answer, place: Place) -> None:
    """Those of every answer of the data plane ("Response headers" of the reference)."""
    both = {
        "x-ms-keyvault-region": "westeurope",
        "x-ms-keyvault-network-info": "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;",
        "Cache-Control": "no-cache, no-store",
        "Pragma": "no-cache",
        "Expires": "-1",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        "X-Content-Type-Options": "nosniff",
    }
    vault = {"x-ms-keyvault-service-version": "1"}
    pool = {
        "x-ms-server-latency": "0",
        "x-ms-build-version": "1",
        "Content-Security-Policy": "default-src 'self'",
        "X-Frame-Options": "SAMEORIGIN",
    }
    own, others = (pool, vault) if place.is_pool else (vault, pool)
    assert {name: answer.header(name) for name in both | own} == both | own
    assert {answer.header(name) for name in others} == {None}


def last_record(path: Path) -> Any:
    """Of the audit log; every record is on a line that ends."""
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - 8192))
        return json.loads(log.read().splitlines()[-1])
