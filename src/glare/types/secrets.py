"""Secrets: keys, passphrases and certificates. Not enabled by default."""

from __future__ import annotations

from glare.types import ArtifactType, Blob, Integer, String


class Secret(ArtifactType):
    name = "secrets"
    display_name = "Secrets"

    payload = Blob("The secret's data.")
    payload_content_encoding = String(
        "Encoding of the data.", allowed=("base64",), default="base64", required_on_activate=False, filter_ops=()
    )
    secret_type = String(
        "What kind of secret it is.",
        allowed=("symmetric", "public", "private", "passphrase", "certificate", "opaque"),
        default="opaque",
        required_on_activate=False,
        sortable=True,
        filter_ops=("eq",),
    )
    algorithm = String("Algorithm that the secret is for.", required_on_activate=False, filter_ops=("eq",))
    mode = String("Mode of the algorithm that the secret is for.", required_on_activate=False, filter_ops=("eq",))
    bit_length = Integer("Length of the secret in bits.", minimum=1, required_on_activate=False, sortable=True)
