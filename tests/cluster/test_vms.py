"""Virtual machines: real guests that start, stop and move with their pool."""
import pathlib
import shutil
import signal
import unittest

import guests
from harness import ClusterTest, alive, await_, kill

WITHOUT = next((program for program in ("qemu-system-x86_64", "qemu-img", "cpio") if not shutil.which(program)), None)


@unittest.skipIf(WITHOUT, f"skipped: virtual machines: there is no {WITHOUT}")
class VirtualMachines(ClusterTest):
    @classmethod
    def setUpClass(cls):
        guests.make()

    def setUp(self):
        super().setUp()
        self.beats = guests.Beats()

    def tearDown(self):
        self.beats.close()
        super().tearDown()

    def vm(self, pool):
        return self.cluster.pool(pool)["vms"][0]

    def await_up(self, node, pool, starts, limit_s=60):
        """The log of that node has so many starts of the guest; the newest one's counter and boot."""
        return await_(f"start {starts} of {pool} on {node}", lambda: guests.ups(self.cluster[node], pool)[starts - 1:] or None, limit_s)[-1]

    def test_a_machine_moves_with_its_pool(self):
        self.cluster.apply("pools:\n" + guests.pool("vault", prefer=["n1"], port=self.beats.port))
        self.assertEqual(self.await_up("n1", "vault", 1)[0], 1)
        await_("it is seen running", lambda: self.vm("vault")["guest"] == "running")
        self.assertIn("wrote here", guests.say(self.cluster["n1"], "vault", "write here", "wrote"))
        await_("beats", lambda: self.beats.heard)

        # A planned move: the guest hears the power button, and the same disk starts elsewhere.
        self.cluster.cli("pool", "move", "vault", "--to", "n2", "--wait", timeout=120)
        counter, _ = self.await_up("n2", "vault", 1)
        self.assertEqual(counter, 2)
        self.assertIn("guest powers off", guests.log(self.cluster["n1"], "vault"))
        self.assertIn("read here", guests.say(self.cluster["n2"], "vault", "read", "read "))

        # The loss of its node: it starts from the copy.
        self.cluster.await_copy("vault", "n1")
        self.cluster["n2"].destroy()
        self.cluster.await_pool("vault", 30, state="active", node="n1")
        self.assertGreaterEqual(self.await_up("n1", "vault", 2)[0], 2)
        self.assertIn("read here", guests.say(self.cluster["n1"], "vault", "read", "read "))
        await_("beats of three starts", lambda: len(self.beats.spans()) == 3)
        self.beats.assert_one_at_a_time()

    def test_it_runs_on_through_a_restart_of_the_agent(self):
        self.cluster.apply("pools:\n" + guests.pool("vault", prefer=["n1"], copies=0, port=self.beats.port))
        _, boot = self.await_up("n1", "vault", 1)
        before = await_("it runs", lambda: self.vm("vault")["guest"] == "running" and self.vm("vault"))
        self.cluster["n1"].kill_agent()
        self.cluster["n1"].start()
        self.cluster.await_heard("n1")
        self.cluster.await_pool("vault", state="active")
        await_("it is seen running again", lambda: self.vm("vault")["guest"] == "running")
        self.assertEqual(self.vm("vault")["pid"], before["pid"])
        self.assertIn(boot, guests.say(self.cluster["n1"], "vault", "ping", "pong"))
        self.assertEqual(len(guests.ups(self.cluster["n1"], "vault")), 1)
        # And it is still stopped as a machine is stopped.
        self.cluster.cli("pool", "stop", "vault", "--wait", timeout=60)
        self.assertIn("guest powers off", guests.log(self.cluster["n1"], "vault"))
        self.assertFalse(alive(before["pid"]))


if __name__ == "__main__":
    unittest.main()
