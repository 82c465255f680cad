"""Where private key material lives and is used."""
