"""What soft custody does beyond the custody suite: caches, lanes, faults, sealed rows."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import replace

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.custody.keyring import KeyRing
from hsmvault.custody.protocols import Binding, CustodyClass, PrivateKeyMaterial, Terms
from hsmvault.custody.public import PublicKey
from hsmvault.custody.sealing import CacheLimits, Sealer
from hsmvault.custody.soft import SoftCustodian
from hsmvault.custody.soft_key import SoftKey
from hsmvault.errors import BadRequest, Throttled, Unavailable
from hsmvault.lanes import Lane
from hsmvault.model.algorithms import ENCRYPTION_ALGORITHMS, SIGNATURE_ALGORITHMS, Curve, Family, Hash, KeySpec
from tests.custody.doubles import MemoryDataKeyStore, SoftwareSystemKey

P256, P384 = KeySpec.ec(Curve.P256), KeySpec.ec(Curve.P384)
ES256, ES384, RS256 = (SIGNATURE_ALGORITHMS[name] for name in ("ES256", "ES384", "RS256"))
DISCLOSABLE = Terms(disclosable=True)
DIGEST = hashlib.sha256(b"a message").digest()


class Crash(Exception):
    """What a fault raises."""


class Rig:
    def __init__(self, *, work_limit: int = 100) -> None:
        self.clock = MovedClock()
        self.system_key = SoftwareSystemKey()
        self.store = MemoryDataKeyStore()
        self.sealer = Sealer(KeyRing(self.system_key), self.store, self.clock, RandomIdentifiers())
        self.work: Lane[None] = Lane("work", None, limit=work_limit)
        self.generation: Lane[None] = Lane("generation", None, limit=10)
        self.steps: list[str] = []
        self.crash_at = ""
        self.custodian = self.another()

    def another(self, limits: CacheLimits | None = None) -> SoftCustodian:
        return SoftCustodian(
            self.sealer,
            self.clock,
            work=self.work,
            generation=self.generation,
            limits=limits or CacheLimits(),
            fault=self._fault,
        )

    def _fault(self, step: str) -> None:
        self.steps.append(step)
        if step == self.crash_at:
            raise Crash(step)


def row(name: str = "key") -> Binding:
    return Binding("c-1", "key", name, os.urandom(16).hex())


def material() -> PrivateKeyMaterial:
    key = ec.generate_private_key(ec.SECP256R1())
    pkcs8 = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return PrivateKeyMaterial(P256, PublicKey.of(key.public_key()).spki, pkcs8)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    yield rig
    await rig.work.close()
    await rig.generation.close()


async def test_a_row_holds_nothing_of_the_private_key_in_the_clear(rig: Rig) -> None:
    given = material()
    held = await rig.custodian.admit(given, row())
    key = SoftKey.load(given.encoded)
    assert held.custody is CustodyClass.SOFT
    assert given.encoded not in held.reference
    assert key.pkcs8() == given.encoded
    assert given.encoded[40:60] not in held.reference
    assert held.reference[:1] == b"\x01"


async def test_warm_use_touches_neither_the_hsm_nor_the_store(rig: Rig) -> None:
    binding = row()
    held = await rig.custodian.generate(P256, binding)
    handle = rig.custodian.open(held, binding)
    await handle.sign(ES256, DIGEST)
    rig.sealer.forget()
    rig.system_key.gone = True
    before = (rig.system_key.calls, rig.store.calls)
    await handle.sign(ES256, DIGEST)
    await rig.custodian.open(held, binding).sign(ES256, DIGEST)
    assert (rig.system_key.calls, rig.store.calls) == before


async def test_without_the_hsm_a_cold_key_is_unavailable_and_comes_back_with_it(rig: Rig) -> None:
    binding = row()
    held = await rig.custodian.generate(P256, binding)
    handle = rig.custodian.open(held, binding)
    rig.sealer.forget()
    rig.system_key.gone = True
    with pytest.raises(Unavailable):
        await handle.sign(ES256, DIGEST)
    rig.system_key.gone = False
    assert await handle.sign(ES256, DIGEST)


async def test_loaded_keys_leave_the_memory_when_their_time_is_over(rig: Rig) -> None:
    custodian, binding = rig.another(CacheLimits(number=10, seconds=60)), row()
    held = await custodian.generate(P256, binding)
    handle = custodian.open(held, binding)
    await handle.sign(ES256, DIGEST)
    rig.clock.move(59)
    await handle.sign(ES256, DIGEST)
    assert len(custodian._loaded) == 1
    rig.clock.move(2)
    custodian.sweep()
    assert len(custodian._loaded) == 0
    assert await handle.sign(ES256, DIGEST)


async def test_the_number_of_loaded_keys_is_bounded(rig: Rig) -> None:
    custodian = rig.another(CacheLimits(number=2, seconds=60))
    handles = []
    for _ in range(5):
        binding = row()
        handles.append(custodian.open(await custodian.generate(P256, binding), binding))
    for _ in range(2):
        for handle in handles:
            await handle.sign(ES256, DIGEST)
            assert len(custodian._loaded) <= 2


async def test_many_first_uses_at_once_load_a_key_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    binding, loads = row(), []
    held = await rig.custodian.generate(P384, binding)
    load = SoftKey.load
    monkeypatch.setattr(SoftKey, "load", staticmethod(lambda pkcs8, **mark: loads.append(1) or load(pkcs8, **mark)))
    await asyncio.gather(*(rig.custodian.open(held, binding).sign(ES384, bytes(48)) for _ in range(10)))
    assert len(loads) == 1


async def test_a_destroyed_key_leaves_the_memory_also_while_it_is_being_loaded(rig: Rig) -> None:
    binding = row()
    held = await rig.custodian.generate(P256, binding)
    handle = rig.custodian.open(held, binding)
    await handle.sign(ES256, DIGEST)
    assert len(rig.custodian._loaded) == 1
    await rig.custodian.destroy(held, binding)
    assert len(rig.custodian._loaded) == 0
    loading = asyncio.create_task(handle.sign(ES256, DIGEST))
    await asyncio.sleep(0)
    await rig.custodian.destroy(held, binding)
    await loading
    assert len(rig.custodian._loaded) == 0


async def test_a_released_key_leaves_the_memory_also_while_it_is_being_loaded(rig: Rig) -> None:
    binding = row()
    handle = rig.custodian.open(await rig.custodian.generate(P256, binding), binding)
    await handle.sign(ES256, DIGEST)
    handle.release()
    assert len(rig.custodian._loaded) == 0
    loading = asyncio.create_task(handle.sign(ES256, DIGEST))
    await asyncio.sleep(0)
    handle.release()
    await loading
    assert len(rig.custodian._loaded) == 0


async def test_another_row_does_not_meet_a_loaded_key_in_the_cache(rig: Rig) -> None:
    binding = row()
    held = await rig.custodian.generate(P256, binding)
    await rig.custodian.open(held, binding).sign(ES256, DIGEST)
    other = await rig.custodian.generate(P256, row())
    for wrong, place in (
        (held, row()),
        (replace(held, public=other.public), binding),
        (replace(held, spec=KeySpec.ec(Curve.P256K)), binding),
    ):
        algorithm = SIGNATURE_ALGORITHMS["ES256K"] if wrong.spec.curve is Curve.P256K else ES256
        with pytest.raises(Unavailable):
            await rig.custodian.open(wrong, place).sign(algorithm, DIGEST)


async def test_a_key_of_another_class_of_custody_does_not_open(rig: Rig) -> None:
    held = await rig.custodian.generate(P256, row())
    for other in (CustodyClass.WRAPPED, CustodyClass.RESIDENT):
        with pytest.raises(Unavailable):
            rig.custodian.open(replace(held, custody=other), row())


async def test_something_sealed_that_is_no_key_does_not_open(rig: Rig) -> None:
    binding = row()
    held = await rig.custodian.generate(P256, binding)
    for value in (b"", b"not a key", material().encoded):
        bad = replace(held, reference=await rig.sealer.seal(value, binding))
        with pytest.raises(Unavailable):
            await rig.custodian.open(bad, binding).sign(ES256, DIGEST)


async def test_each_step_is_announced_before_and_after(rig: Rig) -> None:
    binding = row()
    held = await rig.custodian.generate(P256, binding)
    assert rig.steps == [f"{when} {step}" for step in ("generate", "prove", "seal") for when in ("before", "after")]
    rig.steps.clear()
    await rig.custodian.admit(material(), row())
    assert rig.steps == ["before admit", "after admit", "before seal", "after seal"]
    rig.steps.clear()
    packed = await rig.custodian.pack(held, binding)
    assert rig.steps == ["before open", "after open", "before seal", "after seal"]
    rig.steps.clear()
    await rig.custodian.unpack(held.spec, held.public, packed, binding, row())
    assert rig.steps == ["before open", "after open", "before seal", "after seal"]
    rig.steps.clear()
    await rig.custodian.destroy(held, binding)
    assert rig.steps == ["before forget", "after forget"]


@pytest.mark.parametrize("step", ["generate", "prove", "seal"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_generation_that_breaks_off_leaves_nothing_and_the_next_one_works(
    rig: Rig, step: str, when: str
) -> None:
    rig.crash_at = f"{when} {step}"
    with pytest.raises(Crash):
        await rig.custodian.generate(P256, row())
    assert len(rig.custodian._loaded) == 0
    rig.crash_at = ""
    binding = row()
    held = await rig.custodian.generate(P256, binding)
    assert await rig.custodian.open(held, binding).sign(ES256, DIGEST)


async def test_a_new_key_that_fails_its_pairwise_test_is_not_handed_out(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = SoftKey.sign
    monkeypatch.setattr(SoftKey, "sign", lambda key, algorithm, digest: sign(key, algorithm, digest)[::-1])
    for spec in (P256, KeySpec.rsa(2048)):
        with pytest.raises(Unavailable) as caught:
            await rig.custodian.generate(spec, row())
        assert "pairwise" in (caught.value.detail or "")
    with pytest.raises(BadRequest):
        await rig.custodian.admit(material(), row())


@pytest.mark.parametrize("pkcs8", [b"", b"garbage", b"\x30\x03\x02\x01\x00"])
async def test_material_that_cannot_be_read_is_refused(rig: Rig, pkcs8: bytes) -> None:
    with pytest.raises(BadRequest):
        await rig.custodian.admit(replace(material(), encoded=pkcs8), row())
    with pytest.raises(BadRequest):
        await rig.custodian.admit(replace(material(), spec=P384), row())


@pytest.mark.parametrize("exponent", [3, 65537])
async def test_the_public_exponent_is_as_asked(rig: Rig, exponent: int) -> None:
    held = await rig.custodian.generate(KeySpec.rsa(2048, exponent), row())
    assert PublicKey.load(held.public).spec.public_exponent == exponent


@pytest.mark.parametrize(
    "spec", [KeySpec.rsa(2048, 17), KeySpec.rsa(1024), KeySpec.oct(128), replace(P256, size_bits=384)]
)
async def test_what_is_not_made_in_software_is_refused_before_anything_happens(rig: Rig, spec: KeySpec) -> None:
    with pytest.raises(BadRequest):
        await rig.custodian.generate(spec, row())
    assert not rig.steps


async def test_a_full_lane_refuses_at_once(rig: Rig) -> None:
    binding = row()
    held = await rig.custodian.generate(KeySpec.rsa(2048), binding)
    handle = rig.custodian.open(held, binding)
    await handle.sign(RS256, DIGEST)
    outcomes = await asyncio.gather(*(handle.sign(RS256, DIGEST) for _ in range(400)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Throttled)]
    assert refused and len(refused) < 400
    assert all(isinstance(outcome, bytes | Throttled) for outcome in outcomes)


async def test_signing_does_not_wait_behind_the_generation_of_an_rsa_key(rig: Rig) -> None:
    binding = row()
    held = await rig.custodian.generate(P384, binding)
    handle = rig.custodian.open(held, binding)
    await handle.sign(ES384, bytes(48))
    making = asyncio.create_task(rig.custodian.generate(KeySpec.rsa(4096), row()))
    await asyncio.sleep(0)
    for _ in range(5):
        await handle.sign(ES384, bytes(48))
    assert not making.done()
    await making


async def test_a_soft_key_survives_a_backup_whose_container_was_purged(rig: Rig) -> None:
    """The row of the data key travels with the packed key."""
    source, target = row(), replace(row(), container_id="c-2")
    held = await rig.custodian.generate(P256, source)
    packed = await rig.custodian.pack(held, source)
    rig.custodian.forget()
    rig.sealer.forget()
    rig.store.rows.clear()
    bound = await rig.custodian.unpack(held.spec, held.public, packed, source, target)
    signature = await rig.custodian.open(bound, target).sign(ES256, DIGEST)
    assert PublicKey.load(held.public).verify(ES256, DIGEST, signature)


async def test_a_soft_key_in_a_backup_needs_no_data_key_of_its_container(rig: Rig) -> None:
    """The container may be purged, and what its data key was sealed with destroyed."""
    source, target = row(), replace(row(), container_id="c-2")
    held = await rig.custodian.generate(P256, source)
    packed = await rig.custodian.pack(held, source)
    (of_container,) = [row.id for row in rig.store.rows.values() if row.container_id == source.container_id]
    assert bytes.fromhex(of_container) not in packed
    assert of_container.encode() not in packed
    del rig.store.rows[of_container]
    rig.custodian.forget()
    rig.sealer.forget()
    bound = await rig.custodian.unpack(held.spec, held.public, packed, source, target)
    assert await rig.custodian.open(bound, target).sign(ES256, DIGEST)


async def test_a_key_that_was_packed_in_the_first_format_still_unpacks(rig: Rig) -> None:
    source, target = row(), replace(row(), container_id="c-2")
    held = await rig.custodian.generate(P256, source)
    data_key = await rig.sealer.row_of(held.reference, source)
    packed = msgspec.msgpack.encode([held.reference, msgspec.to_builtins(data_key, builtin_types=(bytes,))])
    for gone in (False, True):
        if gone:
            del rig.store.rows[data_key.id]
            rig.custodian.forget()
            rig.sealer.forget()
        bound = await rig.custodian.unpack(held.spec, held.public, packed, source, target)
        assert await rig.custodian.open(bound, target).sign(ES256, DIGEST)
    with pytest.raises(Unavailable):
        await rig.custodian.unpack(held.spec, held.public, packed, target, target)


async def test_a_key_is_disclosed_when_it_was_made_for_that_and_not_otherwise(rig: Rig) -> None:
    for spec in (P256, KeySpec.rsa(2048)):
        binding = row()
        held = await rig.custodian.generate(spec, binding, DISCLOSABLE)
        rig.custodian.forget()
        disclosed = await rig.custodian.disclose(held, binding)
        assert SoftKey.load(disclosed.encoded).public.spki == disclosed.public == held.public
        assert disclosed.encoded not in held.reference
    binding = row()
    for held in (await rig.custodian.generate(P256, binding), await rig.custodian.admit(material(), binding)):
        for _ in range(2):  # cold and warm
            with pytest.raises(BadRequest, match="cannot be given out"):
                await rig.custodian.disclose(held, binding)


async def test_who_can_write_the_database_does_not_make_a_key_disclosable(rig: Rig) -> None:
    """The mark is sealed with the key: a row of another key, or with other bytes before the value, does not open."""
    plain_row, marked_row = row(), row()
    plain = await rig.custodian.generate(P256, plain_row)
    marked = await rig.custodian.generate(P256, marked_row, DISCLOSABLE)
    for held, binding in (
        (replace(plain, reference=marked.reference), plain_row),
        (replace(marked, reference=plain.reference), marked_row),
        (plain, marked_row),
        (replace(plain, reference=b"\x01" + plain.reference), plain_row),
        (replace(marked, public=plain.public), marked_row),
    ):
        with pytest.raises(Unavailable):
            await rig.custodian.disclose(held, binding)


async def test_the_mark_of_a_disclosable_key_travels_with_its_backup_and_no_other_does(rig: Rig) -> None:
    for terms in (DISCLOSABLE, Terms()):
        source, target = row(), replace(row(), container_id="c-2")
        held = await rig.custodian.generate(P256, source, terms)
        packed = await rig.custodian.pack(held, source)
        rig.custodian.forget()
        rig.sealer.forget()
        bound = await rig.custodian.unpack(held.spec, held.public, packed, source, target)
        if terms.disclosable:
            assert (await rig.custodian.disclose(bound, target)).public == held.public
        else:
            with pytest.raises(BadRequest):
                await rig.custodian.disclose(bound, target)


async def test_material_that_brings_its_own_mark_is_refused(rig: Rig) -> None:
    given = material()
    for terms in (Terms(), DISCLOSABLE):
        with pytest.raises(BadRequest):
            await rig.custodian.admit(replace(given, encoded=b"\x01" + given.encoded), row(), terms)


async def test_what_the_hsm_alone_can_do_is_refused(rig: Rig) -> None:
    binding = row()
    held = await rig.custodian.generate(P256, binding)
    rig.steps.clear()
    for terms in (
        Terms(exportable=True),
        Terms(exchange=True),
        Terms(secure=True),
        Terms(exportable=True, disclosable=True),
    ):
        with pytest.raises(BadRequest, match="must be HSM-backed"):
            await rig.custodian.generate(P256, row(), terms)
        with pytest.raises(BadRequest, match="must be HSM-backed"):
            await rig.custodian.admit(material(), row(), terms)
    with pytest.raises(BadRequest, match="must be HSM-backed"):
        await rig.custodian.export(held, binding, held.public, Hash.SHA256)
    with pytest.raises(BadRequest, match="can be attested"):
        await rig.custodian.attest(held, binding)
    with pytest.raises(BadRequest, match="HSM-backed key"):
        await rig.custodian.admit_wrapped(held, binding, Family.EC, Curve.P256, bytes(512), row())
    assert not rig.steps


async def test_an_iv_or_additional_data_for_rsa_is_refused(rig: Rig) -> None:
    binding = row()
    held = await rig.custodian.generate(KeySpec.rsa(2048), binding)
    handle = rig.custodian.open(held, binding)
    for iv, aad in ((bytes(12), b""), (b"", b"aad")):
        with pytest.raises(BadRequest):
            await handle.decrypt(ENCRYPTION_ALGORITHMS["RSA-OAEP"], bytes(256), iv, aad)
    for algorithm in ("A128GCM", "RSA-OAEP", "A128KW"):
        with pytest.raises(BadRequest):
            await handle.encrypt(ENCRYPTION_ALGORITHMS[algorithm], bytes(16), b"", b"")


async def test_one_loaded_key_serves_every_algorithm_of_its_family(rig: Rig) -> None:
    binding = row()
    held = await rig.custodian.generate(KeySpec.rsa(2048), binding)
    handle, public = rig.custodian.open(held, binding), PublicKey.load(held.public)
    for name in ("RSA1_5", "RSA-OAEP", "RSA-OAEP-256", "RSA1_5"):
        algorithm = ENCRYPTION_ALGORITHMS[name]
        assert await handle.decrypt(algorithm, public.encrypt(algorithm, b"message")) == b"message"
    assert len(rig.custodian._loaded) == 1
