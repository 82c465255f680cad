"""A worker, put together: every part is made here, once, and given what it needs. Nothing else builds parts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hsmvault.app.access import make_pipeline
from hsmvault.app.background import runner_of, work_records
from hsmvault.app.base import Base
from hsmvault.app.certificates import configured_certificates
from hsmvault.app.exporting import exports_of
from hsmvault.app.graph import make_graph
from hsmvault.app.logins import default_tenant, home_authority, issuer_urls, make_login
from hsmvault.app.management import ManagementParts, make_management
from hsmvault.app.networks import named_networks, trusted_proxies
from hsmvault.app.observation import Observation, show_audit, show_cache, show_queues
from hsmvault.app.reconciliation import node_id
from hsmvault.app.releases import make_releases
from hsmvault.app.reloading import Reload
from hsmvault.app.relying_parties import make_authorities, make_pki
from hsmvault.app.retirement import Retirement
from hsmvault.app.secrets import make_secrets, secret_handlers
from hsmvault.app.served_worlds import ServedWorlds, WorldParts, start_worlds
from hsmvault.app.trust import EmbeddedKeys
from hsmvault.app.worlds import WORLD_NAME, known_worlds, module_of
from hsmvault.audit.log import AuditLog, Durability
from hsmvault.clock import RandomIdentifiers, SystemClock
from hsmvault.config import WorkerSettings
from hsmvault.custody.custodians import Custodians
from hsmvault.custody.intents import Intents
from hsmvault.custody.sealing import CacheLimits
from hsmvault.custody.soft import SoftCustodian
from hsmvault.errors import HsmRefusal, Unavailable
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.sessions import in_thread
from hsmvault.jobs.audit_export import ExportAudit
from hsmvault.jobs.runner import Runner
from hsmvault.lanes import Lane
from hsmvault.login.managed_identities import IdentityEndpoints
from hsmvault.login.rotation import Rotation
from hsmvault.login.signing_keys import SigningKeys
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.pipeline.caches import ContainerCache
from hsmvault.resources.authorities import Authorities
from hsmvault.resources.certificate_issuance import Issuance
from hsmvault.resources.container_removal import ContainerRemoval
from hsmvault.resources.key_attestation import KeyAttestations
from hsmvault.resources.key_backups import KeyBackups
from hsmvault.resources.key_cache import KeyCache
from hsmvault.resources.key_operations import KeyOperations
from hsmvault.resources.key_rotation import KeyRotation
from hsmvault.resources.key_secure_wrap import Random
from hsmvault.resources.keys import Keys
from hsmvault.resources.pools.pool_settings import SettingsOfPools
from hsmvault.store.board import ChangeBoard
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.database import Database
from hsmvault.telemetry.logs import request_id
from hsmvault.telemetry.metrics import Metrics
from hsmvault.wire import forms
from hsmvault.wire.attestation import AttestationPlane
from hsmvault.wire.data_plane import BodyLimits, DataPlane
from hsmvault.wire.door import Door, PlaneHandler
from hsmvault.wire.handlers import Handlers
from hsmvault.wire.hosts import Hosts, Plane
from hsmvault.wire.hsm_answers import HsmAnswers
from hsmvault.wire.key_lives import KeyLives
from hsmvault.wire.key_release import KeyReleases
from hsmvault.wire.key_rotation import KeyRotations
from hsmvault.wire.key_uses import KeyUses
from hsmvault.wire.paging import Pages
from hsmvault.wire.pki import PkiEndpoints
from hsmvault.wire.pool_settings import PoolSettingHandlers
from hsmvault.wire.versions import ApiVersions

_SOFT_QUEUE = 512
_SOFT_GENERATIONS = 16
_CHECKS_QUEUE = 64
_VERIFICATION_QUEUE = 512


@dataclass(slots=True)
class Worker:
    """What serving.py starts and stops, in the order in which it was made."""

    database: Database
    feed: ChangeFeed
    audit: AuditLog
    worlds: ServedWorlds
    lanes: tuple[Lane[None], ...]
    soft: SoftCustodian
    door: Door
    identity: IdentityEndpoints | None
    rotation: Rotation | None
    reload: Reload
    jobs: Runner
    issuance: Issuance
    authorities: Authorities | None = None
    pki: PkiEndpoints | None = None
    exports: tuple[ExportAudit, ...] = ()


async def compose(worker: WorkerSettings, pin: Pin, metrics: Metrics, on_fatal: Callable[[str], None]) -> Worker:
    """on_fatal: called when a call hangs in the PKCS#11 module; the process must end. Raises OperatorError."""
    settings, clock, identifiers = worker.settings, SystemClock(), RandomIdentifiers()
    database = await Database.open(settings.store_url, clock=clock)
    audit = AuditLog(
        settings.audit_directory,
        f"{worker.index}",
        clock,
        durability=Durability(settings.audit.durability),
        rotate_bytes=settings.audit.rotate_bytes,
    )
    board = ChangeBoard(settings.layout.board, worker.index, worker.count)
    feed = ChangeFeed(database, interval_seconds=settings.store.poll_seconds, board=board)
    intents = Intents(database, node_id(settings.layout, identifiers), clock)
    base = Base(settings, clock, identifiers, metrics, database, feed, audit, intents)
    known = await known_worlds(database)
    if not known or known[0].name != WORLD_NAME:
        raise HsmRefusal("This installation has no security world yet: run 'hsmvault init' once, then start again.")
    module = await in_thread("hsm-load", lambda: module_of(settings))
    limits = CacheLimits(seconds=float(settings.custody.data_key_seconds))
    served = await start_worlds(
        WorldParts(settings, database, feed, intents, clock, identifiers, metrics),
        known,
        module,
        pin,
        limits,
        on_fatal=on_fatal,
        may_be_down=worker.start > 0,
    )
    show_audit(metrics, audit)
    metrics.changes_age.child().read = feed.staleness
    work: Lane[None] = Lane("soft", None, limit=_SOFT_QUEUE)
    generation: Lane[None] = Lane("soft-generation", None, limit=_SOFT_GENERATIONS)
    checks: Lane[None] = Lane("admission", None, limit=_CHECKS_QUEUE)
    verification: Lane[None] = Lane("verification", None, limit=_VERIFICATION_QUEUE)
    lanes = {"soft": work, "soft-generation": generation, "admission": checks, "verification": verification}
    show_queues(metrics, lanes)
    soft = SoftCustodian(
        served.default.sealer,
        clock,
        work=work,
        generation=generation,
        limits=limits,
        world_id=served.default.id,
    )
    custodians = Custodians(soft, served.custody)
    authorities = make_authorities(base, served.default.custody)
    retirement = Retirement(base, served, module, pin, lambda: _officer_pin(worker))
    removal = ContainerRemoval(database, custodians, intents, last={ContainerKind.POOL: retirement})
    door, identity, rotation, reload, jobs, issuance = await _services(
        base, served, custodians, authorities, removal, lanes, worker
    )
    return Worker(
        database,
        feed,
        audit,
        served,
        tuple(lanes.values()),
        soft,
        door,
        identity,
        rotation,
        reload,
        jobs,
        issuance,
        authorities,
        make_pki(base, authorities),
        exports_of(base) if worker.index == 0 else (),
    )


async def _services(
    base: Base,
    served: ServedWorlds,
    custodians: Custodians,
    authorities: Authorities,
    removal: ContainerRemoval,
    lanes: Mapping[str, Lane[None]],
    worker: WorkerSettings,
) -> tuple[Door, IdentityEndpoints | None, Rotation | None, Reload, Runner, Issuance]:
    settings, names = base.settings, base.settings.names
    hard = served.default.custody
    login_keys = SigningKeys(database=base.database, custodian=hard.custodians[hard.default], clock=base.clock)
    base.feed.subscribe("login-key", lambda _, __: login_keys.forget())
    base.feed.subscribe_all(login_keys.forget)
    containers = ContainerCache(base.database)
    access = await make_pipeline(base, EmbeddedKeys(login_keys), containers)
    pipeline, reload = access.pipeline, access.reload
    key_cache = KeyCache(base.database, custodians)
    show_cache(base.metrics, "keys", key_cache)
    base.feed.subscribe("key", key_cache.forget)
    base.feed.subscribe_all(key_cache.forget_all)
    keys = Keys(base.database, custodians, key_cache, lanes["admission"], base.clock, base.identifiers, base.intents)
    secrets = make_secrets(base.database, base.feed, served, base.clock, base.identifiers, base.metrics)
    backups = KeyBackups(base.database, custodians, served.sealers, served.geographies, base.clock, base.identifiers)
    operations = KeyOperations(key_cache, base.clock, lanes["verification"], base.identifiers)
    releases = make_releases(
        settings,
        home=served.default.id,
        keys=key_cache,
        custodians=custodians,
        random=_random(served),
        database=base.database,
        clock=base.clock,
        identifiers=base.identifiers,
        intents=base.intents,
        generation=lanes["soft-generation"],
    )
    records = work_records(base.audit, base.clock, base.identifiers, names)
    certificates = configured_certificates(
        settings,
        base.database,
        served,
        custodians,
        authorities,
        records,
        lanes,
        base.clock,
        base.identifiers,
        base.intents,
    )
    handlers = Handlers(
        KeyLives(keys, backups, Pages(served.default.sealer)),
        KeyUses(operations),
        KeyRotations(KeyRotation(base.database, keys, base.clock)),
        KeyReleases(releases.release, releases.secure_wrap),
        HsmAnswers(KeyAttestations(key_cache, custodians), _random(served)),
        PoolSettingHandlers(SettingsOfPools(base.database)),
        secret_handlers(
            secrets,
            base.database,
            served,
            lanes["soft"],
            base.clock,
            base.identifiers,
            legacy=settings.certificates.pkcs12 == "legacy",
        ),
        *certificates.handlers,
    )
    planes = {
        plane: DataPlane(
            form,
            base.feed,
            containers,
            pipeline,
            handlers.table,
            ApiVersions(serve_newer=settings.api_versions.newer == "serve"),
            base.clock,
            issuer_urls(settings),
            Observation(base.metrics, base.clock).call,
            BodyLimits(settings.limits.body_bytes, settings.limits.body_seconds),
            named_networks(settings),
        )
        for plane, form in ((Plane.VAULT, forms.VAULT), (Plane.POOL, forms.POOL))
    }
    tenant_id = await default_tenant(base.database)
    authority = home_authority(settings, tenant_id)
    login, identity, rotation = await make_login(base, tenant_id, login_keys, hard.custodians[hard.default], worker)
    management = make_management(ManagementParts(base, access, served, keys, secrets), authority)
    others: dict[Plane, PlaneHandler] = {Plane.MANAGEMENT: management}
    if login is not None:
        others[Plane.DIRECTORY] = make_graph(base, access, authority)
    if releases.development is not None:
        limits = BodyLimits(settings.limits.body_bytes, settings.limits.body_seconds)
        others[Plane.ATTESTATION] = AttestationPlane(releases.development, limits)
    door = Door(
        Hosts(settings.server.suffix, names.port),
        {**planes, **others},
        None if login is None else login.handle,
        trusted_proxies(settings),
        base.identifiers,
        request_id.set,
    )
    jobs = runner_of(
        base.database,
        keys,
        secrets,
        certificates,
        removal,
        records,
        base.clock,
        base.identifiers,
        settings,
        base.metrics,
        base.feed,
        node_id(base.settings.layout, base.identifiers),
    )
    return door, identity, rotation, reload, jobs, certificates.issuance


def _officer_pin(worker: WorkerSettings) -> Pin | None:
    """Of an embedded instance, which has made it and keeps it in a file of its own. Raises HsmRefusal."""
    file = worker.settings.hsm.so_pin_file
    if not worker.dev or file is None:
        return None
    try:
        return Pin(file.read_text(encoding="utf-8").rstrip("\r\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise HsmRefusal(f"The PIN of the security officer in {file} cannot be read.") from error


def _random(served: ServedWorlds) -> Random:
    """Bytes from the HSM of the container's world."""

    async def random(container: Container, length: int) -> bytes:
        world = served.worlds.get(container.world_id)
        if world is None:
            raise Unavailable("The HSM is not available.", detail=f"world {container.world_id} is not served here")
        return await world.random(length)

    return random
