"""Initialise a token by hand: `python -m hsmvault.hsm.prepare`; softhsm/prepare is the shell around it.

PINs come from files, never from the command line, where every process of the machine could read them.
"""

import argparse
import sys
from contextlib import suppress
from pathlib import Path

from hsmvault.errors import OperatorError
from hsmvault.hsm.ceremony import initialise_token
from hsmvault.hsm.module import load_module
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.profile import load_profile
from hsmvault.hsm.returncodes import ModuleError

DEBIAN_SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or the refusal's own with one sentence on standard error."""
    parser = argparse.ArgumentParser(prog="python -m hsmvault.hsm.prepare", description=__doc__)
    parser.add_argument("--module", default=DEBIAN_SOFTHSM, help="path of the PKCS#11 module")
    parser.add_argument("--profile", type=Path, required=True, help="conf/hsm/*.toml")
    parser.add_argument("--label", required=True, help="of the new token, at most 32 bytes")
    parser.add_argument("--so-pin-file", type=Path, required=True)
    parser.add_argument("--pin-file", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        module = load_module(options.module, load_profile(options.profile))
        try:
            serial = initialise_token(
                module, options.label, so_pin=_read(options.so_pin_file), user_pin=_read(options.pin_file)
            )
        finally:
            with suppress(*ModuleError):
                module.finalize()
    except OperatorError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stderr.write(f"Token '{options.label}' with serial {serial} is ready for 'hsmvault init'.\n")
    return 0


def _read(path: Path) -> Pin:
    return Pin(path.read_text(encoding="utf-8").strip())


if __name__ == "__main__":
    sys.exit(main())
