"""hsmvault: a self-hosted, hardware-backed key service that speaks the Azure Key Vault and Managed HSM API."""
