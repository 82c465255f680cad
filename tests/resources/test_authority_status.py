"""Revocation lists and answers to OCSP: what is told, when it is told anew, and that strangers cost no signatures."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from hsmvault.custody.authority_revocation import read_question
from hsmvault.errors import Unavailable
from hsmvault.model.authorities import AuthorityRole, IssuedRow
from hsmvault.resources import authorities
from hsmvault.resources.authorities import LocalAuthority
from hsmvault.store import authorities as store
from hsmvault.store.changes import ChangeFeed
from tests.resources.authority_stage import RULES, authorities_of, certificate, order
from tests.resources.stage import Stage, stage
from tests.softhsm import SoftToken, softhsm_for_module, softhsm_template

__all__ = ["softhsm_for_module", "softhsm_template"]

ROOT, ISSUING = AuthorityRole.ROOT, AuthorityRole.ISSUING
HOUR = 3600
Status = ocsp.OCSPCertStatus
Answer = ocsp.OCSPResponseStatus


@dataclass
class Rig:
    """An authority in one worker; every signature that it makes is counted."""

    on: Stage
    authority: LocalAuthority
    signatures: int = 0

    async def issued(self) -> x509.Certificate:
        return certificate((await self.authority.issue(order()))[0])

    async def issuer(self) -> x509.Certificate:
        return certificate(await self.authority.certificate(ISSUING))

    async def revoke(self, one: x509.Certificate, reason: int = 1) -> bool:
        now = int(self.on.clock.now())
        serial = f"{one.serial_number:032x}"
        return await authorities.revoke(self.on.database, "corp", serial, now=now, reason=reason)

    async def crl(self, role: AuthorityRole = ISSUING) -> x509.CertificateRevocationList:
        return x509.load_der_x509_crl(await self.authority.status.crl(role))

    async def asked(
        self, one: x509.Certificate, *, nonce: bytes = b"", algorithm: hashes.HashAlgorithm | None = None
    ) -> ocsp.OCSPResponse:
        question = await self.question(one, nonce=nonce, algorithm=algorithm)
        return ocsp.load_der_ocsp_response(await self.authority.status.answer(question))

    async def asked_about(self, serial: int, *, like: x509.Certificate) -> ocsp.OCSPResponse:
        """A serial number under the issuer of a certificate of ours."""
        its = ocsp.load_der_ocsp_request(await self.question(like))
        asked = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
            its.issuer_name_hash, its.issuer_key_hash, serial, hashes.SHA256()
        )
        content = await self.authority.status.answer(asked.build().public_bytes(Encoding.DER))
        return ocsp.load_der_ocsp_response(content)

    async def question(
        self, one: x509.Certificate, *, nonce: bytes = b"", algorithm: hashes.HashAlgorithm | None = None
    ) -> bytes:
        asked = ocsp.OCSPRequestBuilder()
        asked = asked.add_certificate(one, await self.issuer(), algorithm or hashes.SHA256())
        if nonce:
            asked = asked.add_extension(x509.OCSPNonce(nonce), critical=False)
        return asked.build().public_bytes(Encoding.DER)


def counted(rig: Rig) -> None:
    custodian = next(iter(rig.on.custodians.worlds.values())).custodians
    for one in custodian.values():
        original = one.open

        def open_counted(*arguments: object, original: object = original, **named: object) -> object:
            handle = original(*arguments, **named)  # type: ignore[operator]  # Custodian.open
            sign = handle.sign

            class Counted:
                async def sign(self, *what: object) -> bytes:
                    rig.signatures += 1
                    return bytes(await sign(*what))

            return Counted()

        one.open = open_counted  # type: ignore[method-assign,assignment]  # of this stage alone


@pytest_asyncio.fixture
async def rig(softhsm_for_module: SoftToken, tmp_path: Path) -> AsyncIterator[Rig]:
    async with stage(softhsm_for_module, tmp_path / "hsmvault.db") as on:
        made = authorities_of(on)
        rig = Rig(on, made.by_name["corp"])
        counted(rig)
        feed = ChangeFeed(on.database)
        feed.subscribe("authority", lambda _, name: made.forget(name))
        await rig.authority.prepare()
        rig.signatures = 0
        yield rig
        await feed.close()


async def good_signature(rig: Rig, crl: x509.CertificateRevocationList, role: AuthorityRole = ISSUING) -> bool:
    key = certificate(await rig.authority.certificate(role)).public_key()
    assert isinstance(key, EllipticCurvePublicKey)
    return crl.is_signature_valid(key)


# -- revocation lists -------------------------------------------------------------------------------------------------


async def test_a_list_names_what_was_revoked_when_and_why(rig: Rig) -> None:
    one, two, three = [await rig.issued() for _ in range(3)]
    empty = await rig.crl()
    assert list(empty) == []
    rig.on.clock.move(60)
    assert await rig.revoke(one, reason=1)
    assert await rig.revoke(two, reason=0)
    crl = await rig.crl()
    assert await good_signature(rig, crl)
    assert {entry.serial_number for entry in crl} == {one.serial_number, two.serial_number}
    entry = crl.get_revoked_certificate_by_serial_number(one.serial_number)
    assert entry is not None
    assert entry.revocation_date_utc.timestamp() == rig.on.clock.now()
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise
    unspecified = crl.get_revoked_certificate_by_serial_number(two.serial_number)
    assert unspecified is not None
    assert list(unspecified.extensions) == []
    assert crl.get_revoked_certificate_by_serial_number(three.serial_number) is None
    issuer = await rig.issuer()
    assert crl.issuer == issuer.subject
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == own


def number(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


async def test_a_list_is_signed_once_until_half_of_its_time_is_over(rig: Rig) -> None:
    first = await rig.crl()
    await asyncio.gather(*(rig.crl() for _ in range(20)))
    rig.on.clock.move(12 * HOUR - 1)
    await rig.crl()
    assert rig.signatures == 1
    rig.on.clock.move(1)
    second = await rig.crl()
    assert rig.signatures == 2
    assert number(second) > number(first)
    assert second.last_update_utc == datetime.fromtimestamp(rig.on.clock.now() - 600, UTC)
    assert second.next_update_utc == datetime.fromtimestamp(rig.on.clock.now() + 24 * HOUR, UTC)


async def test_the_number_only_goes_up_also_within_a_second_and_when_the_clock_is_set_back(rig: Rig) -> None:
    numbers = [number(await rig.crl())]
    for _ in range(3):
        assert await rig.revoke(await rig.issued())
        numbers.append(number(await rig.crl()))
    rig.on.clock.jump(-7200)
    assert await rig.revoke(await rig.issued())
    crl = await rig.crl()
    numbers.append(number(crl))
    assert all(earlier < later for earlier, later in itertools.pairwise(numbers))
    assert crl.last_update_utc < datetime.fromtimestamp(rig.on.clock.now(), UTC)
    assert len(list(crl)) == 4


async def test_a_clock_that_was_far_ahead_makes_no_list_that_is_good_for_years(rig: Rig) -> None:
    rig.on.clock.jump(50 * 365 * 86_400)
    ahead = number(await rig.crl())
    rig.on.clock.jump(-50 * 365 * 86_400)
    for crl in (await rig.crl(), await rig.crl()):
        assert number(crl) == ahead
        assert crl.next_update_utc == datetime.fromtimestamp(rig.on.clock.now() + 24 * HOUR, UTC)
    assert rig.signatures == 2
    assert await rig.revoke(await rig.issued())
    crl = await rig.crl()
    assert number(crl) > ahead
    assert crl.next_update_utc == datetime.fromtimestamp(rig.on.clock.now() + 24 * HOUR, UTC)


async def test_an_answer_from_before_the_clock_was_set_back_is_not_given(rig: Rig) -> None:
    one = await rig.issued()
    await rig.asked(one)
    rig.on.clock.jump(-3600)
    answer = await rig.asked(one)
    assert answer.this_update_utc.timestamp() == rig.on.clock.now() - 600


async def test_workers_publish_the_same_list(rig: Rig) -> None:
    await rig.revoke(await rig.issued())
    rig.on.clock.move(13 * HOUR)
    other = authorities_of(rig.on).by_name["corp"]
    mine, its = await asyncio.gather(rig.authority.status.crl(ISSUING), other.status.crl(ISSUING))
    first, second = x509.load_der_x509_crl(mine), x509.load_der_x509_crl(its)
    assert first.tbs_certlist_bytes == second.tbs_certlist_bytes


async def test_a_certificate_leaves_the_list_when_its_time_has_been_over_for_a_list(rig: Rig) -> None:
    one = await rig.issued()
    await rig.revoke(one)
    rig.on.clock.jump(one.not_valid_after_utc.timestamp() - rig.on.clock.now() + 23 * HOUR)
    assert [entry.serial_number for entry in await rig.crl()] == [one.serial_number]
    rig.on.clock.move(24 * HOUR)
    assert list(await rig.crl()) == []


async def test_a_list_may_be_long(rig: Rig) -> None:
    async with rig.on.database.write() as tx:
        for number in range(1, 701):
            row = IssuedRow(
                "corp", f"{number:032x}", 2_000_000_000, 1, "c", "n", "v", 1_700_000_000 + number, number % 2
            )
            await store.record(tx, row)
    crl = await rig.crl()
    assert [entry.serial_number for entry in crl] == list(range(1, 701))
    assert await good_signature(rig, crl)


async def test_the_root_has_a_list_of_its_own(rig: Rig) -> None:
    await rig.revoke(await rig.issued())
    crl = await rig.crl(ROOT)
    assert list(crl) == []
    assert await good_signature(rig, crl, ROOT)


async def test_the_last_list_is_given_while_no_other_can_be_made_but_not_past_its_end(rig: Rig) -> None:
    first = await rig.crl()
    one = await rig.issued()

    def gone(point: str) -> None:
        raise Unavailable("The database is out of reach.")

    rig.on.database.fault = gone
    rig.on.clock.move(13 * HOUR)
    assert (await rig.crl()).tbs_certlist_bytes == first.tbs_certlist_bytes
    rig.on.clock.move(12 * HOUR)
    with pytest.raises(Unavailable):
        await rig.crl()
    rig.on.database.fault = None
    assert await rig.revoke(one)
    assert len(list(await rig.crl())) == 1


async def test_what_is_revoked_stays_so_with_its_first_reason(rig: Rig) -> None:
    one = await rig.issued()
    assert await rig.revoke(one, reason=1)
    assert not await rig.revoke(one, reason=4)
    assert not await authorities.revoke(rig.on.database, "corp", "0" * 32, now=1, reason=0)
    assert not await authorities.revoke(rig.on.database, "other", f"{one.serial_number:032x}", now=1, reason=0)
    (entry,) = await rig.crl()
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise


# -- OCSP -------------------------------------------------------------------------------------------------------------


CERT_ID_HASHES = [hashes.SHA1(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()]  # noqa: S303 - as clients ask


async def test_an_answer_says_whether_a_certificate_is_good(rig: Rig) -> None:
    one = await rig.issued()
    key = (await rig.issuer()).public_key()
    assert isinstance(key, EllipticCurvePublicKey)
    own = (await rig.issuer()).extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    for algorithm in CERT_ID_HASHES:
        answer = await rig.asked(one, algorithm=algorithm)
        assert answer.response_status is Answer.SUCCESSFUL
        assert (answer.certificate_status, answer.serial_number) == (Status.GOOD, one.serial_number)
        assert answer.hash_algorithm.name == algorithm.name
        assert answer.signature_hash_algorithm is not None
        key.verify(answer.signature, answer.tbs_response_bytes, ECDSA(answer.signature_hash_algorithm))
        assert answer.produced_at_utc == datetime.fromtimestamp(rig.on.clock.now(), UTC)
        assert answer.this_update_utc == datetime.fromtimestamp(rig.on.clock.now() - 600, UTC)
        assert answer.next_update_utc == datetime.fromtimestamp(rig.on.clock.now() + 24 * HOUR, UTC)
        assert answer.responder_key_hash == own


async def test_a_revocation_shows_in_the_next_answer(rig: Rig) -> None:
    one = await rig.issued()
    assert (await rig.asked(one)).certificate_status is Status.GOOD
    await rig.revoke(one, reason=4)
    answer = await rig.asked(one)
    assert answer.certificate_status is Status.REVOKED
    assert answer.revocation_reason is x509.ReasonFlags.superseded
    assert answer.revocation_time_utc == datetime.fromtimestamp(rig.on.clock.now(), UTC)


async def test_a_serial_number_that_was_never_issued_is_unknown(rig: Rig) -> None:
    answer = await rig.asked_about(1, like=await rig.issued())
    assert (answer.certificate_status, answer.serial_number) == (Status.UNKNOWN, 1)


async def test_an_answer_is_signed_once_for_an_hour(rig: Rig) -> None:
    one = await rig.issued()
    rig.signatures = 0
    await asyncio.gather(*(rig.asked(one) for _ in range(30)))
    rig.on.clock.move(HOUR - 1)
    await rig.asked(one)
    assert rig.signatures == 1
    rig.on.clock.move(1)
    await rig.asked(one)
    assert rig.signatures == 2


async def test_a_nonce_comes_back_until_strangers_ask_too_much(rig: Rig) -> None:
    one = await rig.issued()
    rig.signatures = 0
    for length in (1, 16, 32):
        answer = await rig.asked(one, nonce=bytes([7]) * length)
        assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == bytes([7]) * length
    for number in range(200):
        answer = await rig.asked(one, nonce=number.to_bytes(4, "big"))
        assert answer.certificate_status is Status.GOOD
    assert list(answer.extensions) == []
    assert rig.signatures <= 51
    rig.on.clock.move(1)
    answer = await rig.asked(one, nonce=b"later")
    assert len(list(answer.extensions)) == 1


async def test_strangers_serial_numbers_are_signed_at_a_bounded_rate(rig: Rig) -> None:
    ours = await rig.issued()
    rig.signatures = 0
    statuses = [(await rig.asked_about(serial, like=ours)).response_status for serial in range(1, 80)]
    assert statuses[-1] is Answer.TRY_LATER
    assert rig.signatures == 50
    assert (await rig.asked(ours)).certificate_status is Status.GOOD


async def test_another_authority_s_certificates_are_not_answered_for(rig: Rig) -> None:
    rules = replace(RULES, name="other", root_subject="CN=Other Root", subject="CN=Other CA")
    other = authorities_of(rig.on, rules).by_name["other"]
    one = await rig.issued()
    answer = ocsp.load_der_ocsp_response(await other.status.answer(await rig.question(one)))
    assert answer.response_status is Answer.UNAUTHORIZED


async def test_what_is_no_request_for_one_certificate_gets_an_unsigned_answer(rig: Rig) -> None:
    one = await rig.issued()
    good = await rig.question(one)
    rig.signatures = 0
    assert read_question(await rig.question(one, nonce=bytes(32))) is not None
    long_nonce = await rig.question(one, nonce=bytes(33))
    for bad in (long_nonce, b"", b"\x30", b"\x30\x80", good[:-1], good + b"\0", bytes(2000), good[:10] + bytes(20)):
        answer = ocsp.load_der_ocsp_response(await rig.authority.status.answer(bad))
        assert answer.response_status is Answer.MALFORMED_REQUEST
    assert rig.signatures == 0
    for position in range(len(good)):
        changed = bytearray(good)
        changed[position] ^= 0x55
        await rig.authority.status.answer(bytes(changed))
    assert rig.signatures <= 51


async def test_while_the_database_is_away_the_answer_is_to_try_later(rig: Rig) -> None:
    one = await rig.issued()
    question = await rig.question(one)
    await rig.on.database.close()
    answer = ocsp.load_der_ocsp_response(await rig.authority.status.answer(question))
    assert answer.response_status is Answer.TRY_LATER
