"""Every table, as metadata: the migrations lead to exactly this (tests/store/test_migrations.py).

Types are the few that mean the same in every database and need no conversion by the driver: text, 64-bit integers,
booleans, bytes. Times are seconds since 1970 UTC. What a caller writes as a list or a map is JSON in a text column
that is never searched. `folded` is the text in lower case, by which names compare.
"""

from hsmvault.store.schema.base import metadata
from hsmvault.store.schema.directory import (
    applications,
    credentials,
    directory_roles,
    federated_credentials,
    login_grants,
    memberships,
    owners,
    principals,
    tenants,
)
from hsmvault.store.schema.installation import (
    changes,
    containers,
    data_keys,
    intents,
    leases,
    login_keys,
    meta,
    older_world_keys,
    system_keys,
    worlds,
)
from hsmvault.store.schema.issuance import (
    acme_challenges,
    authorities,
    authority_certificates,
    certificate_contacts,
    certificate_issuers,
    certificate_operations,
)
from hsmvault.store.schema.management import (
    diagnostic_settings,
    management_groups,
    management_operations,
    resource_groups,
    role_assignments,
    role_definitions,
    subscriptions,
)
from hsmvault.store.schema.objects import (
    certificate_names,
    certificate_versions,
    key_names,
    key_versions,
    schedule,
    secret_names,
    secret_versions,
)
from hsmvault.store.schema.sending import event_deliveries, mails, outbox

SCHEMA_REVISION = "0004"  # head of migrations/; four digits that go up, so that a newer one is known to be newer
APPLICATION_ID = 0x48534D56  # 'HSMV' in the header of an SQLite file (PRAGMA application_id)


__all__ = [
    "APPLICATION_ID",
    "SCHEMA_REVISION",
    "acme_challenges",
    "applications",
    "authorities",
    "authority_certificates",
    "certificate_contacts",
    "certificate_issuers",
    "certificate_names",
    "certificate_operations",
    "certificate_versions",
    "changes",
    "containers",
    "credentials",
    "data_keys",
    "diagnostic_settings",
    "directory_roles",
    "event_deliveries",
    "federated_credentials",
    "intents",
    "key_names",
    "key_versions",
    "leases",
    "login_grants",
    "login_keys",
    "mails",
    "management_groups",
    "management_operations",
    "memberships",
    "meta",
    "metadata",
    "older_world_keys",
    "outbox",
    "owners",
    "principals",
    "resource_groups",
    "role_assignments",
    "role_definitions",
    "schedule",
    "secret_names",
    "secret_versions",
    "subscriptions",
    "system_keys",
    "tenants",
    "worlds",
]
