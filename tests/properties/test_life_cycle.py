"""The life of keys against a model of it: every step is answered as the model says, and leaves what the model has.

What one step has made (backups, signatures, ciphertexts) is used in later ones, whatever has happened to its key since.
"""

import hmac
import json
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.caller import from_base64url, to_base64url
from tests.properties.life_choices import (
    ALGORITHMS,
    CHANGED,
    FREE,
    HALVES,
    IMPORTS,
    JUMPS,
    KTYS,
    MOVES,
    NAMES,
    PICKS,
    RELEASE_POLICIES,
    ROTATION_POLICIES,
    SAID,
    SECRET,
    STATES,
    TEXTS,
    UNDOING,
    UNKNOWN,
    VERSIONS,
    Blob,
    Made,
    StatedPolicy,
)
from tests.properties.life_model import BAD, GONE, IN_USE, Key, Model, Refusal, Version
from tests.properties.worker import Place, Worker, items

COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True}
QUICK = settings(max_examples=8, stateful_step_count=50, phases=[Phase.generate], **COMMON)
"""Shows the first way that fails as it is: to shorten it takes minutes, which the long one has."""
LONG = settings(max_examples=120, stateful_step_count=60, **COMMON)


class Life(RuleBasedStateMachine):
    """worker, is_pool: of the run, set by life_in()."""

    worker: ClassVar[Worker]
    is_pool: ClassVar[bool]
    blobs: Bundle[Blob] = Bundle("blobs")
    results: Bundle[Made] = Bundle("results")

    def __init__(self) -> None:
        super().__init__()
        self.place: Place = self.worker.place(is_pool=self.is_pool)
        self.model = Model(self.place.origin, self.is_pool)
        self.ids: set[str] = set()
        self.secrets: dict[str, bytes] = {}

    # steps that make versions

    @initialize(target=blobs, kty=KTYS, family=st.sampled_from(["EC", "oct", "RSA"]))
    def begin(self, kty: str, family: str) -> Any:
        """With a key under each name, for the steps to find something."""
        self.create(NAMES[0], kty if self.is_pool else kty.replace("oct", "EC"), {})
        self.bring(NAMES[1], family if self.is_pool else family.replace("oct", "EC"), False, {})
        return self.back_up(0)

    @initialize(target=results, text=TEXTS)
    def begin_to_use(self, text: bytes) -> Any:
        return multiple() if not self.model.keys else self.use(0, "latest", "any", text)

    @rule(name=FREE, kty=KTYS, said=SAID)
    def create(self, name: str, kty: str, said: dict[str, Any]) -> None:
        said = self._timed(said)
        self._new(name, kty, said, "POST", f"/keys/{name}/create", {"kty": kty, **said})

    @rule(
        name=FREE,
        kty=st.sampled_from(["EC-HSM", "oct-HSM", "EC"]),
        policy=RELEASE_POLICIES,
        said=SAID,
        half=HALVES,
    )
    def create_exportable(self, name: str, kty: str, policy: dict[str, Any], said: dict[str, Any], half: str) -> None:
        """half: sometimes only one of the two that belong together is said."""
        said = self._timed(said)
        if half != "policy":
            said["attributes"] = {**said.get("attributes", {}), "exportable": True}
        if half != "exportable":
            said["release_policy"] = policy
        self._new(name, kty, said, "POST", f"/keys/{name}/create", {"kty": kty, **said})

    @rule(name=FREE, family=st.sampled_from(["EC", "EC", "oct", "oct", "RSA"]), hardware=st.booleans(), said=SAID)
    def bring(self, name: str, family: str, hardware: bool, said: dict[str, Any]) -> None:
        said, kty = self._timed(said), family + ("-HSM" if hardware else "")
        body = {member: value for member, value in said.items() if member != "key_ops"}
        operations = {"key_ops": said["key_ops"]} if "key_ops" in said else {}
        body["key"] = {**IMPORTS[family], "kty": kty, **operations}
        answer = self._new(name, kty, said, "PUT", f"/keys/{name}", body)
        if answer is not None and family == "oct":
            self.secrets[answer["key"]["kid"].rpartition("/")[2]] = SECRET

    @rule(pick=PICKS)
    def rotate(self, pick: int) -> None:
        name = self._picked(pick, self.model.active)
        like = self.model.version(name, None)
        if like is not None and like.family == "RSA" and pick % 4:
            return  # a new one takes a third of a second
        answer = self._ask("POST", f"/keys/{name}/rotate", None, self.model.refuses_rotation(name))
        if answer is not None:
            before = self.model.version(name, None)
            assert before is not None
            self._is_fresh(answer["key"])
            self.model.rotated(name, answer["key"], self.worker.now())
            after = self.model.version(name, None)
            assert after is not None
            assert after.public.keys() == before.public.keys()
            assert after.public != before.public or after.family == "oct"
            self._is_latest(name, answer)

    # steps that change what is there

    @rule(pick=PICKS, which=VERSIONS, said=CHANGED, exportable=st.sampled_from([None, None, None, True, False]))
    def change(self, pick: int, which: str, said: dict[str, Any], exportable: bool | None) -> None:
        name = self._picked(pick, self.model.active)
        said, version = self._timed(said), self._version(name, which)
        if exportable is not None:
            said["attributes"] = {**said.get("attributes", {}), "exportable": exportable}
        refusal = self.model.refuses_change(name, version, said)
        answer = self._ask("PATCH", f"/keys/{name}/{version or ''}", said, refusal)
        if answer is not None:
            self.model.change(name, version, said, self.worker.now())
            key, row = self.model.active(name), self.model.version(name, version)
            assert key is not None and row is not None
            assert answer == self.model.bundle(key, row)
        self._look(name)

    @rule(pick=PICKS, stated=ROTATION_POLICIES)
    def set_rotation_policy(self, pick: int, stated: StatedPolicy) -> None:
        name = self._picked(pick, self.model.active)
        takes = stated.in_pools if self.is_pool else stated.in_vaults
        key = self.model.active(name)
        refusal = BAD if not takes else GONE if key is None else None
        body = {"lifetimeActions": list(stated.actions), "attributes": {"expiryTime": stated.expiry}}
        answer = self._ask("PUT", f"/keys/{name}/rotationpolicy", body, refusal)
        if answer is not None:
            assert key is not None
            is_set = stated.actions or stated.expiry
            key.rotation = (list(stated.actions), stated.expiry) if is_set else None
            self._has_policy(name, answer)
            assert not is_set or answer["attributes"]["updated"] == self.worker.now()

    @rule(pick=PICKS)
    def get_rotation_policy(self, pick: int) -> None:
        name = self._picked(pick, self.model.active)
        refusal = GONE if self.model.active(name) is None else None
        answer = self._ask("GET", f"/keys/{name}/rotationpolicy", None, refusal)
        if answer is not None:
            self._has_policy(name, answer)

    @rule(pick=PICKS)
    def delete(self, pick: int) -> None:
        name = self._picked(pick, self.model.active)
        key = self.model.active(name)
        answer = self._ask("DELETE", f"/keys/{name}", None, GONE if key is None else None)
        if answer is not None:
            assert key is not None
            key.deleted = self.worker.now()
            assert answer == self.model.bundle(key, key.latest) | self.model.deletion(key)
        self._look(name)

    @precondition(lambda self: any(key.deleted is not None for key in self.model.keys.values()))
    @rule(pick=PICKS)
    def recover(self, pick: int) -> None:
        name = self._picked(pick, self.model.deleted)
        key = self.model.deleted(name)
        answer = self._ask("POST", f"/deletedkeys/{name}/recover", None, GONE if key is None else None)
        if answer is not None:
            assert key is not None
            key.deleted = None
            self._is_latest(name, answer)
        self._look(name)

    @precondition(lambda self: any(key.deleted is not None for key in self.model.keys.values()))
    @rule(pick=PICKS)
    def purge(self, pick: int) -> None:
        name = self._picked(pick, self.model.deleted)
        key = self.model.deleted(name)
        if key is None:
            self._ask("DELETE", f"/deletedkeys/{name}", None, GONE)
        else:
            answer = self.place.ask("DELETE", f"/deletedkeys/{name}")
            assert (answer.status, answer.body) == (204, b"")
            del self.model.keys[name.lower()]
        self._look(name)

    @rule(target=blobs, pick=PICKS)
    def back_up(self, pick: int) -> Any:
        name = self._picked(pick, self.model.active)
        refusal = GONE if self.model.active(name) is None else None
        answer = self._ask("POST", f"/keys/{name}/backup", None, refusal)
        return multiple() if answer is None else Blob(answer["value"], self.model.snapshot(name))

    @rule(blob=blobs)
    def restore(self, blob: Blob) -> None:
        refusal = IN_USE if blob.key.name.lower() in self.model.keys else None
        answer = self._ask("POST", "/keys/restore", {"value": blob.value}, refusal)
        if answer is not None:
            self.model.restore(blob.key)
            self._is_latest(blob.key.name, answer)

    @rule(blob=blobs)
    def restore_after_a_loss(self, blob: Blob) -> None:
        """What is there under the name is deleted and purged first."""
        key = self.model.keys.get(blob.key.name.lower())
        if key is not None:
            if key.deleted is None:
                self._ask("DELETE", f"/keys/{key.name}", None, None)
            assert self.place.ask("DELETE", f"/deletedkeys/{key.name}").status == 204
            del self.model.keys[key.name.lower()]
        self.restore(blob)
        self._look(blob.key.name)

    @rule(blob=blobs, at=st.integers(0, 2**16))
    def restore_a_changed_one(self, blob: Blob, at: int) -> None:
        content = bytearray(from_base64url(blob.value))
        content[at % len(content)] ^= 1
        self._ask("POST", "/keys/restore", {"value": to_base64url(content)}, BAD)

    @rule(blob=blobs)
    def restore_where_it_does_not_belong(self, blob: Blob) -> None:
        """A vault's keys into a pool, or the reverse."""
        host = "dev.vault.localhost:8443" if self.is_pool else "devhsm.managedhsm.localhost:8443"
        answer = self.worker.ask(host, "POST", "/keys/restore", {"value": blob.value})
        assert (answer.status, answer.code) == (BAD.status, BAD.code)

    # steps that use keys

    @rule(
        target=results,
        pick=PICKS,
        which=VERSIONS,
        wanted=st.sampled_from(["any", "any", "any", *UNDOING]),
        text=TEXTS,
    )
    def use(self, pick: int, which: str, wanted: str, text: bytes) -> Any:
        """wanted: an operation, or any that the key allows."""
        name = self._picked(pick, self.model.active)
        version = self._version(name, which)
        row = self.model.version(name, version)
        allowed = [one for one in UNDOING if row is not None and one in row.operations] or ["sign"]
        operation = allowed[text[0] % len(allowed)] if wanted == "any" else wanted
        alg = ALGORITHMS.get((operation, "oct" if row is None else row.family))
        family = None if alg is not None else "no key of this family encrypts"
        refusal = self.model.refuses_use(name, version, operation, family, self.worker.service.clock.now())
        body = {"alg": alg or "RSA-OAEP", "value": to_base64url(text)}
        answer = self._ask("POST", f"/keys/{name}/{version or ''}/{operation.lower()}", body, refusal)
        if answer is None:
            return multiple()
        key = self.model.active(name)
        assert key is not None and row is not None and alg is not None
        assert answer["kid"] == self.model.kid(key, row)
        self._is_right(row, alg, text, from_base64url(answer["value"]))
        more = {member: answer[member] for member in ("iv", "tag") if member in answer}
        return Made(name, row.id, operation, {"alg": alg, "value": answer["value"], **more}, text)

    @rule(pick=PICKS, state=STATES, seconds=st.sampled_from([1, 3_600]), texts=st.tuples(TEXTS, TEXTS, TEXTS))
    def use_in_another_state(
        self, pick: int, state: dict[str, Any], seconds: int, texts: tuple[bytes, bytes, bytes]
    ) -> None:
        """And after a while, and when all is well again."""
        self.change(pick, "latest", {"attributes": state}, None)
        self.use(pick, "latest", "any", texts[0])
        self.wait(seconds)
        self.use(pick, "latest", "any", texts[1])
        self.change(pick, "latest", {"attributes": {"enabled": True, "nbf": -86_400, "exp": 86_400 * 400}}, None)
        self.use(pick, "latest", "any", texts[2])

    @rule(made=results, flipped=st.booleans(), spelled=st.sampled_from([str.lower, str.upper]))
    def undo(self, made: Made, flipped: bool, spelled: Callable[[str], str]) -> None:
        """By the version that made it, if that is still there, or there again."""
        operation, name = UNDOING[made.operation], spelled(made.name)
        row, body = self.model.version(name, made.version), dict(made.body)
        if flipped:
            value = bytearray(from_base64url(body["value"]))
            value[len(value) // 2] ^= 1
            body["value"] = to_base64url(value)
        if operation == "verify":
            body["digest"] = to_base64url(made.text)
        refusal = self.model.refuses_use(name, made.version, operation, None, self.worker.service.clock.now())
        if refusal is None and flipped and operation != "verify":
            refusal = BAD
        answer = self._ask("POST", f"/keys/{name}/{made.version}/{operation.lower()}", body, refusal)
        if answer is None:
            return
        assert row is not None
        if operation == "verify":
            assert answer == {"value": not flipped}
        else:
            assert from_base64url(answer["value"]) == made.text

    @rule(name=FREE)
    def ask_for_what_is_not_there(self, name: str) -> None:
        """Of an active key on the routes of deleted ones, and of a deleted or unknown one on the others."""
        if self.model.deleted(name) is None:
            self._ask("POST", f"/deletedkeys/{name}/recover", None, GONE)
            self._ask("DELETE", f"/deletedkeys/{name}", None, GONE)
        if self.model.active(name) is None:
            self._ask("DELETE", f"/keys/{name}", None, GONE)
            self._ask("PATCH", f"/keys/{name}/", {}, GONE)
            self._ask("POST", f"/keys/{name}/rotate", None, GONE)
            self._ask("POST", f"/keys/{name}/backup", None, GONE)
        self._look(name)

    # time

    @rule(seconds=MOVES)
    def wait(self, seconds: float) -> None:
        self.worker.service.clock.move(seconds)

    @rule(seconds=JUMPS)
    def set_the_clock(self, seconds: float) -> None:
        self.worker.service.clock.jump(seconds)

    # looking

    @rule(pick=PICKS, which=VERSIONS)
    def get(self, pick: int, which: str) -> None:
        name = self._picked(pick, self.model.active)
        key, version = self.model.active(name), self._version(name, which)
        row = self.model.version(name, version)
        answer = self._ask("GET", f"/keys/{name}/{version or ''}", None, GONE if row is None else None)
        if answer is not None:
            assert key is not None and row is not None
            assert answer == self.model.bundle(key, row)

    def teardown(self) -> None:
        """Everything there is, in every list."""
        keys = self.model.keys.values()
        active = [key for key in keys if key.deleted is None]
        listed = items(self.place, "/keys", maxresults=1)
        assert _sorted(listed) == _sorted([self.model.item(key, key.latest, with_version=False) for key in active])
        listed = items(self.place, "/deletedkeys")
        deleted = [
            self.model.item(key, key.latest, with_version=False) | self.model.deletion(key)
            for key in keys
            if key.deleted is not None
        ]
        assert _sorted(listed) == _sorted(deleted)
        for key in active:
            self._look(key.name)

    # what the steps share

    def _new(
        self, name: str, kty: str, said: dict[str, Any], method: str, target: str, body: dict[str, Any]
    ) -> dict[str, Any] | None:
        answer = self._ask(method, target, body, self.model.refuses_new(name, kty, said))
        if answer is not None:
            self._is_fresh(answer["key"])
            self.model.made(name, kty, said, answer["key"], self.worker.now())
            self._is_latest(name, answer)
        self._look(name)
        return answer

    def _ask(self, method: str, target: str, body: object, refusal: Refusal | None) -> dict[str, Any] | None:
        """The body of a success; None when it was refused, as it had to be."""
        answer = self.place.ask(method, target, body)
        if refusal is None:
            assert answer.status == 200, answer.body
            found: dict[str, Any] = answer.json
            return found
        assert answer.status == refusal.status, answer.body
        assert Refusal(answer.status, answer.code, answer.inner) == refusal, answer.body
        return None

    def _look(self, name: str) -> None:
        """Everything that can be read of a name."""
        active, deleted = self.model.active(name), self.model.deleted(name)
        answer = self._ask("GET", f"/keys/{name}", None, None if active else GONE)
        assert active is None or answer == self.model.bundle(active, active.latest)
        versions = items(self.place, f"/keys/{name}/versions")
        rows = [] if active is None else active.versions
        assert versions == [self.model.item(active, row, with_version=True) for row in rows if active]
        answer = self._ask("GET", f"/deletedkeys/{name}", None, None if deleted else GONE)
        assert deleted is None or answer == self.model.bundle(deleted, deleted.latest) | self.model.deletion(deleted)

    def _is_latest(self, name: str, answer: dict[str, Any]) -> None:
        key = self.model.active(name)
        assert key is not None
        assert answer == self.model.bundle(key, key.latest)

    def _is_fresh(self, jwk: dict[str, Any]) -> None:
        version = jwk["kid"].rpartition("/")[2]
        assert version not in self.ids
        self.ids.add(version)

    def _has_policy(self, name: str, answer: dict[str, Any]) -> None:
        key = self.model.active(name)
        assert key is not None
        actions, expiry = self.model.rotation(key)
        assert _sorted(answer["lifetimeActions"]) == _sorted(actions)
        assert answer["attributes"].get("expiryTime") == expiry
        assert answer["id"].lower() == f"{self.place.origin}/keys/{name}/rotationpolicy".lower()

    def _picked(self, pick: int, find: Callable[[str], Key | None]) -> str:
        """The name of a key in the wanted state, as it is spelled or in upper case; now and then of another."""
        found = sorted(key.name for key in self.model.keys.values() if find(key.name))
        if not found or pick == 15:
            return "gamma"
        name = found[pick % len(found)]
        return name.upper() if pick >= 12 else name

    def _version(self, name: str, which: str) -> str | None:
        key = self.model.active(name)
        if which == "latest":
            return None
        return UNKNOWN if which == "unknown" or key is None else key.versions[0].id

    def _timed(self, said: dict[str, Any]) -> dict[str, Any]:
        """With times in place of offsets."""
        if "attributes" not in said:
            return dict(said)
        times = {
            name: self.worker.now() + said["attributes"][name] for name in ("nbf", "exp") if name in said["attributes"]
        }
        return {**said, "attributes": {**said["attributes"], **times}}

    def _is_right(self, row: Version, alg: str, text: bytes, value: bytes) -> None:
        """Judged by others: a signature by its public key, a MAC and a wrapped key by the secret where we know it."""
        if alg in ("ES256", "PS256"):
            check_signature(row.public, alg, text, value)
        secret = self.secrets.get(row.id)
        if secret is not None and alg == "HS256":
            assert value == hmac.digest(secret, text, "sha256")
        if secret is not None and alg == "A256KW":
            assert value == keywrap.aes_key_wrap(secret, text)


def check_signature(public: dict[str, str], alg: str, digest: bytes, signature: bytes) -> None:
    """By `cryptography` alone. Raises InvalidSignature."""
    numbers = {name: int.from_bytes(from_base64url(public[name]), "big") for name in public if name != "crv"}
    if alg == "ES256":
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        ec_key = ec.EllipticCurvePublicNumbers(numbers["x"], numbers["y"], ec.SECP256R1()).public_key()
        ec_key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(SHA256())))
        return
    rsa_key = rsa.RSAPublicNumbers(numbers["e"], numbers["n"]).public_key()
    rsa_key.verify(signature, digest, padding.PSS(padding.MGF1(SHA256()), 32), Prehashed(SHA256()))


def _sorted(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The order of a list of names, and of actions, is nobody's promise."""
    return sorted(values, key=lambda value: json.dumps(value, sort_keys=True))


def life_in(worker: Worker, *, is_pool: bool) -> type[Life]:
    return type("LifeInPool" if is_pool else "LifeInVault", (Life,), {"worker": worker, "is_pool": is_pool})


@pytest.mark.parametrize("is_pool", [False, True], ids=["vault", "pool"])
def test_keys_live_as_the_model_says(the_worker: Worker, is_pool: bool) -> None:
    run_state_machine_as_test(life_in(the_worker, is_pool=is_pool), settings=QUICK)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("is_pool", [False, True], ids=["vault", "pool"])
def test_keys_live_long_as_the_model_says(the_worker: Worker, is_pool: bool) -> None:
    run_state_machine_as_test(life_in(the_worker, is_pool=is_pool), settings=LONG)
