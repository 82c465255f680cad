"""`hsmvault dev` with a hosts file of its own, never the machine's.

python -m tests.story.dev DATA_DIR PORT SUFFIX HOSTS
"""

import sys
from pathlib import Path

from hsmvault.cli.dev import DevOptions, run_dev
from hsmvault.errors import OperatorError


def main() -> int:
    data_dir, port, suffix, hosts = sys.argv[1:]
    try:
        return run_dev(DevOptions(Path(data_dir), int(port), workers=2, suffix=suffix, hosts=Path(hosts)))
    except OperatorError as error:
        sys.stderr.write(f"hsmvault: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
