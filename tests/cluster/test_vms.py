"""Virtual machines: real guests that start, stop and move with their pool."""
import random
import re
import shutil
import threading
import unittest

import guests
from harness import ClusterTest, CliError, alive, await_

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

    def test_what_is_declared_is_what_the_guest_finds(self):
        self.cluster.apply("pools:\n" + guests.pool(
            "vault", prefer=["n1"], copies=0, append="ph.agent=yes", vm_more="labels: [team=shop, important=yes]",
            qemu="vnc: {address: 127.0.0.1}\n"
                 "cloud_init: {user_data: '#cloud-config of a test', network_config: 'version: 2'}\n",
            disks="[{name: root, format: raw, size_mib: 16, iops: 5000}, {name: data, size_mib: 32, file: disks/data.qcow2}]"))
        self.await_up("n1", "vault", 1)
        node = self.cluster["n1"]
        disks = guests.say(node, "vault", "disks", "disks end")
        self.assertIn("disk vda 32768 root", disks)
        self.assertIn("disk vdb 65536 data", disks)
        seed = guests.say(node, "vault", "cidata", "cidata end")
        self.assertIn("user-data: #cloud-config of a test", seed)
        self.assertRegex(seed, "meta-data: instance-id: [0-9a-f-]{36}")
        self.assertIn("network-config: version: 2", seed)
        mac = re.search("mac (02(:[0-9a-f]{2}){5})", guests.say(node, "vault", "mac", "mac 02")).group(1)
        vm = await_("addresses and the screen", lambda: self.vm("vault")["addresses"] and self.vm("vault"), 40)
        self.assertEqual(vm["addresses"], ["10.0.2.15"])
        self.assertRegex(vm["vnc"], r"^127\.0\.0\.1:59[0-9]{2}$")
        self.assertRegex(vm["accelerator"], "^(kvm$|tcg)")
        self.assertGreater(vm["memory_used_mib"], 30)
        self.assertEqual(self.cluster.value("SELECT count(*) FROM vms, json_each(labels) WHERE value = 'team=shop'"), 1)
        self.assertEqual((node.data("vault") / "guest.disks").read_text(), "root\ndata\n")

        # Elsewhere it is the same machine; it is its agent that lets it shut down.
        self.cluster.cli("pool", "move", "vault", "--to", "n2", "--wait", timeout=120)
        self.assertIn("guest agent powers off", guests.log(node, "vault"))
        self.await_up("n2", "vault", 1)
        self.assertIn(mac, guests.say(self.cluster["n2"], "vault", "mac", "mac 02"))

        # A disk that it had and that is gone does not come back empty.
        self.cluster.cli("pool", "stop", "vault", "--wait", timeout=60)
        data = self.cluster["n2"].data("vault") / "disks/data.qcow2"
        data.rename(data.with_suffix(".away"))
        self.cluster.cli("pool", "start", "vault")
        await_("it says which disk", lambda: "disk data was there and is gone" in self.vm("vault")["reason"])
        self.assertFalse(data.exists())

    def operate(self, *words):
        return self.cluster.cli(*words, "--wait", timeout=120)

    def test_what_is_done_once(self):
        c = self.cluster
        c.apply("pools:\n" + guests.pool("vault", prefer=["n1"], copies=0))
        _, boot = self.await_up("n1", "vault", 1)
        await_("it is seen running", lambda: self.vm("vault")["guest"] == "running")
        self.operate("vm", "pause", "vault/guest")
        await_("it is seen paused", lambda: self.vm("vault")["guest"] == "paused")
        self.operate("vm", "resume", "vault/guest")
        await_("it is seen running again", lambda: self.vm("vault")["guest"] == "running")

        # A snapshot has memory too: rolled back, the guest is in the boot in which it was taken.
        self.assertEqual(c.cli("snapshot", "list", "vault/guest"), [])
        self.operate("snapshot", "create", "vault/guest@before")
        shown = c.cli("snapshot", "list", "vault/guest")
        self.assertEqual([item["name"] for item in shown], ["before"])
        self.assertGreater(shown[0]["memory_mib"], 0)
        self.operate("vm", "reset", "vault/guest")
        self.assertNotEqual(self.await_up("n1", "vault", 2)[1], boot)
        self.operate("snapshot", "rollback", "vault/guest@before")
        self.assertIn(boot, guests.say(c["n1"], "vault", "ping", "pong"))
        for words, why in ((("snapshot", "create", "vault/guest@before"), "already"), (("snapshot", "rollback", "vault/guest@none"), "no snapshot none")):
            with self.assertRaises(CliError) as caught:
                self.operate(*words)
            self.assertIn(why, caught.exception.error["message"])
        self.operate("snapshot", "delete", "vault/guest@before")
        self.assertEqual(c.cli("snapshot", "list", "vault/guest"), [])

        # Under one request id it is one job, also for a manager that was killed meanwhile.
        first = c.cli("vm", "reset", "vault/guest", "--request-id", "monday", "--wait", timeout=120)
        c.kill_manager()
        c.start_manager()
        again = await_("an answer", lambda: c.cli("vm", "reset", "vault/guest", "--request-id", "monday", "--wait", timeout=120))
        self.assertEqual(again["id"], first["id"])
        self.assertEqual(c.value("SELECT count(*) FROM jobs WHERE kind = 'vm' AND operation = 'reset'"), 2)

    def test_an_agent_killed_in_the_middle_of_each(self):
        c = self.cluster
        c.apply("pools:\n" + guests.pool("vault", prefer=["n1"], copies=0))
        self.await_up("n1", "vault", 1)
        await_("it is seen running", lambda: self.vm("vault")["guest"] == "running")
        randomness = random.Random(5)
        for number, words in enumerate((("snapshot", "create", "vault/guest@s1"), ("snapshot", "rollback", "vault/guest@s1"), ("vm", "pause", "vault/guest"),
                                        ("vm", "resume", "vault/guest"), ("snapshot", "create", "vault/guest@s2"), ("snapshot", "delete", "vault/guest@s1"),
                                        ("vm", "reset", "vault/guest"))):
            job = c.cli(*words)["job"]
            log = c["n1"].log

            def begun():
                return "kind=vm_operate pool=vault vm=guest" in log.read_text().split("agent_killed_here")[-1]
            await_("it has begun", begun)
            threading.Event().wait(randomness.uniform(0, 0.15))  # into the middle of it, or just after
            c["n1"].kill_agent()
            with open(log, "a") as file:
                file.write("agent_killed_here\n")
            c["n1"].start()
            c.await_heard("n1", 30)
            ended = c.await_job(job, 60)
            names = await_("a list", lambda: [item["name"] for item in c.cli("snapshot", "list", "vault/guest")], 60) if words[:2] == ("snapshot", "create") else []
            done = ended["state"] == "succeeded"
            if words[:2] == ("snapshot", "create"):
                self.assertEqual(words[2].split("@")[1] in names, done, f"{words}: {ended['reason']}")
            if words[1] in ("pause", "resume"):
                wanted = "paused" if (words[1] == "pause") == done else "running"
                await_(f"it is {wanted}", lambda: self.vm("vault")["guest"] == wanted, 20)
                c.cli("vm", words[1], "vault/guest", "--wait", timeout=60)
            if words[1] in ("create",) and not done:
                c.cli(*words, "--wait", timeout=60)
        self.assertEqual(self.vm("vault")["restarts"], 0)

    def test_a_guest_that_will_not_hear(self):
        self.cluster.apply("pools:\n" + guests.pool("vault", prefer=["n1"], copies=0).replace("20000", "1500"))
        self.await_up("n1", "vault", 1)
        guests.say(self.cluster["n1"], "vault", "deaf", "guest is deaf")
        pid = await_("it is seen", lambda: self.vm("vault")["pid"])
        self.cluster.cli("pool", "stop", "vault", "--wait", timeout=60)
        self.assertNotIn("guest powers off", guests.log(self.cluster["n1"], "vault"))
        self.assertFalse(alive(pid))

    def test_one_machine_is_stopped_and_stays_so(self):
        self.cluster.apply("pools:\n" + guests.pool("vault", prefer=["n1"]) + "\n".join(
            ["      - name: other", "        kind: process", "        command: [sleep, '1000000']"]) + "\n")
        self.await_up("n1", "vault", 1)
        self.cluster.cli("vm", "stop", "vault/guest", "--wait", timeout=60)
        vm = self.cluster.cli("vm", "show", "vault/guest")
        self.assertEqual((vm["state"], vm["halted"], vm["node"], vm["guest"]), ("stopped", True, "n1", ""))
        self.assertIn("guest powers off", guests.log(self.cluster["n1"], "vault"))
        self.assertEqual(self.cluster.cli("vm", "show", "vault/other")["state"], "running")
        # The same declaration does not start it, nor does another agent, nor another node.
        self.cluster.apply("pools:\n" + guests.pool("vault", prefer=["n1"], vm_more="labels: [a=b]") + "\n".join(
            ["      - name: other", "        kind: process", "        command: [sleep, '1000000']"]) + "\n")
        self.cluster["n1"].kill_agent()
        self.cluster["n1"].start()
        self.cluster.await_heard("n1")
        self.cluster.cli("pool", "move", "vault", "--to", "n2", "--wait", timeout=120)
        await_("the other one runs there", lambda: self.cluster.cli("vm", "show", "vault/other")["state"] == "running")
        self.assertEqual([(vm["name"], vm["state"], vm["node"]) for vm in self.cluster.cli("vm", "list")],
                         [("guest", "stopped", "n2"), ("other", "running", "n2")])
        self.cluster.cli("vm", "start", "vault/guest", "--wait", timeout=60)
        self.assertEqual(self.await_up("n2", "vault", 1)[0], 2)
        self.assertEqual(len(guests.ups(self.cluster["n1"], "vault")), 1)

    def test_what_cannot_be_a_machine(self):
        for spoil, field in ((("memory_mib", "memmory_mib"), "did you mean"), (("size_mib: 16", "size_mib: 16, file: /etc/passwd"), "path in the pool"),
                             (("kind: qemu", "kind: process"), "is for kind: qemu")):
            done = self.cluster.raw("pool", "apply", "-f", "-", stdin="pools:\n" + guests.pool("vault").replace(*spoil))
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(field, done.stderr)
        self.cluster.apply("pools:\n" + guests.pool("vault", prefer=["n1"], copies=0, qemu="machine: pc-q35-99.9"))
        await_("QEMU's own words", lambda: "unsupported machine type" in self.vm("vault")["reason"])
        self.assertIn("QEMU ended at once", self.vm("vault")["reason"])
        self.assertEqual(self.cluster["n1"].workload_pids(), [])


if __name__ == "__main__":
    unittest.main()
