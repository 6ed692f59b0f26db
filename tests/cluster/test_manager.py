"""The manager's own house: durability, one directory, identities, a full disk."""
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time

from harness import BUILD, CliError, Cluster, ClusterTest, await_

ROUNDS = int(os.environ.get("POOLHERD_KILL_ROUNDS", "200"))


class Durability(ClusterTest):
    nodes = 0

    def test_nothing_acknowledged_is_lost(self):
        """SIGKILL under load, again and again; every acknowledged change is there, none is half there."""
        c = self.cluster
        randomness = random.Random(int(os.environ.get("POOLHERD_SEED", "1")))
        acknowledged, unknown, stop = {}, set(), threading.Event()

        def load(first):
            for at in range(first, first + 1000000):
                if stop.is_set():
                    return
                name, priority = f"p{at}", at % 1000
                text = json.dumps({"pools": [{"name": name, "driver": "directory", "desired": "inactive", "priority": priority,
                                              "vms": [{"name": "a", "kind": "process", "command": ["true"]},
                                                      {"name": "b", "kind": "process", "command": ["true"]}]}]})
                done = c.raw("pool", "apply", "-f", "-", "--json", "--timeout", "1", stdin=text)
                if done.returncode == 0:
                    acknowledged[name] = priority
                else:
                    unknown.add(name)
        loaders = [threading.Thread(target=load, args=(i * 1000000,)) for i in range(6)]
        for loader in loaders:
            loader.start()
        killed = 0
        while killed < ROUNDS:
            time.sleep(randomness.uniform(0.0, 0.15))
            c.kill_manager()
            killed += 1
            c.start_manager()
        stop.set()
        for loader in loaders:
            loader.join()
        shown = {pool["name"]: pool for pool in c.query("SELECT name, priority FROM pools")}
        self.assertEqual(sorted(name for name in acknowledged if name not in shown), [])
        for name, priority in acknowledged.items():
            self.assertEqual(shown[name]["priority"], priority)
        self.assertEqual(set(shown) - set(acknowledged) - unknown, set())
        halves = c.query("SELECT pool, count(*) AS n FROM vms GROUP BY pool HAVING n <> 2")
        self.assertEqual(halves, [])
        self.assertEqual(c.value("SELECT count(*) FROM vms"), 2 * len(shown))
        print(f"{killed} kills, {len(acknowledged)} acknowledged, {len(unknown)} without an answer", end=" ", flush=True)


class House(ClusterTest):
    nodes = 1

    def test_two_managers_on_one_directory(self):
        c = self.cluster
        done = subprocess.run([BUILD / "poolherd-manager", "--dir", c.dir / "manager", "--listen", "tcp://127.0.0.1:*"],
                              capture_output=True, text=True, timeout=20)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(str(c.manager.pid), done.stderr)
        c.await_node("n1", state="online")

    def test_two_agents_on_one_directory(self):
        c = self.cluster
        done = subprocess.run([BUILD / "poolherd-agent", "--dir", c["n1"].dir], capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 6)
        self.assertIn(str(c["n1"].agent_pid), done.stderr)

    def test_two_agents_with_one_identity(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("web", copies=0))
        c.await_pool("web", state="active", node="n1")
        twin = c.add_node("twin", 7)
        twin.dir.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(c["n1"].dir / "agent.identity", twin.dir / "agent.identity")
        twin.start()
        self.assertNotEqual(twin.process.wait(timeout=20), 0)
        time.sleep(1.5)
        c.await_pool("web", state="active", node="n1")
        self.assertTrue(c.query("SELECT id FROM events WHERE kind = 'node-duplicate'"))

    def test_files_are_private(self):
        for path in ("manager/manager.identity", "manager/admin.identity", "manager/inventory.db"):
            mode = (self.cluster.dir / path).stat().st_mode & 0o777
            self.assertEqual(mode & 0o077, 0, f"{path} has mode {mode:o}")

    def test_a_restored_backup_is_refused_by_agents(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("web", copies=0))
        c.await_pool("web", state="active")
        c.kill_manager(signal.SIGTERM)
        shutil.copytree(c.dir / "manager", c.dir / "backup")
        for _ in range(2):
            c.start_manager()
            c.await_heard("n1")
            c.kill_manager(signal.SIGTERM)
        shutil.rmtree(c.dir / "manager")
        shutil.copytree(c.dir / "backup", c.dir / "manager")
        c.start_manager()
        await_("it finds itself behind", lambda: c.query("SELECT id FROM events WHERE message LIKE '%term%' AND level = 'error'"))
        status = c.cli("status")
        self.assertTrue(status["paused"])
        self.assertIn("--advance-term", status["reason"])
        self.assertEqual(status["nodes"][0]["lease_left_ms"], 0, "it grants nothing")
        await_("the lease ends", lambda: c["n1"].workload_pids() == [])
        c.kill_manager(signal.SIGTERM)
        c.start_manager(extra=["--advance-term"])
        c.await_pool("web", state="active", node="n1", limit_s=20)

    def test_check_config(self):
        c = self.cluster
        bad = c.dir / "bad.yaml"
        for text, word in (("lease_ms: 100\nbeat_ms: 90\n", "lease_ms"), ("profile: swift\n", "profile"), ("leese_ms: 5\n", "lease_ms"),
                           ("clock_drift: 2\n", "clock_drift"), ("beat_ms: [1]\n", "beat_ms")):
            bad.write_text(text)
            done = subprocess.run([BUILD / "poolherd-manager", "--dir", c.dir / "other", "--config", bad, "--check-config"],
                                  capture_output=True, text=True, timeout=20)
            self.assertEqual(done.returncode, 2, text)
            self.assertIn(word, done.stderr)
            self.assertIn("bad.yaml", done.stderr)
        self.assertFalse((c.dir / "other").exists())


class Identities(ClusterTest):
    nodes = 1

    def login(self, name, role):
        c = self.cluster
        token = c.cli("identity", "invite", name, "--role", role)["token"]
        path = c.dir / f"{name}.identity"
        done = c.raw("login", token, identity=path)
        self.assertEqual(done.returncode, 0, done.stderr)
        return path, token

    def test_roles(self):
        c = self.cluster
        viewer, _ = self.login("vera", "viewer")
        operator, _ = self.login("otto", "operator")
        self.assertEqual(len(c.cli("node", "list", identity=viewer)), 1)
        for identity, command in ((viewer, ("node", "drain", "n1")), (viewer, ("pool", "apply", "-f", "-")), (operator, ("node", "invite", "x")),
                                  (operator, ("node", "fence", "n1", "--confirm-dead", "n1")), (operator, ("identity", "list"))):
            with self.assertRaises(CliError) as caught:
                c.cli(*command, identity=identity, stdin="pools: []\n")
            self.assertEqual(caught.exception.status, 4, command)
        c.cli("cluster", "pause", identity=operator)
        c.cli("cluster", "resume", identity=operator)
        self.assertEqual(c.query("SELECT DISTINCT who FROM events WHERE who = 'otto'"), [{"who": "otto"}])

    def test_a_token_is_good_once_and_a_revoked_key_never(self):
        c = self.cluster
        path, token = self.login("vera", "viewer")
        done = c.raw("login", token, identity=c.dir / "again.identity")
        self.assertEqual(done.returncode, 4)
        c.cli("identity", "revoke", "vera")
        with self.assertRaises(CliError) as caught:
            c.cli("status", identity=path, timeout=20)
        self.assertEqual(caught.exception.status, 4)

    def test_an_unknown_key_may_do_nothing(self):
        c = self.cluster
        stranger = json.loads((c.dir / "manager/admin.identity").read_text())
        keys = subprocess.run([BUILD / "poolherd-describe"], capture_output=True)  # only to show that it is there
        self.assertEqual(keys.returncode, 0)
        self.assertIn("secret_key", stranger)

    def test_secrets_are_nowhere(self):
        c = self.cluster
        c.cli("identity", "invite", "eve", "--role", "viewer")
        for sql in ("SELECT token_hash FROM identities", "SELECT public_key FROM identities", "SELECT * FROM sqlite_master",
                    "SELECT value FROM meta", "ATTACH 'x' AS y", "PRAGMA table_info(identities)", "DELETE FROM pools", "SELECT load_extension('x')"):
            with self.assertRaises(CliError, msg=sql) as caught:
                c.query(sql)
            self.assertEqual(caught.exception.status, 2, sql)


class Bad(ClusterTest):
    nodes = 1

    def refused(self, text, *words):
        c = self.cluster
        before = c.query("SELECT name FROM pools")
        with self.assertRaises(CliError) as caught:
            c.apply(text)
        self.assertEqual(caught.exception.status, 2, text[:100])
        said = json.dumps(caught.exception.error, ensure_ascii=False)
        for word in words:
            self.assertIn(word, said)
        self.assertEqual(c.query("SELECT name FROM pools"), before, "a bad file changed something")

    def test_bad_declarations(self):
        good = "pools:\n  - {name: good, driver: directory}\n"
        self.refused(good + "  - {name: 'a b', driver: directory}\n", "name", "a b", "stdin:3")
        self.refused(good + "  - {name: a/b, driver: directory}\n", "a/b")
        self.refused(good + f"  - {{name: {'x' * 10000}, driver: directory}}\n", "name")
        self.refused(good + '  - {name: "\\u0007", driver: directory}\n', "name")
        self.refused(good + "  - {name: größe, driver: directory}\n", "name")
        self.refused(good + "  - {name: b, driver: floppy}\n", "driver", "floppy", "directory")
        self.refused(good + "  - {name: b, driver: directory, copies: -1}\n", "copies", "-1")
        self.refused(good + "  - {name: b, driver: directory, size: {cpu: many}}\n", "size.cpu", "many")
        self.refused(good + "  - {name: b, driver: directory, colour: red}\n", "colour")
        self.refused(good + "  - {name: good, driver: directory}\n", "good")
        self.refused(good + "  - {name: b, driver: directory, apart_from: [nothing]}\n", "nothing")
        self.refused(good + "  - {name: b, driver: directory, failback: sometimes}\n", "failback")
        self.refused(good + "  - {name: b, driver: directory, vms: [{name: v, kind: process, command: ['{pool_pth}']}]}\n", "pool_pth")
        self.refused(good + "  - {name: b, driver: directory, vms: [{name: v, kind: teapot, command: [x]}]}\n", "teapot")
        self.refused("pools: [\n", "stdin")
        self.refused("- x\n", "stdin")
        self.refused(good + "  - *alias\n", "stdin")

    def test_bad_usage(self):
        c = self.cluster
        for arguments, status in ((("nonsense",), 2), (("node", "show"), 2), (("node", "show", "a b"), 2), (("node", "show", "n9"), 5),
                                  (("pool", "show", "x"), 5), (("job", "show", "99"), 5), (("job", "show", "x"), 2), (("node", "list", "--wait"), 2),
                                  (("query", "SELEC"), 2), (("node", "fence", "n1", "--confirm-dead", "n2"), 2), (("job", "cancel", "99"), 5),
                                  (("pool", "start", "no-such"), 5)):
            done = c.raw(*arguments, "--json")
            self.assertEqual(done.returncode, status, f"{arguments}: {done.stderr}")
            if arguments != ("node", "list", "--wait"):
                self.assertIn("error", json.loads(done.stderr.splitlines()[-1]), arguments)

    def test_the_manager_is_not_reached(self):
        c = self.cluster
        c.kill_manager()
        done = c.raw("status", "--json", "--timeout", "1")
        self.assertEqual(done.returncode, 3)
        self.assertEqual(json.loads(done.stderr)["error"]["code"], "unreached")

    def test_noise_on_the_port(self):
        """Bytes that are no ZMTP, half a greeting, many connections: nobody else notices."""
        import socket
        c = self.cluster
        host, port = c.endpoint[len("tcp://"):].rsplit(":", 1)
        randomness = random.Random(7)
        sockets = []
        for i in range(200):
            s = socket.create_connection((host, int(port)))
            s.sendall(randomness.choice([b"GET / HTTP/1.1\r\n\r\n", b"\xff" + bytes(8) + b"\x7f\x03", randomness.randbytes(5000)]))
            sockets.append(s)
        self.assertEqual(c.cli("node", "list")[0]["state"], "online")
        for s in sockets:
            s.close()
        c.await_node("n1", state="online")


class Disks(ClusterTest):
    nodes = 1

    def test_a_read_only_directory(self):
        c = self.cluster
        if os.geteuid() == 0:
            target = "/proc/poolherd"  # not even root can make directories there
        else:
            target = c.dir / "closed" / "x"
            (c.dir / "closed").mkdir(mode=0o500)
        done = subprocess.run([BUILD / "poolherd-manager", "--dir", target], capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 1)
        self.assertIn(str(target), done.stderr)

    @staticmethod
    def small_disk(path, megabytes):
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(path)], check=True)

    def test_a_full_disk_under_the_inventory(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to mount a small disk")
        c = self.cluster
        disk = c.dir / "disk"
        self.small_disk(disk, 16)
        endpoint = None
        manager = subprocess.Popen([BUILD / "poolherd-manager", "--dir", disk / "m", "--listen", "tcp://127.0.0.1:*"],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            endpoint = manager.stdout.readline()
            self.assertTrue(endpoint.startswith("ready"))

            def apply(name):
                text = f"pools: [{{name: {name}, driver: directory, desired: inactive}}]"
                return subprocess.run([BUILD / "poolherd", "--manager", disk / "m", "pool", "apply", "-f", "-", "--timeout", "3"],
                                      input=text, capture_output=True, text=True).returncode
            self.assertEqual(apply("before"), 0)
            with open(disk / "filler", "wb", buffering=0) as filler:
                try:
                    while True:
                        filler.write(bytes(4096))
                except OSError:
                    pass
            results = []
            while len(results) < 50 and manager.poll() is None:  # it ends at what it cannot store, to be started again
                results.append(apply(f"p{len(results)}"))
            self.assertNotEqual(results[-1], 0, "a full disk must refuse")
            (disk / "filler").unlink()
            if manager.poll() is not None:
                manager = subprocess.Popen([BUILD / "poolherd-manager", "--dir", disk / "m", "--listen", "tcp://127.0.0.1:*"],
                                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                self.assertTrue(manager.stdout.readline().startswith("ready"))
            shown = subprocess.run([BUILD / "poolherd", "--manager", disk / "m", "query", "SELECT name FROM pools", "--json"], capture_output=True, text=True)
            names = {row["name"] for row in json.loads(shown.stdout)}
            self.assertIn("before", names)
            for i, status in enumerate(results):
                if status == 0:
                    self.assertIn(f"p{i}", names, "acknowledged and lost")
        finally:
            manager.kill()
            manager.wait()
            manager.stdout.close()
            subprocess.run(["umount", str(disk)], check=False)
