"""The management plane: where resources stand, roles of one's own, registrations and sign-ins of the directory.

What was declared until now gets its place: a subscription and a resource group for every container, the tenant of every
role assignment, a registration for every application.
"""

from uuid import NAMESPACE_OID, uuid4, uuid5

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def text() -> TypeEngine[str]:
    return sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "diagnostic_settings",
        sa.Column("folded_resource_id", text(), nullable=False),
        sa.Column("folded_name", text(), nullable=False),
        sa.Column("resource_id", text(), nullable=False),
        sa.Column("name", text(), nullable=False),
        sa.Column("body", text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("folded_resource_id", "folded_name", name="pk_diagnostic_settings"),
    )
    op.create_table(
        "directory_roles",
        sa.Column("principal_id", text(), nullable=False),
        sa.Column("role_id", text(), nullable=False),
        sa.PrimaryKeyConstraint("principal_id", "role_id", name="pk_directory_roles"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "federated_credentials",
        sa.Column("id", text(), nullable=False),
        sa.Column("application_id", text(), nullable=False),
        sa.Column("name", text(), nullable=False),
        sa.Column("folded_name", text(), nullable=False),
        sa.Column("issuer", text(), nullable=False),
        sa.Column("subject", text(), nullable=False),
        sa.Column("audiences", text(), nullable=False),
        sa.Column("description", text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_federated_credentials"),
        sa.UniqueConstraint(
            "application_id", "folded_name", name="uq_federated_credentials_application_id_folded_name"
        ),
        sa.UniqueConstraint(
            "application_id", "issuer", "subject", name="uq_federated_credentials_application_id_issuer_subject"
        ),
    )
    op.create_table(
        "login_grants",
        sa.Column("id", text(), nullable=False),
        sa.Column("kind", text(), nullable=False),
        sa.Column("family", text(), nullable=False),
        sa.Column("tenant_id", text(), nullable=False),
        sa.Column("object_id", text(), nullable=False),
        sa.Column("application_id", text(), nullable=False),
        sa.Column("user_code", text(), nullable=True),
        sa.Column("status", text(), nullable=False),
        sa.Column("details", text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("redeemed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_login_grants"),
        sa.UniqueConstraint("user_code", name="uq_login_grants_user_code"),
    )
    op.create_index("ix_login_grants_expires", "login_grants", ["expires"], unique=False)
    op.create_index("ix_login_grants_family", "login_grants", ["family"], unique=False)
    op.create_index("ix_login_grants_object_id", "login_grants", ["object_id"], unique=False)
    op.create_table(
        "management_groups",
        sa.Column("tenant_id", text(), nullable=False),
        sa.Column("folded_name", text(), nullable=False),
        sa.Column("name", text(), nullable=False),
        sa.Column("display_name", text(), nullable=False),
        sa.Column("parent", text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "folded_name", name="pk_management_groups"),
    )
    op.create_table(
        "management_operations",
        sa.Column("id", text(), nullable=False),
        sa.Column("tenant_id", text(), nullable=False),
        sa.Column("subscription_id", text(), nullable=False),
        sa.Column("kind", text(), nullable=False),
        sa.Column("container_id", text(), nullable=False),
        sa.Column("target", text(), nullable=False),
        sa.Column("status", text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("finished", sa.BigInteger(), nullable=True),
        sa.Column("error_code", text(), nullable=False),
        sa.Column("error_message", text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_management_operations"),
    )
    op.create_index("ix_management_operations_container_id", "management_operations", ["container_id"], unique=False)
    op.create_table(
        "owners",
        sa.Column("object_id", text(), nullable=False),
        sa.Column("owner_id", text(), nullable=False),
        sa.PrimaryKeyConstraint("object_id", "owner_id", name="pk_owners"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "resource_groups",
        sa.Column("subscription_id", text(), nullable=False),
        sa.Column("folded_name", text(), nullable=False),
        sa.Column("name", text(), nullable=False),
        sa.Column("location", text(), nullable=False),
        sa.Column("tags", text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subscription_id", "folded_name", name="pk_resource_groups"),
    )
    op.create_table(
        "role_definitions",
        sa.Column("id", text(), nullable=False),
        sa.Column("tenant_id", text(), nullable=False),
        sa.Column("scope", text(), nullable=False),
        sa.Column("name", text(), nullable=False),
        sa.Column("folded_name", text(), nullable=False),
        sa.Column("description", text(), nullable=False),
        sa.Column("permissions", text(), nullable=False),
        sa.Column("assignable_scopes", text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("created_by", text(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_role_definitions"),
        sa.UniqueConstraint(
            "tenant_id", "scope", "folded_name", name="uq_role_definitions_tenant_id_scope_folded_name"
        ),
    )
    op.create_table(
        "subscriptions",
        sa.Column("id", text(), nullable=False),
        sa.Column("tenant_id", text(), nullable=False),
        sa.Column("display_name", text(), nullable=False),
        sa.Column("state", text(), nullable=False),
        sa.Column("management_group", text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_subscriptions"),
    )
    op.create_index("ix_subscriptions_tenant_id", "subscriptions", ["tenant_id"], unique=False)
    op.create_table(
        "applications",
        sa.Column("application_id", text(), nullable=False),
        sa.Column("object_id", text(), nullable=False),
        sa.Column("tenant_id", text(), nullable=False),
        sa.Column("display_name", text(), nullable=False),
        sa.Column("public_client", sa.Boolean(), nullable=False),
        sa.Column("redirect_uris", text(), nullable=False),
        sa.Column("details", text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_applications_tenants"),
        sa.PrimaryKeyConstraint("application_id", name="pk_applications"),
        sa.UniqueConstraint("object_id", name="uq_applications_object_id"),
    )
    op.create_index("ix_applications_tenant_id", "applications", ["tenant_id"], unique=False)
    op.add_column("containers", sa.Column("folded_group", text(), server_default=sa.text("''"), nullable=False))
    op.add_column("containers", sa.Column("tags", text(), server_default="{}", nullable=False))
    op.add_column("containers", sa.Column("properties", text(), server_default="{}", nullable=False))
    op.add_column("containers", sa.Column("connections", text(), server_default="[]", nullable=False))
    op.add_column("containers", sa.Column("activated", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column("containers", sa.Column("arm_keys", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("containers", sa.Column("deleted_at", sa.BigInteger(), nullable=True))
    op.add_column("containers", sa.Column("purge_at", sa.BigInteger(), nullable=True))
    op.add_column("containers", sa.Column("purging", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index("ix_containers_listed", "containers", ["subscription_id", "kind", "folded_group"], unique=False)
    op.create_index(
        "ix_containers_purge_at",
        "containers",
        ["purge_at"],
        unique=False,
        sqlite_where=sa.text("purge_at IS NOT NULL"),
        postgresql_where=sa.text("purge_at IS NOT NULL"),
    )
    op.add_column("credentials", sa.Column("starts", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("credentials", sa.Column("hint", text(), server_default=sa.text("''"), nullable=False))
    op.add_column("principals", sa.Column("details", text(), server_default="{}", nullable=False))
    op.add_column("principals", sa.Column("created", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("principals", sa.Column("sessions_valid_from", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("role_assignments", sa.Column("tenant_id", text(), server_default=sa.text("''"), nullable=False))
    op.add_column("role_assignments", sa.Column("principal_type", text(), server_default=sa.text("''"), nullable=False))
    op.add_column("role_assignments", sa.Column("description", text(), server_default=sa.text("''"), nullable=False))
    op.add_column("role_assignments", sa.Column("condition", text(), server_default=sa.text("''"), nullable=False))
    op.add_column(
        "role_assignments", sa.Column("condition_version", text(), server_default=sa.text("''"), nullable=False)
    )
    op.add_column(
        "role_assignments", sa.Column("delegated_identity", text(), server_default=sa.text("''"), nullable=False)
    )
    op.add_column("role_assignments", sa.Column("created_by", text(), server_default=sa.text("''"), nullable=False))
    op.add_column("role_assignments", sa.Column("updated", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("role_assignments", sa.Column("updated_by", text(), server_default=sa.text("''"), nullable=False))
    op.add_column("worlds", sa.Column("state", text(), server_default="serving", nullable=False))
    op.drop_index("ix_role_assignments_principal_id", table_name="role_assignments")
    with op.batch_alter_table("role_assignments") as assignments:  # SQLite cannot change a constraint
        assignments.drop_constraint("uq_role_assignments_folded_scope_role_id_principal_id", type_="unique")
        assignments.create_unique_constraint(
            "uq_role_assignments_folded_scope_role_id_principal_id_tenant_id",
            ["folded_scope", "role_id", "principal_id", "tenant_id"],
        )
    op.create_index(
        "ix_role_assignments_principal_id", "role_assignments", ["principal_id", "folded_scope"], unique=False
    )

    _place_containers()
    _give_assignments_their_tenant()
    _register_applications()


def _place_containers() -> None:
    connection = op.get_bind()
    rows = connection.execute(
        sa.text("SELECT id, tenant_id, subscription_id, resource_group, location, created FROM containers ORDER BY id")
    ).all()
    subscriptions: set[str] = set()
    tenants: dict[str, str] = {}
    groups: set[tuple[str, str]] = set()
    for container_id, tenant_id, subscription_id, group, location, created in rows:
        if tenants.setdefault(subscription_id, tenant_id) != tenant_id:
            # A subscription has one tenant. What another tenant had in it gets one of its own.
            theirs = str(uuid5(NAMESPACE_OID, f"{subscription_id}/{tenant_id}"))
            _move_container(container_id, subscription_id, theirs)
            subscription_id = theirs
        connection.execute(
            sa.text("UPDATE containers SET folded_group = :folded WHERE id = :id"),
            {"folded": group.lower(), "id": container_id},
        )
        if subscription_id not in subscriptions:
            subscriptions.add(subscription_id)
            connection.execute(
                sa.text(
                    "INSERT INTO subscriptions (id, tenant_id, display_name, state, management_group, created) "
                    "VALUES (:id, :tenant_id, 'hsmvault', 'Enabled', '', :created)"
                ),
                {"id": subscription_id, "tenant_id": tenant_id, "created": created},
            )
        if (subscription_id, group.lower()) not in groups:
            groups.add((subscription_id, group.lower()))
            connection.execute(
                sa.text(
                    "INSERT INTO resource_groups "
                    "(subscription_id, folded_name, name, location, tags, created, revision) "
                    "VALUES (:subscription_id, :folded, :name, :location, '{}', :created, 1)"
                ),
                {
                    "subscription_id": subscription_id,
                    "folded": group.lower(),
                    "name": group,
                    "location": location,
                    "created": created,
                },
            )


def _move_container(container_id: str, before: str, after: str) -> None:
    """With the role assignments at it and below it, whose scopes begin with its ARM id."""
    connection = op.get_bind()
    group, kind, name = connection.execute(
        sa.text("SELECT resource_group, kind, name FROM containers WHERE id = :id"), {"id": container_id}
    ).one()
    connection.execute(
        sa.text("UPDATE containers SET subscription_id = :after WHERE id = :id"), {"after": after, "id": container_id}
    )
    provider = f"providers/Microsoft.KeyVault/{'vaults' if kind == 'vault' else 'managedHSMs'}"
    scope = f"/subscriptions/{before}/resourceGroups/{group}/{provider}/{name}".lower()
    for assignment_id, given in connection.execute(sa.text("SELECT id, scope FROM role_assignments")).all():
        if (given.lower() + "/").startswith(scope + "/"):
            moved = f"/subscriptions/{after}{given[len('/subscriptions/' + before) :]}"
            connection.execute(
                sa.text("UPDATE role_assignments SET scope = :scope, folded_scope = :folded WHERE id = :id"),
                {"scope": moved, "folded": moved.lower(), "id": assignment_id},
            )


def _give_assignments_their_tenant() -> None:
    """An assignment stands at a container, at what is above it, or at one of its objects."""
    connection = op.get_bind()
    found = connection.execute(sa.text("SELECT object_id, tenant_id FROM principals"))
    tenants: dict[str, str] = {row[0]: row[1] for row in found}
    places: list[tuple[str, str]] = []
    for container_id, tenant_id, subscription_id in connection.execute(
        sa.text("SELECT id, tenant_id, subscription_id FROM containers")
    ):
        places += [(f"/local/{container_id}", tenant_id), (f"/subscriptions/{subscription_id.lower()}", tenant_id)]
    for assignment_id, scope, principal_id in connection.execute(
        sa.text("SELECT id, folded_scope, principal_id FROM role_assignments")
    ).all():
        tenant_id = next(
            (tenant for place, tenant in places if (scope + "/").startswith(place + "/")),
            tenants.get(principal_id, ""),
        )
        connection.execute(
            sa.text("UPDATE role_assignments SET tenant_id = :tenant_id WHERE id = :id"),
            {"tenant_id": tenant_id, "id": assignment_id},
        )


def _register_applications() -> None:
    connection = op.get_bind()
    for application_id, tenant_id, display_name in connection.execute(
        sa.text("SELECT application_id, tenant_id, display_name FROM principals WHERE kind = 'ServicePrincipal'")
    ).all():
        connection.execute(
            sa.text(
                "INSERT INTO applications (application_id, object_id, tenant_id, display_name, public_client, "
                "redirect_uris, details, created) "
                "VALUES (:application_id, :object_id, :tenant_id, :display_name, :public, '[]', '{}', 0)"
            ),
            {
                "application_id": application_id,
                "object_id": str(uuid4()),
                "tenant_id": tenant_id,
                "display_name": display_name,
                "public": False,
            },
        )
