"""The story of a take-over, a move, a drain: events --story."""
import json

from harness import CliError, ClusterTest, await_


class Story(ClusterTest):
    config = "profile: fast\n"

    def declare(self, names=("web",)):
        c = self.cluster
        c.apply("pools:\n" + "".join(c.beacon_pool(name, prefer=["n1"], copies=1) for name in names))
        c.await_pools(len(names))
        for name in names:
            c.await_copy(name, c.pool(name)["copies"][0]["node"])

    def takeover(self, pool="web"):
        c = self.cluster
        return await_("the take-over has ended", lambda: c.query(
            f"SELECT * FROM jobs WHERE kind = 'takeover' AND pool = '{pool}' AND ended_at > 0"), 20)[0]

    def assert_in_order(self, story, kinds):
        said = [step["event"]["kind"] for step in story["steps"]]
        at = -1
        for kind in kinds:
            self.assertIn(kind, said[at + 1:], said)
            at = said.index(kind, at + 1)

    def test_a_lost_node(self):
        c = self.cluster
        self.declare(("web", "db"))
        c["n1"].destroy()
        job = self.takeover()
        self.takeover("db")
        story = c.cli("events", "--story", str(job["id"]))
        self.assert_in_order(story, ["node-suspect", "pool-waiting", "node-lost", "takeover-begun", "pool-activating",
                                     "takeover-target", "job-step", "pool-active", "job-succeeded"])
        self.assertEqual({step["event"]["pool"] for step in story["steps"]}, {"", "web"}, "nothing of the other pool")
        times = [step["after_ms"] for step in story["steps"]]
        self.assertEqual(times, sorted(times))
        timing = c.cli("status")
        self.assertEqual(story["began_at"], story["job"]["silent_at"])
        by_kind = {step["event"]["kind"]: step["after_ms"] for step in story["steps"]}
        self.assertGreaterEqual(by_kind["node-suspect"], timing["lease_ms"] - 5)
        self.assertGreaterEqual(by_kind["node-lost"], timing["takeover_ms"] - 5)
        self.assertAlmostEqual(by_kind["job-succeeded"], story["job"]["downtime_ms"], delta=50)
        self.assertEqual(story["job"]["proof"], "expired")
        self.assertGreater(story["job"]["copy_sequence"], 0)
        text = c.raw("events", "--story", str(job["id"])).stdout
        for line in ("Take-over of web: n1 -> ", "n1, last heard ", "expired: ", f"number {story['job']['copy_sequence']} of epoch 1",
                     "without it", "T+0.000 s", "heard for the last time", "node-suspect", "job-succeeded"):
            self.assertIn(line, text)
        self.assertIn(f"events --story {job['id']}", c.raw("job", "show", str(job["id"])).stdout)
        # Told from the inventory, not from the manager's memory.
        c.kill_manager()
        c.start_manager()
        again = c.cli("events", "--story", str(job["id"]))
        self.assertEqual(again["job"], story["job"])
        self.assertEqual(again["steps"][:len(story["steps"])], story["steps"])

    def test_the_manager_dies_in_the_middle(self):
        c = self.cluster
        self.declare()
        c["n1"].destroy()
        c.await_node("n1", state="suspect")
        c.kill_manager()
        c.start_manager()
        job = self.takeover()
        story = c.cli("events", "--story", str(job["id"]))
        self.assert_in_order(story, ["node-suspect", "node-lost", "takeover-begun", "job-succeeded"])
        self.assertEqual(story["began_at"], story["steps"][0]["event"]["at"])
        self.assertEqual(len({step["event"]["term"] for step in story["steps"]}), 2)
        text = c.raw("events", "--story", str(job["id"])).stdout
        self.assertIn("the manager has started anew", text)
        self.assertIn("before this manager started", text)

    def test_an_operators_word_is_part_of_it(self):
        c = self.cluster
        self.declare()
        c.cli("cluster", "pause")
        c["n1"].destroy()
        c.await_node("n1", state="suspect")
        c.cli("node", "fence", "n1", "--confirm-dead", "n1")
        story = c.cli("events", "--story", str(self.takeover()["id"]))
        self.assert_in_order(story, ["node-suspect", "command", "node-fenced", "takeover-begun", "job-succeeded"])
        self.assertEqual(story["job"]["proof"], "confirmed")
        self.assertIn("swears", json.dumps(story))

    def test_a_drain_and_its_moves(self):
        c = self.cluster
        self.declare(("web", "db"))
        drain = c.cli("node", "drain", "n1", "--wait")
        story = c.cli("events", "--story", str(drain["id"]))
        self.assertEqual(len(story["jobs"]), 2)
        self.assert_in_order(story, ["command", "move-phase", "job-step", "job-succeeded", "node-maintenance"])
        text = c.raw("events", "--story", str(drain["id"])).stdout
        self.assertIn("Drain of n1", text)
        self.assertIn("Its moves:", text)
        move = c.cli("events", "--story", str(story["jobs"][0]["id"]))
        self.assert_in_order(move, ["move-phase", "job-step", "pool-active", "job-succeeded"])
        self.assertEqual({step["event"]["pool"] for step in move["steps"]} - {""}, {story["jobs"][0]["pool"]})

    def test_what_there_is_none_of(self):
        c = self.cluster
        for arguments, status in ((("999",), 5), (("x",), 2), (("0",), 2), (("1", "--pool", "web"), 2)):
            with self.assertRaises(CliError) as caught:
                c.cli("events", "--story", *arguments)
            self.assertEqual(caught.exception.status, status, arguments)
