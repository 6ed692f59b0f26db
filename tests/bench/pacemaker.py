"""Pacemaker and Corosync doing the same: three nodes on this machine, each in namespaces of its own
(network, mounts, IPC, host name, processes), a Dummy resource, and a node that loses power.

As a program this is the first process of one such node: pacemaker.py NAME ADDRESS. What it starts ends
with it, since it is the init of its process namespace; what it mounts is seen by nobody else.
"""
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time

import lib

PROGRAMS = ("corosync", "pacemakerd", "cibadmin", "crm_attribute", "crm_resource", "crm_node", "ip", "unshare", "nsenter")
AGENT = "/usr/lib/ocf/resource.d/pacemaker/Dummy"
PRIVATE = ("/etc/corosync", "/var/lib/corosync", "/var/lib/pacemaker", "/var/log", "/run", "/dev/shm", "/tmp")
STATE = "run/Dummy-d.state"
NODES = {"p1": "10.99.0.1", "p2": "10.99.0.2", "p3": "10.99.0.3"}


def corosync_conf(token_ms):
    nodes = "".join(f"  node {{\n    ring0_addr: {address}\n    name: {name}\n    nodeid: {number}\n  }}\n"
                    for number, (name, address) in enumerate(NODES.items(), 1))
    token = f"  token: {token_ms}\n" if token_ms else ""
    return (f"totem {{\n  version: 2\n  cluster_name: bench\n  transport: knet\n  crypto_cipher: none\n  crypto_hash: none\n{token}}}\n"
            f"nodelist {{\n{nodes}}}\nquorum {{\n  provider: corosync_votequorum\n}}\nlogging {{\n  to_stderr: yes\n}}\n")


# -- inside: the first process of a node --
def node_main(name, address, config):
    sys.stdin.readline()  # its end of the network is there
    socket.sethostname(name)
    run = lambda *command: subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    for path in PRIVATE:
        if pathlib.Path(path).is_dir():
            run("mount", "-t", "tmpfs", "-o", "mode=1777" if path in ("/tmp", "/dev/shm") else "mode=755", "bench", path)
    user = pwd.getpwnam("hacluster")
    for path in ("/var/lib/pacemaker", "/var/lib/pacemaker/cib", "/var/lib/pacemaker/pengine", "/var/lib/pacemaker/cores",
                 "/var/lib/pacemaker/blackbox", "/var/log/pacemaker", "/run/crm"):
        pathlib.Path(path).mkdir(exist_ok=True)
        os.chown(path, user.pw_uid, user.pw_gid)
    pathlib.Path("/var/log/corosync").mkdir()
    pathlib.Path("/run/lock").mkdir()
    pathlib.Path("/etc/corosync/corosync.conf").write_text(config)
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", f"{address}/24", "dev", "eth0")
    run("ip", "link", "set", "eth0", "up")
    subprocess.Popen(["corosync", "-f"], stdin=subprocess.DEVNULL)
    while subprocess.run(["corosync-cfgtool", "-s"], capture_output=True).returncode != 0:
        time.sleep(0.1)  # until it answers; the bench outside has the limit
    subprocess.Popen(["pacemakerd", "-f"], stdin=subprocess.DEVNULL)
    while True:  # the init of its namespace reaps whatever is left to it
        try:
            os.wait()
        except ChildProcessError:
            return


# -- outside --
class Peer:
    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name
        self.outer = self.pid = None

    def start(self):
        """Power on."""
        log = open(self.cluster.room / f"{self.name}.log", "ab")
        self.outer = subprocess.Popen(
            ["unshare", "--net", "--mount", "--propagation", "private", "--ipc", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc",
             sys.executable, __file__, self.name, NODES[self.name], corosync_conf(self.cluster.token_ms)],
            stdin=subprocess.PIPE, stdout=log, stderr=log)
        log.close()
        end = time.monotonic() + 10
        children = pathlib.Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children")
        while not children.read_text().split():
            if self.outer.poll() is not None or time.monotonic() > end:
                raise lib.Skip(f"no namespaces for a node of Pacemaker: {self.cluster.last_words(self.name)}")
            time.sleep(0.01)
        self.pid = int(children.read_text().split()[0])
        self.cluster.plug(self)
        self.outer.stdin.write(b"go\n")
        self.outer.stdin.close()

    def within(self, *command, limit_s=20):
        return subprocess.run(["nsenter", "--target", str(self.pid), "--net", "--mount", "--ipc", "--uts", "--pid", *command],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit_s)

    @property
    def runs_it(self):
        return pathlib.Path(f"/proc/{self.pid}/root/{STATE}").exists()

    def destroy(self):
        """Power loss: its first process dies, and the kernel ends all others with it."""
        if self.outer is None:
            return
        if self.pid:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        else:
            self.outer.kill()
        self.outer.wait()
        self.outer = self.pid = None


class Cluster:
    def __init__(self, room, token_ms):
        self.room, self.token_ms = room, token_ms
        self.hub = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL)
        self.links = 0
        self.peers = {name: Peer(self, name) for name in NODES}

    def last_words(self, name):
        path = self.room / f"{name}.log"
        return path.read_text(errors="replace")[-600:] if path.exists() else "it said nothing"

    def in_hub(self, *command):
        return subprocess.run(["nsenter", "--target", str(self.hub.pid), "--net", "ip", *command], capture_output=True, text=True)

    def start(self):
        own = os.readlink("/proc/self/ns/net")
        await_("a network namespace", lambda: os.readlink(f"/proc/{self.hub.pid}/ns/net") != own, 5)
        for command in (("link", "add", "hub0", "type", "bridge"), ("link", "set", "hub0", "up")):
            done = self.in_hub(*command)
            if done.returncode != 0:
                raise lib.Skip(f"no bridge in a namespace: {done.stderr.strip()}")
        for peer in self.peers.values():
            peer.start()
        await_("all three are members", self.all_in, 90)
        first = self.peers["p1"]
        for command in (("crm_attribute", "--type", "crm_config", "--name", "stonith-enabled", "--update", "false"),
                        ("cibadmin", "--create", "--scope", "resources", "--xml-text",
                         '<primitive id="d" class="ocf" provider="pacemaker" type="Dummy"/>')):
            done = first.within(*command)
            if done.returncode != 0:
                raise lib.Skip(f"{command[0]}: {done.stderr.strip()[-300:]}")

    def plug(self, peer):
        self.links += 1
        link = f"v{self.links}"
        for command in (("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(peer.pid)),
                        ("link", "set", link, "master", "hub0", "up")):
            done = self.in_hub(*command)
            if done.returncode != 0:
                raise lib.Skip(f"no link for a node of Pacemaker: {done.stderr.strip()}")

    def all_in(self):
        """Every node says that all are members."""
        for peer in self.peers.values():
            done = peer.within("crm_node", "--partition")
            if done.returncode != 0 or sorted(done.stdout.split()) != sorted(NODES):
                return None
        return True

    def owner(self):
        return next((peer for peer in self.peers.values() if peer.runs_it), None)

    def close(self):
        for peer in self.peers.values():
            peer.destroy()
        self.hub.kill()
        self.hub.wait()


def await_(what, condition, limit_s, pause_s=0.05):
    end = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise lib.Skip(f"not within {limit_s} s: {what}")
        time.sleep(pause_s)


def usable():
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if os.geteuid() != 0:
        return "namespaces need root"
    if missing or not pathlib.Path(AGENT).exists():
        return f"not installed: {', '.join(missing) or AGENT} (Debian: corosync, pacemaker, iproute2, util-linux)"
    return None


def gaps(count, token_ms):
    """Seconds from the loss of power of the resource's node until another one has started it."""
    reason = usable()
    if reason:
        raise lib.Skip(reason)
    found = []
    with lib.Room() as room:
        cluster = Cluster(room, token_ms)
        try:
            cluster.start()
            for _ in range(count):
                owner = await_("the resource runs", cluster.owner, 60)
                others = [peer for peer in cluster.peers.values() if peer is not owner]
                began = time.monotonic()
                owner.destroy()
                await_("another node runs it", lambda: any(peer.runs_it for peer in others), 120, 0.002)
                found.append(time.monotonic() - began)
                owner.start()
                await_("all three are members again", cluster.all_in, 90)
        finally:
            cluster.close()
    return found


if __name__ == "__main__":
    node_main(*sys.argv[1:4])
