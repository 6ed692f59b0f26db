"""Copies of pools: compared, limited, watched, cut, and made anew from what is intact."""
import os
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
        self.assertLess(max(seen), 1600)

    def test_an_event_says_when_copies_fall_behind_and_when_they_are_back(self):
        c = self.cluster
        self.declare(more="max_data_loss_s: 3")
        c.await_copy("web", "n2")
        c["n2"].kill_agent()
        await_("it is behind", lambda: events(c, "copies-behind"), 30)
        self.assertTrue(c.pool("web")["behind"])
        self.assertGreater(c.pool("web")["lag_ms"], 3000)
        c["n2"].start()
        await_("it is back", lambda: events(c, "copies-in-time"), 30)
        self.assertFalse(c.pool("web")["behind"])
        self.assertEqual(len(events(c, "copies-behind")), 1, "it is said once")
