"""The checker itself: it finds what it is there to find, however small."""
import pathlib
import subprocess
import tempfile
import unittest

from harness import BUILD

MS = 1_000_000


class Checker(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="poolherd-test-")
        self.addCleanup(self.dir.cleanup)

    def check(self, lines, losses=None):
        beacons = pathlib.Path(self.dir.name, "beacons")
        beacons.write_text("".join(line if isinstance(line, str) else " ".join(map(str, line)) + "\n" for line in lines))
        command = [BUILD / "tests/cluster/cluster_checker", beacons]
        if losses is not None:
            command.append(pathlib.Path(self.dir.name, "losses"))
            command[-1].write_text("".join(f"{pool} {epoch} {loss_ms}\n" for pool, epoch, loss_ms in losses))
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        return done.returncode, done.stdout + done.stderr

    @staticmethod
    def span(node, epoch, first_ms, last_ms, counter=None, pool="web", vm="v", pid=None):
        """A line every 5 ms, as a beacon writes them."""
        return [[pool, node, epoch, at * MS, vm, pid or 1000 + epoch, "-" if counter is None else counter + i]
                for i, at in enumerate(range(first_ms, last_ms + 1, 5))]

    def test_spans_one_after_the_other_are_well(self):
        status, said = self.check(self.span("n1", 1, 0, 1000) + self.span("n2", 2, 1005, 2000) + self.span("n1", 3, 2005, 3000))
        self.assertEqual((status, said.splitlines()[-1]), (0, "checked lines=601 spans=3 violations=0"))
        self.assertIn("span web n2 2 1005000000 2000000000 v 1002 200 -1 -1", said)

    def test_an_overlap_of_one_record_is_found_and_shown(self):
        late = [["web", "n1", 1, 1_400 * MS, "v", 1001, "-"]]  # one more line of n1 after n2 has begun
        status, said = self.check(self.span("n1", 1, 0, 1000) + self.span("n2", 2, 1200, 2000) + late)
        self.assertEqual(status, 1)
        self.assertIn("overlap: web ran on two nodes: on n1 (epoch 1, process 1001) and on n2 (epoch 2, process 1002) for 200.000 ms", said)
        self.assertIn("    web n1 1 1400000000 v 1001 -1\n", said)
        self.assertIn("    web n2 2 1200000000 v 1002 -1\n", said)

    def test_one_record_within_a_long_span_is_found(self):
        status, said = self.check(self.span("n1", 1, 0, 10000) + [["web", "n2", 2, 5_001 * MS, "v", 7, "-"]])
        self.assertEqual(status, 1)
        self.assertIn("overlap", said)

    def test_one_record_at_the_very_same_time_is_found(self):
        self.assertEqual(self.check([["web", "n1", 1, 5, "v", 7, "-"], ["web", "n2", 2, 5, "v", 8, "-"]])[0], 1)

    def test_an_overlap_with_a_span_before_the_last_is_found(self):
        lines = self.span("n1", 1, 0, 5000) + self.span("n1", 1, 1000, 1100, pid=5, vm="w") + self.span("n2", 2, 4000, 4100)
        self.assertIn("violations=1", self.check(lines)[1])

    def test_other_pools_and_other_vms_of_one_node_do_not_matter(self):
        lines = self.span("n1", 1, 0, 1000) + self.span("n2", 1, 0, 1000, pool="db") + self.span("n1", 1, 0, 1000, vm="w", pid=7)
        self.assertEqual(self.check(lines)[0], 0)

    def test_two_vms_of_a_pool_on_two_nodes_overlap(self):
        self.assertEqual(self.check(self.span("n1", 1, 0, 1000) + self.span("n2", 2, 900, 2000, vm="w"))[0], 1)

    def test_two_processes_of_one_vm_on_one_node_overlap(self):
        status, said = self.check(self.span("n1", 1, 0, 1000) + self.span("n1", 1, 1000, 2000, pid=7))
        self.assertEqual(status, 1)
        self.assertIn("twice on one node", said)

    def test_an_epoch_that_falls_is_found(self):
        status, said = self.check(self.span("n1", 2, 0, 1000) + self.span("n2", 1, 1005, 2000))
        self.assertEqual(status, 1)
        self.assertIn("epoch: web began under epoch 1 on n2 after 2 on n1", said)

    def test_a_lost_count_is_found_unless_a_take_over_owns_up_to_it(self):
        lines = self.span("n1", 1, 0, 1000, counter=1) + self.span("n2", 2, 1005, 2000, counter=201)  # 201 was n1's last
        status, said = self.check(lines)
        self.assertEqual(status, 1)
        self.assertIn("loss: web v had counted to 201 on n1 (epoch 1) and goes on from 201 on n2 (epoch 2)", said)
        self.assertEqual(self.check(lines, [("web", 2, 0)])[0], 0, "the next tick may be within the slack")
        lines = self.span("n1", 1, 0, 1000, counter=1) + self.span("n2", 3, 1005, 2000, counter=101)  # 500 ms lost
        self.assertEqual(self.check(lines)[0], 1)
        self.assertEqual(self.check(lines, [("web", 2, 500)])[0], 0, "a take-over whose epoch never ran")
        self.assertEqual(self.check(lines, [("web", 3, -1)])[0], 0, "it said that it did not know")
        self.assertEqual(self.check(lines, [("web", 3, 200)])[0], 1, "it said less than it lost")
        self.assertEqual(self.check(lines, [("web", 1, 500), ("db", 3, 500), ("web", 4, 500)])[0], 1, "another's loss")

    def test_a_process_whose_time_or_counter_goes_back_is_found(self):
        lines = self.span("n1", 1, 0, 100, counter=1)
        self.assertEqual(self.check(lines + [lines[-1]])[0], 1)
        self.assertEqual(self.check(lines + [lines[-2][:3] + [10**12] + lines[-2][4:]])[0], 1)

    def test_what_is_no_beacon_is_refused(self):
        for text in ("web n1 1 5 v\n", "web n1 one 5 v 7 -\n", "web n1 1 5 v 7 - more\n", "x" * 5000 + "\n", "\n"):
            self.assertEqual(self.check([text])[0], 2, text[:40])
        self.assertEqual(self.check(["web n1 1 5 v 7 -\n", "web n1 1 1"])[0], 0, "the last line may be unfinished")
        self.assertEqual(self.check(self.span("n1", 1, 0, 10), [("web", "x", 1)])[0], 2)
