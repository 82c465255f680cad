"""AES keys for one act: session objects with one usage and one mechanism, that carry another key in or out.

Every attribute is passed and read back, as objects.py does. All functions block, and raise WrongAttributes or the
module's error.
"""

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

from hsmvault.hsm.objects import SECRET_USAGE, WRAPPING, Template, require_attributes
from hsmvault.hsm.profile import Profile
from hsmvault.hsm.work import KeyObject, WorkSession


def create_transport_key(work: WorkSession, value: bytes) -> KeyObject:
    """One that unwraps a key on its way in. value: 32 fresh random bytes."""
    return create(work, value, Attribute.UNWRAP)


def create(work: WorkSession, value: bytes, usage: Attribute) -> KeyObject:
    """One that wraps or unwraps. value: 32 fresh random bytes."""
    wanted = _template(work.profile, usage, WRAPPING)
    return _held(work, work.session.create_object({**wanted, Attribute.VALUE: value}), wanted)


def generate(work: WorkSession, usage: Attribute, *, leaves: bool = False) -> KeyObject:
    """An AES-256 key that wraps or unwraps, made in the token. leaves: it may itself be wrapped."""
    wanted = _template(work.profile, usage, WRAPPING, leaves=leaves)
    made: pkcs11.Object = work.session.generate_key(
        KeyType.AES,
        256,
        capabilities=0,  # type: ignore[arg-type]  # the stub wants MechanismFlag, which has no name for none
        mechanism=Mechanism.AES_KEY_GEN,
        template={kind: value for kind, value in wanted.items() if kind not in (Attribute.CLASS, Attribute.KEY_TYPE)},
    )
    return _held(work, made, wanted)


def unwrap(
    work: WorkSession,
    unwrapping: KeyObject,
    wrapped: bytes,
    usage: Attribute,
    mechanism: Mechanism,
    *,
    by: Mechanism,
    parameter: object = None,
) -> KeyObject:
    """Open one of any size. mechanism: what it may be used for; by, parameter: what it is opened with."""
    wanted = _template(work.profile, usage, mechanism)
    made = work.bind(unwrapping).unwrap_key(
        ObjectClass.SECRET_KEY,
        KeyType.AES,
        wrapped,
        mechanism=by,
        mechanism_param=parameter,
        capabilities=0,
        template=wanted,
    )
    return _held(work, made, wanted)


def _held(work: WorkSession, made: pkcs11.Object, wanted: Template) -> KeyObject:
    require_attributes(made, wanted)
    return work.hold(made, KeyType.AES)


def _template(profile: Profile, usage: Attribute, mechanism: Mechanism, *, leaves: bool = False) -> Template:
    template: Template = {
        Attribute.CLASS: ObjectClass.SECRET_KEY,
        Attribute.KEY_TYPE: KeyType.AES,
        Attribute.TOKEN: False,
        Attribute.PRIVATE: True,
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: leaves,
        **{each: each is usage for each in SECRET_USAGE},
    }
    if profile.allowed_mechanisms:
        template[Attribute.ALLOWED_MECHANISMS] = frozenset({mechanism})
    template[Attribute.MODIFIABLE] = False  # last: SoftHSM applies attributes in order
    return template
