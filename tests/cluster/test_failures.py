"""Nodes, agents, guards and managers that die."""
import signal
import time

from harness import CliError, ClusterTest, alive, await_, kill


class NodeLoss(ClusterTest):
    def declare(self, copies=1):
        c = self.cluster
        c.apply("pools:\n" + "".join(c.beacon_pool(f"p{i}", prefer=["n1"], copies=copies) for i in range(3)))
        c.await_pools(3)
        for i in range(3):
            (c["n1"].data(f"p{i}") / "file").write_text(f"pool {i}")
        for i in range(3):
            for copy in c.pool(f"p{i}")["copies"]:
                c.await_copy(f"p{i}", copy["node"])

    def test_pools_of_a_destroyed_node_are_taken_over_with_their_data(self):
        c = self.cluster
        self.declare()
        began = time.monotonic()
        c["n1"].destroy()
        await_("all are elsewhere", lambda: c.value(
            "SELECT count(*) FROM pools WHERE state='active' AND node <> 'n1'") == 3, 20)
        print(f"{time.monotonic() - began:.2f} s", end=" ", flush=True)
        for i in range(3):
            pool = c.pool(f"p{i}")
            self.assertEqual((c[pool["node"]].data(f"p{i}") / "file").read_text(), f"pool {i}")
        jobs = c.query("SELECT * FROM jobs WHERE kind='takeover'")
        self.assertEqual(len(jobs), 3)
        for job in jobs:
            self.assertEqual(job["state"], "succeeded")
            self.assertEqual(job["proof"], "expired")
            self.assertGreaterEqual(job["data_loss_ms"], 0)
            self.assertGreater(job["downtime_ms"], 0)
        # The node returns with old data and must not run it.
        c["n1"].start()
        c.await_node("n1", state="online")
        time.sleep(1.5)  # longer than a lease: were it to run something, it would by now
        self.assertEqual(c["n1"].workload_pids(), [])

    def test_without_a_copy_a_pool_waits_for_its_node(self):
        c = self.cluster
        self.declare(copies=0)
        c["n1"].destroy()
        c.await_pool("p0", state="blocked", limit_s=20)
        self.assertTrue(c.pool("p0")["reason"])
        c["n1"].start()
        c.await_pool("p0", state="active", node="n1")

    def test_an_operator_may_confirm_that_a_node_is_dead(self):
        c = self.cluster
        self.declare()
        with self.assertRaises(CliError) as caught:
            c.cli("node", "fence", "n1", "--confirm-dead", "n1")
        self.assertEqual(caught.exception.status, 6, "a node that beats is not dead")
        c["n1"].destroy()
        await_("an operator may say so", lambda: c.cli("node", "fence", "n1", "--confirm-dead", "n1"))
        await_("all are elsewhere", lambda: c.value(
            "SELECT count(*) FROM pools WHERE state='active' AND node <> 'n1'") == 3, 10)
        self.assertEqual(c.query("SELECT DISTINCT proof FROM jobs WHERE kind='takeover'"), [{"proof": "confirmed"}])

    def test_a_hung_agent_loses_its_pools_and_its_workloads(self):
        c = self.cluster
        self.declare()
        kill(c["n1"].agent_pid, signal.SIGSTOP)
        await_("the guard stops everything", lambda: c["n1"].workload_pids() == [])
        await_("all are elsewhere", lambda: c.value(
            "SELECT count(*) FROM pools WHERE state='active' AND node <> 'n1'") == 3, 20)
        kill(c["n1"].agent_pid, signal.SIGCONT)
        c.await_node("n1", state="online")


class AgentLoss(ClusterTest):
    nodes = 2

    def test_a_restarted_agent_adopts_what_runs(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"], vms=3))
        c.await_pool("web", state="active", vms_running=3)
        for number in (signal.SIGKILL, signal.SIGTERM):
            before = sorted(c["n1"].workload_pids())
            epoch = c.pool("web")["epoch"]
            self.assertEqual(len(before), 3)
            c["n1"].kill_agent(number)
            c["n1"].start()
            c.await_node("n1", state="online")
            time.sleep(2)  # longer than lease and take-over: whatever would go wrong has
            self.assertEqual(sorted(c["n1"].workload_pids()), before)
            c.await_pool("web", state="active", node="n1", epoch=epoch, vms_running=3)
        # An adopted workload that ends is started again.
        kill(c["n1"].workload_pids()[0])
        await_("three run again", lambda: len(c["n1"].workload_pids()) == 3)

    def test_an_agent_that_stays_away_has_everything_stopped_by_the_guard(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"]))
        c.await_pool("web", state="active")
        c["n1"].kill_agent()
        await_("the guard stops everything", lambda: c["n1"].workload_pids() == [], 10)

    def test_a_lost_guard_is_replaced(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"]))
        c.await_pool("web", state="active")
        before, pids = c["n1"].guard_pid, c["n1"].workload_pids()
        kill(before)
        await_("another guard runs", lambda: c["n1"].guard_pid not in (None, before))
        time.sleep(2)
        self.assertEqual(c["n1"].workload_pids(), pids)
        c["n1"].kill_agent()
        await_("the new guard knows what to stop", lambda: c["n1"].workload_pids() == [], 10)


class ManagerLoss(ClusterTest):
    nodes = 2

    def test_a_short_restart_stops_nothing(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"]))
        c.await_pool("web", state="active")
        pids, epoch = c["n1"].workload_pids(), c.pool("web")["epoch"]
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
            c.kill_manager(number)
            c.start_manager()
            c.await_heard("n1")
        time.sleep(2)
        self.assertEqual(c["n1"].workload_pids(), pids)
        c.await_pool("web", state="active", node="n1", epoch=epoch)

    def test_a_long_silence_stops_pools_and_they_come_back(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"]))
        c.await_pool("web", state="active")
        c.kill_manager()
        await_("the pool is stopped", lambda: c["n1"].workload_pids() == [], 10)
        self.assertTrue(alive(c["n1"].agent_pid))
        c.start_manager()
        c.await_pool("web", state="active", limit_s=20)
        self.assertEqual(c.value("SELECT count(*) FROM jobs WHERE kind='takeover' AND state='succeeded' AND proof='expired'"), 0)

    def test_a_new_manager_waits_before_it_takes_over(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"]))
        c.await_pool("web", state="active", node="n1")
        c.await_copy("web", "n2")
        c.kill_manager()
        c["n1"].destroy()
        c.start_manager()
        c.await_pool("web", state="active", node="n2", limit_s=20)
