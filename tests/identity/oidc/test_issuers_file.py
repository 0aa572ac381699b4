"""The file of issuers: what it may say, and how it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from glare.identity.oidc.issuers import IssuersError, read_issuers

GOOD = """
[issuers.corp]
issuer = "https://login.example.com/realms/corp"
audience = ["glare"]
networks = ["10.1.0.0/16"]

[[issuers.corp.rules]]
when = { email_verified = true }
each = { groups = "/glare/*/*" }
project = "{1}"
roles = ["{2}"]
among = ["reader", "member"]

[issuers.github]
issuer = "https://token.actions.githubusercontent.com"
audience = ["https://glare.example.com"]
kind = "github"
publishers = true
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "issuers.toml"
    path.write_text(text)
    return path


def test_a_good_file_names_its_issuers(tmp_path: Path) -> None:
    """With the defaults: prefixes of their own, ports of their URLs, no HMAC."""
    corp, github = read_issuers(write(tmp_path, GOOD))
    assert (corp.name, corp.url) == ("corp", "https://login.example.com/realms/corp")
    assert corp.mapping.project_prefix == "corp:"
    assert corp.mapping.others == ("github:",)
    assert corp.reach.ports == {443}
    assert not any(algorithm.startswith("HS") for algorithm in corp.algorithms)
    assert corp.anchors == ()
    assert github.anchors == ("repository_id", "repository_owner_id")


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "names none"),
        ("[issuers", "wrong"),
        ("[issuer.corp]", "did you mean issuers"),
        (changed('audience = ["glare"]', ""), "audience"),
        (changed('audience = ["glare"]', "audience = []"), "'corp': 'audience' must name"),
        (changed('audience = ["glare"]', 'audience = ["glare"]\naudeince = 1'), "did you mean audience"),
        (changed("https://login", "http://login"), "'corp': 'issuer' must be an https URL"),
        (changed("https://login", "https://user@login"), "without user name"),
        (changed("realms/corp", "realms/corp?x=1"), "without user name"),
        (GOOD.replace("issuers.corp", "issuers.Corp"), "its name must be"),
        (changed("networks", 'algorithms = ["HS256"]\nnetworks'), "'HS256' cannot be allowed"),
        (changed("networks", 'algorithms = ["none"]\nnetworks'), "'none' cannot be allowed"),
        (changed("networks", "algorithms = []\nnetworks"), "'algorithms' is empty"),
        (changed("networks", 'user = "all"\nnetworks'), "everybody would be the same user"),
        (changed("networks", 'user = "{sub"\nnetworks'), "brace"),
        (changed("networks", 'project_prefix = "a,b"\nnetworks'), "'project_prefix'"),
        (changed("networks", "ports = [0]\nnetworks"), "'ports'"),
        (changed("networks", 'ca_file = "nowhere.pem"\nnetworks'), "'ca_file' is .*no such file"),
        (changed("networks", 'jwks_file = "nowhere.json"\nnetworks'), "'jwks_file' is .*no such file"),
        (changed("networks", 'jwks_uri = "ftp://x/"\nnetworks'), "'jwks_uri' must be an https URL"),
        (changed("networks", 'anchors = ["sub"]\nnetworks'), "'anchors' are for publishers"),
        (changed("10.1.0.0/16", "10.1.0.1/16"), "no network"),
        (changed("publishers = true", ""), r"'github': it has no \[\[rules\]\]"),
        (changed('kind = "github"', 'kind = "svn"'), "svn"),
        (changed("/glare/*/*", "/glare/***"), "'corp': rule 1: the pattern '/glare/[*]{3}' of the claim 'groups'"),
        (changed('among = ["reader", "member"]', ""), r"'corp': rule 1: the role '\{2\}' is made of claims"),
        (changed("each = {", "eech = {"), "'corp': rule 1: .*did you mean each"),
        (
            changed("https://token.actions.githubusercontent.com", "https://login.example.com/realms/corp"),
            "twice, as 'corp' and 'github'",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_issuer_rule_and_reason(tmp_path: Path, text: str, reason: str) -> None:
    """The message names the file too, and what to do."""
    path = write(tmp_path, text)
    with pytest.raises(IssuersError, match=reason) as refused:
        read_issuers(path)
    assert str(path) in str(refused.value)


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path: Path) -> None:
    """With the option that names it."""
    with pytest.raises(IssuersError, match=r"\[oidc\] issuers"):
        read_issuers(tmp_path / "none.toml")
    with pytest.raises(IssuersError, match="more than"):
        read_issuers(write(tmp_path, "#" * (1 << 20) + "\n"))
