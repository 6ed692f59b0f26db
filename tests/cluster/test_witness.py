"""Witnesses: the manager may be gone and no pool stops; a node whose link to it alone is broken runs on.

Each node in a network namespace of its own; skipped without root.
"""
import subprocess
import time
from unittest import skipUnless

from harness import BUILD, ClusterTest, await_

MANAGER = "manager"
LONG_S = 8  # several leases and take-over times of the default profile: whatever would go wrong has


def described():
    """Whether the programs know of voter sets."""
    try:
        return "voter.list" in subprocess.run([BUILD / "poolherd-describe"], capture_output=True, text=True, timeout=20).stdout
    except OSError:
        return False


class Witnessed(ClusterTest):
    real_network = True
    config = "quarantine_failures: 1000\n"

    def voters(self, survives=None):
        """Waits until every node has its witnesses, and says whom."""
        c = self.cluster
        return {name: await_(f"witnesses of {name}", lambda: (lambda node: node["witnesses"] if node["witnesses"] and (
            survives is None or node["survives"] >= survives) else None)(c.node(name)), 20) for name in c.nodes}

    def declare(self):
        """A pool on each node, each copied."""
        c = self.cluster
        c.apply("pools:\n" + "".join(c.beacon_pool(f"on-{name}", prefer=[name], counts=True) for name in c.nodes))
        for name in c.nodes:
            if c.await_pool(f"on-{name}", state="active")["node"] != name:  # it was late for a moment, on a busy machine
                self.assertEqual(c.await_job(c.cli("pool", "move", f"on-{name}", "--to", name)["job"])["state"], "succeeded")
        for name in c.nodes:
            c.await_copy(f"on-{name}", c.pool(f"on-{name}")["copies"][0]["node"])

    def running(self, *names):
        return {name: sorted(self.cluster[name].workload_pids()) for name in names or self.cluster.nodes}

    def stays(self, running, limit_s=LONG_S):
        """For so long nothing stops, starts or moves on these nodes: a stretch of time, not an event."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            self.assertEqual(self.running(*running), running)
            time.sleep(0.1)

    def elsewhere(self, pool, node):
        c = self.cluster
        await_(f"{pool} runs elsewhere than on {node}", lambda: (lambda shown: shown["state"] == "active" and shown["node"] != node)(c.pool(pool)), 30)

    def taken_over(self):
        return sorted(row["pool"] for row in self.cluster.query("SELECT DISTINCT pool FROM jobs WHERE kind = 'takeover'"))

    def cut(self, a, b, ways=(True, True)):
        for sender, receiver, wanted in ((a, b, ways[0]), (b, a, ways[1])):
            if wanted:
                self.network.cut(sender, receiver)


@skipUnless(described(), "witnesses are not there yet")
class ThreeNodes(Witnessed):
    def setUp(self):
        super().setUp()
        self.voters()
        self.declare()

    def test_the_manager_may_be_gone(self):
        c = self.cluster
        before, epochs = self.running(), c.query("SELECT name, epoch, node FROM pools ORDER BY name")
        c.kill_manager()
        self.stays(before)
        c.start_manager()
        for name in c.nodes:
            c.await_heard(name)
        c.await_pools(3)
        self.stays(before, 4)
        self.assertEqual(c.query("SELECT name, epoch, node FROM pools ORDER BY name"), epochs)
        self.assertEqual(self.taken_over(), [])

    def test_the_manager_may_be_cut_off_from_everybody(self):
        c = self.cluster
        before = self.running()
        for name in c.nodes:
            self.cut(MANAGER, name)
        self.stays(before)
        self.network.heal()
        for name in c.nodes:
            c.await_heard(name, 30)
        self.stays(before, 4)
        self.assertEqual(self.taken_over(), [])

    def test_a_manager_that_returns_takes_over_only_what_is_dead(self):
        c = self.cluster
        before = self.running("n2", "n3")
        c.kill_manager()
        self.stays(before, 3)
        c["n1"].destroy()
        self.stays(before, 4)
        c.start_manager()
        self.elsewhere("on-n1", "n1")
        self.assertEqual(self.taken_over(), ["on-n1"])
        for name in ("n2", "n3"):
            self.assertTrue(set(before[name]) <= set(c[name].workload_pids()), name)
        c["n1"].start()
        c.await_heard("n1", 30)

    def runs_on_without_the_manager(self, ways):
        """Its pools run on, are not taken over, and orders and reports pass through a witness."""
        c = self.cluster
        before = self.running()
        self.cut("n1", MANAGER, ways)
        self.stays(before)
        self.assertEqual(self.taken_over(), [])
        c.apply("pools:\n" + c.beacon_pool("on-n1", prefer=["n1"], counts=True, vms=2))
        await_("the order got there", lambda: len(c["n1"].workload_pids()) == 2, 20)
        c.await_pool("on-n1", node="n1", vms_running=2, limit_s=20)  # the report came back
        self.network.heal()
        c.await_heard("n1", 30)
        self.assertTrue(set(before["n1"]) <= set(c["n1"].workload_pids()))
        self.assertEqual(self.taken_over(), [])

    def test_a_broken_link_to_the_manager(self):
        self.runs_on_without_the_manager((True, True))

    def test_what_it_sends_the_manager_is_lost(self):
        self.runs_on_without_the_manager((True, False))

    def test_what_the_manager_sends_it_is_lost(self):
        self.runs_on_without_the_manager((False, True))

    def test_a_pool_is_stopped_and_started_elsewhere_through_a_witness(self):
        """Its release comes back as a proof, so that it need not be waited for."""
        c = self.cluster
        self.cut("n1", MANAGER)
        self.stays(self.running(), 4)
        c.cli("pool", "stop", "on-n1")
        await_("it is stopped", lambda: c["n1"].workload_pids() == [], 20)
        c.await_pool("on-n1", state="unassigned", desired="inactive", limit_s=20)
        self.assertEqual(self.taken_over(), [])
        self.network.heal()
        c.await_heard("n1", 30)
        c.cli("pool", "start", "on-n1")
        c.await_pool("on-n1", state="active", limit_s=20)

    def test_a_node_cut_off_from_everybody_stops(self):
        """While the manager is there, its pools are taken over; while it is not, they stop, and only they."""
        c = self.cluster
        before = self.running("n2", "n3")
        c.kill_manager()
        for other in ("n2", "n3"):
            self.cut("n1", other)
        await_("n1 stops", lambda: c["n1"].workload_pids() == [])
        self.stays(before, 4)
        c.start_manager()  # n1 hears it and is admitted again, with its newest data
        c.await_pools(3, 30)
        self.assertTrue(all(set(before[name]) <= set(c[name].workload_pids()) for name in before))
        self.network.heal()

    def test_witnesses_that_restart_while_the_manager_is_gone(self):
        c = self.cluster
        before = self.running()
        c.kill_manager()
        self.stays(before, 3)
        for name in ("n2", "n3", "n1"):
            starts = c[name].log.read_text().count("ready node=")
            c[name].kill_agent()
            c[name].start()
            await_(f"{name} is ready", lambda: c[name].log.read_text().count("ready node=") > starts)
            self.stays(before, 3)
        c.start_manager()
        for name in c.nodes:
            c.await_heard(name)
        self.stays(before, 4)
        self.assertEqual(self.taken_over(), [])

    def test_without_a_majority_everything_stops_and_comes_back(self):
        c = self.cluster
        c.kill_manager()
        for name in ("n2", "n3"):
            c[name].destroy()
        await_("n1 stops", lambda: c["n1"].workload_pids() == [])
        c.start_manager()
        for name in ("n2", "n3"):
            c[name].start()
        for name in c.nodes:
            c.await_heard(name, 30)
        c.await_pools(3, 40)

    def test_a_manager_killed_again_and_again(self):
        """Short stays of the manager, each at another moment of taking a dead node over."""
        c = self.cluster
        before = self.running("n2", "n3")
        c["n1"].destroy()
        for away_s in (0.0, 0.4, 0.9, 1.3, 1.8, 2.5):
            time.sleep(away_s)  # into the middle of whatever it does
            c.kill_manager()
            c.start_manager()
        self.elsewhere("on-n1", "n1")
        self.assertTrue(all(set(before[name]) <= set(c[name].workload_pids()) for name in before))
        self.assertEqual(self.taken_over(), ["on-n1"])


@skipUnless(described(), "witnesses are not there yet")
class FiveNodes(Witnessed):
    nodes = 5
    config = "quarantine_failures: 1000\nfailure_domain: rack\n"

    def setUp(self):
        import harness
        racks = {"n1": "a", "n2": "a", "n3": "b", "n4": "b", "n5": "c"}
        start = harness.Node.start

        def labelled(node, *arguments, **options):
            node.dir.mkdir(mode=0o700, exist_ok=True)
            (node.dir / "agent.yaml").write_text(f"log_level: info\nlabels: [rack={racks[node.name]}]\n")
            return start(node, *arguments, **options)
        harness.Node.start = labelled
        self.addCleanup(setattr, harness.Node, "start", start)
        self.racks = racks
        super().setUp()

    def test_witnesses_are_of_other_failure_domains(self):
        c = self.cluster

        def good(name):
            witnesses = c.node(name)["witnesses"]
            self.assertNotIn(name, witnesses)
            if len(witnesses) == 2:  # while fewer than five nodes are there
                return len({self.racks[name]} | {self.racks[other] for other in witnesses}) == 3
            return len(witnesses) == 4
        for name in c.nodes:
            await_(f"witnesses of {name} in other racks", lambda: good(name), 20)

    def test_a_witness_fails_while_the_manager_is_gone(self):
        """Each node survives what it says that it survives; what is dead is taken over when the manager returns."""
        c = self.cluster
        self.voters(survives=1)
        self.declare()
        before = self.running("n1", "n2", "n4", "n5")
        c.kill_manager()
        c["n3"].destroy()
        self.stays(before)
        c.start_manager()
        self.elsewhere("on-n3", "n3")
        self.assertEqual(self.taken_over(), ["on-n3"])
        self.assertTrue(all(set(before[name]) <= set(c[name].workload_pids()) for name in before))

    def test_a_node_that_retires_is_replaced_as_a_witness(self):
        c = self.cluster
        self.voters()
        c.cli("node", "drain", "n5", "--wait")
        c.cli("node", "retire", "n5", "--wait")
        await_("nobody has it as a witness", lambda: all("n5" not in c.node(name)["witnesses"] for name in ("n1", "n2", "n3", "n4")), 20)
        self.assertTrue(all(c.node(name)["survives"] >= 0 for name in ("n1", "n2", "n3", "n4")))


@skipUnless(described(), "witnesses are not there yet")
class SmallClusters(ClusterTest):
    nodes = 1

    def said(self):
        return self.cluster.raw("doctor", "--json").stdout  # its status says that something is open

    def test_one_and_two_nodes_say_what_they_cannot_survive(self):
        c = self.cluster
        for name in ("n1", "n2"):
            if name not in c.nodes:
                c.add_node(name, 2).join()
                c.await_node(name, state="online")
            self.assertLess(c.node(name)["survives"], 1)
            self.assertIn("witness", self.said())
            self.assertIn("manager", self.said())


if __name__ == "__main__":
    raise SystemExit("run tests/cluster/run")
