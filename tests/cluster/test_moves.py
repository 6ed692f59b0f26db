"""Declaring, moving, draining, resuming, removing: what operators do on purpose."""
import os
import threading

from harness import CliError, ClusterTest, await_, tree_hash


class Moves(ClusterTest):
    def test_a_planned_move_loses_nothing(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"]))
        c.await_pool("web", state="active", node="n1")
        data = c["n1"].data("web")
        (data / "sub").mkdir()
        (data / "sub" / "big").write_bytes(os.urandom(3_000_000))
        (data / "name with\nnewline").write_text("x")
        os.symlink("sub/big", data / "link")
        os.mkfifo(data / "pipe")
        before = tree_hash(data)
        plan = c.cli("pool", "move", "web", "--to", "n2")
        job = c.await_job(plan["job"])
        self.assertEqual(job["state"], "succeeded", job)
        c.await_pool("web", state="active", node="n2")
        self.assertEqual(tree_hash(c["n2"].data("web")), before)
        self.assertGreaterEqual(job["downtime_ms"], 0)
        print(f"time without the pool {job['downtime_ms']} ms", end=" ", flush=True)
        # and back, over the copy that the source kept
        self.assertEqual(c.await_job(c.cli("pool", "move", "web", "--to", "n1")["job"])["state"], "succeeded")
        self.assertEqual(tree_hash(c["n1"].data("web")), before)

    def test_stop_start_remove(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"]))
        c.await_pool("web", state="active")
        c.await_job(c.cli("pool", "stop", "web")["job"])
        c.await_pool("web", state="unassigned", desired="inactive")
        self.assertEqual(c["n1"].workload_pids(), [])
        c.cli("pool", "start", "web")
        c.await_pool("web", state="active", node="n1")
        c.cli("pool", "remove", "web", "--destroy-data")
        await_("web is forgotten", lambda: c.query("SELECT name FROM pools") == [])
        for node in c.nodes.values():
            await_("its data is gone", lambda: not node.data("web").exists())

    def test_a_changed_declaration_changes_what_runs(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"]))
        c.await_pool("web", state="active", vms_running=1)
        applied = c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"], vms=3))
        self.assertEqual((applied["added"], applied["changed"]), (0, 1))
        c.await_pool("web", state="active", vms_running=3)
        self.assertEqual(c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"], vms=3))["unchanged"], 1)
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"], vms=1))
        await_("one runs", lambda: len(c["n1"].workload_pids()) == 1)

    def test_pool_explain_names_a_reason_for_every_node(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("web", allow=["n1", "n2"]))
        c.await_pool("web", state="active")
        shown = c.cli("pool", "explain", "web")
        self.assertEqual([candidate["node"] for candidate in shown["candidates"]], ["n1", "n2", "n3"])
        self.assertTrue(shown["reason"])
        n3 = shown["candidates"][2]
        self.assertFalse(n3["possible"])
        self.assertIn("allow", " ".join(n3["reasons"]))


class Drain(ClusterTest):
    def declare(self, count):
        c = self.cluster
        c.apply("pools:\n" + "".join(c.beacon_pool(f"p{i}", prefer=["n1"]) for i in range(count)))
        c.await_pools(count)
        self.assertEqual(c.node("n1")["pools"], count)

    def test_a_drained_node_runs_nothing(self):
        c = self.cluster
        self.declare(6)
        plan = c.cli("node", "drain", "n1", "--dry-run")
        self.assertEqual(len(plan["moves"]), 6)
        self.assertEqual(sorted(move["to"] for move in plan["moves"]).count("n2"), 3, "no pile-up on one target")
        self.assertEqual(c.node("n1")["admin"], "active", "a dry run changes nothing")
        seen = []

        def look():
            while not seen or seen[-1] != "maintenance":
                admin = c.node("n1")["admin"]
                if admin == "maintenance":
                    self.assertEqual(c["n1"].workload_pids(), [], "maintenance while something ran")
                seen.append(admin)
        watcher = threading.Thread(target=look)
        watcher.start()
        job = c.cli("node", "drain", "n1", "--wait")
        watcher.join(20)
        self.assertEqual(job["state"], "succeeded")
        self.assertEqual(c["n1"].workload_pids(), [])
        c.await_node("n1", admin="maintenance", pools=0)
        c.cli("node", "resume", "n1")
        c.await_node("n1", admin="active")

    def test_a_cancelled_drain_is_consistent(self):
        c = self.cluster
        self.declare(6)
        plan = c.cli("node", "drain", "n1", "--max-parallel", "1")
        c.cli("job", "cancel", str(plan["job"]))
        job = c.await_job(plan["job"])
        self.assertEqual(job["state"], "cancelled")
        c.await_node("n1", admin="active")
        c.await_pools(6)

    def test_a_drain_says_what_it_waits_for_and_gives_up_at_its_deadline(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("pinned", allow=["n1"]))
        c.await_pool("pinned", state="active", node="n1")
        plan = c.cli("node", "drain", "n1", "--deadline", "2")
        child = await_("a move that waits", lambda: [job for job in c.cli("job", "list") if job["pool"] == "pinned"])[0]
        self.assertTrue(child["waiting_on"])
        job = c.await_job(plan["job"])
        self.assertEqual(job["state"], "failed")
        c.await_pool("pinned", state="active", node="n1")
        c.await_node("n1", admin="active")

    def test_leave_drains_the_node_first(self):
        c = self.cluster
        self.declare(2)
        leave = c["n1"]
        import subprocess
        from harness import BUILD
        done = subprocess.run([BUILD / "poolherd-agent", "--dir", leave.dir, "--leave"], timeout=60)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(leave.workload_pids(), [])
        c.await_pools(2)
        self.assertEqual(c.value("SELECT count(*) FROM pools WHERE node='n1'"), 0)

    def test_drain_of_an_unknown_node(self):
        with self.assertRaises(CliError) as caught:
            self.cluster.cli("node", "drain", "nowhere")
        self.assertEqual(caught.exception.status, 5)
        self.assertEqual(caught.exception.error["code"], "not_found")


class RootMoves(ClusterTest):
    """A stubborn workload is killed, and only then does its pool move."""

    def test_a_workload_that_will_not_end_is_killed(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"], stubborn_ms=600000, vm_more="stop_timeout_ms: 300"))
        c.await_pool("web", state="active", node="n1")
        job = c.await_job(c.cli("pool", "move", "web", "--to", "n3")["job"])
        self.assertEqual(job["state"], "succeeded")
        self.assertEqual(c["n1"].workload_pids(), [])
