"""The management plane: where resources stand, who may do what there, and what is still going on."""

from sqlalchemy import BigInteger, Column, Index, Table, UniqueConstraint

from hsmvault.store.schema.base import EMPTY, metadata, text

# scope: an ARM id, or one of a pool's local RBAC (model/local_roles.py). An assignment counts in its tenant alone.
role_assignments = Table(
    "role_assignments",
    metadata,
    Column("id", text(), primary_key=True),
    Column("scope", text(), nullable=False),
    Column("folded_scope", text(), nullable=False),
    Column("role_id", text(), nullable=False),
    Column("principal_id", text(), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("tenant_id", text(), nullable=False, server_default=EMPTY),
    Column("principal_type", text(), nullable=False, server_default=EMPTY),
    Column("description", text(), nullable=False, server_default=EMPTY),
    Column("condition", text(), nullable=False, server_default=EMPTY),
    Column("condition_version", text(), nullable=False, server_default=EMPTY),
    Column("delegated_identity", text(), nullable=False, server_default=EMPTY),
    Column("created_by", text(), nullable=False, server_default=EMPTY),
    Column("updated", BigInteger, nullable=False, server_default="0"),
    Column("updated_by", text(), nullable=False, server_default=EMPTY),
    UniqueConstraint("folded_scope", "role_id", "principal_id", "tenant_id"),
)
Index("ix_role_assignments_principal_id", role_assignments.c.principal_id, role_assignments.c.folded_scope)

# Custom roles. scope: empty for Azure RBAC, else the stored scope of a pool. permissions, assignable_scopes: JSON.
role_definitions = Table(
    "role_definitions",
    metadata,
    Column("id", text(), primary_key=True),
    Column("tenant_id", text(), nullable=False),
    Column("scope", text(), nullable=False),
    Column("name", text(), nullable=False),
    Column("folded_name", text(), nullable=False),
    Column("description", text(), nullable=False),
    Column("permissions", text(), nullable=False),
    Column("assignable_scopes", text(), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("created_by", text(), nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("updated_by", text(), nullable=False),
    UniqueConstraint("tenant_id", "scope", "folded_name"),
)

# parent: folded name of another one; empty for those below the tenant's root group, which has no row.
management_groups = Table(
    "management_groups",
    metadata,
    Column("tenant_id", text(), primary_key=True),
    Column("folded_name", text(), primary_key=True),
    Column("name", text(), nullable=False),
    Column("display_name", text(), nullable=False),
    Column("parent", text(), nullable=False),
    Column("created", BigInteger, nullable=False),
)

# management_group: folded name; empty for the tenant's root group.
subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", text(), primary_key=True),
    Column("tenant_id", text(), nullable=False),
    Column("display_name", text(), nullable=False),
    Column("state", text(), nullable=False),
    Column("management_group", text(), nullable=False),
    Column("created", BigInteger, nullable=False),
)
Index("ix_subscriptions_tenant_id", subscriptions.c.tenant_id)

resource_groups = Table(
    "resource_groups",
    metadata,
    Column("subscription_id", text(), primary_key=True),
    Column("folded_name", text(), primary_key=True),
    Column("name", text(), nullable=False),
    Column("location", text(), nullable=False),
    Column("tags", text(), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
)

# body: the properties as they were sent, in JSON.
diagnostic_settings = Table(
    "diagnostic_settings",
    metadata,
    Column("folded_resource_id", text(), primary_key=True),
    Column("folded_name", text(), primary_key=True),
    Column("resource_id", text(), nullable=False),
    Column("name", text(), nullable=False),
    Column("body", text(), nullable=False),
    Column("created", BigInteger, nullable=False),
)

# Long-running operations, for who polls. container_id: empty when there is none.
management_operations = Table(
    "management_operations",
    metadata,
    Column("id", text(), primary_key=True),
    Column("tenant_id", text(), nullable=False),
    Column("subscription_id", text(), nullable=False),
    Column("kind", text(), nullable=False),
    Column("container_id", text(), nullable=False),
    Column("target", text(), nullable=False),
    Column("status", text(), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("finished", BigInteger),
    Column("error_code", text(), nullable=False),
    Column("error_message", text(), nullable=False),
)
Index("ix_management_operations_container_id", management_operations.c.container_id)
