"""A planned move is hit in each of its phases by everything that may happen to it.

The phases are held open, so that each blow falls where it shall: `copying` and the last copy by an rsync
that waits, `stopping` by a workload that takes its time, `activating` by the pool's lock at the target.
"""
import contextlib
import fcntl
import signal

from harness import CliError, ClusterTest, await_, kill

PHASES = ("copying", "stopping", "last copy", "activating")


class Phases(ClusterTest):
    config = "quarantine_failures: 1000\n"

    def setUp(self):
        super().setUp()
        for node in self.cluster.nodes.values():
            node.wrap_tool("rsync")

    # -- a move that stands still in a phase --
    def phase_of(self, job, phase):
        return await_(f"job {job} is {phase}", lambda: self._in_phase(self.cluster.job(job), phase), 20)

    @staticmethod
    def _in_phase(job, phase):
        if job["ended_at"]:
            raise AssertionError(f"the move has ended: {job}")
        return job if job["phase"] == phase else None

    def begin(self, name):
        return self.cluster.cli("pool", "move", name, "--to", "n2")["job"]

    def declare(self, name, stubborn):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool(name, allow=["n1", "n2"], prefer=["n1"], stubborn_ms=600000 if stubborn else 0,
                                           vm_more="stop_timeout_ms: 60000"))
        c.await_pool(name, state="active", node="n1")
        (c["n1"].data(name) / "file").write_text(name)
        c.await_copy(name, "n2")

    @contextlib.contextmanager
    def move_held(self, phase):
        """The pool and job of a move from n1 to n2 that stands in `phase` until the end of the block."""
        c, lock, name = self.cluster, None, phase.replace(" ", "-")
        self.declare(name, stubborn=phase != "copying")
        if phase == "copying":
            c["n1"].hold()
        job = self.begin(name)
        try:
            self.phase_of(job, "copying" if phase == "copying" else "stopping")
            if phase in ("last copy", "activating"):
                c["n2"].hold()
                for pid in c["n1"].workload_pids(pool=name):
                    kill(pid)
                await_("the last copy waits", lambda: "last copy" in c.job(job)["waiting_on"] and c["n2"].held)
            if phase == "activating":
                lock = open(c["n2"].dir / "pools" / name / "lock", "r+")
                c["n2"].go_on()
                fcntl.flock(lock, fcntl.LOCK_EX)  # given as soon as the copy has been received
                self.phase_of(job, "activating")
            yield name, job
            if phase == "stopping":
                # Again and again: an agent that was restarted may have started it anew before it was told to stop.
                await_("it is stopped", lambda: self.kill_workloads(name) or c.job(job)["ended_at"] or c.job(job)["phase"] != "stopping")
        finally:
            c["n1"].go_on()
            c["n2"].go_on()
            if lock:
                lock.close()

    def kill_workloads(self, name):
        for pid in self.cluster["n1"].workload_pids(pool=name):
            kill(pid)

    def consistent(self, name, job, **wanted):
        """The move has ended as wanted, the pool runs with its data, and it can be moved again."""
        c = self.cluster
        ended = c.await_job(job, 40)
        for key, value in wanted.items():
            if key != "node":
                self.assertIn(ended[key], value if isinstance(value, tuple) else (value,), ended)
        pool = c.await_pool(name, state="active", limit_s=30)
        if "node" in wanted:
            self.assertEqual(pool["node"], wanted["node"])
        self.assertEqual((c[pool["node"]].data(name) / "file").read_text(), name)
        for node in c.nodes.values():
            self.assertEqual(len(node.workload_pids(pool=name)), 1 if node.name == pool["node"] else 0, node.name)
        c.assert_nothing_ran_twice()
        c.cli("pool", "remove", name)
        for pid in c[pool["node"]].workload_pids(pool=name):  # it would take its time
            kill(pid)
        await_("it is forgotten", lambda: c.value(f"SELECT count(*) FROM pools WHERE name = '{name}'") == 0)

    def strike(self, blow, after=None, phases=PHASES, **wanted):
        """Each phase in turn: blow(phase, name, job) while the move stands in it, then the state that is wanted."""
        for phase in phases:
            with self.subTest(phase):
                with self.move_held(phase) as (name, job):
                    blow(phase, name, job)
                self.consistent(name, job, **{key: value(phase) if callable(value) else value for key, value in wanted.items()})
                if after:
                    after(phase, name)

    # -- the blows --
    def test_the_manager_is_killed(self):
        def blow(*_):
            c = self.cluster
            c.kill_manager()
            c.start_manager()
            c.await_heard("n1")
            c.await_heard("n2")
        self.strike(blow, state="succeeded", node="n2")

    def test_the_agent_of_the_source_is_killed(self):
        self.strike(lambda *_: self.restart("n1"), state="succeeded", node="n2")

    def test_the_agent_of_the_target_is_killed(self):
        """It comes back at another port, and the owner does not wait for the old one."""
        def after(phase, name):
            self.assertLess(self.cluster.value(f"SELECT downtime_ms FROM jobs WHERE kind = 'move' AND pool = '{name}'"), 8000)
        self.strike(lambda *_: self.restart("n2"), after, state="succeeded", node="n2")

    def restart(self, node):
        self.cluster[node].kill_agent()
        self.cluster[node].start()
        self.cluster.await_heard(node)

    def back(self, node):
        starts = self.cluster[node].log.read_text().count("ready node=")
        self.cluster[node].start()
        await_(f"{node} is ready", lambda: self.cluster[node].log.read_text().count("ready node=") > starts)
        self.cluster.await_node(node, state="online")

    def proofs(self, name):
        return [row["proof"] for row in self.cluster.query(f"SELECT proof FROM jobs WHERE kind = 'takeover' AND pool = '{name}'")]

    def test_the_source_is_destroyed(self):
        """Before the release only a proof frees the pool, for a take-over of the freshest copy; after it the move goes on."""
        def blow(phase, name, job):
            self.cluster["n1"].destroy()
            if phase != "activating":
                self.cluster.await_job(job)

        def after(phase, name):
            self.assertEqual(self.proofs(name), [] if phase == "activating" else ["expired"])
            self.back("n1")
        self.strike(blow, after, state=lambda phase: "succeeded" if phase == "activating" else "failed", node="n2")

    def test_the_target_is_destroyed(self):
        """Before the release the pool stays or goes back at once; after it, a proof is needed again."""
        def blow(phase, name, job):
            c = self.cluster
            before = c["n1"].workload_pids(pool=name)
            c["n2"].destroy()
            if phase == "copying":
                c.await_job(job)
                self.assertEqual(c["n1"].workload_pids(pool=name), before, "nothing had happened")
            elif phase == "last copy":
                self.assertIn("unfit", c.await_job(job)["reason"])

        def after(phase, name):
            self.assertEqual(self.proofs(name), ["expired"] if phase == "activating" else [])
            self.back("n2")
        self.strike(blow, after, state="failed", node="n1")

    def test_the_target_refuses_to_activate(self):
        """Its pool's lock is held by another: after its attempts the pool returns to where its data is as new."""
        def blow(phase, name, job):
            self.assertIn("lock", self.cluster.await_job(job, 90)["reason"])
        self.strike(blow, phases=("activating",), state="failed", node="n1")

    def test_it_is_cancelled(self):
        def blow(phase, name, job):
            if phase != "activating":
                self.cluster.cli("job", "cancel", str(job))
                return
            with self.assertRaises(CliError) as caught:
                self.cluster.cli("job", "cancel", str(job))
            self.assertEqual(caught.exception.status, 6)
        late = "activating"
        self.strike(blow, state=lambda phase: "succeeded" if phase == late else "cancelled", node=lambda phase: "n2" if phase == late else "n1")

    def test_its_drain_is_cancelled(self):
        """What has not begun to stop stays; the rest is finished; the node is active again."""
        drains = {}

        def begin(name):
            drains["job"] = self.cluster.cli("node", "drain", "n1")["job"]
            return await_("its move", lambda: [job for job in self.cluster.cli("job", "list") if job["pool"] == name and job["kind"] == "move"])[0]["id"]

        def blow(phase, name, job):
            self.cluster.cli("job", "cancel", str(drains["job"]))

        def after(phase, name):
            self.assertEqual(self.cluster.await_job(drains["job"])["state"], "cancelled")
            self.cluster.await_node("n1", admin="active", pools=0)
        self.begin = begin
        early = "copying"
        self.strike(blow, after, state=lambda phase: "cancelled" if phase == early else "succeeded", node=lambda phase: "n1" if phase == early else "n2")
