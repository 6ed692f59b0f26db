"""A network of its own for a cluster: a namespace per node, joined by a bridge in one more.

Each node, and the manager as one of them, has an address, a cgroup (so that losing power kills everything on
it at once) and clocks of its own: CLOCK_MONOTONIC of each has another origin, as on other machines, and the
time of day can be set (cluster_clock). CLOCK_BOOTTIME is one for all, so the beacons' lines can be compared.

Whatever is made is first written to a record below RECORDS. close() removes it, at the program's end at the
latest; what a killed run left behind is removed by the next one, by what its record names and nothing else.
"""
import atexit
import ctypes
import errno
import json
import os
import pathlib
import secrets
import shutil
import struct
import subprocess
import tempfile
import threading
import time

from harness import BUILD, alive, cgroup_root, remove_cgroup

RECORDS = pathlib.Path("/run/poolherd-test")
NAMESPACES = pathlib.Path("/run/netns")
PREFIX = "10.211.7."  # within the namespaces only
MNT_DETACH = 2
LIBC = ctypes.CDLL(None, use_errno=True)
TOOLS = ("ip", "nft", "nsenter", "unshare")


class Unavailable(Exception):
    """Why no network can be made here."""


def command(*words, **options):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=30, **options)
    if done.returncode != 0:
        raise OSError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout


def unavailable():
    """Why no network can be made here, or None."""
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        return f"needs {', '.join(missing)}"
    if not cgroup_root():
        return "needs cgroup v2"
    return None


def started(pid):
    """When a process started, in ticks; None when there is none."""
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def within_limit(condition, limit_s=10):
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def mounted(path):
    """os.path.ismount() does not see a directory that is mounted onto itself."""
    return any(line.split()[4] == str(path) for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines())


def kill_cgroup(path):
    """Kills everything in it and waits until it is empty."""
    try:
        (path / "cgroup.kill").write_text("1")
    except FileNotFoundError:
        return
    if not within_limit(lambda: "populated 0" in (path / "cgroup.events").read_text()):
        raise OSError(f"{path}: what is in it does not die")


def remove(record):
    """Removes what a record names. Each step is tried, whatever became of the others."""
    problems = []

    def tried(step, *arguments):
        try:
            step(*arguments)
        except (OSError, subprocess.TimeoutExpired) as error:
            problems.append(str(error))
    group = pathlib.Path(record["cgroup"])
    tried(kill_cgroup, group)
    for mount in reversed(record["mounts"]):
        while mounted(mount) and not problems:
            tried(command, "umount", "-l", mount)
    for name in record["namespaces"]:
        if (NAMESPACES / name).exists():
            tried(command, "ip", "netns", "del", name)
    remove_cgroup(group)
    shutil.rmtree(record["dir"], ignore_errors=True)
    return problems


def sweep():
    """Removes what runs left that were killed."""
    for path in RECORDS.glob("*.json"):
        try:
            record = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if alive(record["pid"]) and started(record["pid"]) == record["started"]:
            continue
        problems = remove(record)
        print(f"removed what run {path.stem} left behind" + "".join(f"; {problem}" for problem in problems), flush=True)
        path.unlink(missing_ok=True)


class Network:
    port = 7461  # of agents: the same after a restart, as in life

    def __init__(self):
        reason = unavailable()
        if reason:
            raise Unavailable(reason)
        RECORDS.mkdir(mode=0o700, exist_ok=True)
        sweep()
        self.id = "ph" + secrets.token_hex(4)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="poolherd-test-net-"))
        self.group = cgroup_root() / f"poolherd-test-{self.id}"
        self.record = {"pid": os.getpid(), "started": started(os.getpid()), "dir": str(self.dir), "cgroup": str(self.group),
                       "namespaces": [], "mounts": []}
        self.lock = threading.RLock()
        self.members, self.cuts, self.losses, self.off = {}, set(), {}, set()
        atexit.register(self.close)
        try:
            self.group.mkdir()
            self.bridge = self._namespace("bridge")
            self._in(self.bridge, "ip", "link", "add", "name", "br0", "type", "bridge", "forward_delay", "0")
            self._in(self.bridge, "ip", "link", "set", "br0", "up")
        except BaseException:
            self.close()
            raise

    # -- what is made --
    def _save(self):
        path = RECORDS / f"{self.id}.json"
        path.with_suffix(".new").write_text(json.dumps(self.record))
        path.with_suffix(".new").rename(path)

    def _namespace(self, name):
        full = f"{self.id}-{name}"
        self.record["namespaces"].append(full)
        self._save()
        command("ip", "netns", "add", full)
        return full

    @staticmethod
    def _in(namespace, *words, **options):
        # Not `ip netns exec`: mounts made within it vanish with it.
        return command("nsenter", f"--net={NAMESPACES / namespace}", *words, **options)

    def address(self, name, number):
        """The address of a node, which joins the network with this."""
        with self.lock:
            return self._join(name, number)

    def _join(self, name, number):
        if name not in self.members:
            address = f"{PREFIX}{number + 1}"
            namespace = self._namespace(name)
            self._in(self.bridge, "ip", "link", "add", "name", name, "type", "veth", "peer", "name", "eth0", "netns", namespace)
            self._in(self.bridge, "ip", "link", "set", name, "master", "br0", "up")
            self._in(namespace, "ip", "address", "add", f"{address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                self._in(namespace, "ip", "link", "set", device, "up")
            (self.group / name).mkdir()
            self.clock(name).write_bytes(bytes(8))
            self.members[name] = (address, namespace, number)
        return self.members[name][0]

    def mount(self, path, size):
        """A small disk of its own."""
        self.record["mounts"].append(str(path))
        self._save()
        path.mkdir(mode=0o700, exist_ok=True)
        command("mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "none", path)

    def read_only(self, path):
        """What is opened anew below path cannot be written, until unmount()."""
        with self.lock:
            self.record["mounts"].append(str(path))
            self._save()
        command("mount", "--bind", path, path)
        command("mount", "-o", "remount,bind,ro", path)

    @staticmethod
    def unmount(path):
        """Whatever is mounted there, also when nothing is. Not umount(8): it looks into a list of mounts that may change meanwhile."""
        while LIBC.umount2(os.fsencode(path), MNT_DETACH) == 0:
            pass
        if ctypes.get_errno() not in (errno.EINVAL, errno.ENOENT):  # no mount, or no directory (any more)
            raise OSError(ctypes.get_errno(), f"unmount {path}")

    # -- programs --
    def within(self, name, words):
        if name == "cli":
            return ["nsenter", f"--net={NAMESPACES / self.members['manager'][1]}", *words]
        _, namespace, number = self.members[name]
        return ["/bin/sh", "-c", 'echo 0 >"$0" && exec "$@"', self.group / name / "cgroup.procs",
                "nsenter", f"--net={NAMESPACES / namespace}", "unshare", "--time", "--monotonic", str(1000 * (number + 1)), *words]

    def environment(self, name):
        return {"LD_PRELOAD": str(BUILD / "tests/cluster/cluster_clock.so"), "POOLHERD_TEST_CLOCK": str(self.clock(name)),
                "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}

    def clock(self, name):
        return self.dir / f"{name}.clock"

    def set_clock(self, name, offset_s):
        """The time of day on a node from now on: the true one plus offset_s."""
        with open(self.clock(name), "r+b") as file:
            file.write(struct.pack("=q", int(offset_s * 1e9)))

    # -- faults --
    def power_off(self, name):
        """Nothing of it is heard from now on, not even the end of its connections; everything on it is killed."""
        with self.lock:
            self.off.add(name)
            self._filter()
        kill_cgroup(self.group / name)
        return True

    def power_on(self, name):
        with self.lock:
            if name in self.off:
                self.off.discard(name)
                self._filter()

    def cut(self, sender, receiver):
        """Nothing more gets from sender to receiver."""
        with self.lock:
            self.cuts.add((sender, receiver))
            self._filter()

    def mend(self, sender, receiver):
        with self.lock:
            self.cuts.discard((sender, receiver))
            self._filter()

    def lose(self, name, percent):
        """So much of what a node sends or is sent is lost."""
        with self.lock:
            self.losses[name] = percent
            if percent == 0:
                del self.losses[name]
            self._filter()

    def heal(self):
        """Ends everything but power losses."""
        with self.lock:
            self.cuts.clear()
            self.losses.clear()
            self._filter()

    def _filter(self):
        rules = [f"{way} \"{name}\" drop" for name in sorted(self.off) for way in ("iifname", "oifname")]
        rules += [f'iifname "{sender}" oifname "{receiver}" drop' for sender, receiver in sorted(self.cuts)]
        rules += [f'{way} "{name}" numgen random mod 100 < {percent} drop' for name, percent in sorted(self.losses.items())
                  for way in ("iifname", "oifname")]
        self._in(self.bridge, "nft", "-f", "-", input="add table bridge faults\ndelete table bridge faults\n" + "\n".join(
            ["table bridge faults {", "chain forward {", "type filter hook forward priority 0", *rules, "}", "}"]) + "\n")

    # -- the end --
    def close(self):
        atexit.unregister(self.close)
        problems = remove(self.record)
        (RECORDS / f"{self.id}.json").unlink(missing_ok=True)
        for problem in problems:
            print(f"left behind: {problem}", flush=True)
