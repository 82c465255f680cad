"""The one place that builds the parts and joins them.

preparation   what happens once before the first worker: schema, token, worlds, first principals
operator      what the command line does besides: init, migrate, check, rotations
composition   a worker: every part is made here and given what it needs
serving       a worker's life: start, listen, background work, stop
"""

from hsmvault.app.operator import check, initialize, migrate, rotate_system_key, rotate_world_key
from hsmvault.app.preparation import prepare
from hsmvault.app.serving import run_worker

__all__ = ["check", "initialize", "migrate", "prepare", "rotate_system_key", "rotate_world_key", "run_worker"]
