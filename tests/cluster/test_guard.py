"""What stops a node's pools when nothing else does: the guard's means, its watchdog, and what the manager makes of them."""
import json
import os
import pathlib
import signal
import time

from harness import BUILD, Cluster, ClusterTest, Loopback, alive, await_, kill


class Watchdog(ClusterTest):
    """Pipes stand for the devices; a library preloaded into the guards answers what a device would."""
    nodes = 2
    config = "without_watchdog: hold\n"

    def setUp(self):
        self.saved = {key: os.environ.get(key) for key in ("LD_PRELOAD", "ASAN_OPTIONS")}
        super().setUp()

    def tearDown(self):
        for key, value in self.saved.items():
            os.environ.pop(key, None)
            if value is not None:
                os.environ[key] = value
        for fd in getattr(self, "pipes", {}).values():
            os.close(fd)
        super().tearDown()

    def give_watchdog(self, name, seconds):
        """Restarts the agent with a watchdog; its guard goes on and takes it in."""
        node = self.cluster[name]
        path = node.dir / "watchdog"
        os.mkfifo(path, 0o600)
        self.pipes = getattr(self, "pipes", {})
        self.pipes[name] = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        (node.dir / "agent.yaml").write_text(f"log_level: info\nwatchdog: {path}\nwatchdog_s: {seconds}\n")
        os.environ["LD_PRELOAD"] = str(BUILD / "tests/fake_watchdog.so")
        os.environ["ASAN_OPTIONS"] = (self.saved["ASAN_OPTIONS"] or "") + ":verify_asan_link_order=0"
        node.kill_agent()
        kill(node.guard_pid)  # the library has to be in the guard
        node.start()
        del os.environ["LD_PRELOAD"]

    def doctor(self):
        """guarantee -> finding; it exits with 1 while something does not hold."""
        shown = json.loads(self.cluster.raw("doctor", "--json").stdout)
        return {finding["guarantee"]: finding for finding in shown}

    def fed(self, name):
        try:
            return os.read(self.pipes[name], 65536)
        except BlockingIOError:
            return b""

    def test_a_node_with_a_watchdog_is_taken_over_when_that_has_bitten(self):
        c = self.cluster
        self.give_watchdog("n1", 3)
        c.await_node("n1", watchdog_ms=3000)
        self.assertIn("takeover_ms", c.node("n1"))
        self.assertGreater(c.node("n1")["takeover_ms"], 4200)
        c.apply("pools:\n" + c.beacon_pool("p", prefer=["n1"]))
        c.await_pool("p", state="active", node="n1")
        c.await_copy("p", "n2")
        await_("the watchdog is fed", lambda: b"k" in self.fed("n1"))
        began = time.monotonic()
        c["n1"].destroy()
        c.await_pool("p", state="active", node="n2", limit_s=30)
        self.assertGreater(time.monotonic() - began, 3.9, "its watchdog was not waited for")
        self.assertNotIn(b"V", self.fed("n1"))

    def test_a_node_without_one_is_held_until_an_operator_says_that_it_is_off(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("p", prefer=["n1"]))
        c.await_pool("p", state="active", node="n1")
        c.await_copy("p", "n2")
        findings = self.doctor()
        self.assertFalse(findings["watchdog"]["holds"])
        self.assertIn("without_watchdog: hold", findings["watchdog"]["message"])
        self.assertIn("n1", findings["watchdog"]["message"])
        c["n1"].destroy()
        await_("the take-over is held", lambda: "no watchdog" in (c.node("n1")["reason"] or ""))
        self.assertIn("without_watchdog: hold", c.node("n1")["held"])
        self.assertEqual(c.node("n1")["state"], "suspect")
        self.assertEqual(c.pool("p")["state"], "waiting")
        self.assertIn("not taken over by time alone", c.pool("p")["reason"])
        c.cli("node", "fence", "n1", "--confirm-dead", "n1")
        c.await_pool("p", state="active", node="n2")

    def test_a_device_that_is_none_is_said(self):
        c = self.cluster
        node = c["n1"]
        (node.dir / "agent.yaml").write_text(f"log_level: info\nwatchdog: {node.dir}/missing\n")
        node.kill_agent()
        node.start()
        await_("the manager knows", lambda: "cannot be opened" in (c.node("n1").get("guard_note") or ""))
        findings = self.doctor()
        self.assertFalse(findings["guard-means"]["holds"])
        self.assertIn("n1", findings["guard-means"]["message"])
        # It is found when it is there at last.
        (node.dir / "missing").touch()
        await_("it is looked at again", lambda: "not counted on" in (c.node("n1").get("guard_note") or ""))


class Stuck(ClusterTest):
    """A process that SIGKILL does not end: one in a frozen group of the old freezer."""
    nodes = 2
    FREEZER = pathlib.Path("/sys/fs/cgroup/freezer")

    def setUp(self):
        if not os.access(self.FREEZER / "tasks", os.W_OK):
            self.skipTest("no freezer of cgroup v1 that this user may write")
        self.group = self.FREEZER / f"poolherd-test-{os.getpid()}"
        self.group.mkdir()
        super().setUp()

    def tearDown(self):
        if hasattr(self, "group"):
            self.thaw()
        super().tearDown()
        if hasattr(self, "group"):
            await_("the frozen have ended", lambda: not (self.group / "tasks").read_text())
            self.group.rmdir()

    def freeze(self, pids):
        for pid in pids:
            (self.group / "tasks").write_text(str(pid))
        (self.group / "freezer.state").write_text("FROZEN")

    def thaw(self):
        (self.group / "freezer.state").write_text("THAWED")

    def test_what_cannot_die_holds_the_take_over(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("p", prefer=["n1"], vm_more="stop_timeout_ms: 200"))
        c.await_pool("p", state="active", node="n1")
        c.await_copy("p", "n2")
        pids = c["n1"].workload_pids()
        self.freeze(pids)
        c.cli("pool", "stop", "p")
        await_("the node says that it is stuck",
               lambda: c.value("SELECT stuck FROM nodes WHERE name='n1'"), limit_s=40)
        # The node falls silent: its agent is stopped, its guard cannot end what is frozen.
        kill(c["n1"].agent_pid)
        c["n1"].process.wait()
        await_("the take-over is held", lambda: "cannot be stopped" in (c.node("n1")["reason"] or ""))
        c.kill_manager()
        c.start_manager()
        c.cli("pool", "start", "p")
        time.sleep(3)  # longer than any wait by time
        self.assertEqual(c.node("n1")["state"], "suspect")
        self.assertEqual(c["n2"].workload_pids(), [])
        self.assertTrue(all(alive(pid) for pid in pids))
        self.thaw()
        await_("the guard ends them", lambda: not any(alive(pid) for pid in pids))
        c["n1"].start()
        c.await_pool("p", state="active")


class Start(ClusterTest):
    nodes = 2

    def test_a_tool_that_hangs_at_the_start_costs_no_lease(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("p", prefer=["n1"], copies=0))
        c.await_pool("p", state="active", node="n1")
        pids = c["n1"].workload_pids()
        node = c["n1"].wrap_tool("rsync")
        node.hold()
        node.kill_agent()
        node.start()
        await_("the tool hangs", lambda: node.held)
        c.await_heard("n1")
        time.sleep(2)  # longer than a lease
        self.assertEqual(node.workload_pids(), pids)
        self.assertEqual(c.node("n1")["generation"], 1)
        self.assertNotIn("directory", c.node("n1")["drivers"])
        node.go_on()
        await_("its driver is reported", lambda: "directory" in c.node("n1")["drivers"])
        self.assertEqual(node.workload_pids(), pids)


class SharedMounts(Loopback):
    """Each agent with mounts of its own that are shared, as systemd's are: only there are PID namespaces used."""

    def within(self, name, command):
        return command if name in ("manager", "cli") else ["unshare", "--mount", "--propagation", "shared", "--", *command]


class Namespaces(ClusterTest):
    nodes = 2

    def setUp(self):
        if os.geteuid() != 0 or not pathlib.Path("/sys/fs/cgroup").exists():
            self.skipTest("PID namespaces need root and cgroup v2")
        self.network = SharedMounts()
        self.cluster = Cluster(self.nodes, self.config, network=self.network)
        if self.cluster.node("n1")["kills_by"] != "namespace":
            self.cluster.close()
            self.skipTest("no PID namespaces here: " + self.cluster.node("n1")["kills_by"])

    def inits(self, node):
        return [pid for pid in node.workload_pids(with_logs=True) if pathlib.Path(f"/proc/{pid}/comm").read_text() == "poolherd-init\n"]

    def declare(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("p", prefer=["n1"], vms=2))
        c.await_pool("p", state="active", node="n1")
        c.await_copy("p", "n2")
        self.assertEqual(len(c["n1"].workload_pids()), 2)
        self.assertEqual(len(self.inits(c["n1"])), 1)

    def test_guard_and_agent_killed_at_once(self):
        c = self.cluster
        self.declare()
        node = c["n1"]
        everything = node.workload_pids()
        for pid in (node.guard_pid, node.agent_pid):
            kill(pid)
        began = time.monotonic()
        node.process.wait()
        await_("nothing of the pool is left", lambda: not any(alive(pid) for pid in everything), 5)
        took = time.monotonic() - began
        self.assertLess(took, 1.2 + 0.5, "not by the end of the lease")
        print(f"{took:.2f} s", end=" ", flush=True)
        c.await_pool("p", state="active", node="n2")
        node.start()
        c.await_node("n1", state="online")

    def test_both_hang(self):
        c = self.cluster
        self.declare()
        node = c["n1"]
        everything = node.workload_pids()  # their init waits in the kernel until the agent has taken note of them
        stopped = (node.guard_pid, node.agent_pid)
        try:
            for pid in stopped:
                kill(pid, signal.SIGSTOP)
            await_("nothing of the pool is left", lambda: not any(alive(pid) for pid in everything), 5)
            c.await_pool("p", state="active", node="n2")
        finally:
            for pid in stopped:
                kill(pid, signal.SIGCONT)
        c.await_node("n1", state="online")

    def test_a_killed_init_costs_a_restart(self):
        c = self.cluster
        self.declare()
        kill(self.inits(c["n1"])[0])
        await_("another one", lambda: len(self.inits(c["n1"])) == 1)
        await_("the workloads run again", lambda: len(c["n1"].workload_pids()) == 2)
        self.assertEqual(c.pool("p")["node"], "n1")


class NamespacesRunOn(Namespaces):
    """With a lease that a restart is shorter than on any machine."""
    config = "profile: gentle\n"
    test_guard_and_agent_killed_at_once = test_both_hang = test_a_killed_init_costs_a_restart = None

    def test_guard_and_agent_come_and_go_and_the_pool_runs_on(self):
        c = self.cluster
        self.declare()
        node = c["n1"]
        pids = sorted(node.workload_pids())
        for _ in range(3):
            before = node.guard_pid
            kill(before)
            await_("another guard", lambda: (node.guard_pid or before) != before)
            node.kill_agent()
            node.start()
            await_("another agent", lambda: node.agent_pid)
        time.sleep(11)  # longer than a lease
        self.assertEqual(sorted(node.workload_pids()), pids)
        self.assertEqual(c.pool("p")["epoch"], 1)
        # What is stopped as ordered leaves no namespace behind, also by an agent that did not make it.
        job = c.cli("pool", "move", "p", "--to", "n2")["job"]
        self.assertEqual(c.await_job(job)["state"], "succeeded")
        self.assertEqual(node.workload_pids(with_logs=True), [])
        self.assertEqual(len(self.inits(c["n2"])), 1)
