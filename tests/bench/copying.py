"""Copies: how fast, beside the bare tools in the same run; the time without a pool by its size; what many cost at rest.

Everything is on one file system (btrfs in a file, where root may have one), so each byte is read and written by one disk, for
the bare tools as for Poolherd. Durations of copies are the agent's own, from its log: from the begin of the task to its end, which
is when the holder has said that the copy is durable. The bare tools are given `sync` at their end for the same.
"""
import datetime
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

import lib

FILES_SMALL = 200
RATIO = 0.85
ROUNDS = 3
POOLS, STEADY_S = 50, 10


# -- where --
class Place:
    """A directory on btrfs if that is possible, else where temporary files are."""

    def __init__(self, mib):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="poolherd-copy-"))
        self.btrfs, self.dir = False, self.top
        if os.geteuid() == 0 and shutil.which("mkfs.btrfs"):
            image, mount = self.top / "disk", self.top / "m"
            mount.mkdir()
            with open(image, "wb") as file:
                file.truncate(max(1024, 6 * mib + 1024) << 20)
            if subprocess.run(["mkfs.btrfs", "-q", image], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0 and \
                    subprocess.run(["mount", "-o", "loop", image, mount]).returncode == 0:
                self.btrfs, self.dir = True, mount
        self.before, tempfile.tempdir = tempfile.tempdir, str(self.dir)

    def close(self):
        tempfile.tempdir = self.before
        if self.btrfs:
            subprocess.run(["umount", self.dir], check=False)
        shutil.rmtree(self.top, ignore_errors=True)


def cluster_of(count=3):
    from harness import Cluster
    lib.program("poolherd-agent")
    return Cluster(count, "profile: gentle\n")


def close(cluster):
    for node in cluster.nodes.values():
        node.kill_agent()
    for path in sorted(cluster.dir.glob("n*/pools/*/data")) + sorted(cluster.dir.glob("n*/pools/*/copies/*")):
        subprocess.run(["btrfs", "subvolume", "delete", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    cluster.close()


def declare(cluster, name, driver, copies, sync_s, prefer="n1"):
    cluster.apply(f"pools:\n  - {{name: {name}, driver: {driver}, copies: {copies}, sync_interval_s: {sync_s}, "
                  f"nodes: {{prefer: [{prefer}], allow: [n1, n2]}}}}\n")


def fill(data, mib, part=os.urandom(1 << 20)):
    """Large files of 16 MiB and some small ones."""
    for number in range(0, mib, 16):
        with open(data / f"large{number}", "wb") as file:
            for step in range(min(16, mib - number)):
                file.write(number.to_bytes(4, "big") + step.to_bytes(4, "big") + part[8:])
    for number in range(FILES_SMALL):
        (data / f"small{number}").write_bytes(part[number:number + 4000])
    os.sync()


def change(data, mib):
    """A twentieth of it, in place."""
    for number in range(0, mib, 16):
        with open(data / f"large{number}", "r+b") as file:
            file.seek(1 << 18)
            file.write(os.urandom(min(16, mib - number) << 20 >> 1 >> 3))
    os.sync()


def copies_of(node):
    """Seconds of each copy that this agent has made, in order."""
    began, took = {}, []
    for line in node.log.read_text(errors="replace").splitlines():
        words = re.search(r"^(\S+) \S+ \S+ (task_started|task_done) task=(\d+) kind=copy .*?(status=\w+|$)", line)
        if words is None:
            continue
        when = datetime.datetime.fromisoformat(words[1].replace("Z", "+00:00")).timestamp()
        if words[2] == "task_started":
            began[words[3]] = when
        elif words[4] == "status=ok":
            took.append(when - began[words[3]])
    return took


def next_copy(cluster, node, before, limit_s=600):
    from harness import await_
    await_("a copy", lambda: len(copies_of(node)) > before, limit_s)
    return copies_of(node)[before]


# -- the bare tools --
def send_receive(snapshot, parent, into):
    server = socket.create_server(("127.0.0.1", 0))
    out = socket.create_connection(server.getsockname())
    inward, _ = server.accept()
    server.close()
    began = time.monotonic()
    receive = subprocess.Popen(["btrfs", "receive", "-q", into], stdin=inward.fileno())
    inward.close()
    send = subprocess.Popen(["btrfs", "send", "-q"] + (["-p", parent] if parent else []) + [snapshot], stdout=out.fileno())
    out.close()
    if send.wait() != 0 or receive.wait() != 0:
        raise RuntimeError("btrfs send | btrfs receive failed")
    subprocess.run(["sync", "-f", into], check=True)
    return time.monotonic() - began


def plain_btrfs(place, mib):
    a, b = place / "plain-a", place / "plain-b"
    subprocess.run(["btrfs", "subvolume", "create", a], check=True, stdout=subprocess.DEVNULL)
    b.mkdir()
    took = []
    snapshots = []
    try:
        fill(a, mib)
        for number in range(2):
            snapshots.append(place / f"plain-s{number}")
            subprocess.run(["btrfs", "subvolume", "snapshot", "-r", a, snapshots[-1]], check=True, stdout=subprocess.DEVNULL)
            took.append(send_receive(snapshots[-1], snapshots[0] if number else None, b))
            change(a, mib)
    finally:
        for path in [a, *snapshots, *b.glob("*")]:
            subprocess.run(["btrfs", "subvolume", "delete", path], stdout=subprocess.DEVNULL)
    return took


def plain_rsync(place, mib):
    top = place / "rsync"
    (top / "a").mkdir(parents=True)
    (top / "b").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (top / "conf").write_text(f"use chroot = no\nlog file = /dev/null\n[b]\npath = {top}/b\nread only = no\nuid = {os.geteuid()}\ngid = {os.getegid()}\n")
    daemon = subprocess.Popen(["rsync", "--daemon", "--no-detach", f"--config={top}/conf", "--address=127.0.0.1", f"--port={port}"],
                              stdin=subprocess.DEVNULL)
    took = []
    try:
        fill(top / "a", mib)
        for _ in range(2):
            for _ in range(100):  # until it listens
                began = time.monotonic()
                done = subprocess.run(["rsync", "-aHSAX", "--numeric-ids", f"{top}/a/", f"rsync://127.0.0.1:{port}/b/"], stderr=subprocess.DEVNULL)
                if done.returncode == 0:
                    break
                time.sleep(0.05)
            subprocess.run(["sync", "-f", top / "b"], check=True)
            took.append(time.monotonic() - began)
            change(top / "a", mib)
    finally:
        daemon.terminate()
        daemon.wait()
        shutil.rmtree(top)
    return took


# -- Poolherd --
def poolherd(driver, mib):
    """Seconds of a full copy and of a difference."""
    cluster = cluster_of(2)
    try:
        declare(cluster, "web", driver, 0, 0)
        cluster.await_pool("web", state="active", node="n1", limit_s=60)
        data = cluster["n1"].data("web")
        fill(data, mib)
        declare(cluster, "web", driver, 1, 0)
        took = [next_copy(cluster, cluster["n1"], 0)]
        change(data, mib)
        declare(cluster, "web", driver, 1, 1)
        took.append(next_copy(cluster, cluster["n1"], 1))
    finally:
        close(cluster)
    return took


def alone(measure, mib):
    """Of one run on a file system of its own: what an earlier one has left is removed in the background for seconds."""
    place = Place(mib)
    try:
        return measure(place, mib)
    finally:
        place.close()


def rates(report):
    mib = lib.MIB
    place = Place(16)
    place.close()
    kinds = [("rsync", "directory", plain_rsync)] + ([("btrfs send | receive", "btrfs", plain_btrfs)] if place.btrfs else [])
    for tool, driver, plain in kinds:
        raw, ours = [], []
        for number in range(ROUNDS):
            for mine in (True, False) if number % 2 else (False, True):
                (ours if mine else raw).append(alone(lambda place, mib: poolherd(driver, mib) if mine else plain(place.dir, mib), mib))
        raw, ours = ([min(run[step] for run in runs) for step in range(2)] for runs in (raw, ours))
        report.add(f"full copy of {mib} MiB, {driver} (raw: plain {tool})", mib / ours[0], "MiB/s", raw=mib / raw[0],
                   target=f">= {RATIO:.0%} of plain", ratio_limit=RATIO, at_least=True, note=f"best of {ROUNDS}")
        report.add(f"  a twentieth of it changed ({driver})", ours[1], "s", raw=raw[1], note=f"{mib / 20 / ours[1]:.0f} MiB/s of what changed")
    if not place.btrfs:
        raise lib.Skip("btrfs needs root and btrfs-progs")


def sizes(report):
    for mib in (1, 1024) + ((10240,) if lib.LARGE else ()):
        place = Place(mib)
        try:
            for driver in ("directory",) + (("btrfs", ) if place.btrfs else ()):
                cluster = cluster_of(2)
                try:
                    declare(cluster, "web", driver, 1, 0)
                    cluster.await_pool("web", state="active", node="n1", limit_s=60)
                    fill(cluster["n1"].data("web"), mib)
                    told = []
                    for number in range(5 if mib < 1000 else 3):
                        job = cluster.await_job(cluster.cli("pool", "move", "web", "--to", "n2" if number % 2 == 0 else "n1")["job"], 3600)
                        assert job["state"] == "succeeded", job
                        told.append(job["downtime_ms"] / 1000)
                    report.add(f"planned move of {mib} MiB, {driver}: time without it", lib.median(told), "s",
                               note="each: " + ", ".join(f"{value:.2f}" for value in told))
                finally:
                    close(cluster)
        finally:
            place.close()


def spent_s(pid):
    """Processor seconds of a process and of all its children that have ended."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(value) for value in fields[11:15]) / lib.TICK


def steady(report):
    from harness import await_
    place = Place(64)
    try:
        for driver in ("directory",) + (("btrfs",) if place.btrfs else ()):
            cluster = cluster_of(2)
            try:
                cluster.apply("pools:\n" + "".join(
                    f"  - {{name: p{number}, driver: {driver}, copies: 1, sync_interval_s: 1, nodes: {{prefer: [n1]}}}}\n" for number in range(POOLS)))
                cluster.await_pools(POOLS, 120)
                for number in range(POOLS):
                    (cluster["n1"].data(f"p{number}") / "small").write_text("x" * 4000)
                await_("every pool has a copy", lambda: cluster.value(
                    "SELECT count(*) FROM replicas WHERE state = 'complete'") == POOLS, 120)
                time.sleep(2)
                pids = [cluster.manager.pid] + [node.agent_pid for node in cluster.nodes.values()]
                made, before, began = len(copies_of(cluster["n1"])), [spent_s(pid) for pid in pids], time.monotonic()
                time.sleep(STEADY_S)
                span = time.monotonic() - began
                cost = sum(spent_s(pid) for pid in pids) - sum(before)
                made = len(copies_of(cluster["n1"])) - made
                lag = max(pool["lag_ms"] for pool in cluster.cli("pool", "list"))
                report.add(f"{POOLS} pools copied every second, {driver}: processors busy", cost / span, "cores",
                           note=f"{made / span:.0f} copies a second were made, {cost / max(1, made) * 1000:.1f} ms each; oldest copy {lag / 1000:.1f} s")
            finally:
                close(cluster)
    finally:
        place.close()


def copy(report):
    rates(report)
    sizes(report)
    steady(report)


BENCHES = {"copy": copy, "copy-rates": rates, "copy-sizes": sizes, "copy-steady": steady}
