"""What a person's client gets at the token endpoint: an access token, and what belongs beside it."""

from dataclasses import dataclass, field

from hsmvault.login.access_tokens import USER_IMPERSONATION, AccessToken, AccessTokens, Delegation, Subject
from hsmvault.login.grants import Held
from hsmvault.login.id_tokens import IdTokens, client_info
from hsmvault.login.people import Person
from hsmvault.login.registrations import ActingClient
from hsmvault.login.settings import LoginSettings
from hsmvault.model.login_grants import GrantDetails


@dataclass(frozen=True, slots=True)
class PersonTokens:
    """Signed and not handed out yet."""

    person: Person
    access: AccessToken
    id_token: str = field(repr=False)
    details: GrantDetails

    def members(self, *, dialect: str, refresh_token: Held | None, wants_client_info: bool) -> dict[str, str | int]:
        """Of the JSON answer. MSAL looks its cache up by the scopes, so those that may be asked for are all named."""
        audience, life = self.details.audience, self.access.life_seconds
        scope = f"{audience}/{USER_IMPERSONATION} {audience}/.default"
        members: dict[str, str | int] = {
            "token_type": "Bearer",
            "scope": USER_IMPERSONATION if dialect == "v1" else scope,
            "expires_in": str(life) if dialect == "v1" else life,
            "ext_expires_in": str(life) if dialect == "v1" else life,
            "access_token": self.access.text,
        }
        if dialect == "v1":
            members["expires_on"] = str(self.access.expires)
            members["not_before"] = str(self.access.issued)
            members["resource"] = audience
        if refresh_token is not None:
            members["refresh_token"] = refresh_token.reveal()
        if self.id_token:
            members["id_token"] = self.id_token
        if wants_client_info:
            members["client_info"] = client_info(self.person.principal)
        return members


class PersonTokenMaker:
    def __init__(self, settings: LoginSettings, *, access_tokens: AccessTokens, id_tokens: IdTokens) -> None:
        self._settings = settings
        self._access_tokens = access_tokens
        self._id_tokens = id_tokens

    async def make(self, person: Person, client: ActingClient, details: GrantDetails, *, dialect: str) -> PersonTokens:
        """details: audience, scopes, nonce, address, signed_in. Raises Unavailable, Throttled."""
        through = Delegation(client.id, details.address)
        access = await self._access_tokens.issue(
            Subject(person.principal, client.strength, person.groups, through=through),
            audience=details.audience,
            life_seconds=self._settings.token_life_seconds,
        )
        id_token = ""
        if "openid" in details.scopes or dialect != "v2":
            id_token = await self._id_tokens.issue(
                person.principal,
                application_id=client.id,
                dialect=dialect,
                nonce=details.nonce,
                signed_in=details.signed_in,
            )
        return PersonTokens(person, access, id_token, details)
