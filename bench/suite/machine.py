"""On what a run took place: the machine without its name, the system, the versions."""

import os
import re
import subprocess
from pathlib import Path

from .place import ROOT


def said(*command):
    """The first line a command prints, or nothing where it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=ROOT)
    except OSError:
        return ""
    lines = done.stdout.strip().splitlines()
    return lines[0].strip() if done.returncode == 0 and lines else ""


def found(pattern, path):
    match = re.search(pattern, Path(path).read_text(), re.M)
    return match.group(1).strip() if match else ""


def machine(directory):
    model = found(r"^model name\s*:\s*(.*)$", "/proc/cpuinfo")
    distribution = found(r'^PRETTY_NAME="?([^"\n]*)', "/etc/os-release")
    kernel = os.uname().release.split("-")[0]
    memory_gib = int(found(r"^MemTotal:\s+(\d+) kB", "/proc/meminfo")) / 1024**2
    return {
        "processor": f"{model}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{memory_gib:.0f} GiB",
        "system": f"{distribution}, Linux {kernel}",
        "file system": said("stat", "-f", "-c", "%T", str(directory)),
    }


def processor_ticks():
    """What the machine's programs have run, and what its host took away while they would have."""
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return user + nice + system + irq + softirq, steal


def stolen_since(before):
    """The part of the processor time wanted since then that went to the host's other guests, as a text."""
    ran, stolen = (now - then for now, then in zip(processor_ticks(), before))
    return f"{100 * stolen / max(ran + stolen, 1):.1f} %"


def versions(binary):
    libraries = ["libuv", "sqlite3"]
    by_library = ", ".join(f"{name} {said('pkg-config', '--modversion', name)}" for name in libraries)
    parser = said("dpkg-query", "-W", "-f", "${Version}", "libhttp-parser2.9") or "as the system has it"
    redis = re.search(r"v=(\S+)", said("redis-server", "--version"))
    commit = said("git", "rev-parse", "--short", "HEAD")
    changed = said("git", "status", "--porcelain", "--untracked-files=no", "--", "src", "bench", "meson.build")
    return {
        "sluice": f"{said(str(binary), '--version')}, {commit}{' and changes' if changed else ''}",
        "libraries": f"{by_library}, http-parser {parser}",
        "compiler": said("cc", "--version"),
        "Redis": redis.group(1) if redis else "",
    }
