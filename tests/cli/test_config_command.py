"""`glare-server config`, what `serve` refuses of a configuration, and tables as JSON."""

from __future__ import annotations

import ast
import importlib
import json
import uuid
from pathlib import Path

import pytest

from glare.cli.commands import COMMANDS, Command
from support.programs.azurite import ACCOUNT, ACCOUNT_KEY, CONTAINER, Azurite, in_container
from support.programs.command import Cli, Result, sentence
from support.programs.seaweedfs import ACCESS_KEY, BUCKET, SECRET_KEY, SeaweedFS, in_bucket
from support.stores import bucket_of

SHARED = """
[DEFAULT]
log_config_append = /etc/glare/logging.conf
rpc_response_timeout = 60
use_syslog = true
[database]
max_retries = -1
connection_recycle_time = 3600
[keystone_authtoken]
auth_url = https://keystone.example/v3
[oslo_policy]
enforce_scope = true
[oslo_messaging_rabbit]
kombu_reconnect_delay = 1.0
some_later_option = 1
[oslo_concurrency]
disable_process_locking = false
[oslo_reports]
log_dir = /tmp
[glance_store]
swift_store_container = glare
[cors]
allow_headers = X-Auth-Token
[cinder]
catalog_info = volumev3::publicURL
"""
"""What a file for several OpenStack services holds."""

MISSPELT = (
    ("[DEFAULT]\nbind_prot = 1\n", "[DEFAULT] bind_prot", "did you mean bind_port?"),
    ("[DEFAULT]\nstall_timeout = 1\n", "[DEFAULT] stall_timeout", "did you mean [uploads] stall_timeout?"),
    ("[locations]\nbind_hots = ::1\n", "[locations] bind_hots", "did you mean [DEFAULT] bind_host?"),
    ("[database]\nconection = x\n", "[database] conection", "did you mean connection?"),
    ("[oslo_policy]\npolicy_flie = x\n", "[oslo_policy] policy_flie", "did you mean policy_file?"),
    ("[oslo_messaging_rabbit]\namqp_durable_queue = 1\n", "amqp_durable_queue", "did you mean amqp_durable_queues?"),
    ("[locatoins]\nallowed_ports = 80\n", "[locatoins]", "did you mean locations?"),
    ("[oslo_polcy]\npolicy_file = x\n", "[oslo_polcy]", "did you mean oslo_policy?"),
)


@pytest.mark.parametrize("command", ["serve", "worker"])
@pytest.mark.parametrize(("text", "name", "hint"), MISSPELT, ids=[name for _, name, _ in MISSPELT])
def test_a_misspelt_option_starts_nothing(cli: Cli, command: str, text: str, name: str, hint: str) -> None:
    """What runs on refuses a name that is no option, says which was perhaps meant, and how to go on regardless."""
    (cli.directory / "a.conf").write_text(text)
    said = cli.refused(command, "--config-file", "a.conf")
    assert name in said
    assert hint in said
    assert str(cli.directory / "a.conf") in said
    assert "unknown_options = warn" in said
    assert name in cli.refused("config", "check", "--config-file", "a.conf")


def test_a_misspelt_variable_starts_nothing(cli: Cli) -> None:
    """A variable that is almost one of Glare's is refused too; those of other programs are left alone."""
    said = cli("serve", OS_DEFAULT__BIND_PROT="1", OS_DEFAULT__SOMETHING_ELSE="1", OS_AUTH_URL="https://x.example")
    assert said.returncode == 1
    assert "OS_DEFAULT__BIND_PROT names no option; did you mean OS_DEFAULT__BIND_PORT?" in said.stderr
    assert "SOMETHING_ELSE" not in said.stderr


def test_who_wants_to_is_only_warned(cli: Cli) -> None:
    """With `unknown_options = warn` the service goes on to the next thing: here, a database that is not there."""
    (cli.directory / "a.conf").write_text("[DEFAULT]\nbind_prot = 1\nunknown_options = warn\n")
    result = cli("serve", "--config-file", "a.conf")
    assert result.returncode == 1
    assert "warning: [DEFAULT] bind_prot" in result.stderr
    assert "does not exist; run `glare-server init`" in result.stderr
    assert cli("config", "check", "--config-file", "a.conf").returncode == 0


def test_options_of_libraries_stop_nothing(cli: Cli) -> None:
    """A file that other OpenStack services share starts the service; each option without effect is warned of."""
    (cli.directory / "a.conf").write_text(SHARED)
    result = cli("config", "check", "--config-file", "a.conf")
    assert result.returncode == 0, result.stderr
    warnings = [line for line in result.stderr.splitlines() if "warning:" in line]
    assert len(warnings) == sum("=" in line for line in SHARED.splitlines())
    assert all("has no effect" in line for line in warnings)
    assert "does not exist; run `glare-server init`" in cli("serve", "--config-file", "a.conf").stderr


def test_a_check_says_all_that_is_wrong(cli: Cli) -> None:
    """All wrong values are reported, not the first alone; then what does not fit, and what the machine lacks."""
    conf = cli.directory / "a.conf"
    conf.write_text("[DEFAULT]\nbind_port = x\nworkers = -1\n")
    result = cli("config", "check", "--config-file", "a.conf")
    assert result.returncode == 1
    assert [line.split()[2] for line in result.stderr.splitlines()] == ["bind_port", "workers"]
    assert f"(in {conf}, line 2)" in result.stderr
    conf.write_text("[DEFAULT]\ncert_file = a.pem\n")
    assert "key_file is unset" in cli.refused("config", "check", "--config-file", "a.conf")
    conf.write_text("[oslo_policy]\npolicy_file = absent.yaml\n[artifact_type:images]\ncolour = blue\n")
    result = cli("config", "check", "--config-file", "a.conf")
    assert "there is no such file" in result.stderr
    assert "colour is no option of this type" in result.stderr
    conf.write_text("[DEFAULT]\nbind_port = 1234\n")
    result = cli("config", "check", "--config-file", "a.conf")
    assert (result.returncode, result.stdout) == (0, "")
    assert f"the configuration is right; it was read from {conf}" in result.stderr


def test_each_value_has_its_origin(cli: Cli) -> None:
    """`config show` says of each option what it is, and which file and line, variable or default it comes from."""
    conf = cli.directory / "a.conf"
    conf.write_text("# a comment\n[DEFAULT]\nbind_port = 1\n\nbind-port: 1234\n[uploads]\nstall_timeout = 5 s\n")
    arguments = ("config", "show", "--config-file", "a.conf", "-o", "json")
    result = cli(*arguments, OS_UPLOADS__STALL_TIMEOUT="7 s", OS_DATABASE__CONNECTION="postgresql://u:hunter2@h/d")
    found = {(each["group"], each["option"]): each for each in json.loads(result.stdout)}
    assert found["DEFAULT", "bind_port"]["value"] == "1234"
    assert found["DEFAULT", "bind_port"]["from"] == f"in {conf}, line 5"
    assert found["uploads", "stall_timeout"]["value"] == "7 s"
    assert found["uploads", "stall_timeout"]["from"] == "in the environment, OS_UPLOADS__STALL_TIMEOUT"
    assert found["DEFAULT", "state_dir"] == {
        "group": "DEFAULT",
        "option": "state_dir",
        "value": str(cli.directory / "var"),
        "from": "the default",
    }
    assert found["database", "connection"]["value"] == "(not shown)"
    assert "hunter2" not in result.stdout + result.stderr
    changed = cli.done("config", "show", "DEFAULT", "--changed", "--config-file", "a.conf").splitlines()
    assert [line.split()[:3] for line in changed[1:]] == [["[DEFAULT]", "bind_port", "1234"]]
    assert "did you mean uploads?" in cli.refused("config", "show", "upload")


TABLES = [command for command in COMMANDS if command.table]


@pytest.mark.parametrize("command", TABLES, ids=[" ".join(command.path) for command in TABLES])
def test_every_table_is_json_too(cli: Cli, command: object) -> None:
    """What a command prints as a table it prints as JSON with `-o json`, also where there is nothing."""
    path = next(each.path for each in TABLES if each is command)
    cli.done("init")
    cli.done("token", "create", "--project", "p", "--user", "u", "--expires", "1d", "--label", "long " * 20)
    if path == ("locations", "show"):
        assert "There is no location" in sentence(cli(*path, "0" * 32, "-o", "json"))
        return
    if path == ("members", "list"):
        assert "There is no artifact" in sentence(cli(*path, "0b9cb3a6-3a37-4fd5-a8c3-90f7e4b2c7a1", "-o", "json"))
        return
    if path in (("stores", "show"), ("stores", "check"), ("stores", "move"), ("stores", "drain")):
        target = ("--to", "file") if path[1] in ("move", "drain") else ()
        refused = cli(*path, "nowhere", *target, "-o", "json")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "There is no store 'nowhere'" in refused.stderr
        return
    if path == ("identity", "explain"):
        (cli.directory / "token").write_text("a.b.c")
        assert "No issuers are configured" in sentence(cli(*path, "--token", "token", "-o", "json"))
        return
    found = json.loads(cli.done(*path, "-o", "json"))
    if path == ("backup", "check"):
        assert (found["findings"], found["whole"]) == ([], True)
        return
    assert isinstance(found, list)
    if path == ("token", "list"):
        assert found[0]["label"] == "long " * 20
        assert found[0]["roles"] == ["member"]
    if path == ("audit", "list"):
        assert found[0]["action"] == "token_create"


ONE_THING = {
    *("init", "serve", "worker", "scrub", "db upgrade", "db downgrade", "db check", "token create", "token show"),
    *("token revoke", "locations check", "takedown add", "takedown remove", "stores adopt", "config check"),
    *("config sample", "policy sample", "types show", "types check", "publishers add", "publishers remove"),
    *("members remove", "token import", "links remove", "links remove-all"),
}
"""Commands that print a sentence, a value or a file: what a program reads of them needs no other form."""


@pytest.mark.parametrize("command", COMMANDS, ids=[" ".join(command.path) for command in COMMANDS])
def test_every_command_prints_one_thing_or_a_table(command: Command) -> None:
    """Whoever adds a command says which. One whose function, or what it calls in its module, makes rows prints a
    table.
    """
    assert (" ".join(command.path) in ONE_THING) is not command.table
    module, _, name = command.runs.partition(":")
    tree = ast.parse(Path(str(importlib.import_module(module).__file__)).read_text("utf-8"))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        called = {node.id for node in ast.walk(functions[waiting.pop()]) if isinstance(node, ast.Name)}
        waiting += [one for one in called & set(functions) if one not in seen]
        seen |= called | {name}
    rows = {"print_page", "print_table", "table"} & seen
    tabs = any("\\t" in ast.unparse(functions[one]) for one in seen & set(functions))
    assert (bool(rows) or tabs) is command.table


def test_a_check_asks_the_bucket(cli: Cli, seaweedfs: SeaweedFS) -> None:
    """Whether it is there and takes the credentials, and what becomes there of what is never finished; it makes
    nothing.
    """
    prefix = f"test-{uuid.uuid4().hex[:12]}/"

    def checked(**changes: str) -> Result:
        values = {
            "bucket": BUCKET,
            "prefix": prefix,
            "endpoint": seaweedfs.endpoint,
            "access_key_id": ACCESS_KEY,
            "secret_access_key": SECRET_KEY,
        }
        text = "".join(f"{name} = {value}\n" for name, value in (values | changes).items())
        (cli.directory / "a.conf").write_text(f"[s3]\n{text}")
        result = cli("config", "check", "--config-file", "a.conf")
        assert SECRET_KEY not in result.stderr
        return result

    right = checked()
    assert right.returncode == 0, right.stderr
    assert "has no rule that aborts incomplete multipart uploads" in right.stderr
    assert "keeps versions" not in right.stderr
    assert "the configuration is right" in right.stderr
    assert list(bucket_of(in_bucket(BUCKET, seaweedfs.endpoint)).listed(prefix.rstrip("/"))) == []
    for changes, told in (
        ({"bucket": "glare-tests-other"}, "is not at its place"),
        ({"secret_access_key": "wrong"}, "refuses the service's credentials"),
        ({"endpoint": "http://127.0.0.1:1"}, "is out of reach"),
        ({"credentials_file": "absent", "access_key_id": "", "secret_access_key": ""}, "no credentials"),
        ({"ca_file": "absent.pem", "endpoint": "https://127.0.0.1:1"}, "ca_file"),
    ):
        wrong = checked(**changes)
        assert wrong.returncode == 1, wrong.stderr
        assert told in wrong.stderr


def test_a_check_asks_the_container(cli: Cli, azurite: Azurite) -> None:
    """As it does of a bucket; it makes nothing there either."""
    prefix = f"test-{uuid.uuid4().hex[:12]}/"
    place = f"account = {ACCOUNT}\naccount_key = {ACCOUNT_KEY}\nprefix = {prefix}\nendpoint = {azurite.endpoint}\n"
    for container, code, told in (
        (CONTAINER, 0, "the configuration is right"),
        ("glare-tests-other", 1, "is not at its place (404 ContainerNotFound)"),
    ):
        (cli.directory / "a.conf").write_text(f"[azure]\ncontainer = {container}\n{place}")
        result = cli("config", "check", "--config-file", "a.conf")
        assert result.returncode == code, result.stderr
        assert told in result.stderr
        assert ACCOUNT_KEY not in result.stderr
    assert list(bucket_of(in_container(azurite.endpoint)).listed(prefix.rstrip("/"))) == []
