"""Images of virtual machines and containers."""

from __future__ import annotations

from glare.types import ArtifactType, Blob, BlobDict, Integer, Microversion, String

_MAX_SIZE = 1_073_741_824_000
_FORMATS = ("container_format", "disk_format")


class Image(ArtifactType):
    name = "images"
    display_name = "Images"

    container_format = String(
        "Format of the container that the image is in.",
        allowed=("ami", "ari", "aki", "bare", "ovf", "ova", "docker"),
    )
    disk_format = String(
        "Format of the disk.",
        allowed=("ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso"),
    )
    min_ram = Integer("Least memory that an instance needs, in MiB.", minimum=0, required_on_activate=False)
    min_disk = Integer("Least disk space that an instance needs, in GiB.", minimum=0, required_on_activate=False)
    image = Blob("The image itself.", max_size=_MAX_SIZE, required_on_activate=False, formats=_FORMATS)
    kernel_id = String("Image that holds the kernel to boot with.", uuid=True, required_on_activate=False)
    ramdisk_id = String("Image that holds the ramdisk to boot with.", uuid=True, required_on_activate=False)
    instance_uuid = String("Instance that the image was made from.", required_on_activate=False)
    architecture = String("Processor architecture that the image is for.", required_on_activate=False)
    os_distro = String("Name of the operating system's distribution.", required_on_activate=False)
    os_version = String("Version of the operating system.", required_on_activate=False)
    locations = BlobDict(
        "Where the image is, under names of your choice: every one is the same content.",
        replicas=True,
        max_size=32,
        max_blob_size=_MAX_SIZE,
        max_folder_size=32 * _MAX_SIZE,
        required_on_activate=False,
        since=Microversion(1, 2),
        formats=_FORMATS,
    )
