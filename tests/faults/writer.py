"""Writes token objects as it is told on standard input: `python -m tests.faults.writer FOLDER`.

make ID and destroy ID do so as custody does; find ID looks only. An id is 32 hex digits. The answer is a number: of the
objects that were found or destroyed, for make 1.
"""

import sys
from pathlib import Path

from pkcs11 import ObjectClass

from hsmvault.hsm import objects, token_objects
from hsmvault.hsm.ceremony import user_session
from hsmvault.hsm.objects import MOVING, Stay
from hsmvault.hsm.world_keys import WorldIds
from hsmvault.model.algorithms import Curve, KeySpec
from tests.softhsm import SoftToken

SPEC = KeySpec.ec(Curve.P256)


def main(folder: Path) -> None:
    token = SoftToken(folder, WorldIds(mac=b""), lock=folder / "module.lock")
    with token.loaded() as module, user_session(module, token.selector, token.user_pin) as work:
        for line in sys.stdin:
            command, text = line.split()
            token_id = bytes.fromhex(text)
            if command == "make":
                pair = objects.generate_pair(work, SPEC, MOVING)
                with token_objects.writing(module, work):
                    objects.move_to_token(work, pair.private, SPEC, Stay(token_id, "key"))
                number = 1
            elif command == "destroy":
                with token_objects.writing(module, work):
                    number = token_objects.destroy_private(work, token_id)
            else:
                number = len(objects.find(work, ObjectClass.PRIVATE_KEY, token_id))
            print(number, flush=True)  # noqa: T201  # to the test


main(Path(sys.argv[1]))
