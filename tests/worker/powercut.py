"""A disk whose power can be cut: what was not synced is lost, as ext4's own tests do it.

An ext4 file system in a file, on a loop device. `cut` shuts it down without writing its journal
(`EXT4_IOC_SHUTDOWN`, as xfstests' `godown`): from then on every write fails, and the next mount
finds only what had reached the device. It takes root and loop devices.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.patience import until

_SHUTDOWN = 0x8004587D
_WITHOUT_JOURNAL = struct.pack("I", 2)
_BYTES = 1 << 30
_OPTIONS = "loop,commit=300"
"""Without an fsync the journal is written after five minutes, and not after the usual 5 s."""


def why_impossible() -> str:
    """Return why this machine cannot have such a disk, or nothing."""
    if os.geteuid() != 0:
        return "a power cut needs root, to mount a file system"
    if not Path("/dev/loop-control").exists() or shutil.which("mkfs.ext4") is None:
        return "a power cut needs loop devices and mkfs.ext4"
    return ""


@dataclass
class Disk:
    """A mounted file system in the file `image`."""

    image: Path
    folder: Path

    def cut(self) -> None:
        """Cut the power: nothing is written any more, and what was not synced is lost."""
        place = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(place, _SHUTDOWN, _WITHOUT_JOURNAL)
        finally:
            os.close(place)

    def restore(self) -> None:
        """Mount it again once no process uses it any more."""
        self.unmount()
        self.mount()

    def mount(self) -> None:
        subprocess.run(["mount", "-o", _OPTIONS, str(self.image), str(self.folder)], check=True)

    def unmount(self) -> None:
        command = ["umount", str(self.folder)]
        until(lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0)


@contextmanager
def disk(folder: Path) -> Iterator[Disk]:
    """Make a disk, mounted below `folder`."""
    image, mounted = folder / "disk.img", folder / "disk"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(_BYTES)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    made = Disk(image, mounted)
    made.mount()
    try:
        yield made
    finally:
        made.unmount()
        image.unlink()
