"""A real SeaweedFS on loopback, which speaks S3, in an environment of its own; gone with its folder."""

from __future__ import annotations

import json
import socket
import urllib.request
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from environments import CHECKOUT, Environment, Say
from server_process import ServerProcess, free_ports

PATIENCE: Final = 60.0
"""Seconds that it may take to start."""

ACCESS_KEY: Final = "GLARETESTKEY"
SECRET_KEY: Final = "secret-of-the-tests"  # noqa: S105 - it opens a server on loopback, which lives as long as a test
DOMAIN: Final = "s3.glare.test"
"""Requests to a bucket's name below it are requests to that bucket."""

READER_KEY: Final = "GLARETESTREADER"
"""Somebody who may read and list, with the same secret."""


def _nothing_more(_: Say) -> None:
    """It is one program."""


SEAWEEDFS: Final = Environment(
    name=".venv-seaweedfs",
    purpose="SeaweedFS",
    lock=CHECKOUT / "requirements" / "seaweedfs.txt",
    scripts=(),
    finish=_nothing_more,
)


class SeaweedFS:
    """One SeaweedFS, which runs from `__enter__` to `__exit__`; `stop` and `start` end it and start it again between.
    Its data is kept in `folder`, its S3 listens on `port`.

    Raises, when entered:
        NoEnvironmentError: there is no environment for it.
    """

    def __init__(self, folder: Path, say: Say = print) -> None:
        self._say = say
        self._folder = folder
        self._process = ServerProcess("SeaweedFS", folder / "weed.log", grace=2.0)
        self._ports = free_ports(8)
        self.port = self._ports[0]
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        commands = SEAWEEDFS.commands(self._say)
        s3, s3_grpc, master, master_grpc, volume, volume_grpc, filer, filer_grpc = self._ports
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "data").mkdir(exist_ok=True)
        config = self._folder / "s3.json"
        config.write_text(json.dumps({"identities": [_identity("glare", ACCESS_KEY), _identity("reader", READER_KEY)]}))
        self._program = [
            *(str(commands / "weed"), "server", f"-dir={self._folder / 'data'}", "-ip=127.0.0.1"),
            *("-ip.bind=127.0.0.1", "-filer", "-s3", f"-s3.config={config}", "-master.telemetry=false"),
            *(f"-s3.port={s3}", f"-s3.port.grpc={s3_grpc}", "-s3.port.iceberg=0", "-s3.port.lance=0"),
            *("-s3.autoCreateBucket=false", f"-s3.domainName={DOMAIN}"),
            *(f"-master.port={master}", f"-master.port.grpc={master_grpc}", "-master.volumeSizeLimitMB=1024"),
            *(f"-volume.port={volume}", f"-volume.port.grpc={volume_grpc}", "-volume.max=100"),
            *(f"-filer.port={filer}", f"-filer.port.grpc={filer_grpc}"),
        ]
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        # It keeps as much in memory as it is let.
        variables = {"HOME": str(self._folder), "GOMEMLIMIT": "256MiB"}
        self._process.start(self._program, self._folder, variables, lambda: _answers(self.port))

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        self._process.stop()

    def make_bucket(self, name: str) -> None:
        """Make a bucket."""
        # Whoever only starts it need not have the library.
        import obstore
        from obstore.store import S3Store

        http: Any = {"allow_http": True}
        client = S3Store(
            name,
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY,
            virtual_hosted_style_request=False,
            client_options=http,
        )
        url = obstore.sign(client, "PUT", "", timedelta(minutes=1))
        request = urllib.request.Request(url, method="PUT")  # noqa: S310 - its own URL, http as it is
        # A proxy of the environment has no say about loopback.
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30).close()


def _identity(name: str, key: str) -> dict[str, object]:
    actions = ["Admin"] if name == "glare" else ["Read", "List"]
    return {"name": name, "credentials": [{"accessKey": key, "secretKey": SECRET_KEY}], "actions": actions}


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            # Whoever is not known to it is refused, once it knows somebody.
            return connection.recv(64).startswith(b"HTTP/1.1 403")
    except OSError:
        return False
