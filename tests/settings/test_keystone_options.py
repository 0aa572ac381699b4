"""`[keystone_authtoken]`: options of a library, in the service's own files."""

from __future__ import annotations

from pathlib import Path

import pytest

from glare.identity.keystone import library
from glare.settings import Sources, check_machine, load
from glare.settings.errors import SettingsError
from glare.settings.explain import HIDDEN, explain

pytest.importorskip("keystonemiddleware")

RIGHT = """\
[identity]
pipeline = keystone, token_file
[keystone_authtoken]
www_authenticate_uri = https://keystone.example/v3
auth_type = password
auth_url = http://keystone.internal:5000/v3
username = glare
password = a-password
user_domain_name = Default
project_name = service
project_domain_name = Default
memcache_servers = 127.0.0.1:11211
service_token_roles_required = true
region_name = RegionOne
"""


def sources(tmp_path: Path, text: str) -> Sources:
    """These options, in a file, with the state elsewhere."""
    path = tmp_path / "glare.conf"
    path.write_text(f"[DEFAULT]\nstate_dir = {tmp_path}\n{text}")
    return Sources(files=(path,), environment=False)


def test_an_operators_file_is_right_as_it_is(tmp_path: Path) -> None:
    """Every option of the library, of its plugin and each older name is one; nothing is connected."""
    loaded = load(sources(tmp_path, RIGHT))
    assert (loaded.warnings, loaded.settings.pipeline) == ((), ("keystone", "token_file"))
    check_machine(loaded.settings)


def test_options_may_stand_in_a_group_that_services_share(tmp_path: Path) -> None:
    """`auth_section` points to it, and its options are known too."""
    text = RIGHT.replace("auth_type = password", "auth_section = shared\n[shared]\nauth_type = password", 1)
    text = text.replace("memcache_servers", "[keystone_authtoken]\nmemcached_servers")
    loaded = load(sources(tmp_path, text))
    assert loaded.warnings == ()
    check_machine(loaded.settings)


def test_a_misspelt_one_is_told(tmp_path: Path) -> None:
    """As one of Glare's own, with what may be meant."""
    [warning] = load(sources(tmp_path, RIGHT.replace("project_name", "projct_name"))).warnings
    assert "[keystone_authtoken] projct_name" in warning
    assert "did you mean project_name?" in warning


def test_without_the_source_it_has_no_effect(tmp_path: Path) -> None:
    """Which is said once for the group."""
    [warning] = load(sources(tmp_path, RIGHT.replace("keystone, ", ""))).warnings
    assert "has no effect: keystone is not in [identity] pipeline" in warning


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("auth_type = password\n", "", ("auth_type is not set", "auth_type = password with auth_url")),
        ("auth_type = password\n", "auth_type = pasword\n", ("pasword",)),
        ("auth_url = http://keystone.internal:5000/v3\n", "", ("auth_url",)),
        ("region_name", "token_cache_time = 0\nregion_name", ("token_cache_time is 0", "-1")),
        ("region_name", "token_cache_time = soon\nregion_name", ("token_cache_time", "soon")),
        ("region_name", "memcache_security_strategy = MAC\nregion_name", ("memcache_secret_key",)),
    ],
)
def test_what_cannot_be_used_is_refused_at_the_start(
    tmp_path: Path, old: str, new: str, words: tuple[str, ...]
) -> None:
    """With the option and what to do about it."""
    assert old in RIGHT
    with pytest.raises(SettingsError) as refused:
        check_machine(load(sources(tmp_path, RIGHT.replace(old, new))).settings)
    assert "[keystone_authtoken]" in str(refused.value)
    for word in words:
        assert word in str(refused.value)


def test_a_missing_library_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    monkeypatch.setattr(library, "installed", lambda: False)
    monkeypatch.setattr("glare.settings.keystone.installed", lambda: False)
    loaded = load(sources(tmp_path, RIGHT))
    assert loaded.warnings == ()
    with pytest.raises(SettingsError, match=r"install 'glare-server\[keystone\]'"):
        check_machine(loaded.settings)


def test_passwords_are_not_shown(tmp_path: Path) -> None:
    """`config show` has what is written, and hides what is secret."""
    shown = {option.name: option.value for option in explain(sources(tmp_path, RIGHT)) if "keystone" in option.group}
    assert shown["auth_url"] == "http://keystone.internal:5000/v3"
    assert shown["password"] == HIDDEN
    assert "a-password" not in str(explain(sources(tmp_path, RIGHT)))
