from __future__ import annotations

import pytest

from glare.domain.declared.declaration import ArtifactType, Option
from glare.settings import SettingsError
from glare.settings.type_options import type_options


class Charts(ArtifactType):
    name = "charts"
    config = (
        Option("colour", str, "red"),
        Option("depth", int, 3),
        Option("ratio", float, 0.5),
        Option("strict", bool, True),
        Option("tags", list[str], []),
    )


def test_a_types_own_options_get_their_types() -> None:
    """What stands as text in the group of a type becomes what the type declares."""
    written = {"colour": "blue", "depth": "7", "ratio": "1.5", "strict": "no", "tags": "a, b"}
    assert type_options(Charts, written) == {
        "colour": "blue",
        "depth": 7,
        "ratio": 1.5,
        "strict": False,
        "tags": ["a", "b"],
    }
    assert type_options(Charts, {}) == {}


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ({"color": "blue"}, r"\[artifact_type:charts\] color is no option of this type; did you mean colour\?"),
        ({"zzz": "1"}, r"zzz is no option of this type; remove it\."),
        ({"depth": "deep"}, r"depth is 'deep', but it must be a whole number; .* default 3\."),
        ({"strict": "perhaps"}, r"strict is 'perhaps', but it must be true or false"),
    ],
)
def test_a_wrong_option_of_a_type_is_refused(written: dict[str, str], sentence: str) -> None:
    """An option that the type does not declare, or a value of another kind, is refused with its remedy."""
    with pytest.raises(SettingsError, match=sentence):
        type_options(Charts, written)
