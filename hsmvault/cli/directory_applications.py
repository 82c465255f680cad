"""`hsmvault directory app|sp|identity`, one function for each command of directory_options.py, by name."""

import argparse
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hsmvault.app.directory_commands import Opened, serve_locally
from hsmvault.cli.directory_running import (
    add_owner,
    carry_out,
    look_up,
    note,
    remove_owner,
    show,
    show_list,
    show_owners,
)
from hsmvault.errors import ConfigurationError
from hsmvault.model.directory import (
    Application,
    ApplicationDetails,
    RedirectKind,
    RedirectUri,
)
from hsmvault.model.principals import CredentialKind
from hsmvault.resources.directory.application_credentials import CertificateOffer
from hsmvault.resources.directory.applications import ApplicationChange, NewApplication
from hsmvault.resources.directory.federation import NewFederation
from hsmvault.resources.directory.service_principals import ServicePrincipalChange
from hsmvault.wire.graph import answers

_PAGE = 500
_LARGEST_CERTIFICATE_BYTES = 64 * 1024
_KINDS = {"web": RedirectKind.WEB, "spa": RedirectKind.SPA, "public": RedirectKind.PUBLIC}
_DAY = 86_400


async def _of_application(on: Opened, options: argparse.Namespace) -> str:
    return (await on.directory.applications.by_client(on.actor, options.app)).object_id


def app_list(options: argparse.Namespace) -> int:
    async def read(on: Opened) -> list[Application]:
        found: list[Application] = []
        while True:
            after = found[-1].object_id if found else ""
            page = await on.directory.applications.page(on.actor, after=after, most=_PAGE)
            found += page
            if len(page) < _PAGE:
                return found

    for one in look_up(options, read):
        print(f"{one.application_id}  {one.display_name}")
    return 0


def app_show(options: argparse.Namespace) -> int:
    async def act(on: Opened) -> answers.Shown:
        return await _shown(on, await on.directory.applications.by_client(on.actor, options.app))

    return show(look_up(options, act))


def app_create(options: argparse.Namespace) -> int:
    """With a service principal, so that roles can be given to it."""
    redirects = _redirects(options)
    new = NewApplication(
        options.name,
        public_client=bool(options.public_client),
        redirect_uris=tuple(RedirectUri(kind, uri) for kind, uris in redirects.items() for uri in uris),
        details=ApplicationDetails(identifier_uris=tuple(options.identifier_uri or ())),
    )

    async def act(on: Opened) -> answers.Shown:
        application = await on.directory.applications.create(on.actor, new)
        principal = await on.directory.service_principals.create(on.actor, application.application_id)
        shown: answers.Shown = {"servicePrincipalId": principal.object_id}
        if options.with_secret:
            _, secret = await on.directory.credentials.add_secret(on.actor, application.object_id, display_name="")
            shown["secretText"] = secret.reveal()
        return await _shown(on, application) | shown

    return show(carry_out(options, "DirectoryApplicationCreate", options.name, act))


def app_update(options: argparse.Namespace) -> int:
    details: dict[str, str | tuple[str, ...]] = {}
    if options.identifier_uri is not None:
        details["identifier_uris"] = tuple(options.identifier_uri)
    wanted = ApplicationChange(options.name, options.public_client, _redirects(options), details)

    async def act(on: Opened) -> answers.Shown:
        id = await _of_application(on, options)
        return await _shown(on, await on.directory.applications.update(on.actor, id, wanted))

    return show(carry_out(options, "DirectoryApplicationUpdate", options.app, act))


def app_delete(options: argparse.Namespace) -> int:
    async def act(on: Opened) -> None:
        await on.directory.applications.delete(on.actor, await _of_application(on, options))

    carry_out(options, "DirectoryApplicationDelete", options.app, act)
    return 0


def app_add_secret(options: argparse.Namespace) -> int:
    expires = int(time.time()) + options.days * _DAY if options.days else 0

    async def act(on: Opened) -> answers.Shown:
        id = await _of_application(on, options)
        made, secret = await on.directory.credentials.add_secret(
            on.actor, id, display_name=options.name, expires=expires
        )
        return answers.password(made, secret.reveal())

    return show(carry_out(options, "DirectoryApplicationSecretAdd", options.app, act))


def app_add_certificate(options: argparse.Namespace) -> int:
    offer = CertificateOffer("", _certificate(Path(options.file)), options.name)

    async def act(on: Opened) -> answers.Shown:
        made = await on.directory.credentials.add_certificate(on.actor, await _of_application(on, options), offer)
        return answers.credentials([made], with_keys=False)

    return show(carry_out(options, "DirectoryApplicationCertificateAdd", options.app, act))


def app_remove_credential(options: argparse.Namespace) -> int:
    kinds = (CredentialKind.SECRET, CredentialKind.CERTIFICATE)

    async def act(on: Opened) -> None:
        id = await _of_application(on, options)
        await on.directory.credentials.remove(on.actor, id, options.credential, *kinds)

    carry_out(options, "DirectoryApplicationCredentialRemove", f"{options.credential} of {options.app}", act)
    return 0


def app_owners(options: argparse.Namespace) -> int:
    return show_owners(options, _of_application)


def app_add_owner(options: argparse.Namespace) -> int:
    return add_owner(options, _of_application)


def app_remove_owner(options: argparse.Namespace) -> int:
    return remove_owner(options, _of_application)


def app_federate(options: argparse.Namespace) -> int:
    return _federate(options, options.app)


def app_federations(options: argparse.Namespace) -> int:
    return _federations(options, options.app)


def app_unfederate(options: argparse.Namespace) -> int:
    return _unfederate(options, options.app)


def identity_federate(options: argparse.Namespace) -> int:
    return _federate(options, options.client)


def identity_federations(options: argparse.Namespace) -> int:
    return _federations(options, options.client)


def identity_unfederate(options: argparse.Namespace) -> int:
    return _unfederate(options, options.client)


def _federate(options: argparse.Namespace, client: str) -> int:
    new = NewFederation(options.name, options.issuer, options.subject, (options.audience,))
    made = carry_out(
        options,
        "DirectoryFederatedCredentialCreate",
        f"{options.name} of {client}",
        lambda on: on.directory.federation.create(on.actor, client.lower(), new),
    )
    return show(answers.federated(made))


def _federations(options: argparse.Namespace, client: str) -> int:
    for one in look_up(options, lambda on: on.directory.federation.of(on.actor, client.lower())):
        print(f"{one.id}  {one.name}  {one.issuer}  {one.subject}  {' '.join(one.audiences)}")
    return 0


def _unfederate(options: argparse.Namespace, client: str) -> int:
    carry_out(
        options,
        "DirectoryFederatedCredentialDelete",
        f"{options.name} of {client}",
        lambda on: on.directory.federation.delete(on.actor, client.lower(), options.name),
    )
    return 0


def sp_list(options: argparse.Namespace) -> int:
    return show_list(
        options,
        lambda on, after: on.directory.service_principals.page(on.actor, after=after, most=_PAGE),
        lambda one: f"{one.object_id}  {one.application_id}  {one.display_name}{note(one)}",
    )


def sp_show(options: argparse.Namespace) -> int:
    async def act(on: Opened) -> answers.Shown:
        found = await on.directory.service_principals.by_client(on.actor, options.app)
        (registration,) = await on.directory.service_principals.registrations([found])
        return answers.service_principal(found, registration)

    return show(look_up(options, act))


def sp_create(options: argparse.Namespace) -> int:
    async def act(on: Opened) -> answers.Shown:
        made = await on.directory.service_principals.create(on.actor, options.app)
        (registration,) = await on.directory.service_principals.registrations([made])
        return answers.service_principal(made, registration)

    return show(carry_out(options, "DirectoryServicePrincipalCreate", options.app, act))


def sp_enable(options: argparse.Namespace) -> int:
    return _set_enabled(options, "DirectoryServicePrincipalEnable", enabled=True)


def sp_disable(options: argparse.Namespace) -> int:
    return _set_enabled(options, "DirectoryServicePrincipalDisable", enabled=False)


def _set_enabled(options: argparse.Namespace, operation: str, *, enabled: bool) -> int:
    async def act(on: Opened) -> None:
        found = await on.directory.service_principals.by_client(on.actor, options.app)
        wanted = ServicePrincipalChange(enabled=enabled)
        await on.directory.service_principals.update(on.actor, found.object_id, wanted)

    carry_out(options, operation, options.app, act)
    return 0


def sp_delete(options: argparse.Namespace) -> int:
    async def act(on: Opened) -> None:
        found = await on.directory.service_principals.by_client(on.actor, options.app)
        await on.directory.service_principals.delete(on.actor, found.object_id)

    carry_out(options, "DirectoryServicePrincipalDelete", options.app, act)
    return 0


def identity_list(options: argparse.Namespace) -> int:
    return show_list(
        options,
        lambda on, after: on.directory.identities.page(on.actor, after=after, most=_PAGE),
        lambda one: f"{one.object_id}  {one.application_id}  {one.resource_id}{note(one)}",
    )


def identity_show(options: argparse.Namespace) -> int:
    found = look_up(options, lambda on: on.directory.identities.get(on.actor, options.id))
    return show(answers.service_principal(found, None))


def identity_create(options: argparse.Namespace) -> int:
    async def act(on: Opened) -> answers.Shown:
        made, header = await on.directory.identities.create(on.actor, options.resource)
        if options.local:
            await serve_locally(on, made.resource_id)
        return answers.service_principal(made, None) | {"identityHeader": header.reveal()}

    return show(carry_out(options, "DirectoryIdentityCreate", options.resource, act))


def identity_reset_header(options: argparse.Namespace) -> int:
    async def act(on: Opened) -> answers.Shown:
        return {"identityHeader": (await on.directory.identities.reset_header(on.actor, options.id)).reveal()}

    return show(carry_out(options, "DirectoryIdentityHeaderReset", options.id, act))


def identity_delete(options: argparse.Namespace) -> int:
    carry_out(
        options,
        "DirectoryIdentityDelete",
        options.id,
        lambda on: on.directory.identities.delete(on.actor, options.id),
    )
    return 0


async def _shown(on: Opened, application: Application) -> answers.Shown:
    credentials = await on.directory.credentials.of(application.application_id)
    return answers.application(application) | answers.credentials(credentials, with_keys=False)


def _redirects(options: argparse.Namespace) -> dict[RedirectKind, tuple[str, ...]]:
    """Those kinds that an option names."""
    given = {kind: getattr(options, f"{part}_redirect_uri") for part, kind in _KINDS.items()}
    return {kind: tuple(uris) for kind, uris in given.items() if uris is not None}


def _certificate(file: Path) -> bytes:
    """DER of a certificate in PEM or DER; a private key beside it in the file is not read."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST_CERTIFICATE_BYTES)
        if b"-----BEGIN" not in content:
            return content
        return x509.load_pem_x509_certificate(content).public_bytes(Encoding.DER)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no certificate"
        raise ConfigurationError(f"The certificate in {file} cannot be read ({reason}).") from error
