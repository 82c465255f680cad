"""The life of a certificate, as the jobs lead it: its key, its secret, events, mail and records at each step."""

import hashlib

import pytest

from hsmvault.custody.certificate_chains import load
from hsmvault.errors import Forbidden, NotFound
from hsmvault.model.certificate_policies import Action, LifetimeAction
from hsmvault.resources.certificates import CertificateChanges
from hsmvault.store.schedule import What
from tests.jobs.certificate_rig import RENEW, CertificateNode, certificates_of, policy_of, told_to_all
from tests.jobs.rig import DAY, VAULT, Node

DIGEST = hashlib.sha256(b"message").digest()
EMAIL = LifetimeAction(Action.EMAIL_CONTACTS, days_before_expiry=20)


async def signs(one: CertificateNode) -> str:
    """Whether the key can be used: the inner code of the refusal, or nothing."""
    try:
        await one.uses.sign(VAULT, "site", None, "ES256", DIGEST)
    except Forbidden as error:
        return error.inner or ""
    return "signs"


async def opens(one: CertificateNode) -> str:
    """As signs, of the secret."""
    try:
        await one.secrets.get(VAULT, "site", None)
    except Forbidden as error:
        return error.inner or ""
    return "opens"


async def test_a_whole_life(node: Node) -> None:
    async with certificates_of(node) as one:
        await one.runner.tick()
        # created
        await one.begin(policy_of(RENEW))
        pending = await one.certificates.get(VAULT, "site", None)
        assert (pending.row.is_pending, pending.row.enabled, pending.is_pending_open) == (True, False, True)
        assert (await signs(one), await opens(one)) == ("KeyDisabled", "SecretDisabled")
        assert await one.certificates.page(VAULT, None, 25) == []
        assert len(await one.certificates.page(VAULT, None, 25, include_pending=True)) == 1
        await one.move(61)  # the worker that made it has died: the job goes on
        first = (await one.certificates.get(VAULT, "site", None)).row
        assert first.version == pending.row.version
        assert (first.enabled, first.tags) == (True, {"a": "b"})
        assert await one.told() == [f"{kind}NewVersionCreated" for kind in ("Certificate", "Key", "Secret")]
        assert (await signs(one), await opens(one)) == ("signs", "opens")
        assert one.recorded() == [("CertificateEnroll", 200)]
        assert await one.mails() == []
        # renewed by policy, at 80 % of its life
        assert first.not_before is not None
        assert first.expires is not None
        due = first.not_before + (first.expires - first.not_before) * 8 // 10
        await one.move_to(due - DAY)
        assert len(await one.versions()) == 1
        await one.move_to(due + 300)
        second = (await one.certificates.get(VAULT, "site", None)).row
        assert [row.version for row in await one.versions()] == [first.version, second.version]
        assert first.thumbprint != second.thumbprint
        assert second.tags == first.tags
        assert second.expires is not None
        assert second.expires > first.expires
        keys = [load(row.certificate).public_key() for row in await one.versions()]
        assert keys[0] != keys[1]
        assert (await one.told())[-3:] == [f"{kind}NewVersionCreated" for kind in ("Certificate", "Key", "Secret")]
        assert one.recorded()[-1] == ("CertificateRenew", 200)
        await one.move(300)
        assert await one.subjects() == told_to_all("Certificate site in vault dev was renewed")
        # from now on its owner wants to be asked
        await one.certificates.update_policy(VAULT, "site", lambda _: policy_of(EMAIL))
        assert What.RENEW not in await one.scheduled()
        # near expiry
        await one.move_to(second.expires - 31 * DAY)
        assert await one.told() == []
        await one.move_to(second.expires - 30 * DAY + 300)
        near = [f"{kind}NearExpiry" for kind in ("Certificate", "Key", "Secret")]
        assert sorted(await one.told()) == near
        assert sorted(one.recorded()[-3:]) == [(f"{word}EventGridNotification", 200) for word in near]
        # mail to the contacts
        assert await one.mails() == []
        await one.move_to(second.expires - 20 * DAY + 300)
        mails = await one.mails()
        assert [mail.recipient for mail in mails] == ["ada@example.org", "bob@example.org"]
        assert mails[0].subject == "Certificate site in vault dev is about to expire"
        assert second.version in mails[0].body
        assert "CN=www.example.org" in mails[0].body
        # expired: its key and its secret are of no use
        await one.move_to(second.expires - 60)
        assert (await signs(one), await opens(one)) == ("signs", "opens")
        await one.move_to(second.expires + 300)
        assert sorted(await one.told()) == [f"{kind}Expired" for kind in ("Certificate", "Key", "Secret")]
        assert (await signs(one), await opens(one)) == ("KeyExpired", "SecretExpired")
        assert await one.scheduled() == await one.scheduled("keys") == await one.scheduled("secrets") == {}
        assert await one.mails() == []
        # disabled
        await one.certificates.update(VAULT, "site", None, CertificateChanges(enabled=False))
        assert (await signs(one), await opens(one)) == ("KeyDisabled", "SecretDisabled")
        # deleted
        deleted = await one.certificates.delete(VAULT, "site")
        assert (deleted.row.version, deleted.purge_at - deleted.deleted_at) == (second.version, 7 * DAY)
        for use in (one.uses.sign(VAULT, "site", None, "ES256", DIGEST), one.secrets.get(VAULT, "site", None)):
            with pytest.raises(NotFound):
                await use
        # recovered, with all versions
        recovered = await one.certificates.recover(VAULT, "site")
        assert (recovered.row.version, recovered.row.enabled) == (second.version, False)
        assert await one.counts() == (2, 2, 2)
        assert [row.version for row in await one.certificates.version_page(VAULT, "site", None, 25)] == [
            first.version,
            second.version,
        ]
        # purged at the end of the retention, and protected until then
        await one.certificates.delete(VAULT, "site")
        with pytest.raises(Forbidden):
            await one.certificates.purge(VAULT, "site")
        await one.move(7 * DAY - 300)
        assert await one.counts() == (2, 2, 2)
        await one.move(600)
        assert await one.counts() == (0, 0, 0)
        assert await one.operation() is None
        purges = one.recorded("CertificatePurge", "KeyPurge", "SecretPurge")
        assert purges == [("CertificatePurge", 200)]
        await one.create()  # the name is free
