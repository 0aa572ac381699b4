"""Downloads come with a file name of their own: stored, external, redirected and as a Metalink."""

from __future__ import annotations

from pathlib import Path

from support.origins.origin import Origin
from support.service import Glare, path_of, running


def disposition(glare: Glare, path: str, **options: str) -> str:
    answer = glare.alice.request("GET", path, **options)
    assert answer.status_code in (200, 206, 302), answer.text
    value: str = answer.headers["content-disposition"]
    return value


def test_two_images_are_two_files(api: Glare) -> None:
    """`curl -OJ` does not save the second image over the first; HEAD and a range say the same name."""
    seen = set()
    for version in ("1.0", "1.1"):
        image = api.alice.create("images", name="Größe", version=version, disk_format="qcow2", container_format="bare")
        api.alice.upload(image, "image", b"0123456789")
        path = f"{path_of(image)}/image"
        said = disposition(api, path)
        assert said.startswith(f'attachment; filename="Grosse-{version}.0-image.qcow2"; filename*=')
        assert api.alice.request("HEAD", path).headers["content-disposition"] == said
        assert api.alice.request("GET", path, headers={"Range": "bytes=1-2"}).headers["content-disposition"] == said
        seen.add(said)
    assert len(seen) == 2


def test_a_member_of_a_folder_has_its_key_in_its_name(api: Glare) -> None:
    """Blobs of one folder do not overwrite one another either."""
    template = api.alice.create("heat_templates", name="stack")
    for key in ("lib/a.yaml", "lib/b.yaml"):
        api.alice.upload(template, f"nested_templates/{key}", b"x: y")
    names = [disposition(api, f"{path_of(template)}/nested_templates/lib/{one}.yaml") for one in "ab"]
    assert names == [f'attachment; filename="stack-0.0.0-nested_templates-lib_{one}.yaml"' for one in "ab"]


def test_external_and_redirected_downloads_have_the_name_too(tmp_path: Path) -> None:
    """The bytes of an origin come under the artifact's name; a redirect carries it for who takes it from there."""
    with Origin() as origin, running(tmp_path, "[locations]\nredirect = true\n", ports=(origin.port,)) as glare:
        origin.put("/x", b"data")
        image = glare.alice.create("images", name="far", disk_format="raw", container_format="ova")
        glare.alice.locate(image, "image", origin.url("/x"))
        path = f"{path_of(image)}/image"
        assert disposition(glare, path) == 'attachment; filename="far-0.0.0-image.ova"'
        glare.alice.activate(image)
        glare.alice.request("GET", path)
        answer = glare.alice.request("GET", f"{path}?redirect=true")
        assert answer.headers["content-disposition"] == 'attachment; filename="far-0.0.0-image.ova"'
