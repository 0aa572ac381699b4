"""The image and the manifests: every path, option, port, file and name in them is one that there is."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from glare.cli.main import build_parser
from glare.settings import Sources, load
from server_process import free_ports
from support.conversation import eventually
from support.programs.command import environment
from support.programs.programs import find_program

pytestmark = pytest.mark.sqlite

ROOT = Path(__file__).parents[2]
KUSTOMIZE = ROOT / "deploy" / "kustomize"
INSTRUCTIONS = re.findall(r"^([A-Z]+) (.+)$", re.sub(r" *\\\n *", " ", (ROOT / "Containerfile").read_text()), re.M)
IGNORED = (ROOT / ".containerignore").read_text().split()
DESCRIBED = yaml.safe_load((KUSTOMIZE / "kustomization.yaml").read_text())
Manifest = dict[str, Any]


def values(instruction: str) -> list[str]:
    return [value for name, value in INSTRUCTIONS if name == instruction]


def resources() -> list[Manifest]:
    return [yaml.safe_load((KUSTOMIZE / name).read_text()) for name in DESCRIBED["resources"]]


def pods() -> dict[str, Manifest]:
    """The template of each pod, by the name of what makes it."""
    return {
        each["metadata"]["name"]: each["spec"]["template"] for each in resources() if "template" in each.get("spec", {})
    }


def containers() -> list[Manifest]:
    return [
        container
        for pod in pods().values()
        for kind in ("initContainers", "containers")
        for container in pod["spec"].get(kind, [])
    ]


def variables() -> dict[str, str]:
    """What the image sets."""
    return dict(word.split("=", 1) for value in values("ENV") for word in shlex.split(value))


def ports_of(settings: Any) -> dict[str, int]:
    return {"http": settings.server.bind_port, "metrics": settings.metrics.worker_bind[1]}


def test_the_image_is_made_of_what_there_is() -> None:
    """Each file that is copied exists in the checkout and is not ignored, and so does all that `pip wheel` needs."""
    copied = [word for value in values("COPY") if "--from" not in value for word in value.split()[:-1]]
    assert {"src/", "docs/", "pyproject.toml", "README.md", "LICENSE"} <= set(copied)
    for name in copied:
        assert (ROOT / name).exists(), name
        assert f"!{name.split('/')[0]}" in IGNORED, name
    installed = re.findall(r"-r (\S+)", " ".join(values("RUN")))
    assert installed == ["requirements/image.txt", "requirements/build.txt"]
    assert set(installed) <= set(copied)


def test_the_image_has_every_extra() -> None:
    """What an extra of the distribution brings is installed in the image, in whatever version is locked."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = {line.strip() for line in (ROOT / "requirements" / "image.in").read_text().splitlines()}
    assert {each for extra in extras.values() for each in extra} <= wanted


def test_the_image_runs_as_nobody_in_particular() -> None:
    """It has a user of its own by number, below whom the volumes are; the second stage has no compiler's leftovers."""
    assert len(values("FROM")) == 2
    [user] = values("USER")
    uid, gid = map(int, user.split(":"))
    assert min(uid, gid) > 1000
    made = " ".join(values("RUN"))
    assert f"--uid {uid} --gid {gid}" in made
    for volume in yaml.safe_load(values("VOLUME")[0]):
        assert volume in made
        assert volume in variables().values()
    for pod in pods().values():
        context = pod["spec"]["securityContext"]
        assert (context["runAsNonRoot"], context["runAsUser"], context["runAsGroup"]) == (True, uid, gid)


def test_the_variables_of_the_image_are_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each variable with the form of an option is one, with a value that it takes."""
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    for name, value in variables().items():
        if name.startswith("OS_"):
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    loaded = load(Sources(files=()))
    assert list(loaded.warnings) == []
    assert str(loaded.settings.server.state_dir) == "/var/lib/glare"
    assert values("EXPOSE") == [str(loaded.settings.server.bind_port)]


def test_what_containers_run_is_a_command() -> None:
    """The image's command and the arguments of all containers are understood."""
    parser = build_parser()
    [entry], [command] = values("ENTRYPOINT"), values("CMD")
    assert yaml.safe_load(entry) == ["glare-server"]
    for arguments in (yaml.safe_load(command), *(container["args"] for container in containers())):
        assert parser.parse_args(arguments).command is not None


def test_the_base_hangs_together() -> None:
    """Ports, volumes, claims, secrets and selectors that a manifest names are those that another one has."""
    made = {(each["kind"], each["metadata"]["name"]) for each in resources()}
    generated = {each["name"] for each in DESCRIBED["configMapGenerator"]}
    settings = load(Sources(files=(KUSTOMIZE / "glare.conf",), environment=False))
    assert list(settings.warnings) == []
    ports = ports_of(settings.settings)
    components = set()
    for pod in pods().values():
        spec = pod["spec"]
        components.add(pod["metadata"]["labels"]["app.kubernetes.io/component"])
        assert ("ServiceAccount", spec["serviceAccountName"]) in made
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        for volume in volumes.values():
            assert volume.get("configMap", {}).get("name", "glare") in generated
            claim = volume.get("persistentVolumeClaim")
            assert claim is None or ("PersistentVolumeClaim", claim["claimName"]) in made
        for container in (*spec.get("initContainers", []), *spec["containers"]):
            assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
            assert container["image"] in {image["name"] for image in DESCRIBED["images"]}
            assert all(ports[port["name"]] == port["containerPort"] for port in container.get("ports", []))
    for each in resources():
        if selector := each["spec"].get("selector") if "spec" in each else None:
            labels = selector.get("matchLabels", selector)
            assert labels["app.kubernetes.io/component"] in components, each
        if each["kind"] == "Service":
            assert all(port["targetPort"] in ports for port in each["spec"]["ports"])


def test_every_file_of_the_base_is_used() -> None:
    """No manifest lies there that the base does not name."""
    named = {"kustomization.yaml", *DESCRIBED["resources"], *DESCRIBED["configMapGenerator"][0]["files"]}
    assert {path.name for path in KUSTOMIZE.iterdir()} == named


def test_pods_may_do_little_and_end_in_time() -> None:
    """Root file systems are read-only, no capability is left, and pods get longer to end than the service takes."""
    settings = load(Sources(files=(KUSTOMIZE / "glare.conf",), environment=False)).settings.server
    for container in containers():
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        written = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
        assert written == {"/var/lib/glare", "/srv/glare/blobs", "/tmp"}
    for pod in pods().values():
        assert pod["spec"]["automountServiceAccountToken"] is False
        grace = pod["spec"].get("terminationGracePeriodSeconds")
        assert grace is None or grace > settings.shutdown_lead_time + settings.shutdown_timeout


def test_kubectl_takes_the_base() -> None:
    """`kubectl kustomize` builds it, and gives every pod the one generated configuration."""
    program = find_program("kubectl")
    done = subprocess.run([program, "kustomize", str(KUSTOMIZE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = [each for each in yaml.safe_load_all(done.stdout) if each]
    [name] = [each["metadata"]["name"] for each in built if each["kind"] == "ConfigMap"]
    assert name.startswith("glare-")
    assert {each["metadata"]["labels"]["app.kubernetes.io/name"] for each in built} == {"glare"}
    assert done.stdout.count(f"name: {name}\n") == 1 + len(pods())


@contextmanager
def ran(folder: Path, arguments: list[str], changed: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """What a container runs, with other places and ports, until the block ends."""
    words = [changed.get(word, word) for word in arguments]
    with (folder / f"{words[0]}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "glare", *words], cwd=folder, env=environment(), stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


@pytest.mark.timeout(300)
def test_the_containers_start_in_the_order_of_their_pods(tmp_path: Path) -> None:
    """What the job runs makes the tables and the store; then checks pass, and API and worker answer their probes."""
    http, metrics = free_ports(2)
    text = (KUSTOMIZE / "glare.conf").read_text()
    text = text.replace("/var/lib", str(tmp_path)).replace("/srv", str(tmp_path)).replace("/etc", str(tmp_path))
    text = text.replace("= 0.0.0.0:9495", f"= 127.0.0.1:{metrics}").replace("= 0.0.0.0\n", "= 127.0.0.1\n")
    config = tmp_path / "glare.conf"
    config.write_text(text.replace("[DEFAULT]\n", f"[DEFAULT]\nbind_port = {http}\n"))
    changed = {"/etc/glare/glare.conf": str(config)}
    (tmp_path / "glare-keys").mkdir()
    run: dict[str, list[str]] = {container["name"]: container["args"] for container in containers()}
    health = yaml.safe_load(values("HEALTHCHECK")[0].partition("CMD ")[2])
    [probe] = [
        container["livenessProbe"]["exec"]["command"] for container in containers() if container["name"] == "worker"
    ]
    with ran(tmp_path, run["check"], changed) as check:
        assert check.wait(60) == 1  # Nothing was made yet, so that the pod waits.
    with ran(tmp_path, run["migrate"], changed) as migrate:
        assert migrate.wait(60) == 0, (tmp_path / "init.log").read_text()
    with ran(tmp_path, run["check"], changed) as check:
        assert check.wait(60) == 0
    with ExitStack() as stack:
        api = stack.enter_context(ran(tmp_path, run["api"], changed))
        stack.enter_context(ran(tmp_path, run["worker"], changed))
        url = f"http://127.0.0.1:{http}"
        assert api.poll() is None
        eventually(lambda: answers(f"{url}/readyz"), 60)
        eventually(lambda: answers(f"http://127.0.0.1:{metrics}/healthz"), 60)
        for words, port, mine in ((health, 9494, http), (probe, 9495, metrics)):
            program, *arguments = [word.replace(str(port), str(mine)) for word in words]
            assert program == "python"
            assert subprocess.run([sys.executable, *arguments], check=False).returncode == 0


def answers(url: str) -> bool:
    try:
        return httpx2.get(url, trust_env=False, timeout=5).status_code == 200
    except httpx2.HTTPError:
        return False
