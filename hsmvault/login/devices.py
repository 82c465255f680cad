"""The device authorization flow (RFC 8628): a device without a browser shows a few characters, and a person types them
into a page elsewhere.

The person is shown which application asks and from which address, and says yes or no: whoever sends somebody else such
a code wants just that not to be looked at. Guesses are counted for the browser, for its address, and together.
"""

from dataclasses import dataclass
from typing import Final

import msgspec
from aiohttp.web import Response

from hsmvault.clock import Clock, Identifiers
from hsmvault.login import pages
from hsmvault.login.attempts import AttemptNotes, RecordAttempt, guid_or_empty
from hsmvault.login.audiences import delegated_resource_in, openid_scopes
from hsmvault.login.browsers import FORM_TOKEN, Browsers, SignedIn, Visit
from hsmvault.login.grants import Grants
from hsmvault.login.person_grants import DEVICE_INTERVAL_SECONDS, audience_for_people
from hsmvault.login.realms import Realm
from hsmvault.login.refusals import NO_PROOF, THROTTLED, LoginRefused
from hsmvault.login.registrations import Registrations
from hsmvault.login.requests import Form
from hsmvault.login.settings import LoginSettings
from hsmvault.login.sign_in import CANCEL, CHANGE, CONTINUE, OTHER, SIGN_IN, Entered, Errand, SignIn
from hsmvault.login.throttle import Throttle, ThrottleKey, network_of
from hsmvault.model.login_grants import Grant, GrantDetails, GrantKind, GrantStatus
from hsmvault.model.principals import Tenant
from hsmvault.store import directory, login_grants
from hsmvault.store.database import Conflicted, Database

GRANT: Final = "device_approval"
PATH: Final = "/device"
_ALPHABET: Final = "BCDFGHJKLMNPQRSTVWXZ"  # RFC 8628, 6.1: no vowels, so no words; 20 of them
_CODE_CHARACTERS: Final = 9  # 39 bits, for a quarter of an hour
_TRIES: Final = 5  # until a user code is one that nobody else has
_FREE_STARTS: Final = 60  # of one address; guessed
_FREE_GUESSES_TOGETHER: Final = 500  # of everybody who is not signed in; guessed
_START: Final = "next"
_WRONG: Final = "This code is not known, or it has expired. Check it, or begin again on the device."
_TOO_MANY: Final = "There were too many wrong codes. Wait a moment and try again."


@dataclass(frozen=True, slots=True)
class _Pending:
    grant: Grant
    realm: Realm


class Devices:
    def __init__(
        self,
        settings: LoginSettings,
        *,
        database: Database,
        clock: Clock,
        identifiers: Identifiers,
        grants: Grants,
        registrations: Registrations,
        browsers: Browsers,
        sign_in: SignIn,
        record_attempt: RecordAttempt,
    ) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._identifiers = identifiers
        self._grants = grants
        self._registrations = registrations
        self._browsers = browsers
        self._sign_in = sign_in
        self._record_attempt = record_attempt
        self._starts = Throttle(clock, free_failures=_FREE_STARTS)
        self._guesses = Throttle(clock)
        self._guesses_together = Throttle(clock, free_failures=_FREE_GUESSES_TOGETHER)

    async def start(self, realm: Realm, dialect: str, form: Form, notes: AttemptNotes) -> dict[str, str | int]:
        """The JSON members of the device's answer. Raises LoginRefused."""
        client_id = form.require("client_id")
        notes.client_id = guid_or_empty(client_id)
        tenant_id = realm.tenant.id if realm.tenant else ""
        application = await self._registrations.find(tenant_id, client_id)
        if not application.public_client:
            raise LoginRefused(NO_PROOF)
        if wait := self._starts.failed(ThrottleKey("start", network_of(notes.address))):
            raise LoginRefused(THROTTLED, retry_after_seconds=wait)
        resource = delegated_resource_in(form, dialect=dialect)
        details = GrantDetails(
            audience=await audience_for_people(
                self._settings, self._database, resource, tenant_id or application.tenant_id
            ),
            scopes=openid_scopes(form),
            address=notes.address,
            application_name=application.display_name,
        )
        user_code, device_code = await self._give(tenant_id, application.application_id, details)
        uri = f"{self._settings.origin}{PATH}"
        life = self._settings.device_code_seconds
        members: dict[str, str | int] = {
            "user_code": user_code,
            "device_code": device_code,
            "verification_uri": uri,
            "expires_in": life,
            "interval": DEVICE_INTERVAL_SECONDS,
            "message": f"To sign in, use a web browser to open the page {uri} and enter the code {user_code} to "
            "authenticate.",
        }
        if dialect == "v1":
            members |= {"verification_url": uri, "expires_in": str(life), "interval": str(DEVICE_INTERVAL_SECONDS)}
        return members

    async def _give(self, tenant_id: str, application_id: str, details: GrantDetails) -> tuple[str, str]:
        for _ in range(_TRIES):
            user_code = _drawn(self._identifiers)
            try:
                async with self._database.write() as tx:
                    device_code = await self._grants.give(
                        tx,
                        GrantKind.DEVICE_CODE,
                        life_seconds=self._settings.device_code_seconds,
                        tenant_id=tenant_id,
                        object_id="",
                        application_id=application_id,
                        details=details,
                        status=GrantStatus.PENDING,
                        user_code=user_code,
                    )
                return user_code, device_code.reveal()
            except Conflicted:
                continue
        raise LoginRefused(THROTTLED, retry_after_seconds=1)

    async def answer(self, visit: Visit, form: Form | None, notes: AttemptNotes) -> Response:
        """The page. form: of a POST."""
        if form is None:
            return self._code_page(visit)
        if not self._browsers.is_ours(visit, form):
            return self._code_page(visit, error="This page was open for too long. Please try again.")
        user_code = _normalized(form.get("user_code"))
        signed_in = await self._browsers.signed_in(visit, None)
        counts = self._counts(visit, notes.address, signed_in)
        if any(throttle.failed(key) for throttle, key in counts):
            return self._code_page(visit, error=_TOO_MANY)
        pending = await self._pending(user_code)
        if pending is None:
            return self._code_page(visit, error=_WRONG)
        for throttle, key in counts:
            throttle.forgive(key)
        if signed_in is not None and pending.grant.tenant_id not in ("", signed_in.person.principal.tenant_id):
            signed_in = None
        notes.client_id = pending.grant.application_id
        errand = self._errand(pending, user_code)
        match form.get("action"):
            case action if action in (SIGN_IN, CHANGE):
                entered = await self._sign_in.enter(visit, errand, form, notes)
                if not isinstance(entered, Entered):
                    return entered
                return self._confirm_page(entered.visit, pending, errand, entered.signed_in)
            case action if action == CONTINUE and signed_in is not None:
                return await self._decide(visit, pending, signed_in, notes, GrantStatus.APPROVED)
            case action if action == CANCEL:
                return await self._decide(visit, pending, signed_in, notes, GrantStatus.DECLINED)
            case action if action == OTHER or signed_in is None:
                return self._sign_in.sign_in_page(visit, errand)
            case _:
                return self._confirm_page(visit, pending, errand, signed_in)

    def _counts(self, visit: Visit, address: str, signed_in: SignedIn | None) -> list[tuple[Throttle, ThrottleKey]]:
        """Where a look at a code counts, before it is looked at; a right one is forgiven. Who is signed in is not
        slowed down by everybody.
        """
        counts = [
            (self._guesses, ThrottleKey(visit.key, "")),
            (self._guesses, ThrottleKey("device", network_of(address))),
            (self._guesses_together, ThrottleKey("everybody", "")),
        ]
        return counts if signed_in is None else counts[:2]

    async def _pending(self, user_code: str) -> _Pending | None:
        async with self._database.read() as tx:
            grant = await login_grants.by_user_code(tx, user_code)
            if grant is None or grant.status is not GrantStatus.PENDING or grant.expires <= self._clock.now():
                return None
            tenant: Tenant | None = await directory.tenant(tx, grant.tenant_id) if grant.tenant_id else None
        origin = self._settings.origin
        return _Pending(
            grant, Realm(origin, "organizations", None) if tenant is None else Realm(origin, tenant.id, tenant)
        )

    async def _decide(
        self, visit: Visit, pending: _Pending, signed_in: SignedIn | None, notes: AttemptNotes, status: GrantStatus
    ) -> Response:
        """Declining needs nobody to be signed in: who has the code in hand may end it. Recorded before it counts."""
        notes.grant = GRANT
        is_approval = status is GrantStatus.APPROVED and signed_in is not None
        tenant_id, object_id, since = pending.grant.tenant_id, "", 0
        if signed_in is not None and is_approval:
            principal = signed_in.person.principal
            tenant_id, object_id, since = principal.tenant_id, principal.object_id, signed_in.since
        notes.tenant_id, notes.object_id = tenant_id, object_id
        attempt = notes.finished(time=self._clock.now(), result_code=0 if is_approval else 70018, status=200)
        await self._record_attempt(attempt)
        details = msgspec.structs.replace(pending.grant.details, signed_in=since)
        async with self._database.write() as tx:
            was_open = await login_grants.decide(
                tx, pending.grant.id, status, tenant_id=tenant_id, object_id=object_id, since=since, details=details
            )
        if not was_open:
            return self._code_page(visit, error=_WRONG)
        name = pending.grant.details.application_name
        if is_approval:
            text = f"You have signed in to {name} on your device. You may close this window."
            return pages.page("Signed in", pages.paragraph(text), forms=())
        text = f"You have not signed in to {name}. You may close this window."
        return pages.page("Cancelled", pages.paragraph(text), forms=())

    def _errand(self, pending: _Pending, user_code: str) -> Errand:
        return Errand(
            realm=pending.realm,
            purpose=f"You go on to {pending.grant.details.application_name}, on another device.",
            action=PATH,
            hidden={"user_code": user_code},
            sources=(),
            grant=GRANT,
        )

    def _code_page(self, visit: Visit, *, error: str = "") -> Response:
        fields = pages.joined(
            pages.field(
                "user_code",
                "Code",
                kind="text",
                complete="one-time-code",
                hint=f"The {_CODE_CHARACTERS} letters that the application on your device shows.",
                focused=True,
                wrong=bool(error),
            ),
            pages.button(_START, "Next"),
        )
        shown = pages.form(PATH, {FORM_TOKEN: visit.form_token}, fields)
        return self._browsers.set_cookies(pages.page("Enter the code of your device", shown, error=error), visit)

    def _confirm_page(self, visit: Visit, pending: _Pending, errand: Errand, signed_in: SignedIn) -> Response:
        principal, details = signed_in.person.principal, pending.grant.details
        fields = pages.joined(
            pages.paragraph(
                "Somebody asks for you to be signed in on another device. Go on only if it is you, and if you have "
                "started this application yourself a moment ago."
            ),
            pages.facts(
                {
                    "Application": details.application_name,
                    "Asked from the address": details.address,
                    "You are": f"{principal.display_name} ({principal.upn})",
                }
            ),
            pages.button(CANCEL, "Cancel", is_main=False),
            pages.button(CONTINUE, "Yes, sign me in there"),
            pages.button(OTHER, "Use another account", is_main=False),
        )
        hidden = {FORM_TOKEN: visit.form_token, **errand.hidden}
        shown = pages.page("Are you trying to sign in?", pages.form(PATH, hidden, fields))
        return self._browsers.set_cookies(shown, visit)


def _drawn(identifiers: Identifiers) -> str:
    """Each letter as likely as another: bytes from 240 on, which 20 does not divide, are drawn again."""
    letters = ""
    while len(letters) < _CODE_CHARACTERS:
        drawn = identifiers.random(2 * _CODE_CHARACTERS)
        letters += "".join(_ALPHABET[byte % 20] for byte in drawn if byte < 240)
    return letters[:_CODE_CHARACTERS]


def _normalized(typed: str) -> str:
    """As it was shown: people write blanks, hyphens and small letters."""
    letters = "".join(letter for letter in typed.upper() if letter in _ALPHABET) if len(typed) <= 64 else ""
    return letters if len(letters) == _CODE_CHARACTERS else ""
