"""Starts and stops a token again and again: `python -m tests.faults.starter FOLDER MAC_KEY_ID TIMES`."""

import asyncio
import sys
from pathlib import Path

from hsmvault.hsm.world_keys import WorldIds
from tests.softhsm import SoftToken


async def main(folder: str, mac_key_id: str, times: str) -> None:
    softhsm = SoftToken(Path(folder), WorldIds(mac=bytes.fromhex(mac_key_id)), lock=Path(folder) / "module.lock")
    for _ in range(int(times)):
        with softhsm.loaded() as module:
            async with softhsm.started(module):
                pass


asyncio.run(main(*sys.argv[1:]))
