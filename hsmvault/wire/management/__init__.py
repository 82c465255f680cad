"""The management plane (ARM): Microsoft.KeyVault, and what its clients call around it."""
