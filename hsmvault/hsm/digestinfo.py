"""DigestInfo prefixes for RSASSA-PKCS1-v1_5, built here because CKM_RSA_PKCS signs any bytes that fit.

Source: RFC 8017, 9.2, note 1.
"""

from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import Hash

_PREFIX = {
    Hash.SHA256: bytes.fromhex("3031300d060960864801650304020105000420"),
    Hash.SHA384: bytes.fromhex("3041300d060960864801650304020205000430"),
    Hash.SHA512: bytes.fromhex("3051300d060960864801650304020305000440"),
}


def digest_info(function: Hash, digest: bytes) -> bytes:
    """DER of DigestInfo. Raises BadRequest when the digest has another length than the hash gives."""
    check_digest(function, digest)
    return _PREFIX[function] + digest


def check_digest(function: Hash, digest: bytes) -> None:
    """The token truncates or signs whatever it gets: the length is checked here. Also refuses all but bytes."""
    if type(digest) is not bytes or len(digest) != function.digest_bytes:
        raise BadRequest(f"Invalid length of 'value': {function.digest_bytes} bytes are expected.")
