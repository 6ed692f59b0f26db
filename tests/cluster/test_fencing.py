"""Fence devices: real fence agents (small ones made here), run by the manager or by a node, and what they prove."""
import json
import os
import pathlib
import signal
import tempfile
import time

from harness import CliError, ClusterTest, alive, await_, kill

# Its plug is a file with the node's processes: off kills them, status looks whether one lives. `mood` makes it other
# than honest. What it is told is kept, to be looked at.
AGENT = """#!/usr/bin/env python3
import os, pathlib, signal, sys
said = sys.stdin.read()
options = dict(line.split("=", 1) for line in said.splitlines())
plug = pathlib.Path(options["plug"])
with open(plug.parent / "told", "a") as told:
    told.write(f"{sys.argv} {options} {sorted(os.environ)}\\n")
mood = (plug.parent / "mood").read_text().strip() if (plug.parent / "mood").exists() else "honest"
def lives(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False
pids = [int(word) for word in plug.read_text().split()]
if options["action"] == "status":
    if mood == "dumb":
        sys.exit(1)
    sys.exit(0 if mood == "liar" or any(map(lives, pids)) else 2)
if options["action"] == "off" and mood == "honest":
    for pid in pids:
        os.kill(pid, signal.SIGKILL) if lives(pid) else None
if options["action"] == "on":
    (plug.parent / "on").touch()
    plug.write_text(str(os.getppid()))
"""


class Fencing(ClusterTest):
    # Time alone proves nothing for 16 s.
    config = "beat_ms: 200\nlease_ms: 1200\nstop_ms: 15000\nlog_level: info\n"

    def setUp(self):
        self.tools = pathlib.Path(tempfile.mkdtemp(prefix="poolherd-fence-"))
        self.addCleanup(self.forget, os.environ["PATH"])
        agent = self.tools / "fence_test"
        agent.write_text(AGENT)
        agent.chmod(0o755)
        (self.tools / "plug").write_text("")
        (self.tools / "password").write_text("open sesame\n")
        (self.tools / "password").chmod(0o600)
        os.environ["PATH"] = f"{self.tools}:{os.environ['PATH']}"
        super().setUp()

    def forget(self, path):
        os.environ["PATH"] = path
        for file in self.tools.iterdir():
            file.unlink()
        self.tools.rmdir()

    def mood(self, word):
        (self.tools / "mood").write_text(word)

    def declare(self, run_from="manager", more=""):
        return self.cluster.cli("fence", "apply", "-f", "-", stdin=f"""
fencing:
  - node: n1
    devices:
      - name: power
        agent: fence_test
        options: [plug={self.tools}/plug, login=admin]
        option_files: [password={self.tools}/password]
        run_from: [{run_from}]
        timeout_ms: 5000
{more}""")

    def pools(self):
        c = self.cluster
        c.apply("pools:\n" + "".join(c.beacon_pool(f"p{i}", prefer=["n1"]) for i in range(2)))
        c.await_pools(2)
        for i in range(2):
            c.await_copy(f"p{i}", c.pool(f"p{i}")["copies"][0]["node"])
            self.assertEqual(c.pool(f"p{i}")["node"], "n1")

    def processes(self):
        n1 = self.cluster["n1"]
        return [n1.guard_pid, n1.agent_pid] + n1.workload_pids(with_logs=True)

    def plug_in(self):
        (self.tools / "plug").write_text(" ".join(map(str, self.processes())))

    def hang(self):
        """A node whose kernel hangs: nothing of it goes on, its guard neither."""
        pids = self.processes()
        (self.tools / "plug").write_text(" ".join(map(str, pids)))
        for pid in pids:
            kill(pid, signal.SIGSTOP)
        return pids

    def elsewhere(self):
        return self.cluster.value("SELECT count(*) FROM pools WHERE state='active' AND node <> 'n1'") == 2

    def fenced_in_time(self, where):
        c = self.cluster
        self.pools()
        self.plug_in()
        applied = self.declare(where)
        self.assertEqual(applied["added"], 1)
        await_("the device is tested by itself", lambda: c.cli("fence", "show", "n1")[0]["power"] == "on")
        self.assertIn(f"n1/power from {where}: on", c.node("n1")["fencing"])
        self.assertEqual(c.node("n2").get("fencing", ""), "")
        pids = self.hang()
        began = time.monotonic()
        await_("all are elsewhere", self.elsewhere, 12)
        took = time.monotonic() - began
        print(f"{took:.2f} s (time alone: {c.cli('status')['takeover_ms'] / 1000:.1f} s)", end=" ", flush=True)
        self.assertLess(took, 8)
        self.assertFalse(any(map(alive, pids)), "it was really switched off")
        self.assertEqual(c.node("n1")["state"], "fenced")
        self.assertEqual(c.query("SELECT DISTINCT proof FROM jobs WHERE kind='takeover'"), [{"proof": "fenced"}])
        self.assertEqual(c.query("SELECT state, who, proof FROM jobs WHERE kind='fence'"),
                         [{"state": "succeeded", "who": "", "proof": "fenced"}])
        device = c.cli("fence", "show", "n1")[0]
        self.assertEqual((device["power"], device["checked_from"]), ("off", where))
        told = (self.tools / "told").read_text()
        self.assertIn("'password': 'open sesame'", told)
        for line in told.splitlines():
            self.assertIn("fence_test']", line)  # argv is its name alone
        return device

    def test_a_hung_node_is_switched_off_and_its_pools_move_at_once(self):
        c = self.cluster
        self.fenced_in_time("manager")
        self.assertNotIn("sesame", c.manager_log.read_text() + str(c.cli("fence", "list")) + str(c.query("SELECT * FROM fence_devices")))
        self.assertNotIn("sesame", (c.dir / "manager" / "inventory.db").read_bytes().decode(errors="replace"))
        # It stays off until somebody wants it on; then it is admitted as any node that returns.
        c["n1"].process.wait()
        self.assertFalse((self.tools / "on").exists())
        c.cli("fence", "on", "n1")
        await_("it is switched on", (self.tools / "on").exists)
        c["n1"].start()
        c.await_node("n1", state="online")

    def test_by_a_node_that_reaches_the_device(self):
        self.fenced_in_time("n2")
        self.assertIn("fence_call", self.cluster["n2"].log.read_text())
        self.assertNotIn("sesame", self.cluster["n2"].log.read_text())

    def test_a_device_that_lies_proves_nothing(self):
        c = self.cluster
        self.pools()
        self.mood("liar")  # off exits with 0, and nothing happens
        self.plug_in()
        self.declare(more="        attempts: 1\n")
        self.hang()
        began = time.monotonic()
        await_("it was tried", lambda: c.value("SELECT count(*) FROM events WHERE kind='fence-failed'") >= 1, 12)
        self.assertEqual({pool["node"] for pool in c.cli("pool", "list")}, {"n1"}, "nobody believed it")
        self.assertEqual(c.node("n1")["state"], "suspect")
        self.assertIn("and yet its status says that the node is on", c.cli("fence", "show", "n1")[0]["reason"])
        await_("time is the other proof", self.elsewhere, 30)
        self.assertGreater(time.monotonic() - began, 10)
        self.assertEqual(c.query("SELECT DISTINCT proof FROM jobs WHERE kind='takeover'"), [{"proof": "expired"}])

    def test_an_operator_asks(self):
        c = self.cluster
        self.pools()
        self.plug_in()
        with self.assertRaises(CliError) as caught:
            c.cli("node", "fence", "n1")
        self.assertEqual(caught.exception.status, 6)
        self.declare()
        self.assertEqual(self.declare()["unchanged"], 1)
        self.assertEqual(c.raw("fence", "test", "n1").returncode, 0)
        before = (self.tools / "told").read_text()
        plan = c.cli("node", "fence", "n1", "--dry-run")["message"]
        self.assertIn("level 1: power (fence_test, from manager)", plan)
        self.assertEqual((self.tools / "told").read_text(), before, "a dry run calls nothing")
        self.mood("dumb")
        self.assertEqual(c.raw("fence", "test").returncode, 1)
        doctor = json.loads(c.raw("doctor", "--json").stdout)
        self.assertIn("fence-devices-work", {finding["guarantee"] for finding in doctor if not finding["holds"]})
        self.mood("honest")
        pids = self.processes()
        job = c.cli("node", "fence", "n1", "--wait")
        self.assertEqual((job["state"], job["proof"]), ("succeeded", "fenced"))
        self.assertFalse(any(map(alive, pids)))
        await_("all are elsewhere", self.elsewhere, 10)

    def test_what_is_wrong_is_said_with_its_line(self):
        c = self.cluster
        bad = "fencing:\n  - node: n1\n    devices:\n      - name: a\n        agent: fence_test\n        options: [password=x]\n"
        done = c.raw("fence", "apply", "-f", "-", "--json", stdin=bad)
        self.assertEqual(done.returncode, 2)
        self.assertIn("stdin:6", done.stderr)
        self.assertIn("fencing[0].devices[0].options[0]", done.stderr)
        self.assertIn("option_files", done.stderr)
        done = c.raw("fence", "apply", "-f", "-", "--json", stdin=bad.replace("agent:", "agnet:"))
        self.assertEqual(done.returncode, 2)
        self.assertIn('did you mean \\"agent\\"', done.stderr)
        example = pathlib.Path(__file__).resolve().parents[2] / "examples" / "fencing.yaml"
        self.assertEqual(c.cli("fence", "apply", "-f", example, "--dry-run")["added"], 4)
        # One file may hold both; each command reads its own section.
        both = "pools:\n" + c.beacon_pool("web") + "fencing:\n  - node: n1\n    devices: [{name: a, agent: fence_test}]\n"
        self.assertEqual(c.apply(both)["added"], 1)
        self.assertEqual(c.cli("fence", "list"), [])
        self.assertEqual(c.cli("fence", "apply", "-f", "-", stdin=both)["added"], 1)
