"""What the reference says about each operation: one row each, written out in the modules beside a second time.

Nothing of it is read from the product's own table, so that a wrong row there fails. An operation without a row here
fails as well (test_completeness). Sources: "Azure Key Vault REST API reference" (paths, bodies, since), the Azure RBAC,
access policy and Managed HSM role documentation (permissions), "Key Vault logging" (audit names).
"""

from collections.abc import Mapping

from tests.refusals import certificate_rows, key_rows, secret_rows
from tests.refusals.rows import Row
from tests.refusals.words import Objects

STABLE = ("2015-06-01", "2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01")
NEWEST = STABLE[-1]
NO_VERSION = "0" * 32
ROWS: Mapping[str, Row] = {**key_rows.ROWS, **secret_rows.ROWS, **certificate_rows.ROWS}
PERMISSIONS: Mapping[Objects, frozenset[str]] = {
    kind: frozenset(word for row in ROWS.values() if row.kind is kind for word in row.permissions) for kind in Objects
}
"""Words of access policies."""
