"""X.500 names as people write them."""

from contextlib import suppress

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from hsmvault.errors import BadRequest
from hsmvault.model.x500 import LONGEST, parse_name, write_name

GOOD = {
    "CN=*.contoso.com": "CN=*.contoso.com",
    'CN=*.contoso.com, O="Contoso, Ltd", C=US': r"CN=*.contoso.com,O=Contoso\, Ltd,C=US",
    "CN=a;O=b": "CN=a,O=b",
    "cn = a , ou= b ": "CN=a,OU=b",
    "CN=a+OU=b,C=DE": "CN=a+OU=b,C=DE",
    "S=Bayern,L=Landshut": "ST=Bayern,L=Landshut",
    "DC=contoso, DC=com": "DC=contoso,DC=com",
    "E=a@contoso.com": "1.2.840.113549.1.9.1=a@contoso.com",
    "emailAddress=a@contoso.com": "1.2.840.113549.1.9.1=a@contoso.com",
    "OID.2.5.4.3=a": "CN=a",
    "2.5.4.3=a": "CN=a",
    "CN=a=b": "CN=a=b",
    "CN=ü": "CN=ü",
    r"CN=\C3\BC": "CN=ü",
    r"CN=a\,b\+c\"d\\e": r"CN=a\,b\+c\"d\\e",
    r"CN=\#1": r"CN=\#1",
    r"CN=a\ ": r"CN=a\ ",
    'CN=" a "": b"': r"CN=\ a \": b",
    "UID=1,SN=2,SERIALNUMBER=3,STREET=4": None,
}
BAD = (
    *("", " ", "CN", "CN=", "=a", "a", "CN=a,", ",CN=a", "CN=a,,O=b", "CN=a+", 'CN="a', 'CN="a"b', "CN=a\\", r"CN=\zz"),
    *(
        "X=a",
        "CN=#0c0161",
        "CN=a<b",
        "3.1=a",
        "1.2.=a",
        "C=USA",
        "CN=a\n",
        "CN=a\x00",
        r"CN=\00",
        r"CN=\C3",
        "CN=\ud800",
    ),
    *("E=ü@contoso.com", "CN=" + "a" * 65, "CN=" + "a" * LONGEST, ",".join(["OU=a"] * 40)),
)


@pytest.mark.parametrize(
    ("rfc4514", "written"),
    [
        # the first is an answer of the service
        ("O=Internet Widgits Pty Ltd,ST=Some-State,C=AU", "O=Internet Widgits Pty Ltd, S=Some-State, C=AU"),
        (r"CN=a\, b,O=x", 'CN="a, b", O=x'),
        (r"CN=say \"a\",1.2.840.113549.1.9.1=a@b.c", 'CN="say ""a""", E=a@b.c'),
        (r"CN=\ a\\b", r'CN=" a\\b"'),
        ("OU=x+CN=www,UID=1", "OU=x + CN=www, OID.0.9.2342.19200300.100.1.1=1"),
        ("", ""),
    ],
)
def test_a_name_is_written_as_the_service_writes_it(rfc4514: str, written: str) -> None:
    name = x509.Name.from_rfc4514_string(rfc4514)
    assert write_name(name) == written
    assert not written or parse_name(written) == name


@pytest.mark.parametrize("text", GOOD)
def test_a_name_is_read_as_it_was_meant(text: str) -> None:
    name = parse_name(text)
    if GOOD[text] is not None:
        assert name.rfc4514_string() == GOOD[text]
    assert parse_name(name.rfc4514_string()) == name
    assert parse_name(write_name(name)) == name


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_name_is_refused_in_the_words_of_the_service(text: str) -> None:
    with pytest.raises(BadRequest, match="The subject name provided is not a valid X500 name"):
        parse_name(text)


TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=16)


@settings(max_examples=50)
@given(st.lists(TEXTS, min_size=1, max_size=3), TEXTS)
def test_whatever_a_name_holds_is_read_as_rfc_4514_writes_it(organizations: list[str], common_name: str) -> None:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in organizations]
    name = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    assert parse_name(name.rfc4514_string()) == name
    assert parse_name(write_name(name)) == name


@settings(max_examples=200)
@given(st.text(st.sampled_from('CN=a,;+"\\ #<>0f\n'), max_size=20))
def test_no_text_at_all_does_anything_but_name_or_be_refused(text: str) -> None:
    with suppress(BadRequest):
        assert parse_name(text).rdns


def test_the_first_part_of_the_text_is_the_last_of_the_name() -> None:
    assert parse_name("CN=a, O=b").rdns == [
        x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "b")]),
        x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, "a")]),
    ]
