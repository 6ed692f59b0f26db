"""Copies of pools: compared, limited, watched, cut, and made anew from what is intact."""
import hashlib
import os
import re
import select
import socket
import threading
import time

from harness import ClusterTest, await_, tree_hash


def events(cluster, kind, pool="web"):
    return cluster.query(f"SELECT node, message FROM events WHERE kind = '{kind}' AND pool = '{pool}' ORDER BY id")


def rot(path):
    """Other bytes, and the times of before: what a disk does, and no program."""
    times = os.stat(path)
    # In place, so that what else is the same file has it too.
    with open(path, "r+b") as file:
        file.seek(times.st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0xff]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


class Copies(ClusterTest):
    def declare(self, more="", sync_s=1):
        self.cluster.apply("pools:\n" + self.cluster.beacon_pool("web", prefer=["n1"], allow=["n1", "n2"], sync_s=sync_s, more=more))
        self.cluster.await_pool("web", state="active", node="n1")

    def current(self, node="n2"):
        return self.cluster[node].dir / "pools/web/copies/current/data"

    def replica(self, node="n2"):
        rows = self.cluster.query(f"SELECT * FROM replicas WHERE pool = 'web' AND node = '{node}'")
        return rows[0] if rows else {}

    def fill(self, count=20, size=100_000):
        data = self.cluster["n1"].data("web")
        for number in range(count):
            (data / f"file{number}").write_bytes(os.urandom(size))
        return data

    def test_a_verification_finds_what_the_disk_has_spoilt_and_makes_it_anew(self):
        c = self.cluster
        self.declare()
        data = self.fill()
        c.await_copy("web", "n2")
        job = c.await_job(c.cli("pool", "verify", "web")["job"])
        self.assertEqual(job["state"], "succeeded", job)
        self.assertIn("as they should be", job["reason"])
        shown = c.pool("web")["copies"][0]
        self.assertGreater(shown["verified_at"], 0)
        self.assertEqual(shown["spoilt"], 0)
        rot(self.current() / "file7")
        rot(self.current() / "file9")
        # An ordinary copy goes by size and time, and does not see it.
        c.await_copy("web", "n2")
        self.assertNotEqual((self.current() / "file7").read_bytes(), (data / "file7").read_bytes())
        job = c.await_job(c.cli("pool", "verify", "web")["job"])
        self.assertEqual(job["state"], "succeeded", job)
        self.assertIn("2 wrong", job["reason"])
        self.assertEqual(self.replica()["spoilt"], 2)
        self.assertEqual([row["node"] for row in events(c, "copy-corrupt")], ["n2"])
        self.assertEqual((self.current() / "file7").read_bytes(), (data / "file7").read_bytes())
        self.assertEqual((self.current() / "file9").read_bytes(), (data / "file9").read_bytes())

    def test_copies_are_verified_by_themselves_when_declared(self):
        self.declare(more="verify_interval_s: 1")
        await_("it is verified", lambda: self.replica().get("verified_at"), 20)
        first = self.replica()["verified_at"]
        await_("it is verified again", lambda: self.replica()["verified_at"] > first, 20)

    def test_a_verification_goes_on_when_the_manager_restarts(self):
        c = self.cluster
        self.declare(sync_s=0, more="bandwidth_kib_s: 2000")
        self.fill(2)
        number = c.cli("pool", "verify", "web")["job"]
        c.kill_manager()
        c.start_manager()
        self.assertEqual(c.await_job(number)["state"], "succeeded")

    def test_what_cannot_be_verified_is_refused_with_the_reason(self):
        c = self.cluster
        self.declare()
        c.await_job(c.cli("pool", "stop", "web")["job"])
        refused = c.raw("pool", "verify", "web")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("not active", refused.stderr)

    def test_a_limit_of_the_rate_is_kept(self):
        c = self.cluster
        self.declare(sync_s=0)
        await_("it has a copy", lambda: self.replica().get("state") == "complete", 20)
        data = self.fill(1, 4_000_000)
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"], allow=["n1", "n2"], sync_s=1, more="bandwidth_kib_s: 1000"))
        began = time.monotonic()
        seen = []

        def arrived():
            copies = c.pool("web")["copies"]
            seen.extend(copy["kib_s"] for copy in copies if copy.get("kib_s"))
            path = self.current() / "file0"
            return path.exists() and path.read_bytes() == (data / "file0").read_bytes()
        await_("the file is there", arrived, 60)
        self.assertGreater(time.monotonic() - began, 2.5, "4 MB at 1000 KiB/s")
        self.assertTrue(seen, "the rate is shown while it runs")
        self.assertLess(sorted(seen)[len(seen) // 2], 1600)

    def test_an_event_says_when_copies_fall_behind_and_when_they_are_back(self):
        c = self.cluster
        self.declare(more="max_data_loss_s: 3")
        c.await_copy("web", "n2")
        before = len(events(c, "copies-behind"))  # of a first copy that was slow
        c["n2"].kill_agent()
        await_("it is behind", lambda: len(events(c, "copies-behind")) > before, 30)
        self.assertTrue(c.pool("web")["behind"])
        self.assertGreater(c.pool("web")["lag_ms"], 3000)
        c["n2"].start()
        await_("it is back", lambda: len(events(c, "copies-in-time")) > before, 30)
        self.assertFalse(c.pool("web")["behind"])
        self.assertEqual(len(events(c, "copies-behind")), before + 1, "it is said once")


class Meddler(threading.Thread):
    """A TCP relay to a node's data channel that changes a byte now and then, while it is told to."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.meddling, self.ended, self.changed = node, False, False, 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "tcp://127.0.0.1:%d" % self.server.getsockname()[1]
        self.pairs = []
        self.start()

    def target(self):
        """Where it listens: what it says in its log is where it tells others to go, which is here."""
        host = re.search(r"tcp://([0-9.]+):", self.node.listen)[1]
        return host, int((self.node.dir / "port").read_text())

    def run(self):
        while not self.ended:
            ready = select.select([self.server] + [one for pair in self.pairs for one in pair], [], [], 0.1)[0]
            for one in ready:
                if one is self.server:
                    inward = self.server.accept()[0]
                    try:
                        self.pairs.append((inward, socket.create_connection(self.target(), 5)))
                    except (OSError, IndexError):
                        inward.close()
                    continue
                pair = next((pair for pair in self.pairs if one in pair), None)
                if pair:
                    self.relay(one, pair)

    def relay(self, one, pair):
        try:
            data = bytearray(one.recv(65536))
            # Only what goes to the holder, and only frames of data: a handshake that fails is no news.
            if data and self.meddling and one is pair[0] and len(data) > 20000:
                data[len(data) // 2] ^= 1
                self.changed += 1
            if data:
                pair[one is pair[0]].sendall(data)
                return
        except OSError:
            pass
        self.pairs.remove(pair)
        for end in pair:
            end.close()

    def close(self):
        self.ended = True
        self.join()
        for end in [self.server] + [one for pair in self.pairs for one in pair]:
            end.close()


class Faults(ClusterTest):
    """After each of them: what the holder has is whole, and in the end both sides have the same."""
    nodes = 1

    def add(self, name, number, config=""):
        node = self.cluster.add_node(name, number)
        node.dir.mkdir(mode=0o700)
        (node.dir / "agent.yaml").write_text("log_level: info\n" + config)
        node.join()
        self.cluster.await_node(name, state="online")
        return node

    def declare(self, more="", sync_s=1):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"], allow=["n1", "n2"], sync_s=sync_s, more=more))
        c.await_pool("web", state="active", node="n1")

    def current(self):
        return self.cluster["n2"].dir / "pools/web/copies/current/data"

    def versions(self):
        """Of which versions the files of the holder's copy are; each is whole. (A directory's may differ: it is copied while it changes.)"""
        while True:  # a newer copy may take its place while it is looked at
            try:
                texts = [path.read_bytes() for path in sorted(self.current().glob("part?"))]
                break
            except OSError:
                pass
        for text in texts:
            self.assertEqual(hashlib.sha256(text[40:]).digest(), text[8:40], "half a file")
        return {int(text[:8]) for text in texts}

    def write(self, version, count=8, size=400_000):
        data = self.cluster["n1"].data("web")
        for number in range(count):
            rest = os.urandom(size)
            (data / "new").write_bytes(f"{version:08}".encode() + hashlib.sha256(rest).digest() + rest)
            (data / "new").rename(data / f"part{number}")

    def same(self):
        await_("both have the same", lambda: self.tree() == tree_hash(self.cluster["n1"].data("web")), 60)

    def tree(self):
        try:
            return tree_hash(self.current())
        except OSError:
            return None

    def test_a_stream_that_is_changed_on_its_way_changes_no_copy(self):
        c = self.cluster
        node = c.add_node("n2", 2)
        meddler = Meddler(node)
        self.addCleanup(meddler.close)
        node.dir.mkdir(mode=0o700)
        (node.dir / "agent.yaml").write_text(f"log_level: info\nadvertise: {meddler.endpoint}\n")
        node.join()
        c.await_node("n2", state="online")
        self.declare(sync_s=0)
        self.write(1)
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"], allow=["n1", "n2"], sync_s=1))
        self.same()
        meddler.meddling = True
        self.write(2)
        await_("it was meddled with", lambda: meddler.changed > 2, 60)
        await_("the copy fails", lambda: c.pool("web")["copies"][0]["reason"], 60)
        self.assertEqual(self.versions(), {1})
        meddler.meddling = False
        self.same()

    def test_either_side_dies_at_every_stage_of_a_copy(self):
        c = self.cluster
        self.add("n2", 2)
        self.declare(sync_s=0, more="bandwidth_kib_s: 3000")
        self.write(1)
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"], allow=["n1", "n2"], sync_s=1, more="bandwidth_kib_s: 3000"))
        self.same()
        for stage in range(6):
            self.write(2 + stage)
            wanted = stage * 500_000
            await_("so much is sent", lambda: (c.pool("web")["copies"][0].get("sent_bytes", 0) >= wanted) or self.versions() == {2 + stage}, 60)
            victim = c["n1" if stage % 2 else "n2"]
            victim.kill_agent()
            self.assertLessEqual(self.versions(), {1 + stage, 2 + stage})
            victim.start()
            c.await_heard(victim.name, 30)
            c.await_pool("web", state="active", node="n1", limit_s=30)
            self.same()

    def test_a_pool_that_changes_faster_than_it_can_be_copied(self):
        """The receiver gets less than what changes: that is said, copies go on arriving, and it catches up."""
        c = self.cluster
        self.add("n2", 2)
        limited = "bandwidth_kib_s: 1500\nmax_data_loss_s: 2"
        self.declare(more=limited)
        c.await_copy("web", "n2")
        sequence = c.pool("web")["copies"][0]["sequence"]
        version = 0

        def behind():
            nonlocal version
            version += 1
            self.write(version, size=700_000)  # 5.6 MB, again and again
            return events(c, "copies-behind") and c.pool("web")["copies"][0]["sequence"] > sequence + 1
        await_("it is said, and copies arrive all the same", behind, 90)
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"], allow=["n1", "n2"], more="max_data_loss_s: 2"))
        await_("it catches up", lambda: events(c, "copies-in-time"), 60)
        self.same()


class Diverging(ClusterTest):
    nodes = 2
    config = "profile: fast\n"

    def diverge(self):
        """n1 wrote what no copy has, was lost, and comes back."""
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"], sync_s=0))
        c.await_pool("web", state="active", node="n1")
        await_("a copy", lambda: c.value("SELECT count(*) FROM replicas WHERE pool = 'web' AND state = 'complete'"))
        (c["n1"].data("web") / "late").write_text("in no copy")
        c["n1"].destroy()
        c.await_pool("web", state="active", node="n2", limit_s=30)
        c["n1"].start()
        return await_("it is told", lambda: c.cli("diverged", "list"), 40)

    def kept(self):
        return sorted((self.cluster["n1"].dir / "pools").glob("web.diverged-e*"))


class Diverged(Diverging):
    def test_it_is_listed_and_dropped_on_an_operators_word(self):
        c = self.cluster
        item, = self.diverge()
        self.assertEqual((item["node"], item["pool"], item["name"]), ("n1", "web", "web.diverged-e1"))
        self.assertEqual((self.kept()[0] / "data/late").read_text(), "in no copy")
        self.assertEqual(c.cli("pool", "show", "web")["diverged"], [item])
        self.assertEqual(len(events(c, "data-diverged")), 1)
        for wrong in ("n1/web", "n2/web.diverged-e1", "n1/../web.diverged-e1", "web.diverged-e1"):
            self.assertNotEqual(c.raw("diverged", "drop", wrong).returncode, 0, wrong)
        c.cli("diverged", "drop", "n1/web.diverged-e1")
        await_("it is gone", lambda: not self.kept() and c.cli("diverged", "list") == [], 20)
        self.assertEqual(len(events(c, "diverged-removed")), 1)


class DivergedForLong(Diverging):
    config = "profile: fast\ndiverged_keep_s: 20\n"

    def test_its_end_is_announced_before_it_comes(self):
        c = self.cluster
        self.diverge()
        await_("it is announced", lambda: events(c, "diverged-expires"), 40)
        self.assertTrue(self.kept())
        await_("it is gone", lambda: not self.kept(), 40)
        await_("that is told", lambda: events(c, "diverged-removed"), 20)
        self.assertEqual(len(events(c, "diverged-expires")), 1)
