"""What the command line expects of app.py, the one place that builds the parts and joins them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from hsmvault.config import Checked, Control, Listeners, Prepared, Settings, WorkerSettings
from hsmvault.hsm.pin import Pin


class Application(Protocol):
    def prepare(self, settings: Settings, pin: Pin, so_pin: Pin | None = None) -> Awaitable[Prepared]:
        """Everything that happens once, before the first worker: migrate the database, check the token with one
        attempt of its PIN. so_pin: given by `hsmvault dev` alone; then also make the token, run the ceremony and
        create what contract promises of a first start. Leaves nothing open: no session, no connection, no thread.

        Raises OperatorError, which ends the start with its exit code.
        """
        ...

    def run_worker(self, settings: WorkerSettings, pin: Pin, listeners: Listeners, control: Control) -> Awaitable[int]:
        """Serve until control says stop; runs in the loop of a worker process. Returns the exit code.

        Raises OperatorError, which ends the whole instance with its exit code before it was ready; later another
        worker is tried after a pause, except behind PinRefused.
        """
        ...

    def initialize(self, settings: Settings, pin: Pin, so_pin: Pin, world: str) -> Awaitable[Sequence[str]]:
        """`hsmvault init`: the ceremony on the token that is configured for this world. Returns sentences for the
        terminal."""
        ...

    def migrate(self, settings: Settings) -> Awaitable[Sequence[str]]:
        """`hsmvault migrate`. Returns sentences for the terminal."""
        ...

    def check(self, settings: Settings, pin: Pin | None) -> Awaitable[Checked]:
        """`hsmvault check`: what a start would be refused for, found without changing anything. With a PIN, one
        attempt, and the token's self-test as lines for the terminal."""
        ...


Load = Callable[[], Application]


def load() -> Application:
    """Import late: the supervisor's own start, and a mistake on the command line, do not wait for it."""
    from hsmvault import app

    return app
