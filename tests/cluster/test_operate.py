"""What operators declare and ask beyond moving: rules, priorities, limits of loss, pauses, quarantine, retirement."""
import json
import signal
import time

from harness import CliError, ClusterTest, alive, await_, kill

QUICK = "profile: fast\n"


class Rules(ClusterTest):
    config = QUICK

    def test_apart_and_together(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("a", more="apart_from: [b]") + c.beacon_pool("b") + c.beacon_pool("c", more="together_with: [a]"))
        c.await_pools(3)
        where = {pool["name"]: pool["node"] for pool in c.cli("pool", "list")}
        self.assertNotEqual(where["a"], where["b"])
        self.assertEqual(where["a"], where["c"])
        with self.assertRaises(CliError) as caught:
            c.cli("pool", "move", "a", "--to", where["b"])
        self.assertEqual(caught.exception.status, 6)
        self.assertIn("b", caught.exception.error["message"])

    def test_failback(self):
        c = self.cluster
        minute = time.localtime((time.time() + 25) // 60 * 60 + 60)  # the first one that comes after the drain
        c.apply("pools:\n" + c.beacon_pool("no", prefer=["n1"], more="failback: no") + c.beacon_pool("yes", prefer=["n1"], more="failback: yes")
                + c.beacon_pool("at", prefer=["n1"], more=f"failback: \"{minute.tm_hour:02}:{minute.tm_min:02}\""))
        c.await_pools(3)
        self.assertEqual(c.cli("node", "drain", "n1", "--wait")["state"], "succeeded")
        self.assertEqual(c.value("SELECT count(*) FROM pools WHERE node = 'n1'"), 0)
        c.cli("node", "resume", "n1")
        c.await_pool("yes", state="active", node="n1", limit_s=30)
        for name in ("no", "at"):
            self.assertNotEqual(c.pool(name)["node"], "n1")
        c.await_pool("at", state="active", node="n1", limit_s=130)
        self.assertNotEqual(c.pool("no")["node"], "n1")


class Priority(ClusterTest):
    """A lease of 1.2 s: on a busy machine one of 0.4 s ends now and then, and a lease that ended starts moves anew."""

    def declare(self):
        c = self.cluster
        c.apply("pools:\n" + "".join(c.beacon_pool(f"p{i}", prefer=["n1"], more=f"priority: {i * 10}") for i in range(5)))
        c.await_pools(5)
        self.assertEqual({pool["node"] for pool in c.cli("pool", "list")}, {"n1"})

    def test_priority_decides_who_goes_first(self):
        c = self.cluster
        self.declare()
        drain = c.cli("node", "drain", "n1", "--max-parallel", "1")["job"]
        self.assertEqual(c.await_job(drain, 60)["state"], "succeeded")
        moves = c.query(f"SELECT pool, started_at, ended_at FROM jobs WHERE parent = {drain} AND started_at > 0 ORDER BY started_at, id")
        self.assertEqual([move["pool"] for move in moves], ["p4", "p3", "p2", "p1", "p0"])
        for before, after in zip(moves, moves[1:]):
            self.assertLessEqual(before["ended_at"], after["started_at"], "--max-parallel is kept")

    def test_a_lease_that_ends_in_a_drain_leaves_no_pool_behind(self):
        c = self.cluster
        self.declare()
        c["n1"].wrap_tool("rsync").hold()
        drain = c.cli("node", "drain", "n1", "--max-parallel", "1")["job"]
        agent = c["n1"].agent_pid
        kill(agent, signal.SIGSTOP)
        try:
            c.await_node("n1", state="suspect")  # its guard stops everything; half a second later it would be lost
        finally:
            kill(agent, signal.SIGCONT)
            c["n1"].go_on()
        self.assertEqual(c.await_job(drain, 60)["state"], "succeeded")
        c.await_pools(5)
        self.assertNotIn("n1", {pool["node"] for pool in c.cli("pool", "list")})
        self.assertEqual(c.node("n1")["admin"], "maintenance")


class Loss(ClusterTest):
    config = QUICK

    def declare(self, more=""):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"], more=more))
        c.await_pool("web", state="active", node="n1")
        c.await_copy("web", c.pool("web")["copies"][0]["node"])

    def old_copy(self):
        """Copies stand still, and the last one is older than the pool allows."""
        c = self.cluster
        c["n1"].wrap_tool("rsync")
        self.declare("max_data_loss_s: 1")
        c["n1"].hold()
        await_("the copy is too old", lambda: all(copy["age_ms"] > 2000 for copy in c.pool("web")["copies"]))
        (c["n1"].data("web") / "newer").write_text("newer")
        c["n1"].destroy()
        return c.await_pool("web", state="blocked", limit_s=20)

    def test_a_copy_that_is_too_old_waits_for_a_word(self):
        c, pool = self.cluster, self.old_copy()
        for word in ("max_data_loss_s", "--accept-data-loss", "n1"):
            self.assertIn(word, pool["reason"])
        c.cli("pool", "start", "web", "--accept-data-loss")
        await_("it runs elsewhere", lambda: c.pool("web")["state"] == "active" and c.pool("web")["node"] != "n1")
        self.assertGreater(c.value("SELECT data_loss_ms FROM jobs WHERE kind = 'takeover'"), 1000)

    def test_or_for_the_node(self):
        c = self.cluster
        self.old_copy()
        c["n1"].go_on()
        c["n1"].start()
        c.await_pool("web", state="active", node="n1", limit_s=20)
        self.assertEqual((c["n1"].data("web") / "newer").read_text(), "newer")

    def test_nothing_is_taken_over_while_paused(self):
        c = self.cluster
        self.declare()
        c.cli("cluster", "pause")
        c["n1"].destroy()
        c.await_node("n1", state="suspect")
        pool = c.await_pool("web", state="waiting")
        self.assertIn("paused", pool["reason"])
        status = c.cli("status")
        self.assertTrue(status["paused"])
        self.assertIn("cluster resume", status["reason"])
        for look in ("status", "node list", "node show n2", "pool list", "pool show web", "pool explain web", "job list", "node drain n2 --dry-run"):
            self.assertIn("PAUSED", c.raw(*look.split()).stdout, look)
        self.assertIn("automatic-action", [finding["guarantee"] for finding in json.loads(c.raw("doctor", "--json").stdout) if not finding["holds"]])
        c.kill_manager()
        c.start_manager()  # a pause survives
        time.sleep(3 * status["takeover_ms"] / 1000)  # what would happen has
        self.assertEqual(c.pool("web")["node"], "n1")
        self.assertEqual(c.query("SELECT id FROM jobs WHERE kind = 'takeover'"), [])
        c.apply("pools:\n" + c.beacon_pool("new"))
        self.assertIn("pool start new", c.await_pool("new", state="unassigned")["reason"])
        c.cli("cluster", "resume")
        self.assertNotIn("PAUSED", c.raw("pool", "list").stdout)
        c.await_pool("new", state="active")
        await_("it is taken over", lambda: c.pool("web")["state"] == "active" and c.pool("web")["node"] != "n1")


class Removal(ClusterTest):
    nodes = 2

    def test_a_removed_pool_is_no_longer_copied(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"]))
        c.await_pool("web", state="active", node="n1")
        c.await_copy("web", "n2")
        c["n2"].destroy()  # the last copy cannot be made now, and must not be tried for ever
        c.cli("pool", "remove", "web", "--wait")
        said = len(c["n1"].log.read_text())
        time.sleep(2)
        self.assertNotIn("kind=copy", c["n1"].log.read_text()[said:])


class Nodes(ClusterTest):
    config = QUICK + "quarantine_failures: 2\nquarantine_s: 5\nquarantine_window_s: 600\n"

    def test_a_node_that_fails_too_often_is_quarantined_for_a_while(self):
        c = self.cluster
        for _ in range(2):
            c.await_node("n1", state="online")
            c["n1"].destroy()
            c.await_node("n1", state="lost")
            c["n1"].start()
        node = c.await_node("n1", state="online", admin="quarantined")
        self.assertIn("node resume n1", node["reason"])
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"], copies=0))
        self.assertNotEqual(c.await_pool("web", state="active")["node"], "n1")
        c.await_node("n1", admin="active", limit_s=20)
        self.assertEqual(c.node("n1")["failures"], 0)
        c.cli("pool", "move", "web", "--to", "n1", "--wait")

    def test_a_retired_node_is_drained_refused_and_forgotten(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"]))
        c.await_pool("web", state="active", node="n1")
        done = c.cli("node", "retire", "n1", "--wait")
        self.assertEqual(done["state"], "succeeded")
        self.assertEqual([node["name"] for node in c.cli("node", "list")], ["n2", "n3"])
        c.await_pool("web", state="active")
        self.assertEqual(c["n1"].workload_pids(), [])
        pid = c["n1"].agent_pid
        if pid and alive(pid):
            c["n1"].kill_agent(signal.SIGTERM)
        c["n1"].start()
        time.sleep(1)
        self.assertEqual([node["name"] for node in c.cli("node", "list")], ["n2", "n3"], "its key is refused")
        c["n1"].destroy()
        # The name may come again, with a new invitation and an empty directory.
        again = c.add_node("n1-again", 1)
        again.name = "n1"
        again.start(c.cli("node", "invite", "n1")["token"])
        c.await_node("n1", state="online", admin="active")
        c.await_pool("web", state="active")
        self.assertEqual(json.loads(c.raw("pool", "move", "web", "--to", "n1", "--wait", "--json").stdout)["state"], "succeeded")
