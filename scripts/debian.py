"""A bare Debian 12 in a folder, and how to run commands in it as if it were a machine of its own.

What reaches the packages from here (mirror, proxy, certificates) is lent to it at run time: the repository names none.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PIP_VARIABLE = re.compile(r"PIP_|(https?|no)_proxy$", re.IGNORECASE)
CERTIFICATES = Path("usr/local/share/ca-certificates")


def need_root_and(*programs: str) -> None:
    name = Path(sys.argv[0]).name
    missing = [program for program in programs if not shutil.which(program)]
    if os.geteuid() != 0:
        sys.exit(f"{name}: a chroot needs root: sudo scripts/{name}")
    if missing:
        sys.exit(f"{name}: type this first: apt-get install -y --no-install-recommends {' '.join(missing)}")


def make_root(root: Path, packages: Sequence[str]) -> None:
    """Lay a bare Debian 12 with `packages` into the empty folder `root`, from this machine's own mirror."""
    apt = Path("/etc/apt")
    lists = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.sources"))]
    ours = [str(path) for path in lists if path.is_file() and "bookworm-updates" in path.read_text(encoding="utf-8")]
    transport = re.compile(r"^\s*Acquire::.*;\s*$", re.MULTILINE)
    options = [
        f"--aptopt={line.strip()}"
        for path in sorted((apt / "apt.conf.d").glob("*"))
        for line in transport.findall(path.read_text(encoding="utf-8", errors="replace"))
    ]
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(packages)}", *options]
    subprocess.run([*command, "bookworm", str(root), *ours], check=True, stdin=subprocess.DEVNULL)
    lend_certificates(root)
    shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
    (root / "etc" / "pip.conf").write_text(pip_settings(), encoding="utf-8")


def lend_certificates(root: Path) -> None:
    if not (root / "usr/sbin/update-ca-certificates").exists():
        return
    for certificate in (Path("/") / CERTIFICATES).glob("*.crt"):
        shutil.copy(certificate, root / CERTIFICATES)
    subprocess.run(["chroot", str(root), "update-ca-certificates"], check=True, capture_output=True)


def pip_settings() -> str:
    """This machine's pip configuration, files and environment together, as one file."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    ).stdout
    settings = dict(line.split("=", 1) for line in listed.splitlines() if "=" in line)
    values = {name.rpartition(".")[2]: value.strip("'") for name, value in settings.items()}
    return "\n".join(["[global]", *(f"{name} = {value}" for name, value in values.items()), ""])


def lent_paths() -> list[Path]:
    """What pip's settings name of this machine: a mirror's folder, a file of constraints."""
    words = pip_settings().replace("file://", "").split()
    paths = {path for word in words if (path := Path(word)).is_absolute() and path.exists()}
    # an index at …/simple points to files beside it
    return sorted({path.parent if path.name == "simple" else path for path in paths})


def lent_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if PIP_VARIABLE.match(name)}


def run_in(root: Path, command: str, folder: str = "/root") -> int:
    """Run a shell command inside `root` with its own processes and mounts; both end with it, however it ends."""
    inside = shlex.quote(str(root))
    mounts = [
        f"mount -t proc proc {inside}/proc",
        f"mkdir -p {inside}/dev/pts {inside}/dev/shm",  # noqa: S108 - the mount point itself
        f"mount -t devpts -o newinstance,ptmxmode=666 devpts {inside}/dev/pts",
        f"mount -t tmpfs -o mode=1777 tmpfs {inside}/dev/shm",  # noqa: S108 - as above
    ]
    for lent in lent_paths():
        made = f"{inside}{lent}" if lent.is_dir() else f"{inside}{lent.parent} && touch {inside}{lent}"
        mounts += [f"mkdir -p {made}", f"mount --bind -o ro {lent} {inside}{lent}"]
    environment = {
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        **lent_environment(),
    }
    words = " ".join(shlex.quote(f"{name}={value}") for name, value in environment.items())
    script = shlex.quote(f"cd {shlex.quote(folder)} && {command}")
    enter = f"exec chroot {inside} env -i {words} sh -c {script}"
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-e", "-c", "\n".join([*mounts, enter])]
    return subprocess.run(unshare, check=False, stdin=subprocess.DEVNULL).returncode
