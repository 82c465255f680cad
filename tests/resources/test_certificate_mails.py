"""What contacts read."""

from dataclasses import replace

from hsmvault.model.certificates import CertificateVersion
from hsmvault.resources.certificate_mails import Notice, text
from tests.resources.stage import VAULT

ROW = CertificateVersion(
    container_id=VAULT.id,
    name="site",
    version="0123456789abcdef" * 2,
    sequence=1,
    created=1_750_000_000,
    updated=1_750_000_000,
    expires=1_781_536_000,
    subject="CN=www.example.org,O=Ünï",
    thumbprint=bytes(range(20)),
)


def test_a_mail_says_which_certificate_and_what_to_do() -> None:
    assert text(VAULT, Notice.NOT_RENEWED, ROW, "Request rejected: no") == (
        "Certificate site in vault north could not be renewed.\n"
        "\n"
        "Vault:       north\n"
        "Certificate: site\n"
        "Version:     0123456789abcdef0123456789abcdef\n"
        "Subject:     CN=www.example.org,O=Ünï\n"
        "Thumbprint:  000102030405060708090A0B0C0D0E0F10111213\n"
        "Expires:     2026-06-15 15:06:40 UTC\n"
        "Reason:      Request rejected: no\n"
        "\n"
        "It is tried again until it expires. Please look at its issuer, or renew it by hand.\n"
        "\n"
        "You get this message because you are a certificate contact of this vault.\n"
    )


def test_nobody_adds_lines_or_floods_a_mailbox() -> None:
    hostile = replace(ROW, subject="CN=a\r\nBcc: b\u2028\x1b[2J" + "x" * 10_000)
    lines = text(VAULT, Notice.EXPIRING, hostile, "a\nb" * 1000).splitlines()
    assert len(lines) == len(text(VAULT, Notice.EXPIRING, ROW, "a").splitlines())
    assert max(len(line) for line in lines) < 600
    assert all(line.isprintable() for line in lines)


def test_a_certificate_may_be_without_an_end_and_end_late() -> None:
    assert "Expires:     9999-12-31 23:59:59 UTC\n" in text(
        VAULT, Notice.RENEWED, replace(ROW, expires=253402300799), ""
    )
    assert "Expires:     never\n" in text(VAULT, Notice.RENEWED, replace(ROW, expires=None), "")
