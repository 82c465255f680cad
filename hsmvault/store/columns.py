"""How values that are not plain lie in their columns; both directions, used by every table."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import TypeVar

import msgspec

from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import Curve, Family, KeySpec
from hsmvault.store.statements import Value, checked

T = TypeVar("T")
SPEC_COLUMNS = ("family", "size_bits", "curve", "public_exponent")

_texts = msgspec.json.Decoder(tuple[str, ...])
_text_map = msgspec.json.Decoder(dict[str, str])
_bytes_map = msgspec.json.Decoder(dict[str, bytes])
_encoder = msgspec.json.Encoder()


def texts_to_column(texts: Iterable[str]) -> str:
    texts = tuple(texts)
    for text in texts:
        checked(text)
    return _encoder.encode(texts).decode()


@lru_cache(maxsize=1024)
def texts_from_column(column: str) -> tuple[str, ...]:
    return _texts.decode(column)


def text_map_to_column(texts: Mapping[str, str]) -> str:
    """Keeps the order of the members."""
    if not texts:
        return "{}"
    for name, text in texts.items():
        checked(name)
        checked(text)
    return _encoder.encode(dict(texts)).decode()


def text_map_from_column(column: str) -> Mapping[str, str]:
    return MappingProxyType(_text_map.decode(column))


def bytes_map_to_column(members: Mapping[str, bytes]) -> str:
    """The values in base64."""
    return _encoder.encode(dict(members)).decode()


def bytes_map_from_column(column: str) -> Mapping[str, bytes]:
    return MappingProxyType(_bytes_map.decode(column))


def spec_to_columns(spec: KeySpec) -> dict[str, Value]:
    return {
        "family": spec.family.value,
        "size_bits": spec.size_bits,
        "curve": None if spec.curve is None else spec.curve.value,
        "public_exponent": spec.public_exponent,
    }


@lru_cache(maxsize=1024)
def spec_from_columns(family: str, size_bits: int, curve: str | None, public_exponent: int) -> KeySpec:
    return KeySpec(Family(family), size_bits, None if curve is None else Curve(curve), public_exponent)


def null_if_empty(text: str) -> str | None:
    return text or None


def json_to_column(value: object) -> str:
    """A frozen value of the model, or a tuple of such. Raises BadRequest for what the database would not keep: the
    escaped form of NUL is refused as well.
    """
    try:
        text = _encoder.encode(value).decode()
    except UnicodeEncodeError:
        raise BadRequest("A text contains a lone surrogate, which is not a character.") from None
    if "\\u0000" in text:
        checked("\0")
    checked(text)
    return text


def value_to_column(value: object | None) -> str | None:
    """A frozen dataclass of the model as JSON, its bytes in base64; null for None."""
    if value is None:
        return None
    text = _encoder.encode(value).decode()
    checked(text)
    return text


def value_from_column(column: str | None, kind: type[T]) -> T | None:
    return None if column is None else msgspec.json.decode(column, type=kind)
