"""A prepared SoftHSM token for tests: initialised once per run, its folder copied for each test.

    from tests.softhsm import softhsm, softhsm_template  # noqa: F401  # fixtures

`softhsm` gives a SoftToken of the test's own, with SOFTHSM2_CONF set. A process has one instance of the module:
load it with `with soft_token.loaded() as module`, and leave nothing running behind.
HSMVAULT_TEST_MODULE names another build of SoftHSM.
"""

import asyncio
import dataclasses
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from hsmvault.clock import RandomIdentifiers
from hsmvault.custody.world import World
from hsmvault.hsm.ceremony import create_world, initialise_token, make_export_key
from hsmvault.hsm.module import Module, TokenSelector, load_module
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.profile import Profile, load_profile
from hsmvault.hsm.recovery import Pause
from hsmvault.hsm.token import Token
from hsmvault.hsm.world_keys import WorldIds

MODULE_PATH = os.environ.get("HSMVAULT_TEST_MODULE", "/usr/lib/softhsm/libsofthsm2.so")
PROFILE_PATH = Path(__file__).parent.parent / "conf" / "hsm" / "softhsm.toml"
LABEL = "test"
USER_PIN = Pin("test-user-pin")
SO_PIN = Pin("test-so-pin")
FOLDER = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  # mkdtemp makes the name


@dataclass
class SoftToken:
    """folder: softhsm2.conf and tokens/. retry_seconds: recovery tries again at once in tests."""

    folder: Path
    ids: WorldIds
    profile: Profile = field(
        default_factory=lambda: msgspec.structs.replace(load_profile(PROFILE_PATH), retry_seconds=0.01)
    )
    selector: TokenSelector = field(default_factory=lambda: TokenSelector(label=LABEL))
    user_pin: Pin = USER_PIN
    so_pin: Pin = SO_PIN
    module_path: str = MODULE_PATH
    lock: Path | None = None
    """Of the processes that have the module, where there are several."""

    @property
    def configuration(self) -> Path:
        return self.folder / "softhsm2.conf"

    @property
    def tokens(self) -> Path:
        return self.folder / "tokens"

    def configure(self) -> None:
        """Write softhsm2.conf for this folder and point the module at it."""
        self.tokens.mkdir(parents=True, exist_ok=True)
        self.configuration.write_text(
            f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        os.environ["SOFTHSM2_CONF"] = str(self.configuration)

    @contextmanager
    def loaded(self) -> Iterator[Module]:
        """The module in this process, finalized afterwards."""
        self.configure()
        module = load_module(self.module_path, self.profile, self.lock)
        try:
            yield module
        finally:
            module.finalize()

    @asynccontextmanager
    async def started(
        self,
        module: Module,
        *,
        on_fatal: Callable[[str], None] | None = None,
        pause: Pause | None = None,
    ) -> AsyncIterator[Token]:
        """The token at work in this event loop, closed afterwards."""
        more = {} if pause is None else {"pause": pause}
        token = await Token.start(module, self.selector, self.user_pin, self.ids, on_fatal=on_fatal or _fail, **more)
        try:
            yield token
        finally:
            await token.close()

    @asynccontextmanager
    async def world(self) -> AsyncIterator[World]:
        """Module, token and world in one, for tests above the hsm layer."""
        with self.loaded() as module:
            async with self.started(module) as token:
                yield World([token], RandomIdentifiers())


async def offer_export(world: World) -> None:
    """Give the world an export key, as a completed one has."""
    token = world.tokens[0]
    token_id = os.urandom(16)
    await token.load(lambda work: make_export_key(work, token_id))
    token.adopt(dataclasses.replace(token.ids, export=token_id))


async def until_back(token: Token, generation: int) -> None:
    """Wait for a generation after this one, at most ten seconds."""
    async with asyncio.timeout(10):
        while token.generation <= generation:
            if token._task is not None and not token._task.done():
                await asyncio.wait({token._task})
            await asyncio.sleep(0)


def _fail(reason: str) -> None:
    raise AssertionError(reason)


@contextmanager
def folder_for_tokens() -> Iterator[Path]:
    """An empty folder in memory where there is one: generating a token object costs 50 ms and more on ext4."""
    folder = Path(tempfile.mkdtemp(prefix="hsmvault-test-", dir=FOLDER))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def copied(template: SoftToken) -> Iterator[SoftToken]:
    """A token of its own, like the template."""
    before = os.environ.get("SOFTHSM2_CONF")
    with folder_for_tokens() as folder:
        shutil.copytree(template.tokens, folder / "tokens")
        token = SoftToken(folder, template.ids)
        token.configure()
        try:
            yield token
        finally:
            if before is None:
                os.environ.pop("SOFTHSM2_CONF", None)
            else:
                os.environ["SOFTHSM2_CONF"] = before


@pytest.fixture(scope="session")
def softhsm_template() -> Iterator[SoftToken]:
    """A token after the ceremony. Only to be copied."""
    with folder_for_tokens() as folder:
        token = SoftToken(folder, WorldIds(mac=b""))
        with token.loaded() as module:
            initialise_token(module, LABEL, so_pin=SO_PIN, user_pin=USER_PIN)
            token.ids = create_world(
                module,
                token.selector,
                so_pin=SO_PIN,
                user_pin=USER_PIN,
                random=RandomIdentifiers().random,
            )
        yield token


@pytest.fixture
def softhsm(softhsm_template: SoftToken) -> Iterator[SoftToken]:
    """A token of this test's own, with a world on it."""
    with copied(softhsm_template) as token:
        yield token


@pytest.fixture(scope="module")
def softhsm_for_module(softhsm_template: SoftToken) -> Iterator[SoftToken]:
    """As softhsm, for a whole test module."""
    with copied(softhsm_template) as token:
        yield token
