"""Runs services of docker-compose.yml as processes where there is no engine.

Each has what its container would have: its command, user, volumes, secrets and settings, no capabilities, and a file
system that is read only but for what is mounted for writing. It differs in the network, which is this machine's, in
the code, which is the working tree's, and in that WORKDIR lies below /run.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from shlex import quote
from typing import Any

import pytest

from tests.deploy import compose

HELD = "/opt/held"
WORKDIR = "/run/etc/lading"
RUN_LIMIT_S = 300.0
STOP_LIMIT_S = 20.0
LADING = """#!/bin/sh
exec {python} -m lading.cli "$@"
"""


class Engine:
    """The project over one folder. `variables` override hosts and ports by service; under "" for every one."""

    def __init__(self, folder: Path, secrets: Path, variables: Mapping[str, Mapping[str, str]]) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root makes the namespaces that stand for containers")
        self._folder, self.secrets, self._variables = (
            folder,
            secrets,
            {name: dict(one) for name, one in variables.items()},
        )
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._bin = folder / "bin"
        self._bin.mkdir()
        (self._bin / "lading").write_text(LADING.format(python=sys.executable))
        (self._bin / "lading").chmod(0o755)
        (self._bin / "lading-keys").symlink_to(compose.ROOT / "deploy/keys.sh")
        self._kernels = _kernels()

    def set_variable(self, name: str, value: str) -> None:
        """One more override, for what is only known once it runs."""
        self._variables.setdefault("", {})[name] = value

    def volume(self, name: str) -> Path:
        """A named volume; new ones belong to the image's user, as one does that is mounted over the image's folder."""
        path = self._folder / "volumes" / name
        if not path.exists():
            path.mkdir(parents=True)
            uid, gid = map(int, compose.APP_USER.split(":"))
            os.chown(path, uid, gid)
            path.chmod(0o750)
        return path

    def start(self, name: str) -> None:
        """Start a service that stays."""
        with self._log(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(
                self._command(name, _command(compose.services()[name])), stdout=log, stderr=log
            )

    def run(self, name: str, arguments: Sequence[str] | None = None, given: bytes = b"") -> bytes:
        """Run a service that ends; its stdout. `arguments`: in place of its command, as of `docker compose run`."""
        service = compose.services()[name]
        command = _command(service if arguments is None else {**service, "command": list(arguments)})
        done = subprocess.run(
            self._command(name, command),
            input=given,
            capture_output=True,
            timeout=RUN_LIMIT_S,
            check=False,
        )
        said = (done.stdout[-3000:] + done.stderr[-3000:]).decode(errors="replace")
        assert done.returncode == 0, f"{name} {arguments or ''}: {said}"
        return done.stdout

    def ended(self) -> dict[str, str]:
        """The services that should run and do not, with what they said last."""
        return {
            name: self._log(name).read_text()[-3000:]
            for name, process in self._processes.items()
            if process.poll() is not None
        }

    def said(self, name: str) -> str:
        """What a service has said."""
        return self._log(name).read_text()

    def stop(self) -> None:
        """SIGTERM to all, SIGKILL to what does not end."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _command(self, name: str, command: Sequence[str]) -> list[str]:
        service = compose.services()[name]
        binds = self._binds(service)
        lines = ["mount -t tmpfs -o mode=0755,size=1m tmpfs /opt"]
        for number, (source, _, _) in enumerate(binds):
            lines += [f"mkdir -p {HELD}/{number} 2>/dev/null || :", _hold(source, number)]
        for place in ("/run", "/var/lib", *_hidden()):
            lines.append(f"mount -t tmpfs -o mode=0755,size=1m tmpfs {place}")
        lines.append("mount -t tmpfs -o noexec,nosuid,nodev,mode=1777,size=256m tmpfs /tmp")
        for number, (source, target, is_read_only) in enumerate(binds):
            lines += _bind(number, source, target, is_read_only)
        lines += [f"mount -o remount,ro {place}" for place in ("/opt", "/run", "/var/lib", *_hidden())]
        lines += [
            "mount -o remount,bind,ro /",
            f"mkdir -p {WORKDIR} && cd {WORKDIR}",
            self._become(name, command),
        ]
        script = "\n".join(lines)
        return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script]

    def _become(self, name: str, command: Sequence[str]) -> str:
        service = compose.services()[name]
        uid, gid = service["user"].split(":")
        given = {key: str(value) for key, value in (service.get("environment") or {}).items()}
        given |= self._variables.get("", {}) | self._variables.get(name, {})
        given |= {
            "PATH": f"{self._bin}:/usr/bin:/bin",
            "HOME": "/tmp",
            "NUMBA_CACHE_DIR": str(self._kernels),
            "PYTHONPATH": str(compose.ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
        }
        environment = " ".join(quote(f"{key}={value}") for key, value in given.items())
        drop = f"setpriv --reuid {uid} --regid {gid} --clear-groups --no-new-privs"
        drop += " --inh-caps=-all --bounding-set=-all"
        return f"exec {drop} env -i {environment} {' '.join(map(quote, command))}"

    def _binds(self, service: dict[str, Any]) -> list[tuple[Path, str, bool]]:
        """Source, target, read only: the service's mounts and secrets, and what stands for the image."""
        found = [(path, str(path), True) for path in _image()]
        found += [(self._bin, str(self._bin), True), (self._kernels, str(self._kernels), False)]
        for mount in service.get("volumes", []):
            is_bind = mount["type"] == "bind"
            source = Path(mount["source"]) if is_bind else self.volume(mount["source"])
            found.append((source, _moved(mount["target"]), bool(mount.get("read_only"))))
        for secret in service.get("secrets", []):
            name = secret["source"]
            found.append((self.secrets / name, f"/run/secrets/{name}", True))
        return found


def _kernels() -> Path:
    """Where compiled kernels are kept from run to run, by the sources of all: compiling takes a while each time."""
    sources = sorted(path for part in ("lading", "anomaly") for path in (compose.ROOT / part).glob("*.py"))
    digest = sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    path = compose.servers() / f"kernels-{digest}"
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o777)
    return path


def _command(service: dict[str, Any]) -> list[str]:
    """Entry point and command; the image's entry point is `lading`."""
    entrypoint = service.get("entrypoint") or ["lading"]
    return [*entrypoint, *(service.get("command") or [])]


def _image() -> list[Path]:
    """What the image holds: code, packages, interpreter. Bound again where their folder is hidden."""
    return [compose.ROOT, Path(sys.prefix), Path(sys.base_prefix)]


def _hidden() -> list[str]:
    """Folders that the container's user may not enter here, though what stands for the image lies there."""
    return ["/root"] if any(path.is_relative_to("/root") for path in _image()) else []


def _hold(source: Path, number: int) -> str:
    """Keep hold of a source, which may lie below what is hidden next."""
    held = f"{HELD}/{number}"
    make = "" if source.is_dir() else f"rmdir {held} && touch {held} && "
    return f"{make}mount --bind {quote(str(source))} {held}"


def _bind(number: int, source: Path, target: str, is_read_only: bool) -> list[str]:
    held, at = f"{HELD}/{number}", quote(target)
    make = (
        f"mkdir -p {at}" if source.is_dir() else f"mkdir -p {quote(str(Path(target).parent))} && touch {at}"
    )
    lines = [f"[ -e {at} ] || {{ {make}; }}", f"mount --bind {held} {at}"]
    return [*lines, f"mount -o remount,bind,ro {at}"] if is_read_only else lines


def _moved(target: str) -> str:
    """/etc is needed as it is: the image's folder in it stands below /run."""
    return f"/run{target}" if target.startswith("/etc/") else target
