"""Stand-ins for what lies outside custody. Each runs the suite of the thing it stands for (tests/contract/)."""

import asyncio
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hsmvault.errors import CiphertextRefused, Unavailable
from hsmvault.model.data_keys import DataKeyRow


class SoftwareSystemKey:
    """A SystemKey without an HSM. gone: as when the token is out of reach. calls: how often it was used."""

    def __init__(self, id: str = "system-key-1") -> None:
        self.id = id
        self.gone = False
        self.calls = 0
        self._cipher = AESGCM(AESGCM.generate_key(256))

    async def seal(self, plaintext: bytes, bound_to: bytes) -> bytes:
        self._use()
        await asyncio.sleep(0)
        iv = os.urandom(12)
        return iv + self._cipher.encrypt(iv, plaintext, bound_to)

    async def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        self._use()
        await asyncio.sleep(0)
        try:
            return self._cipher.decrypt(sealed[:12], sealed[12:], bound_to)
        except (InvalidTag, ValueError) as error:
            raise CiphertextRefused from error

    def _use(self) -> None:
        self.calls += 1
        if self.gone:
            raise Unavailable("The HSM is not available.")


class MemoryDataKeyStore:
    """A DataKeyStore without a database. calls: how often it was asked."""

    def __init__(self) -> None:
        self.rows: dict[str, DataKeyRow] = {}
        self.calls = 0
        self._current: dict[str, str] = {}

    async def current(self, container_id: str) -> DataKeyRow | None:
        self.calls += 1
        await asyncio.sleep(0)
        return self.rows.get(self._current.get(container_id, ""))

    async def get(self, data_key_id: str) -> DataKeyRow | None:
        self.calls += 1
        await asyncio.sleep(0)
        return self.rows.get(data_key_id)

    async def add(self, row: DataKeyRow) -> DataKeyRow:
        self.calls += 1
        await asyncio.sleep(0)
        winner = self._current.setdefault(row.container_id, row.id)
        if winner == row.id:
            self.rows[row.id] = row
        return self.rows[winner]
