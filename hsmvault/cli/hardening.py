"""What every process of an instance does first: PINs and keys pass through its memory."""

import ctypes
import os
import resource
import signal

from hsmvault.config import Settings
from hsmvault.errors import OperatorError

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_DUMPABLE = 4


def harden() -> None:
    """No core dumps, no ptrace and no /proc/PID/mem for other processes of the user, files for the owner alone.

    To be called again after every exec, which makes a process dumpable again.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)
    os.umask(0o077)


def die_with(parent: int) -> None:
    """Have the kernel end this process when its supervisor dies, however that happens.

    Leaving at once is safe: what was acknowledged is durable. A worker that lingered would hold the port and the
    data directory against the next start.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it died before the call above


def set_module_environment(settings: Settings) -> None:
    """SoftHSM reads the path of its configuration from the environment, when it is loaded."""
    if settings.hsm.softhsm_conf is not None:
        os.environ["SOFTHSM2_CONF"] = str(settings.hsm.softhsm_conf)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OperatorError(f"prctl({option}) failed: {os.strerror(ctypes.get_errno())}.")
