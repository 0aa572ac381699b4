"""Backup and restore, with the commands of the page for operators on the real database, and everything lost between."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from glare.settings import Settings
from glare.stores.objects.options import S3Options
from support.databases import KIND
from support.programs.command import Cli
from support.programs.programs import find_program
from support.programs.seaweedfs import ACCESS_KEY, BUCKET, SECRET_KEY, SeaweedFS, in_bucket
from support.service import Glare, Json, running
from support.stores import bucket_of, keys_in

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "back-up-and-upgrade.md").read_text()
SECTIONS = {"postgresql": "PostgreSQL", "mariadb": "MariaDB and MySQL", "sqlite": "SQLite"}
PROGRAMS = {
    "postgresql": ("pg_dump", "pg_restore", "createdb", "rsync"),
    "mariadb": ("mariadb-dump", "mariadb", "rsync"),
    "sqlite": ("sqlite3", "rsync"),
}
KEPT_FOR_LONG = "[store]\nremoval_delay = 12 h\nfree_space_reserve = 0\n"
SIZES = (0, 1, 100_000, (9 << 20) + 1)


def commands(title: str) -> list[str]:
    """The blocks of commands of one section, in order."""
    section = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    [found] = [part for part in section if part.startswith(f"{title}\n")]
    return re.findall(r"```sh\n(.*?)```", found, re.DOTALL)


def lines(block: str) -> list[str]:
    """The commands of a block, each whole."""
    return block.strip().replace("\\\n", "").splitlines()


@dataclass(frozen=True)
class Places:
    """What the page calls by names of its own: the database, the restored one, directories, and a bucket."""

    url: URL
    restored: str
    state: Path
    blobs: Path
    folder: Path
    bucket: S3Options | None

    @classmethod
    def of(cls, settings: Settings, folder: Path, bucket: S3Options | None) -> Places:
        url = make_url(settings.database.connection)
        blobs = settings.glance_store.filesystem_store_datadir
        return cls(url, f"{url.database}_restored", settings.server.state_dir, blobs, folder, bucket)

    @property
    def etc(self) -> Path:
        return self.folder / "etc"

    def adapted(self, written: str) -> str:
        """The commands for this machine."""
        url = self.url.set(drivername=self.url.get_backend_name())
        options = " ".join(f"--{name}={value}" for name, value in self._options().items())
        replaced = {
            "postgresql://glare@db.example.org/glare_restored": url.set(database=self.restored).render_as_string(False),
            "postgresql://glare@db.example.org/glare": url.render_as_string(hide_password=False),
            "--host=db.example.org --user=glare": options,
            "--host=db.example.org --username=glare": options.replace("--user=", "--username="),
            "/srv/glare/blobs/": f"{self.blobs}/",
            "/backup/": f"{self.folder}/backup/",
            "/var/lib/glare/glare.sqlite": str(self.url.database),
            "/var/lib/glare/": f"{self.state}/",
            "/etc/glare/": f"{self.etc}/",
            " glare > glare.sql": f" {self.url.database} > glare.sql",
            "glare_restored": self.restored,
            "s3:glare-blobs/": f"s3:{BUCKET}/{self.bucket.prefix}" if self.bucket else "",
            "backup:glare-backup/": f"backup:{BUCKET}/copy-of-{self.bucket.prefix}" if self.bucket else "",
        }
        for name, meant in replaced.items():
            written = written.replace(name, meant)
        return written

    def run(self, written: str) -> None:
        """Run a block, as a shell does that stops at the first failure."""
        secret = self.url.password or ""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment = kept | {"PGPASSWORD": secret, "MYSQL_PWD": secret} | self._remotes()
        done = subprocess.run(
            ["bash", "-euc", self.adapted(written)],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, f"{self.adapted(written)}\n{done.stderr}"

    def _options(self) -> dict[str, object]:
        found = {"host": self.url.host, "port": self.url.port, "user": self.url.username}
        return {name: value for name, value in found.items() if value is not None}

    def _remotes(self) -> dict[str, str]:
        """The remotes of `rclone`: the service's bucket and the copy are parts of one."""
        if self.bucket is None:
            return {}
        remotes = {
            "TYPE": "s3",
            "PROVIDER": "Other",
            "ENDPOINT": str(self.bucket.endpoint),
            "ACCESS_KEY_ID": ACCESS_KEY,
            "SECRET_ACCESS_KEY": SECRET_KEY,
        }
        named = {
            f"RCLONE_CONFIG_{where}_{name}": value for where in ("S3", "BACKUP") for name, value in remotes.items()
        }
        return named | {"RCLONE_CONFIG": str(self.folder / "rclone.conf")}


@dataclass(frozen=True)
class Service:
    """A service that is backed up, where its things are, and the commands that copy and restore its bytes."""

    glare: Glare
    places: Places
    copy_database: str
    copy_bytes: str

    def image(self, name: str, data: bytes) -> Json:
        made = self.glare.alice.create("images", name=name, description="\N{SNOWMAN} ö")
        return self.glare.alice.upload(made, "image", data)

    def copy_files(self) -> None:
        self.places.etc.mkdir()
        shutil.copy(self.places.state.parent / "glare.conf", self.places.etc)
        (self.places.folder / "backup").mkdir()
        for block in commands("Database first, then the bytes"):
            self.places.run(block)


@contextmanager
def started(folder: Path, bucket: S3Options | None) -> Iterator[Service]:
    """A service that keeps images in files, or in the bucket where one is given."""
    for program in (*PROGRAMS[KIND], *(("rclone",) if bucket else ())):
        find_program(program)
    first = folder / "first"
    first.mkdir()
    database, files = lines(commands(SECTIONS[KIND])[0])
    copied = "\n".join([files, *(commands("Buckets")[:1] if bucket else ())])
    with running(first, KEPT_FOR_LONG + configured(bucket)) as glare:
        yield Service(glare, Places.of(glare.settings, folder, bucket), database, copied)


def configured(bucket: S3Options | None) -> str:
    if bucket is None:
        return ""
    return (
        "[artifact_type:images]\ndefault_store = s3\n"
        f"[s3]\nbucket = {bucket.bucket}\nprefix = {bucket.prefix}\nendpoint = {bucket.endpoint}\n"
        f"access_key_id = {ACCESS_KEY}\nsecret_access_key = {SECRET_KEY}\n"
    )


def lose_everything(places: Places) -> None:
    """What a fire leaves: the copies. A server's database stays, under a name that nothing reads any more."""
    shutil.rmtree(places.state.parent)
    shutil.rmtree(places.etc)
    if places.bucket:
        keys = [places.bucket.prefix + key for key in (*keys_in(places.bucket), "glare-store")]
        bucket_of(places.bucket).remove(keys)
        assert keys_in(places.bucket) == []
    places.blobs.mkdir(parents=True)
    places.state.mkdir(parents=True, exist_ok=True)
    places.etc.mkdir()


def restore(places: Places) -> URL:
    """Do what the page says, up to the check; returns the restored database."""
    _, *blocks = commands(SECTIONS[KIND])
    if KIND == "sqlite":
        shutil.copy(places.folder / "glare-copy.sqlite", str(places.url.database))
        blocks = ["rsync -a /backup/blobs/ /srv/glare/blobs/"]
    if places.bucket:
        blocks.append(commands("Buckets")[1])
    files, _ = commands("After a restore")
    for block in (*blocks, files):
        places.run(block)
    url = places.url if KIND == "sqlite" else places.url.set(database=places.restored)
    path = places.etc / "glare.conf"
    connection = url.render_as_string(hide_password=False).replace("%", "%%")
    changed = re.sub(r"^connection = .*$", f"connection = {connection}", path.read_text(), flags=re.MULTILINE)
    path.write_text(changed)
    return url


def check(places: Places) -> list[tuple[int, str]]:
    """Status and standard output of each check that the page wants before a restored service starts."""
    cli = Cli(places.folder)
    found = []
    for line in lines(commands("After a restore")[1]):
        program, *arguments = places.adapted(line).split()
        assert program == "glare-server"
        done = cli.program(*arguments)
        found.append((done.returncode, done.stdout + done.stderr * (done.returncode not in (0, 3))))
    return found


@pytest.mark.parametrize("where", ["files", "bucket"])
def test_what_was_backed_up_is_restored(tmp_path: Path, where: str, request: pytest.FixtureRequest) -> None:
    """A copy taken while uploads and deletions go on comes back whole after everything was lost: records, bytes and
    the store's identity; `glare-server backup check --bytes` finds nothing wrong, and the service serves the same.
    """
    bucket = a_bucket(request) if where == "bucket" else None
    with started(tmp_path, bucket) as service:
        places, alice = service.places, service.glare.alice
        data = [os.urandom(size) for size in SIZES]
        kept = [service.image(f"kept-{number}", each) for number, each in enumerate(data)]
        in_database = alice.create("sample_artifact", name="other", string_required="x")
        identities = {name: store.identity() for name, store in service.glare.services.stores.items()}
        places.run(service.copy_database)
        # What happens between the two copies: the database's knows nothing of it.
        between = service.image("between", b"between")
        assert alice.delete(kept[2]).status_code == 204
        service.copy_files()
        places.run(service.copy_bytes)
    lose_everything(places)
    try:
        url = restore(places)
        checked = check(places)
        assert [status for status, _ in checked] == [0, 0], checked
        assert checked[1][1].startswith("orphan\t")
        shutil.copy(places.etc / "glare.conf", places.state.parent)
        (places.state.parent / "database-url").write_text(url.render_as_string(hide_password=False))
        again = f"[database]\nconnection = {url.render_as_string(hide_password=False).replace('%', '%%')}\n"
        with running(places.state.parent, KEPT_FOR_LONG + configured(bucket) + again) as glare:
            assert [glare.alice.download(artifact, "image").content for artifact in kept] == data
            assert glare.alice.show(kept[0])["description"] == "\N{SNOWMAN} ö"
            assert glare.alice.show(in_database)["name"] == "other"
            assert glare.alice.get(between).status_code == 404
            assert {name: store.identity() for name, store in glare.services.stores.items()} == identities
    finally:
        drop(places)


def test_bytes_before_the_database_lose_uploads(tmp_path: Path) -> None:
    """In the wrong order an upload that ends between the copies is lost, and the check says which one."""
    with started(tmp_path, None) as service:
        places = service.places
        service.image("before", b"before")
        service.copy_files()
        places.run(service.copy_bytes)
        lost = service.image("between", b"between")
        places.run(service.copy_database)
    lose_everything(places)
    try:
        restore(places)
        _, (status, printed) = check(places)
        [line] = printed.splitlines()
        assert status == 3
        assert line.split("\t")[0] == "missing"
        assert line.split("\t")[2] == f"images/{lost['id']}/image"
    finally:
        drop(places)


def a_bucket(request: pytest.FixtureRequest) -> S3Options:
    """The part of a real bucket that is the test's own. Only the tests that ask for one start the server."""
    server: SeaweedFS = request.getfixturevalue("seaweedfs")
    return in_bucket(BUCKET, server.endpoint, prefix=f"test-{uuid.uuid4().hex[:12]}/")


def drop(places: Places) -> None:
    if KIND == "sqlite":
        return
    engine = create_engine(places.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        force = " WITH (FORCE)" if KIND == "postgresql" else ""
        connection.execute(text(f"DROP DATABASE IF EXISTS {places.restored}{force}"))


@pytest.mark.sqlite
def test_each_database_has_its_commands() -> None:
    """No section of the page is without commands, and each copies the database before the blobs."""
    for title in SECTIONS.values():
        before = lines(commands(title)[0])
        assert len(before) == 2
        assert before[1].startswith("rsync -a --delete /srv/glare/blobs/")
