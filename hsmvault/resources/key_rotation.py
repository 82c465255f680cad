"""Rotation of keys: the policy of a name, and new versions that are like the latest one.

For the wire, a policy comes in with model.rotation.parse_policy(actions, expiry), where each action is a
StatedAction(type, after_create, before_expiry) of texts as they came (None: absent or null); str(duration) is the way
back. set_policy() takes what parse_policy() gives, and answers what holds from then on.
"""

from dataclasses import replace

from hsmvault.clock import Clock
from hsmvault.errors import BadRequest, Conflict
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyName, KeyVersion
from hsmvault.model.operations import Kind
from hsmvault.model.rotation import RotationPolicy, check_policy, default_policy, expiry_of_new, is_empty
from hsmvault.resources import key_schedule, refusals
from hsmvault.resources.key_settings import KeySettings, terms_of
from hsmvault.resources.keys import Keys, Record
from hsmvault.store import keys as store
from hsmvault.store.database import Conflicted, Database, Transaction
from hsmvault.store.schedule import What


class KeyRotation:
    def __init__(self, database: Database, keys: Keys, clock: Clock) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock

    async def get_policy(self, container: Container, name: str) -> RotationPolicy:
        """The policy that was set, or the default. Raises NotFound."""
        async with self._database.read() as tx:
            at_name, _ = await _found(tx, container, name)
        return _policy_of(container, at_name)

    async def set_policy(self, container: Container, name: str, policy: RotationPolicy) -> RotationPolicy:
        """An empty policy removes the one that is set. policy.created and policy.updated are not looked at.

        The next rotation may be due at once, when the latest version is older than the policy allows. Returns what
        get_policy does from now on. Raises NotFound, BadRequest, Conflict.
        """
        check_policy(policy, container.rotation_rules)
        now = int(self._clock.now())
        try:
            async with self._database.write() as tx:
                at_name, latest = await _found(tx, container, name)
                if latest.managed:
                    raise refusals.managed(Kind.KEYS, "setrotationpolicy")
                old = at_name.rotation_policy
                created = now if old is None else old.created
                new = None if is_empty(policy) else replace(policy, created=created, updated=now)
                await store.set_rotation_policy(tx, at_name, new)
                await key_schedule.follow(tx, container, (old, latest), (new, latest))
        except Conflicted as error:
            raise refusals.changed_meanwhile(Kind.KEYS, name) from error
        return _policy_of(container, replace(at_name, rotation_policy=new))

    async def rotate(self, container: Container, name: str) -> KeyVersion:
        """A new version like the latest one, whatever state that is in: type, size, key_ops, tags, exportable and
        release policy are taken over; it is enabled, and expires as the policy says.

        Raises NotFound, BadRequest (the container wants a policy, or takes no more versions), Conflict (another request
        made a version of another type meanwhile), Unavailable, Throttled.
        """
        async with self._database.read() as tx:
            at_name, like = await _found(tx, container, name)
        if like.managed:
            raise refusals.managed(Kind.KEYS, "rotate")
        _check_policy_there(container, at_name)

        async def decide(tx: Transaction, _: KeyName | None, now: int) -> KeySettings:
            at_name, latest = await _found(tx, container, name)
            _check_policy_there(container, at_name)
            if not _are_alike(latest, like):
                raise refusals.changed_meanwhile(Kind.KEYS, name)
            return _settings_like(latest, expiry_of_new(at_name.rotation_policy, now))

        return await self._keys.succeed(container, like, decide)

    async def rotate_if_due(self, container: Container, name: str, now: int, record: Record) -> KeyVersion | None:
        """As rotate, if the policy says so at the time `now`. None: it does not, or not any more.

        Whoever comes second finds another latest version and makes none. record: accepted before the commit.
        Raises BadRequest, Unavailable, Throttled.
        """
        async with self._database.read() as tx:
            at_name = await store.name(tx, container.id, name.lower())
            like = await store.version(tx, container.id, name.lower(), None)
        if at_name is None or like is None or not _is_due(container, at_name, like, now):
            return None

        async def decide(tx: Transaction, at_name: KeyName | None, created: int) -> KeySettings:
            latest = await store.version(tx, container.id, name.lower(), None)
            if at_name is None or latest is None or latest.version != like.version:
                raise refusals.changed_meanwhile(Kind.KEYS, name)
            if not _is_due(container, at_name, latest, now):
                raise refusals.changed_meanwhile(Kind.KEYS, name)
            return _settings_like(latest, expiry_of_new(at_name.rotation_policy, created))

        try:
            return await self._keys.succeed(container, like, decide, record)
        except Conflict:
            return None


async def _found(tx: Transaction, container: Container, name: str) -> tuple[KeyName, KeyVersion]:
    at_name = await store.name(tx, container.id, name.lower())
    latest = await store.version(tx, container.id, name.lower(), None)
    if at_name is None or latest is None:
        raise refusals.not_found(Kind.KEYS, name)
    return at_name, latest


def _policy_of(container: Container, at_name: KeyName) -> RotationPolicy:
    return at_name.rotation_policy or default_policy(container.rotation_rules, at_name.created)


def _check_policy_there(container: Container, at_name: KeyName) -> None:
    if container.rotation_needs_policy and at_name.rotation_policy is None:
        raise BadRequest(f"Key {at_name.name} cannot be rotated: it has no rotation policy.")


def _is_due(container: Container, at_name: KeyName, latest: KeyVersion, now: int) -> bool:
    due = key_schedule.due_of(container, at_name.rotation_policy, latest).get(What.ROTATE)
    return due is not None and due <= now


def _are_alike(one: KeyVersion, other: KeyVersion) -> bool:
    """Whether material that was made for one of them does for a successor of the other."""
    return (one.spec, one.hardware, terms_of(one)) == (other.spec, other.hardware, terms_of(other))


def _settings_like(latest: KeyVersion, expires: int | None) -> KeySettings:
    return KeySettings(
        operations=latest.operations,
        enabled=True,
        expires=expires,
        tags=latest.tags,
        exportable=latest.exportable,
        release_policy=latest.release_policy,
    )
