"""What goes wrong, when, and for how long: a schedule of faults from a seed. Pure: the same seed, the same schedule.

faults.py carries it out. A step holds the members it lists (nodes, the manager) from its begin to its end, so that
no two steps pull at one of them at once; steps at different members overlap as they like.
"""
import dataclasses
import random

FAULTS_S = 40  # of faults in one schedule; what follows is calm
MANAGER = "manager"
PHASES = ("copying", "stopping", "activating")

# name: (weight, shortest, longest time in s, what it is). Around a lease (1.2 s) and a take-over (1.7 s), on both sides.
KINDS = {
    "power": (4, 0.2, 7, "a node loses power: everything on it at once, without a word to its peers"),
    "island": (3, 0.3, 7, "a node is cut off from everybody"),
    "cut": (4, 0.5, 8, "the link between two is cut, both ways"),
    "one-way": (4, 0.5, 8, "nothing gets from one to the other any more"),
    "loss": (3, 3, 9, "30% of what one sends and is sent is lost"),
    "hang": (4, 0.2, 5, "an agent is stopped (SIGSTOP), and goes on later"),
    "agent-killed": (4, 0, 4, "an agent is killed, and started again later"),
    "guard-killed": (2, 0, 0, "a guard is killed"),
    "workload-killed": (1, 0, 0, "a workload is killed"),
    "manager-killed": (4, 0, 4, "the manager is killed, and started again later"),
    "manager-power": (1, 0.2, 4, "the manager's machine loses power"),
    "manager-hung": (2, 0.2, 4, "the manager is stopped (SIGSTOP), and goes on later"),
    "manager-island": (2, 0.3, 5, "the manager is cut off from everybody"),
    "disk-full": (2, 1, 4, "the disk under the inventory is full"),
    "refuse": (2, 2, 6, "a node refuses to activate (its pools' directories are read-only)"),
    "twin-agent": (1, 1, 4, "a second agent with a node's identity"),
    "twin-manager": (1, 0, 0, "a second manager on the manager's directory"),
    "clock": (3, 1, 10, "the time of day jumps, and jumps back"),
    "move": (3, 0, 0, "an operator moves a pool"),
    "move-hit": (4, 0.1, 3, "an operator moves a pool, and in one of its phases an agent of it is killed"),
    "drain": (2, 2, 8, "an operator drains a node, and resumes it"),
}
# Each of these alone is a reason to take the node over ...
NODE_FAULTS = ("power", "island", "loss", "hang", "agent-killed", "twin-agent", "move-hit")
# ... and of these one alone is none, thanks to witnesses, but two together or one with another node's fault may be.
HALF_FAULTS = ("manager-killed", "manager-power", "manager-hung", "manager-island", "disk-full", "cut", "one-way")


@dataclasses.dataclass
class Step:
    at_s: float
    lasts_s: float
    kind: str
    members: tuple  # what it holds
    details: dict

    def __str__(self):
        told = " ".join(f"{key}={value}" for key, value in self.details.items())
        lasts = f" for {self.lasts_s:.2f} s" if self.lasts_s else ""
        return f"{self.kind} {' '.join(self.members)}{' ' if told and self.members else ''}{told}{lasts}"

    def weight(self, node):
        """How much of a reason to take the node over it is: 2 is enough."""
        if self.kind in NODE_FAULTS:
            return 2 if node in self.members or self.kind == "move-hit" else 1
        return 1 if self.kind in HALF_FAULTS else 0


@dataclasses.dataclass
class Schedule:
    seed: int
    nodes: int
    pools: list  # (name, preferred node, copies)
    steps: list

    def lines(self):
        yield f"schedule seed={self.seed} nodes={self.nodes} pools={','.join(f'{name}@{node}*{copies}' for name, node, copies in self.pools)}"
        for step in self.steps:
            yield f"  {step.at_s:6.2f} s  {step}"


def details_of(chance, kind, names, pools):
    """What a step of a kind holds, and its other details."""
    node, other = chance.sample(names, 2)
    if kind in ("cut", "one-way"):
        pair = [node, chance.choice([MANAGER, MANAGER, other])]
        if kind == "one-way":
            chance.shuffle(pair)
        return tuple(pair), {}
    if kind in ("loss", "clock"):
        member = chance.choice([node, node, MANAGER])
        return (member,), {"percent": 30} if kind == "loss" else {"offset_s": chance.choice([-1, 1]) * chance.choice([0.7, 5, 3600, 400 * 86400])}
    if kind.startswith("manager-") or kind in ("disk-full", "twin-manager"):
        return (MANAGER,), {}
    if kind in ("move", "move-hit"):
        details = {"pool": chance.choice(pools)[0], "to": node}
        if kind == "move-hit":
            details |= {"phase": chance.choice(PHASES), "who": chance.choice(["source", "target"])}
        return (), details
    if kind == "workload-killed":
        return (), {"pool": chance.choice(pools)[0]}
    return (node,), {}


def make(seed, nodes=None, length_s=FAULTS_S):
    chance = random.Random(f"poolherd {seed}")
    count = chance.choice([3, 3, 5])
    count = nodes or count
    names = [f"n{i}" for i in range(1, count + 1)]
    pools = [(f"p{i}", chance.choice(names), chance.choice([1, 1, 2])) for i in range(count + 1)]
    kinds, weights = list(KINDS), [weight for weight, *_ in KINDS.values()]
    steps, held, at_s = [], {}, 0.5
    while at_s < length_s:
        kind = chance.choices(kinds, weights)[0]
        _, shortest, longest, _ = KINDS[kind]
        members, details = details_of(chance, kind, names, pools)
        lasts_s = min(round(chance.uniform(shortest, longest), 2), max(length_s - at_s, shortest))
        if all(held.get(member, 0) <= at_s for member in members):
            steps.append(Step(round(at_s, 2), lasts_s, kind, members, details))
            for member in members:
                held[member] = at_s + lasts_s + 0.3
        at_s += chance.choice([0.2, 0.7, 1.5, 3]) * chance.uniform(0.5, 1.5)
    return Schedule(seed, count, pools, steps)
