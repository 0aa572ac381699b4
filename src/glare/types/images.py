"""Images of virtual machines and containers."""

from __future__ import annotations

from glare.types import ArtifactType, Blob, Integer, String


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
    image = Blob("The image itself.", max_size=1_073_741_824_000, required_on_activate=False)
    kernel_id = String("Image that holds the kernel to boot with.", uuid=True, required_on_activate=False)
    ramdisk_id = String("Image that holds the ramdisk to boot with.", uuid=True, required_on_activate=False)
    instance_uuid = String("Instance that the image was made from.", required_on_activate=False)
    architecture = String("Processor architecture that the image is for.", required_on_activate=False)
    os_distro = String("Name of the operating system's distribution.", required_on_activate=False)
    os_version = String("Version of the operating system.", required_on_activate=False)
