"""Workloads beside processes and machines: containers by the real crun, resources by Debian's real OCF agents."""
import json
import os
import pathlib
import re
import shutil
import subprocess
from unittest import skipIf

from harness import ClusterTest, alive, await_, cgroup_root, kill
from network import NAMESPACES

IPADDR2 = pathlib.Path("/usr/lib/ocf/resource.d/heartbeat/IPaddr2")
ADDRESS = "10.211.7.200"


def containers_work():
    return os.geteuid() == 0 and shutil.which("crun") and shutil.which("busybox") and cgroup_root()


def make_root(path):
    """A file system with busybox alone."""
    (path / "bin").mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), path / "bin/busybox")
    (path / "bin/sh").symlink_to("busybox")
    needed = subprocess.run(["ldd", shutil.which("busybox")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    for library in re.findall(r"/\S+", needed):
        (path / library[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, path / library[1:])


def container_pool(script, prefer="n1", container="", more=""):
    return f"""pools:
  - name: web
    driver: directory
    copies: 1
    sync_interval_s: 1
    nodes: {{prefer: [{prefer}]}}
    vms:
      - name: box
        kind: container
        command: [/bin/sh, -c, {json.dumps(script)}]
        environment: [COLOUR=green]
        stop_timeout_ms: 5000
        container: {{{container}}}
{more}"""


WELL_BEHAVED = "trap 'echo says bye; exit 0' TERM; echo up as $(busybox id -u) on $(busybox hostname) $COLOUR in $POOLHERD_POOL; " \
               "echo was here >>/srv/data/visits; while :; do busybox sleep 1000 & wait $!; done"


class Workloads(ClusterTest):
    def vm(self, pool="web"):
        return self.cluster.pool(pool)["vms"][0]

    def log(self, node, pool, vm):
        path = self.cluster[node].dir / "log" / pool / f"{vm}.log"
        return path.read_text(errors="replace") if path.exists() else ""


@skipIf(not containers_work(), "needs root, cgroup v2, crun and busybox")
class Containers(Workloads):
    def await_up(self, node, count=1):
        await_(f"the container is up on {node}", lambda: self.log(node, "web", "box").count("up as 0") >= count, 30)

    def declare(self, script=WELL_BEHAVED, container="hostname: shop, network: none, mounts: ['files:/srv/data', 'etc:/etc:ro']", more=""):
        """The data comes first: a pool whose container has nothing to run in says so, and starts once it is there."""
        c = self.cluster
        c.apply(container_pool(script, container=container, more=more))
        await_("it misses its file system", lambda: "box.root in the pool: No such file" in self.vm()["reason"])
        data = c["n1"].data("web")
        for name in ("files", "etc"):
            (data / name).mkdir()
        (data / "etc/name").write_text("of the pool")
        make_root(data / "making")
        (data / "making").rename(data / "box.root")

    def test_a_container_moves_with_its_pool(self):
        c = self.cluster
        self.declare()
        self.await_up("n1")
        self.assertIn("up as 0 on shop green in web", self.log("n1", "web", "box"))
        pid = await_("it is seen", lambda: self.vm()["state"] == "running" and self.vm()["pid"])
        # A new agent finds it; nothing of it is started anew.
        c["n1"].kill_agent()
        c["n1"].start()
        c.await_heard("n1")
        c.await_pool("web", state="active")
        await_("it is running", lambda: self.vm()["state"] == "running")
        self.assertEqual(self.vm()["pid"], pid)
        # It hears the signal, and its data is there.
        c.cli("pool", "move", "web", "--to", "n2", "--wait", timeout=60)
        self.assertIn("says bye", self.log("n1", "web", "box"))
        self.assertEqual(c["n1"].workload_pids(), [])
        self.await_up("n2")
        self.assertEqual((c["n2"].data("web") / "files/visits").read_text(), "was here\n" * 2)
        # Without its agent the lease ends: the guard kills it, and another node takes over.
        c.await_copy("web", "n1")
        c["n2"].kill_agent()
        c.await_pool("web", 30, state="active", node="n1")
        self.assertEqual(c["n2"].workload_pids(), [])
        self.await_up("n1", 2)

    def test_what_it_may_not_do(self):
        probe = "trap 'exit 0' TERM; echo up as $(busybox id -u); busybox touch /etc/x 2>&1; busybox mknod /dev/k b 7 0 2>&1; " \
                "busybox mount -t tmpfs t /srv 2>&1; busybox ls /sys/class/net; busybox cat /etc/name; echo; echo shown; while :; do busybox sleep 1000 & wait $!; done"
        self.declare(probe)
        await_("all of it was tried", lambda: "shown" in self.log("n1", "web", "box"), 30)
        said = self.log("n1", "web", "box")
        self.assertRegex(said, "/etc/x: Read-only file system")
        self.assertRegex(said, "mknod: /dev/k: Operation not permitted")
        self.assertRegex(said, "mount: .*(denied|permitted|you must be root)")
        self.assertIn("of the pool", said)

    def test_what_ends_is_started_again_and_what_will_not_is_killed(self):
        c = self.cluster
        self.declare("echo up as 0; trap '' TERM; while [ ! -e /srv/data/end ]; do busybox sleep 0.1; done; busybox rm /srv/data/end; exit 7")
        self.await_up("n1")
        (c["n1"].data("web") / "files/end").touch()
        self.await_up("n1", 2)
        await_("it was started again", lambda: self.vm()["state"] == "running" and self.vm()["restarts"] >= 1)
        c.cli("pool", "stop", "web", "--wait", timeout=60)
        self.assertEqual(c["n1"].workload_pids(), [])

    def test_what_cannot_be_a_container(self):
        c = self.cluster
        for wrong, said in (("mounts: ['../x:/x']", "PATH-IN-POOL:PATH-IN-CONTAINER"), ("root: /srv", "a directory in the pool"),
                            ("rooot: x", "did you mean"), ("network: bridge", "host or none"), ("mounts: ['a:/x', 'b:/x']", "mounted on twice")):
            done = c.raw("pool", "apply", "-f", "-", stdin=container_pool("true", container=wrong))
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(said, done.stderr)
        self.declare(container="mounts: ['files:/srv/data', 'out:/out']")
        (c["n1"].data("web") / "out").symlink_to("/")
        await_("it may not leave the pool", lambda: "out leads out of the pool, to /" in self.vm()["reason"], 30)
        self.assertEqual(c["n1"].workload_pids(), [])


@skipIf(os.geteuid() != 0 or not IPADDR2.exists() or not cgroup_root(), "needs root, cgroup v2 and resource-agents")
class Resources(Workloads):
    real_network = True

    def holders(self):
        """The nodes that have the address."""
        found = []
        for name in ("n1", "n2", "n3"):
            shown = subprocess.run(["nsenter", f"--net={NAMESPACES / self.network.members[name][1]}", "ip", "-4", "-o", "address"],
                                   stdout=subprocess.PIPE, text=True, check=True).stdout
            found += [name] if f" {ADDRESS}/" in shown else []
        return found

    def device(self, node):
        shown = subprocess.run(["nsenter", f"--net={NAMESPACES / self.network.members[node][1]}", "ip", "-4", "-o", "address"],
                               stdout=subprocess.PIPE, text=True, check=True).stdout
        return next(line.split()[1] for line in shown.splitlines() if " 10.211.7." in line)

    def remove_address(self, node):
        subprocess.run(["nsenter", f"--net={NAMESPACES / self.network.members[node][1]}", "ip", "address", "del", f"{ADDRESS}/24", "dev", self.device(node)], check=True)

    def declare(self):
        self.cluster.apply(f"""pools:
  - name: web
    driver: directory
    copies: 1
    sync_interval_s: 1
    nodes: {{prefer: [n1]}}
    vms:
      - name: address
        kind: ocf
        ocf: {{agent: "ocf:heartbeat:IPaddr2", parameters: [ip={ADDRESS}, cidr_netmask=24, nic={self.device("n1")}], interval_s: 1}}
      - name: service
        kind: process
        command: [sleep, "1000000"]
""")
        await_("n1 has the address", lambda: self.holders() == ["n1"], 30)
        self.cluster.await_pool("web", 30, state="active", node="n1", vms_running=2)

    def test_an_address_goes_with_its_pool(self):
        c = self.cluster
        self.declare()
        c.cli("pool", "move", "web", "--to", "n2", "--wait", timeout=60)
        self.assertEqual(self.holders(), ["n2"])
        # Its agent ends: the guard takes the address away before anybody else gets it.
        c.await_copy("web", "n1")
        c["n2"].kill_agent()
        await_("n2 has it no more", lambda: "n2" not in self.holders(), 30)
        await_("it runs elsewhere", lambda: (c.pool("web")["state"], c.pool("web")["node"]) in (("active", "n1"), ("active", "n3")), 30)
        await_("one of the others has it", lambda: self.holders() in (["n1"], ["n3"]), 30)

    def test_one_that_fails_is_started_again(self):
        self.declare()
        self.remove_address("n1")
        await_("the address is back", lambda: self.holders() == ["n1"] and self.vm()["restarts"] >= 1, 30)
        self.assertIn("monitor answers 7 (not running)", self.log("n1", "web", "address"))
        # Killed with what looks after it, it is found running, and stopped with its pool.
        pid = await_("it is seen", lambda: self.vm()["state"] == "running" and self.vm()["pid"])
        kill(pid)
        await_("it is looked after again", lambda: self.vm()["state"] == "running" and self.vm()["pid"] not in (0, pid), 30)
        self.assertEqual(self.holders(), ["n1"])
        kill(self.vm()["pid"])
        self.cluster.cli("pool", "stop", "web", "--wait", timeout=60)
        self.assertEqual(self.holders(), [])

    def test_a_new_agent_finds_it(self):
        c = self.cluster
        self.declare()
        pid = self.vm()["pid"]
        c["n1"].kill_agent()
        c["n1"].start()
        c.await_heard("n1")
        await_("it is running", lambda: self.vm()["state"] == "running" and self.vm()["pid"] == pid)
        self.assertTrue(alive(pid))
        c.cli("vm", "stop", "web/address", "--wait", timeout=60)
        self.assertEqual(self.holders(), [])

    def test_what_cannot_be_a_resource(self):
        c = self.cluster
        for wrong, said in (('agent: "IPaddr2"', "ocf:PROVIDER:TYPE"), ('agent: "ocf:heartbeat:IPaddr2", parameters: [ip]', "NAME=value"),
                            ("{}", "ocf:PROVIDER:TYPE")):
            done = c.raw("pool", "apply", "-f", "-", stdin="pools:\n  - name: web\n    driver: directory\n    vms:\n"
                         f"      - {{name: a, kind: ocf, ocf: {{{wrong.strip('{}')}}}}}\n")
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(said, done.stderr)
        c.apply('pools:\n  - name: web\n    driver: directory\n    vms:\n'
                '      - {name: a, kind: ocf, ocf: {agent: "ocf:heartbeat:IPaddr2", parameters: [ip=no.address]}}\n')
        await_("the agent's own words", lambda: "validate-all" in self.vm()["reason"] or "start answers" in self.vm()["reason"], 30)
