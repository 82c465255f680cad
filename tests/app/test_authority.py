"""Where clients are sent before it is known which tenant they want."""

from pathlib import Path

import msgspec

from hsmvault.app.logins import home_authority
from hsmvault.config import Settings
from hsmvault.config.settings import Login, TrustedIssuer
from hsmvault.config.values import Guid

TENANT = "22222222-0000-0000-0000-000000000001"
OUTSIDE = TrustedIssuer(
    issuer="https://sts.example/",
    jwks_file=Path("keys.json"),
    tenant=Guid(TENANT),
    authorization=f"https://idp.example/{TENANT}",
)


def test_the_embedded_issuer_comes_first() -> None:
    settings = Settings(login=Login(enabled=True), issuers=(OUTSIDE,))
    assert home_authority(settings, TENANT) == f"https://login.localhost:8443/{TENANT}"


def test_without_it_the_first_issuer_that_says_where_it_is_asked() -> None:
    silent = msgspec.structs.replace(OUTSIDE, authorization="")
    assert home_authority(Settings(issuers=(silent, OUTSIDE)), TENANT) == f"https://idp.example/{TENANT}"
    assert home_authority(Settings(issuers=(silent,)), TENANT) == f"https://login.localhost:8443/{TENANT}"
