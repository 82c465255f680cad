"""Signing in on a page: user name and password, a change of the password when one is due, and who is signed in then.

What a browser came for (an application, a device) is an Errand: it says where the forms go and what they carry along,
so that nothing about an unfinished sign-in is kept here. Every attempt is recorded before its answer leaves.
"""

from dataclasses import dataclass, replace
from typing import Final

import msgspec
from aiohttp.web import Response

from hsmvault.clock import Clock, Identifiers
from hsmvault.login import pages, password_rules
from hsmvault.login.attempts import AttemptNotes, RecordAttempt
from hsmvault.login.browsers import FORM_TOKEN, Browsers, SignedIn, Visit
from hsmvault.login.failures import as_refusal
from hsmvault.login.passwords import hash_password, password_matches
from hsmvault.login.people import People, Person
from hsmvault.login.realms import Realm
from hsmvault.login.refusals import (
    FORM_TOO_OLD,
    PERSON_DISABLED,
    PERSON_LOCKED,
    THROTTLED,
    WRONG_PASSWORD,
    LoginRefused,
)
from hsmvault.login.requests import Form
from hsmvault.store import directory, login_grants
from hsmvault.store.database import Database

SIGN_IN: Final = "sign-in"
CHANGE: Final = "change"
CONTINUE: Final = "continue"
OTHER: Final = "other"
CANCEL: Final = "cancel"

_SENTENCES: Final = {
    WRONG_PASSWORD: "The user name or the password is not right.",
    PERSON_LOCKED: "There were too many wrong attempts. Wait a moment and try again.",
    PERSON_DISABLED: "This account is disabled. Ask your administrator.",
    THROTTLED: "Too many people are signing in right now. Wait a moment and try again.",
    FORM_TOO_OLD: "This page was open for too long. Please try again.",
}


@dataclass(frozen=True, slots=True)
class Errand:
    """What a browser came for. action: where its forms go. hidden: what they carry along. sources: of form-action.

    purpose: for whom the person signs in, as a sentence.
    """

    realm: Realm
    purpose: str
    action: str
    hidden: dict[str, str]
    sources: tuple[str, ...]
    grant: str


@dataclass(frozen=True, slots=True)
class Entered:
    """Signed in by this very request; visit: with the cookies of the new session."""

    visit: Visit
    signed_in: SignedIn


class SignIn:
    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        identifiers: Identifiers,
        people: People,
        browsers: Browsers,
        record_attempt: RecordAttempt,
    ) -> None:
        self._database = database
        self._clock = clock
        self._identifiers = identifiers
        self._people = people
        self._browsers = browsers
        self._record_attempt = record_attempt

    async def enter(self, visit: Visit, errand: Errand, form: Form, notes: AttemptNotes) -> Entered | Response:
        """A form with a user name and a password: signed in, or the page to show next."""
        notes.grant = errand.grant
        is_change = form.get("action") == CHANGE
        try:
            person = await self._people.prove(
                errand.realm, form.get("username"), form.get("password"), address=notes.address
            )
            notes.tenant_id, notes.object_id = person.principal.tenant_id, person.principal.object_id
        except Exception as error:
            refused = as_refusal(error)
            await self._record(notes, refused.refusal.code, refused.refusal.status)
            if refused.refusal not in _SENTENCES:
                raise
            show = self.change_page if is_change else self.sign_in_page
            return show(visit, errand, user_name=form.get("username"), refused=refused)
        if is_change:
            problem = await self._change(person, form)
            if problem:
                await self._record(notes, 50055, 400)
                return self.change_page(visit, errand, user_name=form.get("username"), problem=problem)
        elif person.principal.details.must_change_password:
            await self._record(notes, 50055, 400)
            return self.change_page(visit, errand, user_name=form.get("username"))
        await self._record(notes, 0, 200)
        entered, signed_in = await self._browsers.sign_in(visit, person)
        return Entered(entered, signed_in)

    async def _change(self, person: Person, form: Form) -> str:
        """What is wrong with the new password; empty when it counts from now on."""
        principal, chosen = person.principal, form.get("new_password")
        if chosen != form.get("new_password_again"):
            return "The two new passwords are not the same."
        problem = password_rules.problem(chosen, names=(principal.upn, principal.display_name))
        if problem:
            return problem
        if await password_matches(chosen, principal.password_hash):
            return "The new password must not be the old one."
        hashed = await hash_password(self._identifiers, chosen)
        async with self._database.write() as tx:
            current = await directory.principal(tx, principal.tenant_id, principal.object_id)
            if current is None or current.password_hash != principal.password_hash:
                return "The password was changed by somebody else meanwhile. Please begin again."
            changed = replace(
                current,
                password_hash=hashed,
                details=msgspec.structs.replace(current.details, must_change_password=False),
                sessions_valid_from=int(self._clock.now()),
            )
            await directory.update_principal(tx, changed)
            await login_grants.revoke_of_person(tx, principal.object_id)
        return ""

    async def _record(self, notes: AttemptNotes, code: int, status: int) -> None:
        await self._record_attempt(notes.finished(time=self._clock.now(), result_code=code, status=status))

    def sign_in_page(
        self, visit: Visit, errand: Errand, *, user_name: str = "", refused: LoginRefused | None = None
    ) -> Response:
        is_wrong = refused is not None and refused.refusal is WRONG_PASSWORD
        fields = pages.joined(
            pages.paragraph(errand.purpose),
            pages.field(
                "username",
                "User name",
                kind="text",
                complete="username",
                value=user_name,
                hint="Like name@example.com",
                focused=not user_name,
                wrong=is_wrong,
            ),
            pages.field(
                "password",
                "Password",
                kind="password",
                complete="current-password",
                focused=bool(user_name),
                wrong=is_wrong,
            ),
            pages.button(SIGN_IN, "Sign in"),
            pages.button(CANCEL, "Cancel", is_main=False),
        )
        return self._page("Sign in", visit, errand, fields, error=_sentence(refused))

    def change_page(
        self,
        visit: Visit,
        errand: Errand,
        *,
        user_name: str,
        refused: LoginRefused | None = None,
        problem: str = "",
    ) -> Response:
        rule = f"At least {password_rules.SHORTEST_CHARACTERS} characters; not your name, not a common password."
        is_wrong = refused is not None
        fields = pages.joined(
            pages.paragraph("Your password must be changed before you can go on."),
            pages.field(
                "username",
                "User name",
                kind="text",
                complete="username",
                value=user_name,
                focused=False,
                wrong=is_wrong,
            ),
            pages.field(
                "password",
                "Current password",
                kind="password",
                complete="current-password",
                focused=True,
                wrong=is_wrong,
            ),
            pages.field(
                "new_password",
                "New password",
                kind="password",
                complete="new-password",
                hint=rule,
                focused=False,
                wrong=bool(problem),
            ),
            pages.field(
                "new_password_again",
                "New password again",
                kind="password",
                complete="new-password",
                focused=False,
                wrong=bool(problem),
            ),
            pages.button(CHANGE, "Change password and sign in"),
            pages.button(CANCEL, "Cancel", is_main=False),
        )
        return self._page("Change your password", visit, errand, fields, error=problem or _sentence(refused))

    def choose_page(self, visit: Visit, errand: Errand, signed_in: SignedIn) -> Response:
        """Go on as who is signed in, or as somebody else."""
        principal = signed_in.person.principal
        fields = pages.joined(
            pages.paragraph(errand.purpose),
            pages.facts({"Signed in as": f"{principal.display_name} ({principal.upn})"}),
            pages.button(CONTINUE, "Continue", focused=True),
            pages.button(OTHER, "Use another account", is_main=False),
            pages.button(CANCEL, "Cancel", is_main=False),
        )
        return self._page("Choose an account", visit, errand, fields)

    def too_old(self, visit: Visit, errand: Errand) -> Response:
        """The form was not of this browser's last page."""
        return self.sign_in_page(visit, errand, refused=LoginRefused(FORM_TOO_OLD))

    def _page(self, heading: str, visit: Visit, errand: Errand, fields: pages.Markup, *, error: str = "") -> Response:
        hidden = {FORM_TOKEN: visit.form_token, **errand.hidden}
        shown = pages.form(errand.action, hidden, fields)
        response = pages.page(heading, shown, error=error, forms=("'self'", *errand.sources))
        return self._browsers.set_cookies(response, visit)


def _sentence(refused: LoginRefused | None) -> str:
    return "" if refused is None else _SENTENCES[refused.refusal]
