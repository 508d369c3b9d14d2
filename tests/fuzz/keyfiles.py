"""Files of keys, which operators write."""

from __future__ import annotations

from service.runtime.keys import read_keys
from service.settings import SettingsError
from tests.fuzz.running import Reader, in_memory

_DIGEST = b"ab" * 32
_SEEDS = (
    b'[ada]\nsha256 = "%s"\nroles = ["predict"]\n' % _DIGEST,
    b'[ada]\nsha256 = ["%s", "%s"]\nroles = ["read", "train"]\nexpires = 2027-12-31\n' % (_DIGEST, b"cd" * 32),
    b'# x\n["a b"]\nsha256 = "%s"\nroles = ["admin"]\nrequests_per_second = 50\npoints_per_second = 1e4\nopen_jobs = 2\njob_bytes = 0\n' % _DIGEST,
    b'[a]\nsha256 = "%s"\nroles = ["read"]\n[b]\nsha256 = "%s"\nroles = ["read"]\n' % (_DIGEST, _DIGEST.upper()),
    b'a = {sha256 = "%s", roles = ["predict"]}\n' % _DIGEST,
)  # fmt: skip
_WORDS = (
    b"[b]\n", b"[[a]]", b"expires = 2027-12-31T00:00:00Z\n", b"expires = 0001-01-01\n", b"expires = 9999-12-31\n", b"12:00:00", b"'''", b'"""',
    b"inf", b"nan", b"-1", b"1e400", b"0x1", b"1979-05-27 07:32:00", b"roles = []\n", b'"admin"', b'"root"', b"a.b.c = 1\n", _DIGEST, b"true",
    b'"\\ud800"', b"[" * 300, b"{a=" * 200, b"a." * 500, b"expires = 2027-02-30\n", b"99999999999999999999999",
)  # fmt: skip


def keys() -> Reader:
    """Files of keys."""
    path = in_memory("keys.toml")

    def read(data: bytes) -> str:
        path.write_bytes(data)
        return f"{len(read_keys(path))} keys"

    return Reader(read, _SEEDS, _WORDS, refusals=(SettingsError,))
