"""The parts of the issuer, put together once; what each needs it is given here."""

from dataclasses import dataclass

from hsmvault.clock import Clock, Identifiers
from hsmvault.login.access_tokens import AccessTokens
from hsmvault.login.attempts import RecordAttempt
from hsmvault.login.authorize import AuthorizationEndpoint
from hsmvault.login.browsers import Browsers
from hsmvault.login.clients import Clients
from hsmvault.login.devices import Devices
from hsmvault.login.federation import FederatedIssuers
from hsmvault.login.grants import Grants
from hsmvault.login.id_tokens import IdTokens
from hsmvault.login.own_tokens import OwnTokens
from hsmvault.login.people import People
from hsmvault.login.person_grants import PersonGrants
from hsmvault.login.person_tokens import PersonTokenMaker
from hsmvault.login.registrations import Registrations
from hsmvault.login.settings import LoginSettings
from hsmvault.login.sign_in import SignIn
from hsmvault.login.signing_keys import SigningKeys
from hsmvault.login.throttle import Throttle
from hsmvault.login.token_endpoint import TokenEndpoint
from hsmvault.store.database import Database


@dataclass(frozen=True, slots=True)
class Parts:
    token_endpoint: TokenEndpoint
    authorization: AuthorizationEndpoint
    devices: Devices
    browsers: Browsers


def make_parts(
    settings: LoginSettings,
    *,
    database: Database,
    keys: SigningKeys,
    clock: Clock,
    identifiers: Identifiers,
    record_attempt: RecordAttempt,
    federated: FederatedIssuers | None = None,
) -> Parts:
    origin = settings.origin
    clients = Clients(database=database, clock=clock, throttle=Throttle(clock), federated=federated)
    registrations = Registrations(settings, database=database, clients=clients)
    access_tokens = AccessTokens(origin=origin, keys=keys, clock=clock, identifiers=identifiers)
    grants = Grants(database=database, clock=clock, identifiers=identifiers)
    people = People(database=database, clock=clock)
    browsers = Browsers(settings, database=database, clock=clock, identifiers=identifiers, grants=grants, people=people)
    sign_in = SignIn(
        database=database,
        clock=clock,
        identifiers=identifiers,
        people=people,
        browsers=browsers,
        record_attempt=record_attempt,
    )
    person_grants = PersonGrants(
        settings,
        database=database,
        clock=clock,
        grants=grants,
        registrations=registrations,
        people=people,
        own_tokens=OwnTokens(origin=origin, keys=keys, clock=clock),
        maker=PersonTokenMaker(
            settings,
            access_tokens=access_tokens,
            id_tokens=IdTokens(origin=origin, keys=keys, clock=clock),
        ),
    )
    return Parts(
        token_endpoint=TokenEndpoint(settings, clients=clients, tokens=access_tokens, people=person_grants),
        authorization=AuthorizationEndpoint(
            settings,
            database=database,
            clock=clock,
            grants=grants,
            registrations=registrations,
            browsers=browsers,
            sign_in=sign_in,
        ),
        devices=Devices(
            settings,
            database=database,
            clock=clock,
            identifiers=identifiers,
            grants=grants,
            registrations=registrations,
            browsers=browsers,
            sign_in=sign_in,
            record_attempt=record_attempt,
        ),
        browsers=browsers,
    )
