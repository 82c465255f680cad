"""Backup blobs of format 1, as they were made before backups had a data key of their own."""

import json
import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hsmvault.custody.backup import TAG, BackupScope
from hsmvault.custody.protocols import SystemKey


async def seal_first(system_key: SystemKey, scope: BackupScope, body: bytes) -> bytes:
    header = json.dumps(
        {
            "kind": scope.kind,
            "subscription_id": scope.subscription_id,
            "geography": scope.geography,
            "tenant_id": scope.tenant_id,
            "system_key_id": system_key.id,
            "created": 1_750_000_000,
        }
    ).encode()
    bound_to = TAG + b"\x01" + len(header).to_bytes(4, "big") + header
    key, iv = os.urandom(32), os.urandom(12)
    sealed_key = await system_key.seal(key, bound_to)
    return b"".join(
        (bound_to, len(sealed_key).to_bytes(2, "big"), sealed_key, iv, AESGCM(key).encrypt(iv, body, bound_to))
    )
