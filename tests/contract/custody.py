"""What every custodian must do, written once. An implementation runs it with a module of its own: a fixture `rig` of
the module's scope and an empty subclass of CustodyContract (test_soft_custody.py is the pattern).

Results are checked with the cryptography library alone, never with the code that is under test.
"""

import asyncio
import hashlib
import json
import os
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from hsmvault.custody.admission import material_from_jwk
from hsmvault.custody.protocols import HeldKey, PrivateKeyMaterial, Terms
from hsmvault.errors import BadRequest, CiphertextRefused, RequestError, Unavailable
from hsmvault.model.algorithms import (
    ENCRYPTION_ALGORITHMS,
    SIGNATURE_ALGORITHMS,
    Curve,
    EncryptionAlgorithm,
    Family,
    Hash,
    KeySpec,
    SignatureAlgorithm,
)
from tests.contract.custody_rig import (
    DECRYPTERS,
    DECRYPTING,
    DIGEST,
    ES256,
    JOSE,
    NOT_SIGNING,
    OAEP_256,
    P256,
    RS256,
    RSA_2048,
    SIGNERS,
    SIGNING,
    SPECS,
    Rig,
    bad_ciphertexts,
    by_length,
    callers_key,
    encrypted,
    is_good,
    made_for,
    named,
    public_key,
    row,
    unbase64,
)
from tests.vectors import wycheproof


@pytest.mark.asyncio(loop_scope="module")
class CustodyContract:
    @pytest.mark.parametrize("spec", by_length(SPECS), ids=named)
    async def test_a_generated_key_is_what_was_asked_for(self, rig: Rig, spec: KeySpec) -> None:
        held, _ = await rig.key(spec)
        assert (held.custody, held.spec) == (rig.custodian.custody, spec)
        assert held.reference
        key = public_key(held)
        if isinstance(key, rsa.RSAPublicKey):
            assert (key.key_size, key.public_numbers().e) == (spec.size_bits, spec.public_exponent)
        else:
            assert spec.curve is not None
            assert key.curve.name == {"P-256K": "secp256k1"}.get(spec.curve.value, f"secp{key.curve.key_size}r1")

    @pytest.mark.parametrize(("spec", "algorithm"), by_length(SIGNING), ids=named)
    async def test_a_signature_verifies_elsewhere(self, rig: Rig, spec: KeySpec, algorithm: SignatureAlgorithm) -> None:
        held, binding = await rig.key(spec)
        digest = hashlib.new(algorithm.hash.value, b"a message").digest()
        signature = await rig.custodian.open(held, binding).sign(algorithm, digest)
        assert len(signature) == algorithm.signature_bytes(spec)
        assert is_good(held, algorithm, digest, signature)
        assert not is_good(held, algorithm, bytes(len(digest)), signature)

    @pytest.mark.parametrize(("spec", "algorithm"), by_length(DECRYPTING), ids=named)
    async def test_what_was_encrypted_elsewhere_decrypts(
        self, rig: Rig, spec: KeySpec, algorithm: EncryptionAlgorithm
    ) -> None:
        held, binding = await rig.key(spec)
        handle = rig.custodian.open(held, binding)
        longest = algorithm.longest_plaintext(spec)
        for message in (b"", b"\0", b"secret", b"\0" * 32, os.urandom(longest)):
            assert await handle.decrypt(algorithm, encrypted(held, algorithm, message)) == message

    @pytest.mark.parametrize("algorithm", DECRYPTERS, ids=named)
    async def test_hand_made_encodings_decrypt(self, rig: Rig, algorithm: EncryptionAlgorithm) -> None:
        held, binding = await rig.key(RSA_2048)
        key = public_key(held)
        assert isinstance(key, rsa.RSAPublicKey)
        numbers, length = key.public_numbers(), held.spec.modulus_bytes
        handle = rig.custodian.open(held, binding)
        for each in made_for(algorithm, length):
            if each.good:
                ciphertext = each.ciphertext(numbers.n, numbers.e)
                assert await handle.decrypt(algorithm, ciphertext) == each.message, each.name

    @pytest.mark.parametrize(("spec", "algorithm"), by_length(DECRYPTING), ids=named)
    async def test_every_bad_ciphertext_gets_the_one_refusal(
        self, rig: Rig, spec: KeySpec, algorithm: EncryptionAlgorithm
    ) -> None:
        held, binding = await rig.key(spec)
        handle = rig.custodian.open(held, binding)
        for name, ciphertext in bad_ciphertexts(held, algorithm).items():
            with pytest.raises(CiphertextRefused) as caught:
                await handle.decrypt(algorithm, ciphertext)
                pytest.fail(f"accepted: {name}")
            assert caught.value.message == CiphertextRefused().message, name
            assert caught.value.code == CiphertextRefused.code, name
        message = await handle.decrypt(algorithm, encrypted(held, algorithm, b"still works"))
        assert message == b"still works"

    @pytest.mark.parametrize(("spec", "algorithm"), by_length(SIGNING), ids=named)
    async def test_a_digest_of_another_length_is_refused(
        self, rig: Rig, spec: KeySpec, algorithm: SignatureAlgorithm
    ) -> None:
        held, binding = await rig.key(spec)
        handle = rig.custodian.open(held, binding)
        for length in {0, 1, 20, 32, 48, 64, algorithm.digest_bytes - 1, algorithm.digest_bytes + 1, 200}:
            if length != algorithm.digest_bytes:
                with pytest.raises(BadRequest):
                    await handle.sign(algorithm, bytes(length))

    @pytest.mark.parametrize(("spec", "algorithm"), NOT_SIGNING, ids=named)
    async def test_an_algorithm_of_another_key_does_not_sign(
        self, rig: Rig, spec: KeySpec, algorithm: SignatureAlgorithm
    ) -> None:
        held, binding = await rig.key(spec)
        with pytest.raises(BadRequest):
            await rig.custodian.open(held, binding).sign(algorithm, bytes(algorithm.digest_bytes))

    @pytest.mark.parametrize("algorithm", ENCRYPTION_ALGORITHMS.values(), ids=named)
    async def test_an_algorithm_of_another_key_does_not_decrypt(self, rig: Rig, algorithm: EncryptionAlgorithm) -> None:
        for spec in (P256, RSA_2048):
            if not algorithm.fits(spec):
                held, binding = await rig.key(spec)
                with pytest.raises(BadRequest) as caught:
                    await rig.custodian.open(held, binding).decrypt(algorithm, bytes(256))
                assert not isinstance(caught.value, CiphertextRefused)

    @pytest.mark.parametrize("spec", [P256, RSA_2048], ids=named)
    async def test_a_copy_in_another_row_does_not_open(self, rig: Rig, spec: KeySpec) -> None:
        held, binding = await rig.key(spec)
        for other in (
            replace(binding, container_id="c-2"),
            replace(binding, kind="secret"),
            replace(binding, name="other"),
            replace(binding, version=os.urandom(16).hex()),
            replace(binding, container_id=binding.container_id + "k", kind=binding.kind[1:]),
        ):
            await rig.refuses(held, other)
        assert await rig.custodian.open(held, binding).sign(RS256 if spec is RSA_2048 else ES256, DIGEST)

    @pytest.mark.parametrize("spec", [P256, RSA_2048], ids=named)
    async def test_a_row_with_another_public_key_does_not_work(self, rig: Rig, spec: KeySpec) -> None:
        held, binding = await rig.key(spec)
        other_binding = row("other")
        other = await rig.custodian.generate(spec, other_binding)
        await rig.refuses(replace(held, public=other.public), binding)
        await rig.refuses(replace(held, reference=other.reference), binding)
        await rig.refuses(replace(other, public=held.public), other_binding)
        await rig.refuses(replace(held, public=b""), binding)

    async def test_a_row_that_calls_a_key_another_type_does_not_work(self, rig: Rig) -> None:
        held, binding = await rig.key(KeySpec.ec(Curve.P256K))
        await rig.refuses(replace(held, spec=P256), binding)

    async def test_a_changed_reference_does_not_open(self, rig: Rig) -> None:
        held, binding = await rig.key(P256)
        reference = held.reference
        changed = [
            bytes([*reference[:at], reference[at] ^ (1 << at % 8), *reference[at + 1 :]])
            for at in range(len(reference))
        ]
        cut = [reference[:length] for length in (0, 1, 16, 17, len(reference) // 2, len(reference) - 1)]
        for bad in (*changed, *cut, reference + b"\0", b"\0" + reference):
            with pytest.raises(Unavailable):
                await rig.custodian.open(replace(held, reference=bad), binding).sign(ES256, DIGEST)
        await rig.forget()
        signature = await rig.custodian.open(held, binding).sign(ES256, DIGEST)
        assert is_good(held, ES256, DIGEST, signature)

    async def test_a_key_survives_a_cold_start(self, rig: Rig) -> None:
        held, binding = await rig.key(P256)
        await rig.forget()
        stored = HeldKey(held.custody, held.spec, bytes(held.public), bytes(held.reference))
        signature = await rig.custodian.open(stored, binding).sign(ES256, DIGEST)
        assert is_good(held, ES256, DIGEST, signature)

    async def test_an_old_handle_works_after_a_cold_start(self, rig: Rig) -> None:
        held, binding = await rig.key(P256)
        handle = rig.custodian.open(held, binding)
        await handle.sign(ES256, DIGEST)
        await rig.forget()
        assert is_good(held, ES256, DIGEST, await handle.sign(ES256, DIGEST))

    async def test_a_handle_works_again_after_its_release(self, rig: Rig) -> None:
        held, binding = await rig.key(P256)
        handle, other = rig.custodian.open(held, binding), rig.custodian.open(held, binding)
        handle.release()
        await handle.sign(ES256, DIGEST)
        handle.release()
        handle.release()
        for one in (handle, other):
            assert is_good(held, ES256, DIGEST, await one.sign(ES256, DIGEST))

    @pytest.mark.parametrize("spec", [P256, RSA_2048], ids=named)
    async def test_releasing_a_handle_costs_no_operation_that_is_under_way(self, rig: Rig, spec: KeySpec) -> None:
        held, binding = await rig.key(spec)
        algorithm = RS256 if spec is RSA_2048 else ES256
        handle = rig.custodian.open(held, binding)
        operations = []
        for _ in range(30):
            operations.append(asyncio.ensure_future(handle.sign(algorithm, DIGEST)))
            await asyncio.sleep(0)
            handle.release()
        assert all(is_good(held, algorithm, DIGEST, signature) for signature in await asyncio.gather(*operations))

    @pytest.mark.parametrize("spec", [P256, RSA_2048], ids=named)
    async def test_many_at_once_are_all_answered_rightly(self, rig: Rig, spec: KeySpec) -> None:
        held, binding = await rig.key(spec)
        await rig.forget()
        algorithm = RS256 if spec is RSA_2048 else ES256
        digests = [hashlib.sha256(bytes([number])).digest() for number in range(40)]
        handles = [rig.custodian.open(held, binding) for _ in range(4)]
        signatures = await asyncio.gather(
            *(handles[number % 4].sign(algorithm, digest) for number, digest in enumerate(digests))
        )
        assert all(
            is_good(held, algorithm, digest, signature) for digest, signature in zip(digests, signatures, strict=True)
        )

    @pytest.mark.parametrize("spec", [P256, RSA_2048], ids=named)
    async def test_a_key_that_went_through_a_backup_works_in_its_new_row_alone(self, rig: Rig, spec: KeySpec) -> None:
        held, source = await rig.key(spec)
        target = row("restored", container_id="c-3")
        algorithm = RS256 if spec is RSA_2048 else ES256
        packed = await rig.custodian.pack(held, source)
        bound = await rig.custodian.unpack(held.spec, held.public, packed, source, target)
        assert (bound.custody, bound.spec, bound.public) == (held.custody, held.spec, held.public)
        await rig.forget()
        assert is_good(held, algorithm, DIGEST, await rig.custodian.open(bound, target).sign(algorithm, DIGEST))
        await rig.refuses(bound, source)
        await rig.refuses(held, target)
        assert is_good(held, algorithm, DIGEST, await rig.custodian.open(held, source).sign(algorithm, DIGEST))

    async def test_packing_and_unpacking_from_a_row_that_is_not_its_own_is_refused(self, rig: Rig) -> None:
        held, source = await rig.key(P256)
        with pytest.raises(Unavailable):
            await rig.custodian.pack(held, row("not its own"))
        packed = await rig.custodian.pack(held, source)
        with pytest.raises(Unavailable):
            await rig.custodian.unpack(held.spec, held.public, packed, row("not its own"), row("target"))

    async def test_a_packed_key_with_another_public_part_or_changed_bytes_is_refused(self, rig: Rig) -> None:
        held, source = await rig.key(P256)
        other, _ = await rig.key(P256)
        packed = await rig.custodian.pack(held, source)
        if other.public != held.public:
            with pytest.raises(Unavailable):
                await rig.custodian.unpack(held.spec, other.public, packed, source, row("target"))
        for changed in (packed[:40] + bytes([packed[40] ^ 1]) + packed[41:], packed[:10], b""):
            with pytest.raises(Unavailable):
                await rig.custodian.unpack(held.spec, held.public, changed, source, row("target"))

    async def test_a_key_may_be_destroyed_twice(self, rig: Rig) -> None:
        binding = row("destroyed")
        held = await rig.custodian.generate(P256, binding)
        await rig.custodian.open(held, binding).sign(ES256, DIGEST)
        await rig.custodian.destroy(held, binding)
        await rig.custodian.destroy(held, binding)

    async def test_destroying_a_key_leaves_the_others(self, rig: Rig) -> None:
        held, binding = await rig.key(P256)
        gone_binding = row("destroyed")
        gone = await rig.custodian.generate(P256, gone_binding)
        await rig.custodian.destroy(gone, gone_binding)
        assert is_good(held, ES256, DIGEST, await rig.custodian.open(held, binding).sign(ES256, DIGEST))

    @pytest.mark.parametrize("spec", by_length(SPECS), ids=named)
    async def test_a_callers_key_is_taken_in_and_is_the_same_key(self, rig: Rig, spec: KeySpec) -> None:
        key, material = callers_key(spec)
        binding = row("imported")
        held = await rig.custodian.admit(material, binding)
        assert (held.custody, held.spec, held.public) == (rig.custodian.custody, spec, material.public)
        await rig.forget()
        handle = rig.custodian.open(held, binding)
        algorithm = next(each for each in SIGNERS if each.fits(spec))
        digest = bytes(algorithm.digest_bytes)
        signature = await handle.sign(algorithm, digest)
        assert is_good(held, algorithm, digest, signature)
        if isinstance(key, rsa.RSAPrivateKey):
            assert signature == key.sign(digest, padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))
            assert await handle.decrypt(OAEP_256, encrypted(held, OAEP_256, b"message")) == b"message"
        await rig.custodian.destroy(held, binding)

    @pytest.mark.parametrize("vector", json.loads(JOSE.read_text())["keys"], ids=lambda vector: vector["name"])
    async def test_the_keys_of_the_jose_standards_give_their_results(self, rig: Rig, vector: dict) -> None:
        binding = row("standard")
        held = await rig.custodian.admit(material_from_jwk(wycheproof.private_jwk(vector)), binding)
        handle = rig.custodian.open(held, binding)
        for each in vector["signatures"]:
            digest = hashlib.sha256(each["signed"].encode()).digest()
            assert await handle.sign(SIGNATURE_ALGORITHMS[each["alg"]], digest) == unbase64(each["signature"])
        for each in vector["ciphertexts"]:
            algorithm = ENCRYPTION_ALGORITHMS[each["alg"]]
            assert await handle.decrypt(algorithm, unbase64(each["ciphertext"])) == unbase64(each["message"])
        await rig.custodian.destroy(held, binding)

    @pytest.mark.parametrize(
        ("file", "name"),
        [
            pytest.param(file, name, marks=() if "2048" in file else pytest.mark.slow)
            for file, name in wycheproof.DECRYPTION_FILES.items()
        ],
    )
    async def test_wycheproof_ciphertexts_decrypt_or_get_the_one_refusal(self, rig: Rig, file: str, name: str) -> None:
        for material, cases in wycheproof.decryptions(file):
            binding = row("wycheproof")
            held = await rig.custodian.admit(material, binding)
            handle = rig.custodian.open(held, binding)
            for case in cases:
                if case.message is not None:
                    assert await handle.decrypt(ENCRYPTION_ALGORITHMS[name], case.ciphertext) == case.message, case.name
                    continue
                with pytest.raises(CiphertextRefused) as caught:
                    await handle.decrypt(ENCRYPTION_ALGORITHMS[name], case.ciphertext)
                    pytest.fail(f"accepted: {case.name}")
                assert caught.value.message == CiphertextRefused().message
            await rig.custodian.destroy(held, binding)

    @pytest.mark.slow
    async def test_wycheproof_signatures_come_out_byte_for_byte(self, rig: Rig) -> None:
        for material, name, cases in wycheproof.signatures():
            binding = row("wycheproof")
            held = await rig.custodian.admit(material, binding)
            handle = rig.custodian.open(held, binding)
            algorithm = SIGNATURE_ALGORITHMS[name]
            for case in cases:
                digest = hashlib.new(algorithm.hash.value, case.message).digest()
                assert await handle.sign(algorithm, digest) == case.signature
            await rig.custodian.destroy(held, binding)

    @pytest.mark.parametrize("spec", [P256, RSA_2048], ids=named)
    async def test_material_that_does_not_fit_its_public_key_is_refused(self, rig: Rig, spec: KeySpec) -> None:
        _, material = callers_key(spec)
        _, other = callers_key(spec)
        with pytest.raises(RequestError):
            await rig.custodian.admit(PrivateKeyMaterial(spec, other.public, material.encoded), row("mixed"))

    @pytest.mark.parametrize(
        "spec",
        [
            KeySpec.rsa(1024),
            KeySpec.rsa(2056),
            KeySpec.rsa(2048, public_exponent=1),
            KeySpec.oct(64),
            KeySpec.oct(1024),
        ],
        ids=named,
    )
    async def test_what_is_not_served_is_refused(self, rig: Rig, spec: KeySpec) -> None:
        with pytest.raises(BadRequest):
            await rig.custodian.generate(spec, row())

    @pytest.mark.parametrize("spec", [P256, RSA_2048], ids=named)
    async def test_a_key_without_terms_neither_leaves_nor_brings_another(self, rig: Rig, spec: KeySpec) -> None:
        held, binding = await rig.key(spec)
        recipient, _ = await rig.key(RSA_2048)
        with pytest.raises(BadRequest):
            await rig.custodian.export(held, binding, recipient.public, Hash.SHA256)
        with pytest.raises(BadRequest):
            await rig.custodian.admit_wrapped(held, binding, Family.EC, Curve.P256, bytes(512), row())
        with pytest.raises(BadRequest, match="cannot be given out"):
            await rig.custodian.disclose(held, binding)

    async def test_a_disclosable_key_is_never_hard_and_gives_out_its_private_part(self, rig: Rig) -> None:
        _, material = callers_key(P256)
        binding, terms = row("disclosable"), Terms(disclosable=True)
        if rig.custodian.custody.is_hardware:
            for refused in (
                rig.custodian.generate(P256, binding, terms),
                rig.custodian.generate(RSA_2048, binding, terms),
                rig.custodian.admit(material, binding, terms),
            ):
                with pytest.raises(BadRequest, match="cannot be given out"):
                    await refused
            return
        held = await rig.custodian.admit(material, binding, terms)
        await rig.forget()
        disclosed = await rig.custodian.disclose(held, binding)
        assert (disclosed.spec, disclosed.public, disclosed.encoded) == (P256, material.public, material.encoded)
        assert is_good(held, ES256, DIGEST, await rig.custodian.open(held, binding).sign(ES256, DIGEST))
        with pytest.raises(Unavailable):
            await rig.custodian.disclose(held, row("another"))
        await rig.custodian.destroy(held, binding)

    async def test_terms_that_no_key_can_have_are_refused(self, rig: Rig) -> None:
        for spec, terms in (
            (P256, Terms(exchange=True)),
            (P256, Terms(secure=True)),
            (RSA_2048, Terms(exportable=True, secure=True)),
            (RSA_2048, Terms(exchange=True, secure=True)),
            (RSA_2048, Terms(exchange=True, exportable=True)),
        ):
            with pytest.raises(BadRequest):
                await rig.custodian.generate(spec, row(), terms)
            with pytest.raises(BadRequest):
                await rig.custodian.admit(callers_key(spec)[1], row(), terms)

    async def test_no_repr_shows_key_material(self, rig: Rig) -> None:
        key, material = callers_key(P256)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        binding = row("shown")
        held = await rig.custodian.admit(material, binding)
        handle = rig.custodian.open(held, binding)
        await handle.sign(ES256, DIGEST)
        private = key.private_numbers().private_value
        shown = f"{material!r} {held!r} {handle!r} {rig.custodian!r} {vars(rig.custodian)!r}"
        for form in (str(private), f"{private:x}", repr(private.to_bytes(32, "big"))[2:-1]):
            assert form not in shown
        await rig.custodian.destroy(held, binding)
