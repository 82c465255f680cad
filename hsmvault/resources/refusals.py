"""The refusals that keys, secrets and certificates share, with the words of the service."""

from hsmvault.errors import BadRequest, Conflict, Forbidden, NotFound
from hsmvault.model.algorithms import Family
from hsmvault.model.containers import Container
from hsmvault.model.operations import Kind

_WORDS = {Kind.KEYS: "Key", Kind.SECRETS: "Secret", Kind.CERTIFICATES: "Certificate"}
_DELETED_CODES = {Kind.KEYS: "KeyNotFound", Kind.SECRETS: "SecretNotFound", Kind.CERTIFICATES: "CertificateNotFound"}


def not_found(kind: Kind, name: str, version: str | None = None) -> NotFound:
    word = _WORDS[kind].lower()
    between = "/versions/" if kind is Kind.CERTIFICATES else "/"
    which = name if version is None else f"{name}{between}{version}"
    return NotFound(
        f"A {word} with (name/id) {which} was not found in this key vault. If you recently deleted this {word} you may "
        "be able to recover it using the correct recovery command. For help resolving this issue, please see "
        "https://go.microsoft.com/fwlink/?linkid=2125182",
        code=f"{_WORDS[kind]}NotFound",
    )


def deleted_not_found(kind: Kind, name: str) -> NotFound:
    return NotFound(f"Deleted {_WORDS[kind]} not found: {name}", code=_DELETED_CODES[kind])


def name_is_deleted(kind: Kind, name: str) -> Conflict:
    word = _WORDS[kind]
    return Conflict(
        f"{word} {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, "
        f"the {word.lower()} can only be recovered or purged.",
        inner="ObjectIsDeletedButRecoverable",
    )


def changed_meanwhile(kind: Kind, name: str) -> Conflict:
    """Somebody else changed the same name at the same moment and was first."""
    return Conflict(f"{_WORDS[kind]} {name} was changed by another request at the same time. Please try again.")


def managed(kind: Kind, operation: str) -> Forbidden:
    """For the key and the secret of a certificate, which live as it does. operation: the word of the refusal."""
    return Forbidden(
        f'Operation "{operation}" is not allowed as this object\'s lifetime is managed by Key Vault.',
        inner=f"{_WORDS[kind]}ManagedByKeyVault",
    )


def purge_protected(container: Container) -> Forbidden:
    return Forbidden(
        'Operation "purge" is not allowed because purge protection is enabled for this vault. Key Vault service will '
        "automatically purge it after the retention period has passed.\r\n"
        f"Vault: {container.name};location={container.location}"
    )


def restore_conflict(kind: Kind, identifier: str) -> Conflict:
    word = _WORDS[kind].lower()
    return Conflict(f"Conflict while restoring {word} {identifier} - {word} already exists or concurrent access")


def check_key_class(container: Container, *, hardware: bool) -> None:
    """Whether a container takes HSM-backed keys (hardware) or keys in software at all. Raises BadRequest."""
    if hardware and not container.premium:
        raise BadRequest(
            f"The key type is not supported by vault '{container.name}': HSM-backed keys need a premium vault."
        )
    if not hardware and not container.software_keys:
        raise BadRequest("The key type is not supported: this container holds HSM-backed keys only.")


def check_key_type(container: Container, family: Family, *, hardware: bool) -> None:
    """Whether a container takes keys of this type, made, imported or restored. Raises BadRequest."""
    if family is Family.OCT and not container.oct_keys:
        raise BadRequest("The key type 'oct' is not supported by this container.")
    check_key_class(container, hardware=hardware)


def check_version_count(container: Container, versions: int) -> None:
    """versions: of one key, with the one that is about to be made. Raises BadRequest."""
    if container.most_versions is not None and versions > container.most_versions:
        raise BadRequest(f"A key can have at most {container.most_versions} versions.")


def invalid_property(name: str) -> BadRequest:
    """A member with a value outside its range; the name is empty when a required member is missing."""
    return BadRequest(f"Property {name} has invalid value\r\n")


def invalid_name(name: str) -> BadRequest:
    return BadRequest(f"The request URI contains an invalid name: {name}")


def name_is_taken(kind: Kind, name: str) -> Conflict:
    """A certificate takes the name of a key and of a secret, too. kind: of the one that has it."""
    word = _WORDS[kind].lower()
    return Conflict(f"The name {name} is in use by a {word}; a certificate needs a name that no key and no secret has.")


def operation_in_progress() -> Conflict:
    return Conflict(
        "A new key vault certificate can not be created or imported while a pending key vault certificate's status is "
        "inProgress.",
        code="Forbidden",
    )


def pending_not_found(name: str) -> NotFound:
    return NotFound(f"Pending certificate not found: {name}", code="PendingCertificateNotFound")
