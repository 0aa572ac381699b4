from __future__ import annotations

import pickle
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest

from glare.settings import Loaded, SettingsError, Sources, load
from glare.settings.sample import sample
from glare.settings.type_options import load_types
from glare.settings.values import all_options

Read = Callable[..., Loaded]


def test_without_configuration_the_service_stays_on_its_machine_and_in_its_directory(tmp_path: Path) -> None:
    """Defaults listen on loopback, keep all state below `var`, and need nothing to be configured."""
    settings = load(Sources(search=False)).settings
    assert (settings.server.bind_host, settings.server.bind_port) == ("127.0.0.1", 9494)
    assert settings.database.connection == f"sqlite:///{tmp_path}/var/glare.sqlite"
    assert settings.glance_store.filesystem_store_datadir == tmp_path / "var" / "blobs"
    assert settings.identity.token_file == tmp_path / "var" / "tokens.json"
    assert settings.pipeline == ("token_file", "tokens")


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three values for one option the command line's counts, then the environment's, then the file's."""
    text = "[DEFAULT]\nbind_port = 1001\n"
    assert read(text).settings.server.bind_port == 1001
    monkeypatch.setenv("OS_DEFAULT__BIND_PORT", "1002")
    assert read(text).settings.server.bind_port == 1002
    assert read(text, {("DEFAULT", "bind_port"): "1003"}).settings.server.bind_port == 1003


def test_a_later_file_wins(tmp_path: Path) -> None:
    """Files are read in their order, a directory's by name, and the last one that names an option counts."""
    (tmp_path / "one.conf").write_text("[DEFAULT]\nbind_port = 1001\nbacklog = 500\n")
    directory = tmp_path / "more"
    directory.mkdir()
    (directory / "10.conf").write_text("[DEFAULT]\nbind_port = 1002\n")
    (directory / "20.conf").write_text("[DEFAULT]\nbind_port = 1003\n")
    server = load(Sources(files=(tmp_path / "one.conf",), directories=(directory,))).settings.server
    assert (server.bind_port, server.backlog) == (1003, 500)


def test_an_option_may_refer_to_another(read: Read) -> None:
    """`$state_dir` stands for the state directory, wherever that was set."""
    settings = read("", {("DEFAULT", "state_dir"): "elsewhere"}).settings
    assert settings.database.connection == f"sqlite:///{Path('elsewhere').absolute()}/glare.sqlite"
    settings = read("[DEFAULT]\nstate_dir = there\n[identity]\ntoken_file = $state_dir/t\n").settings
    assert settings.identity.token_file == Path("there/t").absolute()


def test_values_are_typed(read: Read) -> None:
    """Durations become seconds, sizes bytes, lists tuples, networks networks."""
    settings = read(
        "[DEFAULT]\nenabled_artifact_types = images,\n  charts\nmax_uploaded_data = 2 TiB\n"
        "[uploads]\nstall_timeout = 2m\n"
        "[locations]\nallowed_networks = 10.0.0.0/8, 2001:db8::1\nallowed_ports = 80, 8080\n"
        "egress_proxy = http://proxy.example:3128\nforbidden_hosts = Example.COM.\n"
    ).settings
    assert settings.types.enabled_artifact_types == ("images", "charts")
    assert settings.quotas.max_uploaded_data == 2 * 1024**4
    assert settings.uploads.stall_timeout == 120
    assert settings.locations.allowed_networks == (ip_network("10.0.0.0/8"), ip_network("2001:db8::1/128"))
    assert settings.locations.allowed_ports == (80, 8080)
    assert settings.egress.proxy == ("proxy.example", 3128)
    assert settings.egress.forbidden_hosts == frozenset({"example.com"})


def test_settings_survive_pickling(read: Read) -> None:
    """Settings reach a server process whole."""
    settings = read("[artifact_type:images]\nmax_artifact_number = 7\ncolour = blue\n").settings
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301 - made in the line itself


def test_a_type_has_its_own_limits_and_options(read: Read) -> None:
    """A group named after a type holds its limits, and keeps the options that the type itself declares."""
    settings = read(
        "[artifact_type:images]\nmax_artifact_number = 7\ndelayed_delete = yes\ndefault_store = filesystem\ncolour = "
        "blue\n"
    ).settings
    images = settings.artifact_types["images"]
    assert (images.max_artifact_number, images.max_uploaded_data, images.delayed_delete) == (7, -1, True)
    assert images.default_store == ("filesystem",)
    assert images.extra == {"colour": "blue"}
    assert settings.artifact_types["murano_packages"].delayed_delete is None


def test_the_type_all_is_named_for_nothing(read: Read) -> None:
    """A configuration of the original service that names `all` starts this one, which says that it need not be
    named.
    """
    loaded = read("[DEFAULT]\nenabled_artifact_types = images, all\n[artifact_type:all]\nmax_artifact_number = 5\n")
    assert loaded.settings.types.enabled_artifact_types == ("images",)
    assert load_types(loaded.settings).names == {"images"}
    named, limited = loaded.warnings
    assert "enabled_artifact_types names 'all'" in named
    assert "[artifact_type:all] has no effect" in limited
    assert "[DEFAULT]" in limited


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "[DEFAULT]\nenabled_artifact_types = all\n",
            ("enabled_artifact_types", "'all' alone", "glare-server types list"),
        ),
        ("[DEFAULT]\nbind_port = high\n", ("[DEFAULT] bind_port", "'high'", "glare.conf", "from 1 to 65535", "'9494'")),
        ("[DEFAULT]\nbind_host = everywhere\n", ("bind_host", "IP address")),
        ("[DEFAULT]\nworkers = -1\n", ("workers", "'-1'", "from 0 to 256")),
        ("[DEFAULT]\ndebug = perhaps\n", ("debug", "true or false")),
        ("[DEFAULT]\nenabled_artifact_types =\n", ("enabled_artifact_types", "at least one")),
        ("[uploads]\nstall_timeout = soon\n", ("[uploads] stall_timeout", "'soon'", "a duration")),
        ("[metrics]\nworker_bind = ::1:80\n", ("worker_bind", "'::1:80'", "127.0.0.1:9495", "[::1]:9495")),
        ("[metrics]\nworker_bind = here:80\n", ("worker_bind", "an address and a port")),
        ("[metrics]\nworker_bind = 127.0.0.1:0\n", ("worker_bind", "an address and a port")),
        ("[locations]\nmeasure = never\n", ("[locations] measure", "'never'", "require or off")),
        ("[locations]\nallowed_schemes = ftp\n", ("allowed_schemes", "http and https")),
        ("[locations]\nallowed_networks = 10.0.0.1/8\n", ("allowed_networks", "'10.0.0.1/8'")),
        ("[locations]\nnat64_prefixes = 2001:db8::/33\n", ("nat64_prefixes", "96")),
        ("[locations]\negress_proxy = http://u:p@proxy:1\n", ("egress_proxy", "http://HOST:PORT")),
        ("[glance_store]\ndefault_store = rbd\n", ("default_store", "'rbd'", "not part of this version", "file")),
        ("[paste_deploy]\nflavor = keycloak\n", ("flavor", "keycloak", "not part of this version")),
        ("[oslo_messaging_notifications]\ndriver = routing\n", ("driver", "'routing'", "messagingv2")),
        ("[oslo_messaging_notifications]\ntopics =\n", ("topics", "at least one")),
        ("[artifact_type:images]\nmax_artifact_number = -2\n", ("[artifact_type:images] max_artifact_number", "'-2'")),
        ("[identity]\ntoken_file = $nowhere/t\n", ("[identity] token_file", "$$")),
        ("no section\n", ("glare.conf",)),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence(
    refused: Callable[[str], str], text: str, parts: tuple[str, ...]
) -> None:
    """A wrong value is refused with its option, the value, where it stands, and what would be right."""
    sentence = refused(text)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    for part in parts:
        assert part in sentence


def test_a_wrong_value_of_the_environment_names_its_variable(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a value came from is said, so that it is looked for in the right place."""
    monkeypatch.setenv("OS_UPLOADS__MAX_CONCURRENT", "0")
    with pytest.raises(
        SettingsError, match=r"max_concurrent is '0' \(in the environment, OS_UPLOADS__MAX_CONCURRENT\)"
    ):
        read()
    monkeypatch.delenv("OS_UPLOADS__MAX_CONCURRENT")
    with pytest.raises(SettingsError, match=r"bind_port is 'x' \(on the command line\)"):
        read("", {("DEFAULT", "bind_port"): "x"})


def test_a_password_is_not_shown(refused: Callable[[str], str]) -> None:
    """The value of an option that may hold a password does not appear in a refusal."""
    secret = "hunter2" * 200
    for text in (
        f"[database]\nconnection = sqlite://u:{secret}@h/x\n",
        "[database]\nconnection = oracle://u:hunter2@h/x\n",
    ):
        assert "hunter2" not in refused(text)


def test_missing_files_are_refused_by_name(tmp_path: Path) -> None:
    """A configuration file or directory that was named has to exist."""
    with pytest.raises(SettingsError, match=r"absent\.conf does not exist"):
        load(Sources(files=(tmp_path / "absent.conf",)))
    with pytest.raises(SettingsError, match=r"absent\.d does not exist"):
        load(Sources(directories=(tmp_path / "absent.d",)))


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("[DEFAULT]\nbind_prot = 1\n", "[DEFAULT] bind_prot in {} is no option; did you mean bind_port?"),
        (
            "[DEFAULT]\nstall_timeout = 1\n",
            "[DEFAULT] stall_timeout in {} is no option; did you mean [uploads] stall_timeout?",
        ),
        ("[uploadz]\nx = 1\n", "[uploadz] in {} is no group of options; did you mean uploads?"),
        ("[zzz]\nx = 1\n", "[zzz] in {} is no group of options."),
        (
            "[DEFAULT]\ntcp_keepidle = 600\n",
            "[DEFAULT] tcp_keepidle in {} has no effect any more: the operating system",
        ),
        ("[profiler]\nenabled = true\n", "[profiler] enabled in {} has no effect any more: profiling"),
        ("[artifact_type:charts]\nmax_artifact_number = 1\n", "[artifact_type:charts] has no effect"),
        ("[paste_deploy]\nflavor = noauth\n", "[paste_deploy] flavor is the older way"),
    ],
)
def test_what_has_no_effect_is_told(read: Read, tmp_path: Path, text: str, warning: str) -> None:
    """An option that nobody reads starts the service all the same, with one warning that says what to do."""
    warnings = read(text).warnings
    assert len(warnings) == 1
    assert warnings[0].startswith(warning.format(tmp_path / "glare.conf"))


def test_a_variable_that_names_no_option_is_told(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt variable of one of Glare's groups is named; those of other programs are left alone."""
    monkeypatch.setenv("OS_UPLOADS__STALL_TIMOUT", "1")
    monkeypatch.setenv("OS_KEYSTONE__SOMETHING", "1")
    monkeypatch.setenv("OS_AUTH_URL", "https://keystone.example")
    assert read().warnings == (
        "The environment variable OS_UPLOADS__STALL_TIMOUT names no option; did you mean OS_UPLOADS__STALL_TIMEOUT?",
    )


def test_the_older_flavor_chooses_its_pipeline(read: Read) -> None:
    """`flavor = noauth` still means identity by headers, and `keystone` Keystone."""
    assert read("[paste_deploy]\nflavor = noauth\n").settings.pipeline == ("trusted_headers",)
    assert read("[paste_deploy]\nflavor = keystone\n").settings.pipeline == ("keystone",)


def test_the_sample_is_a_configuration_file_that_changes_nothing(read: Read) -> None:
    """The sample can be used as it is, and gives the defaults."""
    assert read(sample()).settings == read().settings
    assert read(sample()).warnings == ()


def test_the_sample_without_comment_signs_gives_the_defaults(read: Read) -> None:
    """Every default in the sample is written so that it can be read back."""
    lines = sample().split("#[artifact_type:T]")[0].splitlines()
    uncommented = "\n".join(line[1:] if line.startswith("#") and line[1] != " " else line for line in lines)
    assert read(uncommented).settings == read().settings


def test_every_option_says_what_it_is_for() -> None:
    """Each option has a sentence of help and words for its values, and none is declared twice."""
    options = all_options()
    assert len({option.title for option in options}) == len(options)
    for option in options:
        assert option.option.help.endswith((".", ")")), option.title
        assert option.option.kind.words, option.title
