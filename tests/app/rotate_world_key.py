"""A rotation of the world key in a process of its own: `python -m tests.app.rotate_world_key TOKENS DATA`."""

import asyncio
import sys
from pathlib import Path

from hsmvault.app.world_key_rotation import job_of, rotate
from hsmvault.hsm.world_keys import WorldIds
from tests.app.rotating import installed
from tests.softhsm import SO_PIN, USER_PIN, SoftToken


async def main(tokens: Path, data: Path) -> None:
    token = SoftToken(tokens, WorldIds(mac=b""))
    async with installed(token, data) as rows:
        with token.loaded() as module:
            rotating = await rows.rotating(job_of, "node", lambda _: None, lambda _: None)
            await rotate(rotating, await rows.known(), module, pin=USER_PIN, so_pin=SO_PIN)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
