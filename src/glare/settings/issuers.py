"""The file of issuers that the settings name."""

from __future__ import annotations

from glare.identity.oidc.issuers import Issuer, IssuersError, read_issuers
from glare.settings.errors import SettingsError
from glare.settings.values import Settings

SOURCE = "oidc"
"""The name of the identity source that has them."""


def load_issuers(settings: Settings) -> tuple[Issuer, ...]:
    """The issuers whose tokens are accepted: none where the source is not in the pipeline. Raises SettingsError."""
    if SOURCE not in settings.pipeline:
        return ()
    if settings.oidc.issuers is None:
        raise SettingsError(
            "[identity] pipeline has oidc, but [oidc] issuers names no file; write one as the how-to about signing in "
            "with OIDC says, or remove oidc."
        )
    try:
        return read_issuers(settings.oidc.issuers)
    except IssuersError as error:
        raise SettingsError(str(error)) from None
