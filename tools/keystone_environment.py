"""The environment of the Keystone that tests, demonstration, benchmarks and the how-to start, and a bootstrapped
installation in it, which `keystone_server` copies.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from environments import CHECKOUT, Environment, Say, run

ADMIN_PASSWORD: Final = "bootstrapped"  # noqa: S105 - it opens a server on loopback, which lives as long as a test

CONFIG: Final = """\
[DEFAULT]
use_stderr = true
[database]
connection = sqlite:///{folder}/keystone.db
[token]
provider = fernet
expiration = {expiration}
[fernet_tokens]
key_repository = {folder}/fernet
[fernet_receipts]
key_repository = {folder}/receipts
[credential]
key_repository = {folder}/credential
[identity]
# What a password costs to check. These are known anyway.
password_hash_rounds = 4
[cache]
# Of several processes on one database each would have its own.
enabled = false
"""
"""Its configuration, with places for a folder and for the seconds that a token lasts."""

TEMPLATE: Final = CHECKOUT / ".venv-keystone" / "bootstrapped"
"""The installation: a database with the first user, project and roles, and the keys."""


def _bootstrap(say: Say) -> None:
    TEMPLATE.mkdir()
    config = TEMPLATE / "keystone.conf"
    config.write_text(CONFIG.format(folder=TEMPLATE, expiration=3600), "utf-8")
    owner = ("--keystone-user", str(os.geteuid()), "--keystone-group", str(os.getegid()))
    for words in (
        ("db_sync",),
        ("fernet_setup", *owner),
        ("credential_setup", *owner),
        ("bootstrap", "--bootstrap-password", ADMIN_PASSWORD),
    ):
        say(f"$ keystone-manage {words[0]}")
        run([str(KEYSTONE.folder / "bin" / "keystone-manage"), "--config-file", str(config), *words])


KEYSTONE = Environment(
    name=".venv-keystone",
    purpose="Keystone",
    lock=CHECKOUT / "requirements" / "keystone.txt",
    scripts=(Path(__file__).resolve(),),
    finish=_bootstrap,
)
