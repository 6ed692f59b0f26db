"""Faults of the network, of power and of clocks, one by one: each node in a network namespace of its own.

Each is skipped without root. The random mix of all of them is tests/cluster/run --faults.
"""
import json
import pathlib
import signal
import subprocess
import sys
import time
import unittest

import network
from harness import BUILD, ClusterTest, await_

MANAGER = "manager"


class Network(ClusterTest):
    real_network = True
    config = "quarantine_failures: 1000\n"

    def declare(self, count=2):
        c = self.cluster
        c.apply("pools:\n" + "".join(c.beacon_pool(f"p{i}", prefer=["n1"], counts=True) for i in range(count)))
        for i in range(count):
            c.await_pool(f"p{i}", state="active", node="n1")
            c.await_copy(f"p{i}", c.pool(f"p{i}")["copies"][0]["node"])
        return count

    def taken_over(self, count):
        c = self.cluster
        await_("all are elsewhere", lambda: c.value("SELECT count(*) FROM pools WHERE state='active' AND node <> 'n1'") == count, 30)
        self.assertEqual(c.query("SELECT DISTINCT proof FROM jobs WHERE kind='takeover'"), [{"proof": "expired"}])
        c.assert_nothing_ran_twice()

    def both_ways(self, a, b):
        self.network.cut(a, b)
        self.network.cut(b, a)

    def test_power_loss(self):
        count = self.declare()
        self.cluster["n1"].destroy()
        self.taken_over(count)
        self.cluster["n1"].start()
        self.cluster.await_heard("n1", 30)
        self.cluster.assert_nothing_ran_twice()

    def cut_from_everybody(self, ways):
        """The guard stops what runs on n1, and only then it is taken over; mended, the node comes back."""
        count = self.declare()
        for other in (MANAGER, "n2", "n3"):
            if "out" in ways:
                self.network.cut("n1", other)
            if "in" in ways:
                self.network.cut(other, "n1")
        await_("its workloads are stopped", lambda: self.cluster["n1"].workload_pids() == [])
        self.taken_over(count)
        self.network.heal()
        self.cluster.await_heard("n1", 30)
        self.assertEqual(self.cluster["n1"].workload_pids(), [])

    def test_cut_both_ways(self):
        self.cut_from_everybody(("in", "out"))

    def test_what_it_sends_is_lost(self):
        self.cut_from_everybody(("out",))

    def test_what_it_is_sent_is_lost(self):
        self.cut_from_everybody(("in",))

    def test_a_link_between_two_nodes_stops_copies_only(self):
        count = self.declare()
        pids = sorted(self.cluster["n1"].workload_pids())
        for other in ("n2", "n3"):
            self.both_ways("n1", other)
        await_("copies fail with a reason", lambda: all(
            copy["reason"] for i in range(count) for copy in self.cluster.pool(f"p{i}")["copies"]), 60)
        self.assertEqual(sorted(self.cluster["n1"].workload_pids()), pids)
        self.network.heal()
        for i in range(count):
            self.cluster.await_copy(f"p{i}", self.cluster.pool(f"p{i}")["copies"][0]["node"], 90)
        self.assertEqual(self.cluster.query("SELECT id FROM jobs WHERE kind = 'takeover'"), [])

    def test_thirty_per_cent_loss(self):
        """Leases may end under it, nothing may run twice, and afterwards everything runs."""
        count = self.declare()
        self.network.lose("n1", 30)
        end = time.monotonic() + 15
        while time.monotonic() < end:  # a stretch of time, not an event: what may go wrong has time to
            self.cluster.assert_nothing_ran_twice()
            time.sleep(0.5)
        self.network.heal()
        self.cluster.await_heard("n1", 30)
        self.cluster.await_pools(count, 40)
        self.cluster.assert_nothing_ran_twice()

    def test_clocks_set_back_and_forth(self):
        """The time of day of every program jumps: nothing stops, nothing moves, and moves work."""
        count = self.declare()
        pids = sorted(self.cluster["n1"].workload_pids())
        for offset_s in (3600, -3600, 86400 * 400, -86400 * 400, 0.5, -30, 0):
            for name in (MANAGER, "n1", "n2"):
                self.network.set_clock(name, offset_s if name != "n2" else -offset_s)
                self.cluster.await_heard("n1")
        self.assertEqual(sorted(self.cluster["n1"].workload_pids()), pids)
        self.assertEqual(self.cluster.query("SELECT id FROM events WHERE kind = 'node-suspect'"), [])
        self.network.set_clock("n1", 7200)
        self.assertEqual(self.cluster.await_job(self.cluster.cli("pool", "move", "p0", "--to", "n2")["job"])["state"], "succeeded")
        self.network.set_clock(MANAGER, -7200)
        self.assertEqual(self.cluster.await_job(self.cluster.cli("pool", "move", "p0", "--to", "n1")["job"])["state"], "succeeded")
        self.cluster.await_pools(count)


class Leftovers(unittest.TestCase):
    """What a test made is gone after it, however it ended; found by what its record names."""

    def setUp(self):
        reason = network.unavailable()
        if reason:
            self.skipTest(reason)

    @staticmethod
    def record_of(pid):
        for path in network.RECORDS.glob("*.json"):
            try:
                record = json.loads(path.read_text())
            except (OSError, ValueError):
                continue
            if record["pid"] == pid and len(record["namespaces"]) >= 3:
                return path, record
        return None

    def assert_nothing_is_left(self, path, record):
        self.assertEqual([name for name in record["namespaces"] if (network.NAMESPACES / name).exists()], [])
        self.assertEqual([mount for mount in record["mounts"] if network.mounted(mount)], [])
        self.assertFalse(pathlib.Path(record["cgroup"]).exists())
        self.assertFalse(path.exists())

    def begin(self, *words):
        process = subprocess.Popen([sys.executable, *words], cwd=pathlib.Path(__file__).parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, *await_("a network", lambda: self.record_of(process.pid))

    def test_of_a_run_that_was_interrupted(self):
        process, path, record = self.begin("run", "--build", str(BUILD), "--faults", "--seed", "1", "--nodes", "3")
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        self.assert_nothing_is_left(path, record)

    def test_of_a_run_that_was_killed(self):
        """The next one removes it, and leaves alone what belongs to a run that is still there."""
        program = ("import network, pathlib, subprocess, time; n = network.Network(); n.mount(n.dir / 'disk', '1m'); (n.dir / 'closed').mkdir(); n.read_only(n.dir / 'closed'); n.address('n1', 1); n.address('n2', 2);"
                   "subprocess.Popen(n.within('n1', ['sleep', '600'])); print(flush=True); time.sleep(600)")
        process, path, record = self.begin("-c", program)
        group = pathlib.Path(record["cgroup"])
        await_("something runs in it", lambda: (group / "n1/cgroup.procs").read_text())
        network.sweep()
        self.assertTrue(path.exists())
        process.kill()
        process.wait()
        network.sweep()
        self.assert_nothing_is_left(path, record)

    def test_of_one_that_was_closed(self):
        one = network.Network()
        one.address("n1", 1)
        one.close()
        self.assert_nothing_is_left(network.RECORDS / f"{one.id}.json", one.record)
