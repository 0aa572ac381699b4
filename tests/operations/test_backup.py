"""Backup and restore, with the commands of the page for operators on the real database."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from support.databases import KIND
from support.programs.command import Cli
from support.programs.programs import find_program
from support.service import Glare, Json, running

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "back-up-and-upgrade.md").read_text()
SECTIONS = {"postgresql": "PostgreSQL", "mariadb": "MariaDB and MySQL", "sqlite": "SQLite"}
PROGRAMS = {
    "postgresql": ("pg_dump", "pg_restore", "createdb", "rsync"),
    "mariadb": ("mariadb-dump", "mariadb", "rsync"),
    "sqlite": ("sqlite3", "rsync"),
}


def commands(title: str) -> list[str]:
    """The blocks of commands of one section, in order."""
    section = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    [found] = [part for part in section if part.startswith(f"{title}\n")]
    return re.findall(r"```sh\n(.*?)```", found, re.DOTALL)


@dataclass(frozen=True)
class Places:
    """What the page calls by names of its own: the database, the restored one, and directories."""

    url: URL
    restored: str
    blobs: Path
    backup: Path
    folder: Path

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
            "/backup/blobs/": f"{self.backup}/",
            "/var/lib/glare/glare.sqlite": str(self.url.database),
            " glare > glare.sql": f" {self.url.database} > glare.sql",
            "glare_restored": self.restored,
        }
        for name, meant in replaced.items():
            written = written.replace(name, meant)
        return written

    def run(self, written: str) -> None:
        """Run a block, as a shell does that stops at the first failure."""
        secret = self.url.password or ""
        environment = os.environ | {"PGPASSWORD": secret, "MYSQL_PWD": secret}
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


def contents(glare: Glare, *artifacts: Json) -> list[bytes]:
    return [glare.alice.download(artifact, "image").content for artifact in artifacts]


def test_what_was_backed_up_is_restored(tmp_path: Path) -> None:
    """A copy taken while the service runs comes back whole: records, bytes and the store's identity; `glare-server
    fsck` finds nothing wrong.
    """
    for program in PROGRAMS[KIND]:
        find_program(program)
    before, *restoring = commands(SECTIONS[KIND])
    first = tmp_path / "first"
    first.mkdir()
    with running(first) as glare:
        url = make_url(glare.settings.database.connection)
        blobs = glare.settings.glance_store.filesystem_store_datadir
        backup = tmp_path / "backup"
        places = Places(url, f"{url.database}_restored", blobs, backup, tmp_path)
        kept = [glare.alice.create("images", name=f"kept-{number}", description="\N{SNOWMAN} ö") for number in range(3)]
        for number, artifact in enumerate(kept):
            glare.alice.upload(artifact, "image", bytes([number]) * 100_000)
        in_database = glare.alice.create("sample_artifact", name="other", string_required="x")
        places.run(before)
        # What happens afterwards is not in the copy.
        later = glare.alice.create("images", name="later")
        glare.alice.upload(later, "image", b"later")
        assert glare.alice.delete(kept[2]).status_code == 204
        marker = (blobs / "glare-store").read_text()
    shutil.rmtree(blobs)
    blobs.mkdir()
    restored = _restore(places, restoring)
    try:
        _is_whole(first, restored, (kept, in_database, later), marker)
    finally:
        _drop(places)


def _restore(places: Places, blocks: list[str]) -> URL:
    if KIND == "sqlite":
        database = Path(str(places.url.database))
        for suffix in ("", "-wal", "-shm"):
            database.with_name(database.name + suffix).unlink(missing_ok=True)
        shutil.copy(places.folder / "glare-copy.sqlite", database)
        places.run("rsync -a /backup/blobs/ /srv/glare/blobs/")
        return places.url
    for block in blocks:
        places.run(block)
    return places.url.set(database=places.restored)


def _is_whole(directory: Path, url: URL, made: tuple[list[Json], Json, Json], marker: str) -> None:
    kept, other, later = made
    path = directory / "glare.conf"
    text_of = path.read_text()
    connection = url.render_as_string(hide_password=False).replace("%", "%%")
    path.write_text(re.sub(r"^connection = .*$", f"connection = {connection}", text_of, flags=re.MULTILINE))
    cli = Cli(directory)
    [after] = commands("After a restore")
    for line in after.strip().splitlines():
        program, *arguments = line.replace("/etc/glare/glare.conf", "glare.conf").split()
        assert program == "glare-server"
        done = cli.program(*arguments)
        assert done.returncode == 0, done.stderr
    (directory / "database-url").write_text(connection)
    with running(directory, f"[database]\nconnection = {connection}\n") as glare:
        assert contents(glare, *kept) == [bytes([number]) * 100_000 for number in range(3)]
        assert glare.alice.show(kept[0])["description"] == "\N{SNOWMAN} ö"
        assert glare.alice.show(other)["name"] == "other"
        assert glare.alice.get(later).status_code == 404
        assert (glare.settings.glance_store.filesystem_store_datadir / "glare-store").read_text() == marker


def _drop(places: Places) -> None:
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
        before = commands(title)[0].replace("\\\n", "").splitlines()
        assert len(before) == 2
        assert before[1].startswith("rsync -a --delete /srv/glare/blobs/")
