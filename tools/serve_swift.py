"""Serve a whole Swift in one process: proxy, account, container and object server, with one device in the folder that
the first argument names, and the proxy on the port of loopback that the second one names. The third is the port of a
memcached, the fourth the key of TempAuth's users. With a fifth, a file, users are Keystone's, whom the options in it
lead to.

`swift_server` runs it, in the environment of Swift.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
from pathlib import Path
from typing import Any, Final

DEVICE: Final = "device"

COMMON: Final = """
[swift-hash]
swift_hash_path_suffix = of-tests

[storage-policy:0]
name = only
default = yes
"""

PROXY: Final = """
[DEFAULT]
swift_dir = {folder}
bind_ip = 127.0.0.1

[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache bulk {auth} slo proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
node_timeout = 60
conn_timeout = 60
allow_account_management = true

[filter:tempauth]
use = egg:swift#tempauth
user_glare_writer = {secret} .admin
user_glare_reader = {secret} .nobody

[filter:keystoneauth]
use = egg:swift#keystoneauth
operator_roles = member

[filter:catch_errors]
use = egg:swift#catch_errors

[filter:gatekeeper]
use = egg:swift#gatekeeper

[filter:healthcheck]
use = egg:swift#healthcheck

[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{cache}

[filter:bulk]
use = egg:swift#bulk

[filter:slo]
use = egg:swift#slo
"""

STORAGE: Final = """
[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
bind_ip = 127.0.0.1

[pipeline:main]
pipeline = {kind}-server

[app:{kind}-server]
use = egg:swift#{kind}
# Nobody would bring lists up to date later.
node_timeout = 60
conn_timeout = 60
container_update_timeout = 60
"""


def serve(folder: Path, port: int, cache: int, secret: str, authtoken: str = "") -> None:
    """Serve until the process is ended."""
    eventlet: Any = importlib.import_module("eventlet")
    eventlet.monkey_patch()
    (folder / "devices" / DEVICE).mkdir(parents=True, exist_ok=True)
    (folder / "swift.conf").write_text(COMMON)
    utils: Any = importlib.import_module("swift.common.utils")
    config: Any = importlib.import_module("swift.common.utils.config")
    config.SWIFT_CONF_FILE = utils.SWIFT_CONF_FILE = str(folder / "swift.conf")
    utils.validate_configuration()
    sockets = {kind: _listening(0) for kind in ("account", "container", "object")}
    for kind, each in sockets.items():
        _make_ring(folder, kind, each.getsockname()[1])
    load = importlib.import_module("swift.common.wsgi").loadapp
    serving = importlib.import_module("eventlet.wsgi")
    protocol = importlib.import_module("swift.common.http_protocol").SwiftHttpProtocol
    log = Path(os.devnull).open("w")  # noqa: SIM115 - it lasts as long as the process
    threads = []
    sockets["proxy"] = _listening(port)
    for kind, each in sockets.items():
        words = {
            "folder": folder,
            "kind": kind,
            "secret": secret,
            "cache": cache,
            "auth": "authtoken keystoneauth" if authtoken else "tempauth",
        }
        path = folder / f"{kind}.conf"
        text = (PROXY if kind == "proxy" else STORAGE).format(**words)
        if authtoken and kind == "proxy":
            text += (
                Path(authtoken).read_text() + "paste.filter_factory = keystonemiddleware.auth_token:filter_factory\n"
            )
        path.write_text(text)
        application = load(str(path))
        threads.append(eventlet.spawn(serving.server, each, application, log, protocol=protocol))
    for thread in threads:
        thread.wait()


def _listening(port: int) -> socket.socket:
    each: Any = importlib.import_module("eventlet").listen(("127.0.0.1", port))
    found: socket.socket = each
    return found


def _make_ring(folder: Path, kind: str, port: int) -> None:
    builder = importlib.import_module("swift.common.ring").RingBuilder(4, 1, 1)
    where = {"ip": "127.0.0.1", "replication_ip": "127.0.0.1", "port": port, "replication_port": port}
    builder.add_dev({"id": 0, "region": 1, "zone": 1, "weight": 1.0, "device": DEVICE, "meta": "", **where})
    builder.rebalance()
    builder.get_ring().save(str(folder / f"{kind}.ring.gz"))


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
