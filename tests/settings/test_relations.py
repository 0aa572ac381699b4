from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from glare.settings import Loaded, check_machine

Read = Callable[..., Loaded]

NOTIFY = "[oslo_messaging_notifications]\ndriver = messagingv2\n"
BUS = "transport_url = rabbit://u:hunter2@127.0.0.1/\n"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[DEFAULT]\ndefault_api_limit = 50\nmax_api_limit = 20\n", ("default_api_limit is 50", "max_api_limit", "20")),
        ("[uploads]\nattempt_heartbeat = 30 s\n", ("attempt_heartbeat is 30 s", "attempt_timeout", "1 m")),
        ("[api]\nrequest_threads = 20\n", ("request_threads is 20", "[database] max_pool_size", "20")),
        (
            "[database]\npool_timeout = 15 s\n",
            ("pool_timeout is 15 s", "statement_timeout is 15 s", "change one of them"),
        ),
        ("[database]\nanswer_timeout = 5 s\n", ("answer_timeout is 5 s", "below the next")),
        ("[DEFAULT]\ncert_file = a.pem\n", ("cert_file is '/", "/a.pem'", "key_file is unset")),
        ("[DEFAULT]\nkey_file = a.pem\n", ("key_file is '/", "/a.pem'", "cert_file is unset")),
        ("[DEFAULT]\nca_file = a.pem\n", ("ca_file is '/", "/a.pem'", "set cert_file and key_file")),
        ("[DEFAULT]\ncert_file = a.pem\nkey_file = b.pem\n", ("/a.pem'", "/b.pem'", "cannot be used")),
        ("[paste_deploy]\nflavor = noauth\n[identity]\npipeline = test_token\n", ("'noauth'", "'test_token'")),
        (
            "[locations]\nallowed_networks = 10.0.0.0/8\nforbidden_networks = 10.0.0.0/8\n",
            ("allowed_networks", "10.0.0.0/8", "forbidden_networks"),
        ),
        ("[database]\nconnection = oracle://h/x\n", ("postgresql", "works with sqlite")),
        ("[database]\nconnection = postgres://u:hunter2@h/x\n", ("postgres URL", "did you mean postgresql://?")),
        ("[database]\nconnection = sqlite3:///x\n", ("did you mean sqlite://?",)),
        ("[database]\nconnection = mysq://u:hunter2@h/x\n", ("did you mean mysql://?",)),
        ("[database]\nconnection = postgresql://u:hunter2@h:x/y\n", ("no URL of a database", "%40")),
        ("[glance_store]\ndefault_store = s3\n", ("[glance_store] default_store is 's3'", "set [s3] bucket")),
        ("[artifact_type:images]\ndefault_store = s3\n", ("[artifact_type:images]", "set [s3] bucket")),
        ("[s3]\nbucket = b-1\naccess_key_id = A\n", ("access_key_id is set", "secret_access_key is not")),
        ("[s3]\nbucket = b-1\nsecret_access_key = hunter2\n", ("secret_access_key is set", "access_key_id is not")),
        ("[s3]\nbucket = b-1\nretry_time = 5 min\n", ("retry_time is 5 m", "[uploads] store_timeout", "below")),
        ("[glance_store]\ndefault_store = azure\n", ("default_store is 'azure'", "set [azure] container")),
        ("[glance_store]\ndefault_store = gcs\n", ("default_store is 'gcs'", "set [gcs] bucket")),
        ("[gcs]\nbucket = b-1\nretry_time = 5 min\n", ("[gcs] retry_time is 5 m", "[uploads] store_timeout")),
        ("[azure]\naccount = abc\n", ("[azure] account is set", "container is not")),
        ("[azure]\ncontainer = abc\n", ("[azure] container is set", "account is not")),
        (
            "[azure]\naccount_key = hunter2\nsas_token = hunter2\n",
            ("account_key and sas_token are both set", "unset the other"),
        ),
        (
            "[azure]\naccount = abc\ncontainer = abc\nretry_time = 5 min\n",
            ("[azure] retry_time is 5 m", "[uploads] store_timeout"),
        ),
        ("[glance_store]\ndefault_store = swift\n", ("default_store is 'swift'", "set [swift] container")),
        ("[swift]\ncontainer = abc\n", ("[swift] container is set", "auth_url is not")),
        ("[swift]\nauth_url = http://k/v3\n", ("[swift] auth_url is set", "container is not")),
        (
            "[swift]\ncontainer = abc\nauth_url = http://k/v3\nusername = u\n",
            ("[swift] container is set", "password and project_name are not", "application_credential_id"),
        ),
        (
            "[swift]\ncontainer = abc\nauth_url = http://k/v1\nauth_version = 1\nusername = a:u\n",
            ("[swift] container is set", "password is not"),
        ),
        (
            "[swift]\ncontainer = abc\nauth_url = http://k/v3\napplication_credential_id = a\n",
            ("[swift] needs both application_credential_id and",),
        ),
        (
            "[swift]\ncontainer = abc\nauth_url = http://k/v3\nusername = u\napplication_credential_id = a\n",
            ("[swift] needs both application_credential_id",),
        ),
        ("[s3]\nbucket = b-1\nmax_transfers = 256\n", ("max_transfers is 256", "[uploads] max_concurrent", "256")),
        (f"{NOTIFY}", ("driver is 'messagingv2'", "no message bus", "set transport_url")),
        (f"{NOTIFY}transport_url = kafka://u:hunter2@h/x\n", ("'kafka'", "RabbitMQ", "rabbit://USER")),
        (f"{NOTIFY}transport_url = rabbit://u:hunter2@h:port/x\n", ("transport_url", "rabbit://USER")),
        (f"{NOTIFY}{BUS}[oslo_messaging_rabbit]\nssl = true\n", ("ssl is true", "ssl_ca_file", "not verified")),
        ("[outbox]\nretry_delay = 2 m\n", ("retry_delay is 2 m", "max_retry_delay", "1 m")),
        ("[oslo_policy]\npolicy_file = absent.yaml\n", ("policy_file is '/", "/absent.yaml'", "no such file")),
        ("[DEFAULT]\nstate_dir = glare.conf\n", ("state_dir is '/", "/glare.conf'", "not a directory")),
        ("[glance_store]\nfilesystem_store_datadir = glare.conf/x\n", ("filesystem_store_datadir", "not a directory")),
    ],
)
def test_options_that_do_not_fit_are_refused(refused: Callable[[str], str], text: str, parts: tuple[str, ...]) -> None:
    """Options that contradict each other or the machine are refused with both names and a remedy."""
    sentence = refused(text)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    for part in parts:
        assert part in sentence
    assert "hunter2" not in sentence


@pytest.mark.parametrize("absent", ["oslo_messaging", "cotyledon"])
def test_a_missing_extra_is_refused_by_name(
    refused: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, absent: str
) -> None:
    """Notifications over a message bus without the library stop the start, and the sentence says what to install."""
    monkeypatch.setitem(sys.modules, absent, None)
    assert "install 'glare-server[messaging]'" in refused(NOTIFY + BUS)


def test_the_bus_of_the_deployment_serves_notifications_unless_they_have_their_own(read: Read) -> None:
    """The older file's `[DEFAULT] transport_url` is used, its own comes first, and another driver needs none."""
    common = "[DEFAULT]\ntransport_url = rabbit://common/\n"
    assert read(common).settings.bus is None
    shared, own = read(common + NOTIFY).settings.bus, read(common + NOTIFY + BUS).settings.bus
    assert shared is not None
    assert shared.url == "rabbit://common/"
    assert own is not None
    assert own.url == "rabbit://u:hunter2@127.0.0.1/"
    check_machine(read(common + NOTIFY).settings)


def test_a_directory_that_cannot_be_written_is_refused(refused: Callable[[str], str]) -> None:
    """A data directory where nobody may write is refused at start, not at the first upload."""
    assert "is not writable" in refused("[DEFAULT]\nstate_dir = /proc/self/glare\n")


def test_a_certificate_with_its_key_is_accepted_and_one_with_another_key_is_not(
    read: Read, refused: Callable[[str], str], tmp_path: Path
) -> None:
    """Certificate and key are loaded at start, so that a wrong pair is refused before anybody connects."""
    authority = trustme.CA()
    for name in ("one", "two"):
        issued = authority.issue_cert("glare.example")
        issued.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
        issued.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}.crt"))
    settings = read(f"[DEFAULT]\ncert_file = {tmp_path}/one.crt\nkey_file = {tmp_path}/one.key\n").settings
    check_machine(settings)
    assert settings.server.cert_file == tmp_path / "one.crt"
    assert "cannot be used" in refused(f"[DEFAULT]\ncert_file = {tmp_path}/one.crt\nkey_file = {tmp_path}/two.key\n")


def test_who_does_not_start_the_service_need_not_read_its_files(read: Read) -> None:
    """Settings can be read by somebody who has neither the key nor the policy file, as commands that only look do."""
    settings = read("[DEFAULT]\ncert_file = a\nkey_file = b\n[oslo_policy]\npolicy_file = c\n").settings
    assert settings.server.key_file == Path("b").absolute()
