"""TOML to settings. Every refusal names the file, the line and the key, and none is a guess.

A table is converted key by key, so that the place of a mistake is known from where we are and never has to be read
out of an error's text.
"""

import re
import tomllib
import typing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hsmvault.config.lines import Place, line_of
from hsmvault.config.rules import Broken, broken_rules
from hsmvault.config.settings import Settings, TrustedIssuer
from hsmvault.config.values import Table, decode_text
from hsmvault.errors import ConfigurationError

_UNIT = re.compile(r" - at `.*`$")  # msgspec's own idea of the place; ours is better


def read_settings(path: Path) -> Settings:
    """Read a configuration file. Relative paths in it are relative to its directory.

    Raises ConfigurationError: unreadable, not TOML, an unknown key, a wrong value, keys that do not go together.
    """
    document = _Document.read(path)
    settings = document.convert(document.values, Settings, ())
    document.refuse_broken(broken_rules(settings))
    return settings


def read_issuers(path: Path) -> tuple[TrustedIssuer, ...]:
    """Read a file with one or more [[issuers]] tables and nothing else (--trust-issuer)."""
    document = _Document.read(path)
    for key in document.values:
        if key != "issuers":
            raise document.refusal((key,), "only [[issuers]] tables belong into this file")
    settings = document.convert(document.values, Settings, ())
    if not settings.issuers:
        raise ConfigurationError(f"{path}: there is no [[issuers]] table in this file.")
    document.refuse_broken(broken_rules(settings))
    return settings.issuers


Converted = typing.TypeVar("Converted", bound=Table)


@dataclass(frozen=True, slots=True)
class _Document:
    path: Path
    text: str
    values: dict[str, object]

    @classmethod
    def read(cls, path: Path) -> "_Document":
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"The configuration file {path} cannot be read ({error.strerror}).") from error
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{path}: the file is not UTF-8.") from error
        try:
            return cls(path, text, tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{path}: the file is not TOML: {error}.") from error

    def refusal(self, place: Place, reason: str) -> ConfigurationError:
        line = line_of(self.text, place)
        return ConfigurationError(f"{self.path}, line {line}: {dotted(place)}: {reason.rstrip('.')}.")

    def refuse_broken(self, broken: Broken | None) -> None:
        if broken is not None:
            raise self.refusal(broken.place, broken.reason)

    def convert(self, values: dict[str, object], kind: type[Converted], place: Place) -> Converted:
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        converted: dict[str, object] = {}
        for key, value in values.items():
            at = (*place, key)
            if key not in fields:
                raise self.refusal(at, "this key is not known; conf/hsmvault.toml explains those that are")
            converted[key] = self._value(value, fields[key].type, at)
        for name, field in fields.items():
            if field.required and name not in converted:
                raise self.refusal(place, f"the key '{name}' is missing")
        return kind(**converted)

    def _value(self, value: object, kind: typing.Any, at: Place) -> object:
        table, repeated = _table_of(kind)
        if table is None:
            try:
                decoded = msgspec.convert(value, kind, dec_hook=decode_text)
            except msgspec.ValidationError as error:
                raise self.refusal(at, _UNIT.sub("", str(error))) from None
            return self.path.absolute().parent / decoded if isinstance(decoded, Path) else decoded
        if not repeated:
            if not isinstance(value, dict):
                raise self.refusal(at, "this is a table")
            return self.convert(value, table, at)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.refusal(at, f"these are tables: write [[{dotted(at)}]]")
        return tuple(self.convert(item, table, (*at, index)) for index, item in enumerate(value))


def dotted(place: Place) -> str:
    """('issuers', 0, 'tenant') as 'issuers[1].tenant': tables are counted from 1, as people do."""
    text = ""
    for part in place:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _table_of(kind: typing.Any) -> tuple[type[Table] | None, bool]:
    """The table that a field holds, and whether it holds several."""
    if isinstance(kind, type) and issubclass(kind, Table):
        return kind, False
    arguments = typing.get_args(kind)
    if arguments and isinstance(arguments[0], type) and issubclass(arguments[0], Table):
        return arguments[0], True
    return None, False
