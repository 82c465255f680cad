"""Certificate authorities of our own in the configuration: what is refused, and what follows from what."""

from pathlib import Path

import pytest

from hsmvault.app.authorities import rules_of
from hsmvault.config import Settings, read_settings
from hsmvault.errors import ConfigurationError
from hsmvault.model.algorithms import Curve, KeySpec
from hsmvault.model.authorities import CLIENT_AUTH, SERVER_AUTH, AuthorityRole, Profile

GOOD = """
[[authorities]]
name = "corp"
root_subject = "CN=Root,O=Example"
subject = "CN=Issuing,O=Example"
"""


def settings(tmp_path: Path, text: str) -> Settings:
    (tmp_path / "c.toml").write_text(text)
    return read_settings(tmp_path / "c.toml")


def test_an_authority_needs_a_name_and_two_subjects(tmp_path: Path) -> None:
    (rules,) = rules_of(settings(tmp_path, GOOD))
    assert rules.spec == KeySpec.ec(Curve.P384)
    assert (rules.root_years, rules.years, rules.longest_months, rules.crl_hours) == (20, 10, 12, 24)
    assert rules.crl_url(AuthorityRole.ISSUING) == "http://127.0.0.1:8446/corp/issuing.crl"
    assert rules.profiles == {"server": Profile()}
    assert rules.profiles["server"].ekus == {SERVER_AUTH, CLIENT_AUTH}


def test_the_urls_in_certificates_may_be_others_than_our_own(tmp_path: Path) -> None:
    (rules,) = rules_of(settings(tmp_path, GOOD + 'base_url = "http://pki.example.com/x"\n'))
    assert rules.ocsp_url == "http://pki.example.com/x/corp/ocsp"
    (rules,) = rules_of(settings(tmp_path, GOOD + '[pki]\naddress = "::1"\nport = 80\n'))
    assert rules.ocsp_url == "http://[::1]:80/corp/ocsp"


def test_the_listener_is_there_when_something_needs_it(tmp_path: Path) -> None:
    assert not settings(tmp_path, "").serves_pki
    assert settings(tmp_path, GOOD).serves_pki
    assert not settings(tmp_path, GOOD + "[pki]\nenabled = false\n").serves_pki
    assert settings(tmp_path, "[pki]\nenabled = true\n").serves_pki
    acme = '[[acme]]\nname = "a"\ndirectory = "https://ca.example.com/d"\nterms_agreed = true\n'
    assert settings(tmp_path, acme).serves_pki
    assert not settings(tmp_path, acme + 'webroot = "/var/www"\n').serves_pki
    assert not settings(tmp_path, acme + 'challenge = "dns-01"\nhook = ["/bin/true"]\n').serves_pki


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        (GOOD.replace("CN=Root", "Root"), "authorities[1].root_subject", "RFC 4514"),
        (GOOD.replace("CN=Issuing", "CN=Root"), "authorities[1].subject", "needs one of its own"),
        (GOOD + "years = 30\n", "authorities[1].years", "outlive its root"),
        (GOOD + GOOD, "authorities[2].name", "another [[authorities]] table"),
        (GOOD + 'base_url = "ftp://x"\n', "authorities[1].base_url", "http or https"),
        (GOOD + 'base_url = "http://x/"\n', "authorities[1].base_url", "without a slash"),
        (GOOD + 'base_url = "http://u:p@x"\n', "authorities[1].base_url", "http or https"),
        (GOOD + 'permitted_dns = [".example.com"]\n', "authorities[1].permitted_dns", "matching regex"),
        (GOOD + 'excluded_emails = ["a b@example.com"]\n', "authorities[1].excluded_emails", "matching regex"),
        (GOOD + 'permitted_addresses = ["10.0.0.1/8"]\n', "authorities[1].permitted_addresses", "host bits"),
        (GOOD + 'key_type = "P-256K"\n', "authorities[1].key_type", "P-256K"),
        (GOOD.replace("corp", "Corp"), "authorities[1].name", "matching regex"),
        (GOOD.replace("corp", "a/b"), "authorities[1].name", "matching regex"),
        (GOOD + '[[authorities.profiles]]\nname = "x"\nkey_usages = ["keyCertSign"]\n', "key_usages", "keyCertSign"),
        (GOOD + '[[authorities.profiles]]\nname = "x"\nekus = ["serverAuth"]\n', "ekus", "matching regex"),
        (GOOD + '[[authorities.profiles]]\nname = "x"\n' * 2, "profiles[2].name", "there already"),
        (GOOD + "[pki]\nport = 8443\n", "pki.port", "already the one of server.port"),
        (GOOD + "[server]\nport = 65533\n", "pki.port", "does not exist"),
    ],
)
def test_what_does_not_go_together_is_refused_with_its_place(
    tmp_path: Path, text: str, place: str, reason: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings(tmp_path, text)
    assert place in str(caught.value)
    assert reason in str(caught.value)
