#!/usr/bin/env python3
"""Makes an OCI image archive of one layer from a folder, without a container engine.

    image.py [--user UID] FOLDER NAME:TAG ARCHIVE ENTRYPOINT [ARGUMENT ...]

The archive is what `ctr images import` and `podman load` read. The same files give the same bytes: order, times and
owners are fixed.
"""
import argparse
import hashlib
import io
import json
import os
import platform
import tarfile

OCI = "application/vnd.oci.image"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def entry(info):
    """A file as every build sees it: nobody's, of no time."""
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    return info


def layer(folder):
    buffer = io.BytesIO()
    paths = [os.path.join(at, name) for at, folders, files in os.walk(folder) for name in folders + files]
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(paths):
            tar.add(path, os.path.relpath(path, folder), recursive=False, filter=entry)
    return buffer.getvalue()


class Archive:
    """An image layout: blobs by their digest, an index, a version."""

    def __init__(self, path):
        self.tar = tarfile.open(path, "w")

    def file(self, name, data):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        self.tar.addfile(info, io.BytesIO(data))

    def blob(self, kind, data):
        """Puts it in; its descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        self.file(f"blobs/sha256/{digest}", data)
        return {"mediaType": f"{OCI}.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    def document(self, kind, content):
        return self.blob(kind, json.dumps(content).encode())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--user", default="65532")
    for name in ("folder", "name", "archive"):
        parser.add_argument(name)
    parser.add_argument("entrypoint", nargs=argparse.REMAINDER)
    given = parser.parse_args()

    archive = Archive(given.archive)
    files = archive.blob("layer.v1.tar", layer(given.folder))
    config = archive.document("config.v1+json", {
        "os": "linux",
        "architecture": ARCHITECTURES[platform.machine()],
        "config": {"User": given.user, "Entrypoint": given.entrypoint, "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [files["digest"]]},
    })
    manifest = archive.document("manifest.v1+json", {
        "schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": config, "layers": [files],
    })
    # The first is what containerd calls it, the second what the specification has.
    manifest["annotations"] = {
        "io.containerd.image.name": given.name,
        "org.opencontainers.image.ref.name": given.name.rpartition(":")[2],
    }
    archive.file("index.json", json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode())
    archive.file("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
    archive.tar.close()


if __name__ == "__main__":
    main()
