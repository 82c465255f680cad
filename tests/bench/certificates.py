"""Work on certificates: self-signed ones created until they are there, and read."""

import base64
import json
import time

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tests.bench.generator import Work
from tests.bench.instance import Container
from tests.bench.processes import BenchError

_NUMBER = "@@@@@@@@@"  # the load generator makes a number of it
_UNFINISHED = '"status":"inProgress"'
_SECONDS = 30.0


def create(name: str, container: Container, cell: int, *, hard: bool, most: int) -> Work:
    """Asked for, and polled until the operation is completed. cell: a number, so that each cell has other names."""
    path = f"/certificates/made-{cell}-{_NUMBER}"
    return Work(
        name,
        container.target,
        (container.request("POST", f"{path}/create", _body(hard=hard)),),
        lambda _, body: bool(json.loads(body)["status"] == "completed"),
        status=202,
        most=most,
        follow=container.request("GET", f"{path}/pending"),
        unfinished=_UNFINISHED,
    )


def get(name: str, container: Container) -> Work:
    """The latest version of one, with its policy."""
    path = "/certificates/bench-read"
    container.call("POST", f"{path}/create", _body(hard=True))
    ends = time.monotonic() + _SECONDS
    while container.call("GET", f"{path}/pending")["status"] != "completed":
        if time.monotonic() > ends:
            raise BenchError("a certificate is not completed")
        time.sleep(0.01)

    def check(_: int, body: bytes) -> bool:
        certificate = x509.load_der_x509_certificate(base64.b64decode(json.loads(body)["cer"]))
        public = certificate.public_key()
        certificate.verify_directly_issued_by(certificate)
        return isinstance(public, ec.EllipticCurvePublicKey)

    return Work(name, container.target, (container.request("GET", path),), check)


def _body(*, hard: bool) -> dict[str, object]:
    """P-256, one year."""
    key = {"kty": "EC-HSM", "exportable": False} if hard else {"kty": "EC", "exportable": True}
    return {
        "policy": {
            "key_props": {**key, "crv": "P-256", "reuse_key": False},
            "secret_props": {"contentType": "application/x-pem-file"},
            "x509_props": {"subject": "CN=www.example.org", "validity_months": 12},
            "issuer": {"name": "Self"},
        }
    }
