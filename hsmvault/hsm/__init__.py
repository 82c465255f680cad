"""PKCS#11: the only importer of pkcs11."""
