"""Bad input and faults: what comes in from outside, and what breaks underneath. Which case is tested where:

malformed, oversized, truncated messages    unit/serve/manager bad_messages_are_answered_or_dropped..., unit/wire/sockets
                                            oversized_and_many_frames..., unit/proto/message, unit/stream/hostile; fuzz/
duplicated, replayed, out of order          unit/agent_core/order test_older_ones_are_ignored, unit/core/report, identity; sim
noise instead of messages                   test_manager.Bad.test_noise_on_the_port
a wrong key, an unknown one, a revoked one  unit/wire/sockets a_wrong_server_key..., test_manager.Identities, here: Keys
an agent with a stale epoch                 unit/pools/epoch, here: StaleEpoch; test_failures.NodeLoss (old data returns)
a manager with a lower term                 unit/agent_core/order test_stale_manager_is_ignored,
                                            test_manager.House.test_a_restored_backup_is_refused_by_agents
a full disk under the manager               test_manager.Disks, unit/serve/durable a_full_disk_ends_the_manager...
a full disk under an agent                  here: AgentDisks
a read-only directory                       test_manager.Disks (manager), here: AgentDisks (agent)
two managers on one directory               test_manager.House.test_two_managers_on_one_directory, unit/serve/manager
two agents on one directory, one identity   test_manager.House.test_two_agents_on_one_directory, ..._with_one_identity
a workload that ignores its signal          test_moves.RootMoves, unit/work/process
a workload that cannot be killed at all     here: Unkillable (writes to a frozen file system; needs root)
a pool driver that hangs                    here: HangingDriver
names of every odd kind                     here: Names, test_manager.Bad.test_bad_declarations, unit/base/text
"""
import json
import os
import shutil
import signal
import subprocess
from unittest import skipIf

from harness import BUILD, CliError, ClusterTest, alive, await_, kill



ODD_NAMES = ("a b", "a/b", "..", ".", "/etc/passwd", "\x07bell", "new\nline", "\x1b[31mred", "x" * 64, "x" * 10000, "größe", "日本", "\u202eabc",
             "A", "", "*", "$(id)", "a;b", "-", "-x", "--help-me", "'", '"', "%s%n", "\x7f")


class Names(ClusterTest):
    nodes = 1

    def test_odd_names_are_refused_wherever_a_name_is_taken(self):
        c = self.cluster
        for name in ODD_NAMES:
            for command in (("node", "invite", name), ("node", "show", name), ("node", "fence", "n1", "--confirm-dead", name), ("pool", "show", name),
                            ("pool", "move", "web", "--to", name), ("identity", "invite", name, "--role", "viewer"), ("events", "--node", name)):
                with self.subTest(name=name[:20], command=command[:2]):
                    done = c.raw(*command, "--json")
                    self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
                    error = json.loads(done.stderr)["error"]
                    self.assertEqual(error["code"], "bad_input")
                    self.assertLess(len(error["message"]), 1024)
                    self.assertFalse(any(ord(letter) < 32 or ord(letter) == 127 for letter in error["message"]), error)
        for name in ("", "a b", "../n1", "größe", "x" * 10000):
            done = subprocess.run([BUILD / "poolherd-agent", "--dir", c.dir / "other", "--name", name], capture_output=True, text=True, timeout=20)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("--name", done.stderr)
        self.assertEqual(c.query("SELECT count(*) AS n FROM events WHERE kind = 'command'"), [{"n": 1}], "only the invitation of n1")

    def test_odd_names_of_vms(self):
        c = self.cluster
        for name in ODD_NAMES:
            text = json.dumps({"pools": [{"name": "p", "driver": "directory", "vms": [{"name": name, "kind": "process", "command": ["true"]}]}]})
            with self.assertRaises(CliError, msg=name[:20]) as caught:
                c.apply(text)
            self.assertEqual(caught.exception.status, 2)
            self.assertIn("vms", caught.exception.error["field"])
        self.assertEqual(c.query("SELECT name FROM pools"), [])

    def test_odd_names_inside_a_pool_are_copied_as_they_are(self):
        """What workloads call their files is their own business."""
        # test_moves.Moves.test_a_planned_move_loses_nothing moves such files; here only what breaks shells
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("web", copies=0))
        c.await_pool("web", state="active")
        for name in ("a b", "new\nline", "\x1b[31m", "-rf", "größe", "x" * 255, "*"):
            (c["n1"].data("web") / name).write_text(name)
        c.add_node("n2", 2).join()
        c.await_node("n2", state="online")
        self.assertEqual(c.await_job(c.cli("pool", "move", "web", "--to", "n2")["job"])["state"], "succeeded")
        self.assertEqual((c["n2"].data("web") / "new\nline").read_text(), "new\nline")
        self.assertEqual(len(list(c["n2"].data("web").iterdir())), 7)


class Keys(ClusterTest):
    nodes = 1

    def test_an_agent_whose_key_is_not_in_the_inventory_gets_nothing(self):
        """A node enrolled at another manager, pointed at this one."""
        from harness import Cluster
        c = self.cluster
        other = Cluster(1)
        try:
            other["n1"].kill_agent()
            theirs = json.loads((other["n1"].dir / "agent.identity").read_text())
            ours = json.loads((c["n1"].dir / "agent.identity").read_text())
            for key in ("endpoint", "manager", "manager_key", "server_key", "cluster"):
                if key in ours:
                    theirs[key] = ours[key]
            (other["n1"].dir / "agent.identity").write_text(json.dumps(theirs))
            before = c.node("n1")
            other["n1"].start()
            await_("it is refused", lambda: c.manager_log.read_text().count("refused") or c.manager_log.read_text().count("unknown"))
            self.assertEqual(c.node("n1")["generation"], before["generation"])
            self.assertEqual(len(c.cli("node", "list")), 1)
        finally:
            other.close()


class StaleEpoch(ClusterTest):
    nodes = 2

    def test_a_node_that_has_seen_a_higher_epoch_refuses_to_activate(self):
        """As after an inventory restored from a backup: the epoch stored with the data has the last word."""
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("web", allow=["n1"], copies=0))
        c.await_pool("web", state="active")
        c.cli("pool", "stop", "web")
        c.await_pool("web", state="unassigned")
        trace = c["n1"].dir / "pools" / "web" / "epoch"
        stored = json.loads(trace.read_text())
        stored["epoch"] += 1000
        trace.write_text(json.dumps(stored))
        c.cli("pool", "start", "web")
        shown = await_("the refusal is shown", lambda: (lambda pool: pool if "epoch" in pool["reason"] and pool["state"] != "active" else None)(c.pool("web")))
        self.assertIn(str(stored["epoch"]), shown["reason"])
        self.assertEqual(c["n1"].workload_pids(), [])


class HangingDriver(ClusterTest):
    nodes = 2
    agent_config = "copy_stall_s: 1\n"

    def hangs(self, where):
        c = self.cluster
        c[where].wrap_tool("rsync")
        c[where].hold()
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"]))
        c.await_pool("web", state="active", node="n1")
        pids = c["n1"].workload_pids()
        failing = await_("the copy fails with a reason", lambda: [copy for copy in c.pool("web")["copies"] if "hangs" in copy["reason"]])[0]
        self.assertIn("rsync", failing["reason"])
        job = c.cli("pool", "move", "web", "--to", "n2")["job"]
        waits = await_("the move says why", lambda: (lambda job: job if "hangs" in job["waiting_on"] else None)(c.job(job)))
        self.assertEqual((waits["state"], waits["phase"]), ("running", "copying"))
        self.assertEqual(c["n1"].workload_pids(), pids, "the pool runs on")
        for node in ("n1", "n2"):
            self.assertEqual((c.node(node)["state"], c.node(node)["failures"]), ("online", 0))
        c[where].go_on()
        self.assertEqual(c.await_job(job)["state"], "succeeded")
        self.assertEqual(c.query("SELECT id FROM events WHERE kind = 'node-suspect'"), [], "agents went on beating")

    def test_at_the_owner(self):
        self.hangs("n1")

    def test_at_the_holder(self):
        self.hangs("n2")


@skipIf(os.geteuid() != 0, "needs root to mount")
class AgentDisks(ClusterTest):
    nodes = 2

    def tearDown(self):
        for node in self.cluster.nodes.values():
            node.destroy()
            while os.path.ismount(node.dir):
                subprocess.run(["umount", "-l", str(node.dir)], check=True)
        super().tearDown()

    def node_on(self, name, number, options):
        c = self.cluster
        node = c.add_node(name, number)
        node.dir.mkdir(mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(node.dir)], check=True)
        return node

    def test_a_full_disk_under_an_agent(self):
        """Copies to it fail with the reason, what runs on it is stopped in time or runs on, and nothing is lost."""
        c = self.cluster
        node = self.node_on("n3", 3, "size=24m,mode=0700").join()
        c.await_node("n3", state="online")
        c.apply("pools:\n" + c.beacon_pool("here", allow=["n3", "n1"], prefer=["n3"]) + c.beacon_pool("there", allow=["n1", "n3"], prefer=["n1"]))
        c.await_pool("here", state="active", node="n3")
        c.await_pool("there", state="active", node="n1")
        (node.data("here") / "kept").write_text("kept")
        c.await_copy("here", "n1")
        c.await_copy("there", "n3")
        with open(node.dir / "filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                pass
        (c["n1"].data("there") / "big").write_bytes(os.urandom(1000000))
        await_("the copy fails with the reason", lambda: "No space left" in c.pool("there")["copies"][0]["reason"])
        c.await_pool("there", state="active", node="n1")
        (node.dir / "filler").unlink()
        if not node.agent_pid:
            node.start()
        c.await_heard("n3")
        c.await_pools(2)
        c.await_copy("there", "n3", 60)
        where = c.pool("here")["node"]
        self.assertEqual((c[where].data("here") / "kept").read_text(), "kept")

    def test_a_directory_that_became_read_only(self):
        c = self.cluster
        node = self.node_on("n3", 3, "size=64m,mode=0700").join()
        c.await_node("n3", state="online")
        c.apply("pools:\n" + c.beacon_pool("here", allow=["n3", "n1"], prefer=["n3"]))
        c.await_pool("here", state="active", node="n3")
        (node.data("here") / "kept").write_text("kept")
        c.await_copy("here", "n1")
        node.kill_agent(signal.SIGTERM)
        # The workload's and the guard's files are open: a lazy second mount shows the same file system read-only.
        subprocess.run(["mount", "--bind", str(node.dir), str(node.dir)], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(node.dir)], check=True)
        done = subprocess.run([BUILD / "poolherd-agent", "--dir", node.dir], capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(str(node.dir), done.stderr)
        self.assertIn("ead-only", done.stderr)
        c.await_pool("here", state="active", node="n1", limit_s=20)
        self.assertEqual((c["n1"].data("here") / "kept").read_text(), "kept")


def freezable():
    return os.geteuid() == 0 and shutil.which("fsfreeze") and shutil.which("mkfs.btrfs") and os.path.exists("/dev/loop-control")


@skipIf(not freezable(), "needs root and loop devices")
class Unkillable(ClusterTest):
    nodes = 2

    def setUp(self):
        super().setUp()
        c = self.cluster
        self.disk = c.dir / "disk"
        self.disk.mkdir()
        image = c.dir / "image"
        with open(image, "wb") as file:
            file.truncate(256 << 20)
        subprocess.run(["mkfs.btrfs", "-q", str(image)], check=True)
        if subprocess.run(["mount", "-o", "loop", str(image), str(self.disk)], check=False).returncode != 0:
            c.close()
            self.skipTest("no loop device")

    def tearDown(self):
        subprocess.run(["fsfreeze", "-u", str(self.disk)], check=False, stderr=subprocess.DEVNULL)
        for node in self.cluster.nodes.values():
            node.destroy()
        subprocess.run(["umount", "-l", str(self.disk)], check=False)
        super().tearDown()

    def test_what_will_not_die_is_never_called_released(self):
        c = self.cluster
        script = f"while :; do echo x >'{self.disk}/x'; done"
        c.apply(json.dumps({"pools": [{"name": "web", "driver": "directory", "copies": 1, "sync_interval_s": 1, "nodes": {"prefer": ["n1"]}, "vms": [
            {"name": "writer", "kind": "process", "command": ["/bin/sh", "-c", script], "stop_timeout_ms": 200}]}]}))
        c.await_pool("web", state="active", node="n1")
        c.await_copy("web", "n2")
        subprocess.run(["fsfreeze", "-f", str(self.disk)], check=True)
        pids = c["n1"].workload_pids()
        job = c.cli("pool", "move", "web", "--to", "n2")["job"]
        stuck = await_("it is shown as stuck", lambda: (lambda job: job if "stuck" in job["waiting_on"] else None)(c.job(job)), 40)
        self.assertEqual(stuck["phase"], "stopping")
        self.assertIn("stuck", c.pool("web")["reason"])
        self.assertTrue(set(pids) & set(c["n1"].workload_pids()))
        self.assertEqual(c["n2"].workload_pids(), [])
        subprocess.run(["fsfreeze", "-u", str(self.disk)], check=True)
        self.assertEqual(c.await_job(job, 60)["state"], "succeeded")
        self.assertEqual(c["n1"].workload_pids(), [])
        c.await_pool("web", state="active", node="n2")


if __name__ == "__main__":
    raise SystemExit("run tests/cluster/run")
