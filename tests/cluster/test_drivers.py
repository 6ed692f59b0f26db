"""Pool drivers that need root, with real daemons: images that move and are taken over; what nodes say they can do."""
import json
import os
import shutil
import subprocess
from unittest import skipIf

from harness import ClusterTest, await_


def images_work():
    return os.geteuid() == 0 and shutil.which("mkfs.ext4") and shutil.which("mkfs.xfs") and os.path.exists("/dev/loop-control")


def loop_devices(image):
    """The loop devices that have this file."""
    listed = subprocess.run(["losetup", "--json", "--associated", str(image)], stdout=subprocess.PIPE, text=True, check=True).stdout
    return [device["name"] for device in json.loads(listed)["loopdevices"]] if listed.strip() else []


@skipIf(not images_work(), "needs root, loop devices, e2fsprogs and xfsprogs")
class Images(ClusterTest):
    def tearDown(self):
        for node in self.cluster.nodes.values():
            node.destroy()
            mount = node.dir / "pools/web/mount"
            while os.path.ismount(mount):
                subprocess.run(["umount", "-l", str(mount)], check=True)
        super().tearDown()

    def start(self):
        c = self.cluster
        c.apply("pools:\n" + c.beacon_pool("web", prefer=["n1"], driver="image", more="size: {disk_mib: 32}"))
        c.await_pool("web", state="active", node="n1", vms_running=1)
        return c, c["n1"].dir / "pools/web"

    def test_a_planned_move_loses_nothing(self):
        c, here = self.start()
        there = c["n2"].dir / "pools/web"
        self.assertTrue(os.path.ismount(here / "mount"))
        kept = os.urandom(3_000_000)
        (here / "mount/kept").write_bytes(kept)
        job = c.await_job(c.cli("pool", "move", "web", "--to", "n2")["job"])
        self.assertEqual(job["state"], "succeeded", job)
        print(f"time without the pool {job['downtime_ms']} ms", end=" ", flush=True)
        self.assertFalse(os.path.ismount(here / "mount"))
        self.assertEqual((there / "mount/kept").read_bytes(), kept)
        (there / "mount/late").write_text("late")
        self.assertEqual(c.await_job(c.cli("pool", "move", "web", "--to", "n1")["job"])["state"], "succeeded")
        self.assertEqual((here / "mount/kept").read_bytes(), kept)
        self.assertEqual((here / "mount/late").read_text(), "late")
        self.assertEqual(loop_devices(there / "copies/current/data/image"), [])

    def test_a_lost_agent_is_taken_over(self):
        """The guard unmounts at the end of the lease, though a stranger has a file open; no loop device is left."""
        c, here = self.start()
        (here / "mount/kept").write_text("kept")
        await_("a holder is chosen", lambda: c.cli("pool", "show", "web")["copies"])
        target = c.cli("pool", "show", "web")["copies"][0]["node"]
        image = here / "data/image"
        before = c.cli("pool", "show", "web")["copies"][0]["sequence"]
        await_("a copy with it", lambda: c.cli("pool", "show", "web")["copies"][0]["sequence"] > before + 1, 30)
        with open(here / "mount/stranger", "w") as stranger:
            c["n1"].kill_agent()
            c.await_pool("web", state="active", node=target, vms_running=1)
            await_("it is unmounted", lambda: not os.path.ismount(here / "mount"))
            with self.assertRaises(OSError):
                stranger.write("x" * 100000)
                stranger.flush()
                os.fsync(stranger.fileno())
        await_("its loop device is gone", lambda: loop_devices(image) == [])
        self.assertEqual((c[target].dir / "pools/web/mount/kept").read_text(), "kept")

    def test_a_smaller_image_is_refused(self):
        c, _ = self.start()
        done = c.raw("pool", "apply", "-f", "-", stdin="pools:\n" + c.beacon_pool("web", prefer=["n1"], driver="image", more="size: {disk_mib: 31}"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("never shrinks", done.stdout + done.stderr)


class Lists(ClusterTest):
    nodes = 2

    def test_nodes_say_what_they_can_do_and_why_not(self):
        c = self.cluster
        await_("both have been asked", lambda: all(node["drivers"] for node in c.cli("node", "list")))
        for node in c.cli("driver", "list"):
            missing = [text.split(":")[0] for text in node["drivers_missing"]]
            self.assertEqual(len(node["drivers"]) + len(missing), len(set(node["drivers"]) | set(missing)), node)
            self.assertIn("directory", node["drivers"])
            for name in ("btrfs", "image", "shared", "ocf", "process"):
                self.assertIn(name, node["drivers"] + missing)
        self.assertEqual([node["name"] for node in c.cli("driver", "list", "--node", "n2")], ["n2"])
        shown = c.raw("driver", "show", "imagee")
        self.assertIn('did you mean "image"?', shown.stderr)
        self.assertEqual(c.raw("driver", "show", "shared").returncode, 0)
        missing = c.query("SELECT name, drivers_missing FROM nodes WHERE name = 'n1'")
        self.assertEqual(len(missing), 1)
