"""`python -m hsmvault` and the console script."""

import sys

from hsmvault.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
