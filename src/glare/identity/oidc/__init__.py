"""Callers who show a signed token (JWT) of an OpenID Connect issuer that the operator has named."""
