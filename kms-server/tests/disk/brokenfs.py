#!/usr/bin/env python3
"""A disk that breaks on demand, over the folder ROOT: brokenfs.py ROOT MOUNTPOINT (needs fusepy).

Writes stay in memory until their file is synced. Looking for one of these names in the mount point gives an order:
  .power-cut    any part of what was not synced reaches the disk, in any order; the rest is lost; the disk is gone
  .fail-writes  from now on writes fail with EIO
  .fail-syncs   from now on syncs fail with EIO
  .read-only    from now on whatever changes something fails with EROFS, as after a read-only remount
  .mend         nothing fails any more
"""
import errno
import os
import random
import sys

from fuse import FUSE, FuseOSError, Operations


class Broken(Operations):
    def __init__(self, root):
        self.root, self.dirty, self.failing = root, {}, set()

    def real(self, path):
        return os.path.join(self.root, path.lstrip("/"))

    def order(self, name):
        if name == ".power-cut":
            for path, writes in self.dirty.items():
                with open(self.real(path), "r+b") as file:
                    for offset, data in random.sample(writes, random.randint(0, len(writes))):
                        file.seek(offset)
                        file.write(data)
            os._exit(0)
        if name == ".mend":
            self.failing.clear()
        elif name.startswith(".fail-"):
            self.failing.add(name[len(".fail-"):])
        elif name == ".read-only":
            self.failing.add("changes")

    def check(self, what):
        if "changes" in self.failing and what != "syncs":
            raise FuseOSError(errno.EROFS)
        if what in self.failing:
            raise FuseOSError(errno.EIO)

    def getattr(self, path, fh=None):
        self.order(os.path.basename(path))
        try:
            stat = os.lstat(self.real(path))
        except OSError:
            raise FuseOSError(errno.ENOENT) from None
        names = ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_mtime")
        attributes = {name: getattr(stat, name) for name in names}
        for offset, data in self.dirty.get(path, []):
            attributes["st_size"] = max(attributes["st_size"], offset + len(data))
        return attributes

    def readdir(self, path, fh):
        return [".", "..", *os.listdir(self.real(path))]

    def create(self, path, mode, fi=None):
        self.check("other changes")
        return os.open(self.real(path), os.O_RDWR | os.O_CREAT, mode)

    def open(self, path, flags):
        return os.open(self.real(path), os.O_RDWR)

    def release(self, path, fh):
        os.close(fh)

    def mkdir(self, path, mode):
        self.check("other changes")
        os.mkdir(self.real(path), mode)

    def rename(self, old, new):
        self.check("other changes")
        os.rename(self.real(old), self.real(new))
        if old in self.dirty:
            self.dirty[new] = self.dirty.pop(old)

    def write(self, path, data, offset, fh):
        self.check("writes")
        self.dirty.setdefault(path, []).append((offset, data))
        return len(data)

    def read(self, path, size, offset, fh):
        data = bytearray(os.pread(fh, size, offset))
        for start, written in self.dirty.get(path, []):
            first, end = max(start, offset), min(start + len(written), offset + size)
            if first < end:
                data.extend(b"\0" * (end - offset - len(data)))
                data[first - offset:end - offset] = written[first - start:end - start]
        return bytes(data)

    def fsync(self, path, datasync, fh):
        self.check("syncs")
        for offset, data in self.dirty.pop(path, []):
            os.pwrite(fh, data, offset)

    def truncate(self, path, length, fh=None):
        self.check("other changes")
        kept = [(offset, data[:max(0, length - offset)]) for offset, data in self.dirty.get(path, [])]
        if path in self.dirty:
            self.dirty[path] = [(offset, data) for offset, data in kept if data]
        os.truncate(self.real(path), length)

    def unlink(self, path):
        self.check("other changes")
        self.dirty.pop(path, None)
        os.unlink(self.real(path))

    def rmdir(self, path):
        self.check("other changes")
        os.rmdir(self.real(path))


FUSE(Broken(sys.argv[1]), sys.argv[2], foreground=True, nothreads=True)
