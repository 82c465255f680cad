"""What every custodian must do with oct keys: serve them as OctKeysContract says, or refuse them as
NoOctKeysContract does. To be inherited beside CustodyContract.

Imported keys are checked against the cryptography library alone; of generated ones nobody knows the value, so what one
algorithm did is undone by another.
"""

import asyncio
import hmac
import os
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7

from hsmvault.custody.admission import material_from_oct
from hsmvault.custody.protocols import Binding, HeldKey, PrivateKeyMaterial
from hsmvault.errors import BadRequest, CiphertextRefused, RequestError, Unavailable
from hsmvault.model.algorithms import (
    ENCRYPTION_ALGORITHMS,
    OCT_IMPORTED_SIZES_BITS,
    OCT_SIZES_BITS,
    SIGNATURE_ALGORITHMS,
    EncryptionAlgorithm,
    EncryptionMode,
    Family,
    KeySpec,
    SignatureAlgorithm,
)
from tests.contract.custody_rig import P256, RSA_2048, Rig, named, row
from tests.vectors import wycheproof

AES_ALGORITHMS = [each for each in ENCRYPTION_ALGORITHMS.values() if each.family is Family.OCT]
MACS = [each for each in SIGNATURE_ALGORITHMS.values() if each.family is Family.OCT]
AES_SPECS = [KeySpec.oct(bits) for bits in OCT_SIZES_BITS]
IMPORTED_SPECS = [KeySpec.oct(bits) for bits in OCT_IMPORTED_SIZES_BITS]
ENCRYPTING = [(spec, each) for spec in AES_SPECS for each in AES_ALGORITHMS if each.fits(spec)]
NOT_ENCRYPTING = [
    (spec, each) for spec in (*AES_SPECS, KeySpec.oct(512)) for each in ENCRYPTION_ALGORITHMS.values()
    if not each.fits(spec)
]  # fmt: skip
A256 = KeySpec.oct(256)
A256GCM, A256CBC, A256KW = (ENCRYPTION_ALGORITHMS[name] for name in ("A256GCM", "A256CBC", "A256KW"))
HS256 = SIGNATURE_ALGORITHMS["HS256"]
IV = {EncryptionMode.GCM: 12, EncryptionMode.CBC: 16, EncryptionMode.CBC_PAD: 16}
LENGTHS = {
    EncryptionMode.GCM: (0, 1, 15, 16, 17, 1000, 9000),
    EncryptionMode.CBC: (16, 32, 1024, 9008),
    EncryptionMode.CBC_PAD: (0, 1, 15, 16, 17, 1000, 9000),
    EncryptionMode.KW: (16, 24, 32, 64, 512),
    EncryptionMode.KWP: (1, 7, 8, 9, 15, 16, 17, 20, 32, 511),
}


def spec_name(value: object) -> str:
    return f"oct-{value.size_bits}" if isinstance(value, KeySpec) and value.family is Family.OCT else named(value)


def iv_for(algorithm: EncryptionAlgorithm) -> bytes:
    return os.urandom(IV.get(algorithm.mode, 0))


def aad_for(algorithm: EncryptionAlgorithm) -> bytes:
    return b"header" if algorithm.mode is EncryptionMode.GCM else b""


def by_software(algorithm: EncryptionAlgorithm, key: bytes, plaintext: bytes, iv: bytes, aad: bytes) -> bytes:
    if algorithm.mode is EncryptionMode.GCM:
        return AESGCM(key).encrypt(iv, plaintext, aad)
    if algorithm.mode is EncryptionMode.KW:
        return keywrap.aes_key_wrap(key, plaintext)
    if algorithm.mode is EncryptionMode.KWP:
        return keywrap.aes_key_wrap_with_padding(key, plaintext)
    if algorithm.mode is EncryptionMode.CBC_PAD:
        padder = PKCS7(128).padder()
        plaintext = padder.update(plaintext) + padder.finalize()
    return Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor().update(plaintext)


async def imported(rig: Rig, key: bytes) -> tuple[HeldKey, Binding]:
    binding = row("imported")
    return await rig.custodian.admit(material_from_oct(key), binding), binding


async def refused(rig: Rig, held: HeldKey, binding: Binding) -> None:
    """Neither a loaded key nor a cold start helps to use what is not as it was made."""
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            await rig.custodian.open(held, binding).encrypt(A256KW, bytes(16), b"", b"")
        assert caught.value.detail
        await rig.forget()


@pytest.mark.asyncio(loop_scope="module")
class OctKeysContract:
    @pytest.mark.parametrize("spec", IMPORTED_SPECS, ids=spec_name)
    async def test_a_generated_oct_key_has_nothing_public(self, rig: Rig, spec: KeySpec) -> None:
        held, _ = await rig.key(spec)
        assert (held.custody, held.spec, held.public) == (rig.custodian.custody, spec, b"")
        assert held.reference

    @pytest.mark.parametrize("spec", AES_SPECS, ids=spec_name)
    async def test_all_algorithms_of_a_generated_oct_key_use_one_key(self, rig: Rig, spec: KeySpec) -> None:
        """The blocks of CBC, which are those of AES itself, wrap a key as RFC 3394 says: so CBC and KW are one key.
        With the zero block and the counter blocks GCM is the same key as well.
        """
        held, binding = await rig.key(spec)
        handle = rig.custodian.open(held, binding)
        cbc, gcm, kw = (ENCRYPTION_ALGORITHMS[f"A{spec.size_bits}{name}"] for name in ("CBC", "GCM", "KW"))

        async def block(text: bytes) -> bytes:
            return await handle.encrypt(cbc, text, bytes(16), b"")

        parts, start = [bytes(8), b"8 bytes."], b"\xa6" * 8
        for step in range(12):
            made = await block(start + parts[step % 2])
            start, parts[step % 2] = (int.from_bytes(made[:8], "big") ^ (step + 1)).to_bytes(8, "big"), made[8:]
        assert await handle.encrypt(kw, bytes(8) + b"8 bytes.", b"", b"") == start + b"".join(parts)
        iv = os.urandom(12)
        sealed = await handle.encrypt(gcm, bytes(16), iv, b"")
        assert sealed[:16] == await block(iv + (2).to_bytes(4, "big"))

    @pytest.mark.parametrize(("spec", "algorithm"), ENCRYPTING, ids=spec_name)
    async def test_what_oct_keys_do_is_what_software_does(
        self, rig: Rig, spec: KeySpec, algorithm: EncryptionAlgorithm
    ) -> None:
        key = os.urandom(spec.size_bits // 8)
        held, binding = await imported(rig, key)
        handle = rig.custodian.open(held, binding)
        for length in LENGTHS[algorithm.mode]:
            plaintext, iv, aad = os.urandom(length), iv_for(algorithm), aad_for(algorithm)
            expected = by_software(algorithm, key, plaintext, iv, aad)
            assert await handle.encrypt(algorithm, plaintext, iv, aad) == expected, length
            assert await handle.decrypt(algorithm, expected, iv, aad) == plaintext, length

    @pytest.mark.parametrize("spec", IMPORTED_SPECS, ids=spec_name)
    @pytest.mark.parametrize("algorithm", MACS, ids=spec_name)
    async def test_an_oct_key_that_is_long_enough_makes_the_mac_over_the_digest(
        self, rig: Rig, spec: KeySpec, algorithm: SignatureAlgorithm
    ) -> None:
        key, digest = os.urandom(spec.size_bits // 8), os.urandom(algorithm.digest_bytes)
        held, binding = await imported(rig, key)
        handle = rig.custodian.open(held, binding)
        if spec.size_bits < 8 * algorithm.digest_bytes:
            with pytest.raises(BadRequest):
                await handle.sign(algorithm, digest)
            return
        assert await handle.sign(algorithm, digest) == hmac.digest(key, digest, algorithm.hash.value)
        for other in (b"", digest[:-1], digest + b"\0"):
            with pytest.raises(BadRequest):
                await handle.sign(algorithm, other)

    @pytest.mark.parametrize("spec", [KeySpec.oct(bits) for bits in (256, 384, 512)], ids=spec_name)
    async def test_a_generated_oct_key_makes_the_same_macs_after_a_cold_start(self, rig: Rig, spec: KeySpec) -> None:
        held, binding = await rig.key(spec)
        fitting = [algorithm for algorithm in MACS if algorithm.fits(spec)]

        async def macs() -> list[bytes]:
            handle = rig.custodian.open(held, binding)
            return [await handle.sign(algorithm, bytes(algorithm.digest_bytes)) for algorithm in fitting]

        made = await macs()
        assert [len(mac) for mac in made] == [algorithm.digest_bytes for algorithm in fitting]
        await rig.forget()
        assert await macs() == made

    @pytest.mark.parametrize(("spec", "algorithm"), ENCRYPTING, ids=spec_name)
    async def test_every_bad_ciphertext_of_an_oct_key_gets_the_one_refusal(
        self, rig: Rig, spec: KeySpec, algorithm: EncryptionAlgorithm
    ) -> None:
        held, binding = await rig.key(spec)
        handle = rig.custodian.open(held, binding)
        iv, aad = iv_for(algorithm), aad_for(algorithm)
        good = await handle.encrypt(algorithm, bytes(32), iv, aad)
        bad = [b"", good[:-1], good + b"\0", good[:15]]
        if algorithm.mode in (EncryptionMode.GCM, EncryptionMode.KW, EncryptionMode.KWP):
            bad += [good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in range(len(good))]
            bad += [good[:-8], good + bytes(8), bytes(len(good)), good[:8] + good]
        if algorithm.mode is EncryptionMode.CBC_PAD:
            cbc = ENCRYPTION_ALGORITHMS[f"A{spec.size_bits}CBC"]
            for end in (b"\0", b"\x11", b"\xff", b"\1\2", b"\3\2\3", b"\0" * 15 + b"\x10"):
                block = (b"x" * 16 + end)[-16:]
                bad.append(await handle.encrypt(cbc, bytes(16) + block, iv, b""))
        for ciphertext in bad:
            with pytest.raises(CiphertextRefused) as caught:
                await handle.decrypt(algorithm, ciphertext, iv, aad)
                pytest.fail(f"accepted: {ciphertext.hex()}")
            assert (caught.value.message, caught.value.code) == (CiphertextRefused().message, CiphertextRefused.code)
        if algorithm.mode is EncryptionMode.GCM:
            for other_iv, other_aad in ((os.urandom(12), aad), (iv, b"other"), (iv, b"")):
                with pytest.raises(CiphertextRefused):
                    await handle.decrypt(algorithm, good, other_iv, other_aad)
        assert await handle.decrypt(algorithm, good, iv, aad) == bytes(32)

    @pytest.mark.parametrize(("spec", "algorithm"), ENCRYPTING, ids=spec_name)
    async def test_parameters_that_a_mode_does_not_take_are_refused(
        self, rig: Rig, spec: KeySpec, algorithm: EncryptionAlgorithm
    ) -> None:
        held, binding = await rig.key(spec)
        handle = rig.custodian.open(held, binding)
        iv = iv_for(algorithm)
        wrong = [iv + b"\0", iv[:-1] if iv else bytes(12), bytes(8)]
        for other in wrong:
            with pytest.raises(BadRequest):
                await handle.encrypt(algorithm, bytes(32), other, b"")
            with pytest.raises(BadRequest):
                await handle.decrypt(algorithm, bytes(48), other, b"")
        if algorithm.mode is not EncryptionMode.GCM:
            with pytest.raises(BadRequest):
                await handle.encrypt(algorithm, bytes(32), iv, b"aad")
            with pytest.raises(BadRequest):
                await handle.decrypt(algorithm, bytes(48), iv, b"aad")
        lengths = {EncryptionMode.CBC: (0, 1, 17), EncryptionMode.KW: (0, 8, 17, 4104), EncryptionMode.KWP: (0, 4097)}
        for length in lengths.get(algorithm.mode, ()):
            with pytest.raises(BadRequest):
                await handle.encrypt(algorithm, bytes(length), iv, b"")
        with pytest.raises(BadRequest):
            await handle.encrypt(algorithm, bytearray(32), iv, b"")  # type: ignore[arg-type]  # a caller's mistake
        assert await handle.encrypt(algorithm, bytes(32), iv, b"")

    @pytest.mark.parametrize("name", ["CKM_AES_KEY_WRAP", "CKM_AES_KEY_WRAP_PAD"])
    async def test_the_longest_plaintext_is_wrapped_and_unwrapped(self, rig: Rig, name: str) -> None:
        key, plaintext = os.urandom(32), os.urandom(4096)
        held, binding = await imported(rig, key)
        handle = rig.custodian.open(held, binding)
        algorithm = ENCRYPTION_ALGORITHMS[name]
        wrapped = await handle.encrypt(algorithm, plaintext, b"", b"")
        assert wrapped == by_software(algorithm, key, plaintext, b"", b"")
        assert await handle.decrypt(algorithm, wrapped) == plaintext

    @pytest.mark.parametrize(("spec", "algorithm"), NOT_ENCRYPTING, ids=spec_name)
    async def test_an_algorithm_of_another_key_does_nothing_with_an_oct_key(
        self, rig: Rig, spec: KeySpec, algorithm: EncryptionAlgorithm
    ) -> None:
        if spec.size_bits in OCT_SIZES_BITS:
            held, binding = await rig.key(spec)
        else:
            held, binding = await imported(rig, bytes(spec.size_bits // 8))
        handle = rig.custodian.open(held, binding)
        iv = iv_for(algorithm)
        with pytest.raises(BadRequest):
            await handle.encrypt(algorithm, bytes(32), iv, b"")
        with pytest.raises(BadRequest) as caught:
            await handle.decrypt(algorithm, bytes(48), iv, b"")
        assert not isinstance(caught.value, CiphertextRefused)

    async def test_an_oct_key_signs_nothing_of_a_key_pair(self, rig: Rig) -> None:
        held, binding = await rig.key(A256)
        for algorithm in SIGNATURE_ALGORITHMS.values():
            if algorithm.family is not Family.OCT:
                with pytest.raises(BadRequest):
                    await rig.custodian.open(held, binding).sign(algorithm, bytes(algorithm.digest_bytes))

    @pytest.mark.parametrize("spec", [P256, RSA_2048], ids=named)
    async def test_a_key_pair_encrypts_nothing_by_its_handle(self, rig: Rig, spec: KeySpec) -> None:
        held, binding = await rig.key(spec)
        for algorithm in (A256GCM, A256KW, ENCRYPTION_ALGORITHMS["RSA-OAEP"]):
            with pytest.raises(BadRequest):
                await rig.custodian.open(held, binding).encrypt(algorithm, bytes(32), iv_for(algorithm), b"")

    async def test_a_copy_of_an_oct_key_in_another_row_does_not_open(self, rig: Rig) -> None:
        held, binding = await rig.key(A256)
        handle = rig.custodian.open(held, binding)
        await handle.encrypt(A256KW, bytes(16), b"", b"")
        for other in (replace(binding, container_id="c-2"), replace(binding, name="other"), row()):
            await refused(rig, held, other)
        other_held, _ = await imported(rig, os.urandom(32))
        await refused(rig, replace(held, reference=other_held.reference), binding)
        await refused(rig, replace(held, public=b"x"), binding)
        assert await handle.encrypt(A256KW, bytes(16), b"", b"")

    async def test_a_row_that_calls_an_oct_key_longer_or_shorter_does_not_work(self, rig: Rig) -> None:
        for made, claimed, name in ((128, 256, "A256KW"), (256, 128, "A128KW"), (512, 256, "A256KW")):
            held, binding = await imported(rig, os.urandom(made // 8))
            handle = rig.custodian.open(replace(held, spec=KeySpec.oct(claimed)), binding)
            with pytest.raises(Unavailable):
                await handle.encrypt(ENCRYPTION_ALGORITHMS[name], bytes(16), b"", b"")

    async def test_a_changed_reference_of_an_oct_key_does_not_open(self, rig: Rig) -> None:
        held, binding = await rig.key(A256)
        for at in range(0, len(held.reference), 3):
            changed = held.reference[:at] + bytes([held.reference[at] ^ 1]) + held.reference[at + 1 :]
            with pytest.raises(Unavailable):
                await rig.custodian.open(replace(held, reference=changed), binding).sign(HS256, bytes(32))

    async def test_every_use_of_an_oct_key_survives_a_cold_start_and_a_release(self, rig: Rig) -> None:
        held, binding = await rig.key(A256)
        handle = rig.custodian.open(held, binding)

        async def results() -> list[bytes]:
            return [
                await handle.encrypt(A256CBC, bytes(16), bytes(16), b""),
                await handle.encrypt(A256KW, bytes(16), b"", b""),
                await handle.sign(HS256, bytes(32)),
            ]

        first = await results()
        await rig.forget()
        assert await results() == first
        handle.release()
        handle.release()
        assert await results() == first

    async def test_releasing_costs_no_operation_of_an_oct_key_that_is_under_way(self, rig: Rig) -> None:
        key = os.urandom(32)
        held, binding = await imported(rig, key)
        handle = rig.custodian.open(held, binding)
        operations = []
        for number in range(30):
            operations.append(asyncio.ensure_future(handle.encrypt(A256KW, bytes(15) + bytes([number]), b"", b"")))
            await asyncio.sleep(0)
            handle.release()
        expected = [keywrap.aes_key_wrap(key, bytes(15) + bytes([number])) for number in range(30)]
        assert await asyncio.gather(*operations) == expected

    async def test_many_operations_of_all_kinds_at_once_are_all_answered_rightly(self, rig: Rig) -> None:
        key = os.urandom(32)
        held, binding = await imported(rig, key)
        await rig.forget()
        handle = rig.custodian.open(held, binding)

        async def one(number: int) -> None:
            text, iv = number.to_bytes(32, "big"), os.urandom(12)
            sealed = await handle.encrypt(A256GCM, text, iv, b"")
            assert sealed == AESGCM(key).encrypt(iv, text, None)
            assert await handle.decrypt(A256KW, keywrap.aes_key_wrap(key, text)) == text
            assert await handle.sign(HS256, text) == hmac.digest(key, text, "sha256")
            with pytest.raises(CiphertextRefused):
                await handle.decrypt(A256GCM, sealed[:-1] + bytes([sealed[-1] ^ 1]), iv)

        await asyncio.gather(*(one(number) for number in range(40)))

    async def test_an_oct_key_that_went_through_a_backup_works_in_its_new_row_alone(self, rig: Rig) -> None:
        key = os.urandom(32)
        held, source = await imported(rig, key)
        target = row("restored", container_id="c-3")
        packed = await rig.custodian.pack(held, source)
        assert key not in packed
        bound = await rig.custodian.unpack(held.spec, held.public, packed, source, target)
        assert (bound.custody, bound.spec, bound.public) == (held.custody, held.spec, b"")
        await rig.forget()
        handle = rig.custodian.open(bound, target)
        assert await handle.encrypt(A256KW, bytes(16), b"", b"") == keywrap.aes_key_wrap(key, bytes(16))
        await refused(rig, bound, source)
        await refused(rig, held, target)
        with pytest.raises(Unavailable):
            await rig.custodian.unpack(KeySpec.oct(128), b"", packed, source, target)

    async def test_an_oct_key_may_be_destroyed_twice(self, rig: Rig) -> None:
        held, binding = await imported(rig, os.urandom(16))
        await rig.custodian.open(held, binding).encrypt(ENCRYPTION_ALGORITHMS["A128KW"], bytes(16), b"", b"")
        await rig.custodian.destroy(held, binding)
        await rig.custodian.destroy(held, binding)

    @pytest.mark.parametrize("bits", [0, 8, 64, 127, 129, 320, 520, 1024])
    async def test_oct_keys_of_other_sizes_are_not_generated(self, rig: Rig, bits: int) -> None:
        with pytest.raises(BadRequest):
            await rig.custodian.generate(KeySpec.oct(bits), row())

    async def test_oct_material_of_another_length_than_it_says_is_refused(self, rig: Rig) -> None:
        for bits, length in ((256, 16), (128, 32), (512, 48), (256, 20), (64, 8), (256, 0)):
            with pytest.raises(RequestError):
                await rig.custodian.admit(PrivateKeyMaterial(KeySpec.oct(bits), b"", bytes(length)), row())

    async def test_no_repr_shows_an_oct_key(self, rig: Rig) -> None:
        key = os.urandom(32)
        material = material_from_oct(key)
        binding = row("shown")
        held = await rig.custodian.admit(material, binding)
        handle = rig.custodian.open(held, binding)
        await handle.sign(HS256, bytes(32))
        shown = f"{material!r} {held!r} {handle!r} {rig.custodian!r} {vars(rig.custodian)!r}"
        for form in (key.hex(), repr(key)[2:-1], str(int.from_bytes(key, "big"))):
            assert form not in shown

    @pytest.mark.parametrize("file", wycheproof.AES_FILES)
    async def test_wycheproof_ciphertexts_of_aes_decrypt_or_get_the_one_refusal(self, rig: Rig, file: str) -> None:
        for key, name, cases in wycheproof.aes(file):
            held, binding = await imported(rig, key)
            handle = rig.custodian.open(held, binding)
            algorithm = ENCRYPTION_ALGORITHMS[name]
            for case in cases:
                if case.message is None:
                    with pytest.raises(CiphertextRefused):
                        await handle.decrypt(algorithm, case.ciphertext, case.iv, case.aad)
                        pytest.fail(f"accepted: {case.name}")
                    continue
                assert await handle.decrypt(algorithm, case.ciphertext, case.iv, case.aad) == case.message, case.name
                assert await handle.encrypt(algorithm, case.message, case.iv, case.aad) == case.ciphertext, case.name
            await rig.custodian.destroy(held, binding)


@pytest.mark.asyncio(loop_scope="module")
class NoOctKeysContract:
    async def test_oct_keys_are_neither_made_nor_taken_in(self, rig: Rig) -> None:
        for spec in AES_SPECS:
            with pytest.raises(BadRequest, match=r"[Kk]ey.*\.$"):
                await rig.custodian.generate(spec, row())
            with pytest.raises(BadRequest, match=r"[Kk]ey.*\.$"):
                await rig.custodian.admit(material_from_oct(bytes(spec.size_bits // 8)), row())

    @pytest.mark.parametrize("spec", [P256, RSA_2048], ids=named)
    async def test_a_key_pair_encrypts_nothing_by_its_handle(self, rig: Rig, spec: KeySpec) -> None:
        held, binding = await rig.key(spec)
        for algorithm in (A256GCM, A256KW, ENCRYPTION_ALGORITHMS["RSA-OAEP"]):
            with pytest.raises(BadRequest):
                await rig.custodian.open(held, binding).encrypt(algorithm, bytes(32), iv_for(algorithm), b"")
