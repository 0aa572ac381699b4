"""How an origin sent a content, as a column."""

from __future__ import annotations

import json

from glare.domain.blob import AsSent


def written(sent: AsSent | None) -> str | None:
    """The column's text: an object with those members only that say something."""
    if sent is None:
        return None
    fields = {"coding": sent.coding, "unframed": sent.unframed, "transformed": sent.transformed}
    return json.dumps({name: value for name, value in fields.items() if value}, sort_keys=True)


def read(text: str | None) -> AsSent | None:
    """What `written` wrote."""
    return None if text is None else AsSent(**json.loads(text))
