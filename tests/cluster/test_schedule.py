"""Schedules of faults: the same seed, the same schedule, and everything comes up."""
import unittest

import schedule


class Schedules(unittest.TestCase):
    def test_a_seed_says_it_all(self):
        for seed in range(20):
            self.assertEqual(list(schedule.make(seed).lines()), list(schedule.make(seed).lines()))
        self.assertNotEqual(list(schedule.make(1).lines())[1:], list(schedule.make(2).lines())[1:])

    def test_each_kind_and_both_sizes_come_up(self):
        made = [schedule.make(seed) for seed in range(60)]
        self.assertEqual({step.kind for one in made for step in one.steps}, set(schedule.KINDS))
        self.assertEqual({one.nodes for one in made}, {3, 5})
        self.assertEqual(schedule.make(1, nodes=4).nodes, 4)

    def test_no_two_steps_pull_at_one_member_at_once(self):
        for seed in range(60):
            held = {}
            for step in schedule.make(seed).steps:
                self.assertLessEqual(step.at_s, schedule.FAULTS_S)
                for member in step.members:
                    self.assertGreaterEqual(step.at_s, held.get(member, 0), (seed, str(step)))
                    held[member] = step.at_s + step.lasts_s

    def test_what_is_a_reason_to_take_over(self):
        def weight(kind, members, node):
            return schedule.Step(1, 1, kind, members, {}).weight(node)
        self.assertEqual(weight("power", ("n1",), "n1"), 2)
        self.assertEqual(weight("power", ("n1",), "n2"), 1)
        self.assertEqual(weight("cut", ("n1", "manager"), "n1"), 1)
        self.assertEqual(weight("manager-killed", ("manager",), "n2"), 1)
        self.assertEqual(weight("loss", ("manager",), "n2"), 1)
        self.assertEqual(weight("clock", ("n1",), "n1"), 0)
        self.assertEqual(weight("guard-killed", ("n1",), "n1"), 0)
