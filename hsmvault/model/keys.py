"""Keys, as their rows are: a name with its life, and versions with their material."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from hsmvault.model.algorithms import KeySpec
from hsmvault.model.objects import ObjectName
from hsmvault.model.release_policies import ReleasePolicy
from hsmvault.model.rotation import RotationPolicy

NAME = re.compile(r"[0-9a-zA-Z-]{1,127}", re.ASCII)
VERSION = re.compile(r"[0-9a-f]{32}", re.ASCII)
NO_TAGS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class KeyVersion:
    """One version of a key. Its version never changes; attributes do, material does not.

    sequence: order of the versions of one name, whatever the clock said. spec, public, reference: see HeldKey.
    custody: value of the CustodyClass that holds it. public_members: the JWK's public integers as they are answered
    (n and e, or x and y; none for oct), since an imported n may carry a leading zero byte.
    not_before, expires, created, updated: seconds since 1970 UTC; None when not set.
    """

    container_id: str
    name: str
    version: str
    sequence: int
    spec: KeySpec
    custody: str
    public: bytes
    reference: bytes = field(repr=False)
    public_members: Mapping[str, bytes]
    operations: tuple[str, ...]
    created: int
    updated: int
    enabled: bool = True
    not_before: int | None = None
    expires: int | None = None
    exportable: bool = False
    managed: bool = False
    release_policy: ReleasePolicy | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)

    @property
    def hardware(self) -> bool:
        return self.custody != "soft"

    @property
    def wire_type(self) -> str:
        """RSA, EC, oct, or the same with -HSM."""
        return self.spec.family.value + ("-HSM" if self.hardware else "")


@dataclass(frozen=True, slots=True)
class KeyName(ObjectName):
    """The name of a key in one container, with its life."""

    rotation_policy: RotationPolicy | None = None
