"""Authorization: deny by default, decided on the current state at every call, never from the token's claims.

A vault uses Azure RBAC or access policies, never both; a pool its local RBAC alone, into which nothing of Azure RBAC is
inherited. Decisions are remembered per caller, container and operation, and per object for those who may not use the
whole container, until a role assignment, a role or a container changes anywhere (store/changes.py tells within a
second).
"""

from hsmvault.errors import Forbidden
from hsmvault.model import local_roles, pool_roles
from hsmvault.model.containers import AccessPolicy, AuthorizationModel, Container
from hsmvault.model.keys import NAME
from hsmvault.model.operations import OPERATIONS, POOL_PREFIX, VAULT_PREFIX, Kind, Operation
from hsmvault.model.principals import Caller
from hsmvault.model.roles import RoleAssignment
from hsmvault.pipeline.azure_rbac import NAME_OF_SECRET, Assignments, AzureRbac
from hsmvault.pipeline.firewall import describe

_MOST_DECISIONS = 65_536
_KEY_PATHS = ("/keys", "/deletedkeys")

# The name in these paths is that of no certificate: whoever has a role for a certificate has it for no issuer.
_OF_ISSUERS = frozenset(one.name for one in OPERATIONS if one.path.startswith("/certificates/issuers"))

_DecisionKey = tuple[frozenset[str], str, bool, str, int, str, str]


class Authorization:
    def __init__(self, rbac: AzureRbac, assignments: Assignments) -> None:
        """rbac: of vaults. assignments: where those of pools come from."""
        self._rbac = rbac
        self._assignments = assignments
        self._decisions: dict[_DecisionKey, bool] = {}
        self._epoch = 0

    def forget(self) -> None:
        """Something that decisions rest on has changed."""
        self._epoch += 1
        self._decisions.clear()

    async def permit(self, caller: Caller, container: Container, operation: Operation, object_name: str) -> None:
        """Returns when the caller may, raises Forbidden when not; Unavailable when the state cannot be read.

        object_name: as it stands in the path, or "". What cannot be a name (it may be as long as a path) is neither
        remembered nor repeated: who may use the whole container hears from the operation what is wrong with it.
        """
        is_name = NAME.fullmatch(object_name) is not None and operation.name not in _OF_ISSUERS
        name = object_name.lower() if is_name else ""
        allowed = False
        if caller.tenant_id == container.tenant_id:
            # Whoever may in the whole container may on each of its objects: nothing denies what a wider scope allows.
            allowed = await self._decided(caller, container, operation, "")
            if not allowed and name:
                allowed = await self._decided(caller, container, operation, name)
        if not allowed:
            raise _refusal(caller, container, operation, object_name if name else "")

    async def _decided(self, caller: Caller, container: Container, operation: Operation, name: str) -> bool:
        """Remembered, or decided. name: "" for the whole container."""
        # The revision belongs to it: a container that was read before a change decides after the news of it.
        key = (
            caller.principal_ids,
            caller.application_id,
            caller.delegated,
            container.id,
            container.revision,
            operation.name,
            name,
        )
        allowed = self._decisions.get(key)
        if allowed is None:
            epoch = self._epoch
            allowed = await self._decide(caller, container, operation, name)
            if epoch == self._epoch:  # else: it changed while we looked, and what we saw may be old
                if len(self._decisions) >= _MOST_DECISIONS:
                    self._decisions.clear()
                self._decisions[key] = allowed
        return allowed

    async def _decide(self, caller: Caller, container: Container, operation: Operation, name: str) -> bool:
        if container.kind not in operation.served_by:
            return False
        if container.authorization is AuthorizationModel.ACCESS_POLICIES:
            return any(_grants(policy, caller, container, operation) for policy in container.access_policies)
        if container.authorization is AuthorizationModel.RBAC:
            return await self._decide_in_azure(caller, container, operation, name)
        scopes = local_roles.scopes(container.id)
        return any(
            _grants_locally(assignment, container, operation, name)
            for by_scope in await self._assignments.around(caller.principal_ids, scopes, scopes[-1])
            for assignments in by_scope.values()
            for assignment in assignments
        )

    async def _decide_in_azure(self, caller: Caller, container: Container, operation: Operation, name: str) -> bool:
        resource = _resource(container, operation, name)
        # What a condition on the name that is asked for leaves open for the whole vault is decided for each secret.
        request = {NAME_OF_SECRET: name} if name and operation.kind is Kind.SECRETS else None
        for action in (operation.vault_action, operation.or_vault_action):
            if action is not None and await self._rbac.allows(
                caller, container.tenant_id, VAULT_PREFIX + action, resource, data=True, request=request
            ):
                return True
        return False


def _grants_locally(assignment: RoleAssignment, container: Container, operation: Operation, name: str) -> bool:
    """Local RBAC of a pool: only what was assigned in this pool counts, and each operation needs its own action."""
    role = pool_roles.BY_ID.get(assignment.role_id)
    if role is None or operation.pool_action is None:
        return False
    return local_roles.reaches(assignment.scope, container.id, name) and role.allows_data(
        POOL_PREFIX + operation.pool_action
    )


def _grants(policy: AccessPolicy, caller: Caller, container: Container, operation: Operation) -> bool:
    """Compound identity: an entry with an application id needs a person who comes through that application."""
    if policy.tenant_id != container.tenant_id or policy.object_id not in caller.principal_ids:
        return False
    if policy.application_id and not (caller.delegated and policy.application_id == caller.application_id):
        return False
    granted = {Kind.KEYS: policy.keys, Kind.SECRETS: policy.secrets, Kind.CERTIFICATES: policy.certificates}
    given = granted[operation.kind]
    return bool(operation.permissions) and ("all" in given or any(word in given for word in operation.permissions))


def _resource(container: Container, operation: Operation, name: str) -> str:
    return f"{container.resource_id}/{operation.kind.value}/{name}" if name else container.resource_id


def _refusal(caller: Caller, container: Container, operation: Operation, name: str) -> Forbidden:
    """name: as the caller spelled it, or ""."""
    if container.authorization is AuthorizationModel.LOCAL:
        scope = f"/keys/{name}" if name else "/keys" if operation.path.startswith(_KEY_PATHS) else "/"
        action = POOL_PREFIX + (operation.pool_action or operation.name)
        return Forbidden(f"Not authorized to access {action} on {scope}", code="AccessDenied")
    vault = f"{container.name};location={container.location}"
    if container.authorization is AuthorizationModel.ACCESS_POLICIES:
        permission = operation.permissions[0] if operation.permissions else operation.name
        return Forbidden(
            f"The user, group or application '{describe(caller)}' does not have {operation.kind.value} {permission} "
            f"permission on key vault '{vault}'. For help resolving this issue, please see "
            "https://go.microsoft.com/fwlink/?linkid=2125287",
            inner="ForbiddenByPolicy",
        )
    return Forbidden(
        "Caller is not authorized to perform action on resource.\r\n"
        "If role assignments, deny assignments or role definitions were changed recently, "
        "please observe propagation time.\r\n"
        f"Caller: {describe(caller)}\r\n"
        f"Action: '{VAULT_PREFIX}{operation.vault_action}'\r\n"
        f"Resource: '{_resource(container, operation, name).lower()}'\r\n"
        "Assignment: (not found)\r\n"
        "DenyAssignmentId: null\r\n"
        "DecisionReason: 'DeniedWithNoValidRBAC' \r\n"
        f"Vault: {vault}\r\n",
        inner="ForbiddenByRbac",
    )
