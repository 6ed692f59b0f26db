"""What scripts may count on: documents, fields, exit codes, where the manager is found, what workloads see."""
import json
import os
import pathlib
import signal
import socket
import subprocess

from harness import BUILD, Cluster, ClusterTest, await_

SOURCE = pathlib.Path(__file__).resolve().parents[2]


class Contract(ClusterTest):
    nodes = 2

    def ask(self, *arguments, environment=None, stdin=None):
        return subprocess.run([BUILD / "poolherd", *map(str, arguments)], capture_output=True, text=True, timeout=60, input=stdin,
                              env={**{k: v for k, v in os.environ.items() if not k.startswith(("POOLHERD_", "XDG_"))}, **(environment or {})})

    def test_the_examples_are_declarations(self):
        for path in sorted((SOURCE / "examples").glob("*.yaml")):
            if "pools:" in path.read_text():
                shown = self.cluster.cli("pool", "apply", "-f", str(path), "--dry-run")
                self.assertGreater(shown["added"], 0, path.name)
        self.assertEqual(self.cluster.cli("pool", "list"), [])

    def test_fields_and_documents(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"]))
        c.await_pool("web", state="active")
        c.await_copy("web", "n2")
        for node in c.cli("node", "list"):
            for field in ("name", "state", "admin", "pools", "lease_left_ms", "last_seen_ms"):
                self.assertIn(field, node)
        pool = c.cli("pool", "list")[0]
        for field in ("name", "state", "desired", "node", "epoch", "driver", "copies", "reason"):
            self.assertIn(field, pool)
        self.assertEqual(set(pool["copies"][0]) & {"node", "state", "age_ms"}, {"node", "state", "age_ms"})
        number = c.cli("pool", "move", "web")["job"]
        job = c.await_job(number)
        for field in ("id", "kind", "state", "progress", "reason", "waiting_on"):
            self.assertIn(field, job)
        invited = c.cli("node", "invite", "n7")
        self.assertEqual(set(invited), {"token", "expires"})
        self.assertEqual(c.query("SELECT name, epoch FROM pools"), [{"name": "web", "epoch": 2}])
        # One document each, also of those that say something to people.
        for command in (("status",), ("node", "list"), ("node", "show", "n1"), ("node", "drain", "n1", "--dry-run"), ("node", "drain", "n1", "--wait"),
                        ("node", "resume", "n1"), ("pool", "list"), ("pool", "show", "web"), ("pool", "move", "web", "--dry-run"),
                        ("pool", "move", "web", "--wait"), ("pool", "stop", "web", "--wait"), ("pool", "start", "web", "--wait"), ("pool", "explain", "web"),
                        ("job", "list", "--all"), ("job", "show", str(number)), ("job", "watch", str(number)), ("events",), ("query", "SELECT 1 AS one"),
                        ("cluster", "pause"), ("cluster", "resume"), ("identity", "list"), ("identity", "invite", "ann"), ("identity", "revoke", "ann"),
                        ("pool", "remove", "web", "--dry-run"), ("pool", "remove", "web", "--wait"), ("node", "retire", "n2", "--wait")):
            done = c.raw(*command, "--json")
            self.assertEqual((done.returncode, done.stderr), (0, ""), command)
            json.loads(done.stdout)

    def test_errors_are_one_document_on_stderr(self):
        c = self.cluster
        for command, status, code in ((("node", "show", "n9"), 5, "not_found"), (("node", "list", "--speed"), 2, "bad_input"), (("pool", "show"), 2, "bad_input"),
                                      (("node", "list", "-Z"), 2, "bad_input"), (("node", "drain", "n1", "--deadline"), 2, "bad_input"),
                                      (("node", "list", "--wait"), 2, "bad_input"), (("nonsense",), 2, "bad_input"),
                                      (("node", "list", "a", "b", "c", "d"), 2, "bad_input"), (("node", "list", "--json=yes"), 2, "bad_input"),
                                      (("job", "cancel", "7"), 5, "not_found"), (("node", "fence", "n1", "--confirm-dead", "n1"), 6, "state_forbids")):
            done = c.raw("--json", *command)
            self.assertEqual((done.returncode, done.stdout), (status, ""), f"{command}: {done.stderr}")
            error = json.loads(done.stderr)["error"]
            self.assertEqual(set(error), {"code", "message", "field"})
            self.assertEqual(error["code"], code)

    def test_where_the_manager_and_the_identity_are_found(self):
        c = self.cluster
        directory, identity = c.dir / "manager", c.dir / "manager" / "admin.identity"
        home = c.dir / "home"
        (home / ".config" / "poolherd").mkdir(parents=True)
        nowhere = {"HOME": str(c.dir / "nobody")}
        command = ("node", "list", "--json")

        def works(*arguments, **environment):
            done = self.ask(*arguments, *command, environment={**nowhere, **environment})
            self.assertEqual((done.returncode, len(json.loads(done.stdout or "[]"))), (0, 2), done.stderr)
        works("--manager", directory)
        works("--manager", c.endpoint, "--identity", identity)
        works(POOLHERD_MANAGER=str(directory))
        works(POOLHERD_MANAGER=c.endpoint, POOLHERD_IDENTITY=str(identity))
        (home / ".config" / "poolherd" / "config.yaml").write_text(f"manager: {c.endpoint}\nidentity: {identity}\n")
        works(HOME=str(home))
        works("--manager", directory, POOLHERD_MANAGER="tcp://127.0.0.1:1")  # the nearest word counts
        done = self.ask("--manager", c.endpoint, *command, environment=nowhere)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--identity", json.loads(done.stderr)["error"]["message"])
        done = self.ask("--manager", c.dir / "nothing", *command, environment=nowhere)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("nothing", json.loads(done.stderr)["error"]["message"])
        done = self.ask("--manager", "tcp://127.0.0.1:1", "--identity", identity, "--timeout", "1", *command, environment=nowhere)
        self.assertEqual(done.returncode, 3)

    def test_what_a_workload_sees(self):
        c = self.cluster
        c.apply(json.dumps({"pools": [{"name": "web", "driver": "directory", "nodes": {"prefer": ["n2"]}, "vms": [
            {"name": "first", "kind": "process", "command": ["/bin/sh", "-c", "env >env.txt; echo \"$@\" >arguments.txt; exec sleep 1000", "x",
                                                             "{pool}", "{pool_path}", "{node}", "{epoch}", "{vm}"]}]}]}))
        c.await_pool("web", state="active", vms_running=1)
        data = c["n2"].data("web")
        await_("it has written", lambda: (data / "arguments.txt").exists() and (data / "arguments.txt").read_text())
        seen = dict(line.split("=", 1) for line in (data / "env.txt").read_text().splitlines() if "=" in line)
        self.assertEqual({name: value for name, value in seen.items() if name.startswith("POOLHERD_") and name != "POOLHERD_MARK"},
                         {"POOLHERD_POOL": "web", "POOLHERD_POOL_PATH": str(data), "POOLHERD_NODE": "n2", "POOLHERD_EPOCH": "1", "POOLHERD_VM": "first"})
        self.assertEqual((data / "arguments.txt").read_text().split(), ["web", str(data), "n2", "1", "first"])


class Daemons(ClusterTest):
    """Signals, readiness, checking of configurations."""
    nodes = 1

    def test_the_manager_says_when_it_is_ready_and_ends_cleanly(self):
        c = self.cluster
        c.kill_manager(signal.SIGTERM)
        self.assertEqual(c.manager.returncode, 0)
        path = c.dir / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(path))
            notify.settimeout(10)
            os.environ["NOTIFY_SOCKET"] = str(path)
            try:
                c.start_manager()
            finally:
                del os.environ["NOTIFY_SOCKET"]
            self.assertIn(b"READY=1", notify.recv(1000).split(b"\n"))
        c.await_heard("n1")

    def test_sighup_takes_what_is_good_and_says_what_is_not(self):
        c = Cluster(1, config="profile: default\n")
        try:
            path = c.dir / "manager.yaml"
            c.apply("pools:\n" + c.beacon_pool("web", copies=0))
            c.await_pool("web", state="active")
            pids = c["n1"].workload_pids()
            path.write_text("profile: gentle\n")
            c.manager.send_signal(signal.SIGHUP)
            await_("the new timing", lambda: c.cli("status")["lease_ms"] == 10000)
            path.write_text("lease_ms: 100\nbeat_ms: 90\n")
            c.manager.send_signal(signal.SIGHUP)
            await_("it is refused", lambda: "lease_ms" in c.manager_log.read_text().rsplit("gentle", 1)[-1] and "reload" in c.manager_log.read_text())
            self.assertEqual(c.cli("status")["lease_ms"], 10000)
            self.assertEqual(c["n1"].workload_pids(), pids)
        finally:
            c.close()

    def test_check_config_of_the_agent(self):
        c = self.cluster
        bad = c.dir / "bad.yaml"
        for text, word in (("label: [a=b]\n", "labels"), ("labels: [ab]\n", "labels"), ("listen: 127.0.0.1\n", "listen"), ("cpu: many\n", "cpu"),
                           ("copies_parallel: 0\n", "copies_parallel"), ("log_level: loud\n", "loud"), ("[\n", "bad.yaml")):
            bad.write_text(text)
            done = subprocess.run([BUILD / "poolherd-agent", "--dir", c.dir / "other", "--config", bad, "--check-config"],
                                  capture_output=True, text=True, timeout=20)
            self.assertEqual(done.returncode, 2, f"{text}: {done.stderr}")
            self.assertIn(word, done.stderr)
            self.assertIn("bad.yaml", done.stderr, text)
        bad.write_text("labels: [rack=a]\n")
        done = subprocess.run([BUILD / "poolherd-agent", "--dir", c.dir / "other", "--config", bad, "--check-config"], capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse((c.dir / "other").exists())
