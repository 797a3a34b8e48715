"""A DQN on CartPole-v1, once with fastbp and once with PyTorch.

The algorithm, its hyper-parameters and all its random draws are the same for both; a library
brings its network, its default initial values, its gradients and its Adam.  The loss is half the
squared error of the chosen action's value, mean over the batch.  The hyper-parameters were chosen
once, by PyTorch's returns with the seeds 1000-1005, and nothing is tuned for either library.

    python -m bench.study.dqn torch --seeds 0-29 --json bench/study/dqn.json
    python -m bench.study.dqn fastbp --seeds 0-29 --json bench/study/dqn.json
    python -m bench.study.dqn "fastbp 0.1" --seeds 0-29 --json bench/study/dqn.json
    python -m bench.study.dqn --check       # from equal initial values both take the same steps

"fastbp 0.1" starts as fastbp did before version 0.2.  One JSON line per seed is added to the file:
contestant, seed, return_last_10 (mean return of the last 10 episodes that ended in training),
greedy (mean return of 10 greedy episodes afterwards) and seconds (of training).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

import fastbp as fb
from bench.study.contestant.fastbp import GLOROT

STEPS = 15_000  # of the environment
WARM_UP = 1_000  # steps before the first gradient step; one a step from then on
HIDDEN = (64, 64)  # relu
LEARNING_RATE = 1e-3  # of Adam, all else at its default, the same in both libraries
BATCH_SIZE = 64
REPLAY_SIZE = 10_000
GAMMA = 0.99
EPSILON_FIRST, EPSILON_LAST, EPSILON_STEPS = 1.0, 0.05, 3_750  # linear, then constant
TARGET_EVERY = 250  # environment steps from copy to copy
LAST_EPISODES = GREEDY_EPISODES = 10

N_OBSERVED, N_ACTIONS = 4, 2
SIZES = (N_OBSERVED, *HIDDEN, N_ACTIONS)
EXPLORATION, REPLAY = range(2)  # random streams of a seed

Array = NDArray[Any]
Shapes = list[tuple[int, int]]


def stream(seed: int, purpose: int) -> np.random.Generator:
    """The random numbers of a seed for one purpose."""
    return np.random.default_rng([seed, purpose])


# the two libraries


class Agent(Protocol):
    """A Q-network, its optimizer and its target network."""

    def values(self, observed: Array) -> Array:
        """The values of both actions, (2,), for one observation, (4,)."""

    def target_values(self, observed: Array) -> Array:
        """The target network's values, (n, 2), for observations (n, 4)."""

    def learn(self, observed: Array, actions: Array, wanted: Array) -> None:
        """One gradient step of the values of `actions`, (n,), towards `wanted`, (n,)."""

    def copy_to_target(self) -> None:
        """Make the target network equal to the Q-network."""

    def get_weights(self) -> list[Array]:
        """[kernel (n_in, n_out), bias, ...] of the Q-network."""

    def set_weights(self, weights: list[Array]) -> None:
        """All of them, of the target network too."""

    def get_gradients(self) -> list[Array]:
        """The gradients of the last `learn`, in the same order."""


class FastbpAgent:
    """fastbp: `forward`, the derivative of the loss, `backward`, `step`."""

    def __init__(self, seed: int, **options: Any) -> None:
        self.net = fb.Network(
            SIZES, activation="relu", optimizer=fb.Adam(LEARNING_RATE), seed=seed, **options
        )
        self.target = self.net.copy()
        self.values = self.net.predictor()
        self.target_values = self.target.predictor(batch_size=BATCH_SIZE)
        self.rows = np.arange(BATCH_SIZE)

    def learn(self, observed: Array, actions: Array, wanted: Array) -> None:
        values = self.net.forward(observed)
        slope = np.zeros_like(values)
        slope[self.rows, actions] = (values[self.rows, actions] - wanted) / BATCH_SIZE
        self.net.backward(slope)
        self.net.step()

    def copy_to_target(self) -> None:
        self.target.set_weights(self.net.get_weights())

    def get_weights(self) -> list[Array]:
        return self.net.get_weights()

    def set_weights(self, weights: list[Array]) -> None:
        self.net.set_weights(weights)
        self.copy_to_target()

    def get_gradients(self) -> list[Array]:
        return [gradient.copy() for gradient in self.net.gradients.values()]


class TorchAgent:
    """PyTorch, eager, with its fused Adam."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.net, self.target = torch_network(), torch_network()
        self.copy_to_target()
        self.optimizer = torch.optim.Adam(self.net.parameters(), LEARNING_RATE, fused=True)

    @torch.inference_mode()
    def values(self, observed: Array) -> Array:
        return self.net(torch.from_numpy(observed)).numpy()

    @torch.inference_mode()
    def target_values(self, observed: Array) -> Array:
        return self.target(torch.from_numpy(observed)).numpy()

    def learn(self, observed: Array, actions: Array, wanted: Array) -> None:
        values = self.net(torch.from_numpy(observed))
        chosen = values.gather(1, torch.from_numpy(actions)[:, None])[:, 0]
        loss = 0.5 * torch.nn.functional.mse_loss(chosen, torch.from_numpy(wanted))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def copy_to_target(self) -> None:
        self.target.load_state_dict(self.net.state_dict())

    def get_weights(self) -> list[Array]:
        return [parameter.detach().numpy().T.copy() for parameter in self.net.parameters()]

    @torch.no_grad()
    def set_weights(self, weights: list[Array]) -> None:
        for parameter, value in zip(self.net.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(value.T))
        self.copy_to_target()

    def get_gradients(self) -> list[Array]:
        return [parameter.grad.numpy().T.copy() for parameter in self.net.parameters()]


def torch_network() -> torch.nn.Sequential:
    """Linear and ReLU in turns, a Linear at the end."""
    layers: list[torch.nn.Module] = []
    for n_in, n_out in layer_shapes():
        layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def layer_shapes() -> Shapes:
    """(n_in, n_out) of each layer."""
    return list(zip(SIZES[:-1], SIZES[1:], strict=True))


AGENT: dict[str, Callable[[int], Agent]] = {
    "torch": TorchAgent,
    "fastbp": FastbpAgent,
    "fastbp 0.1": lambda seed: FastbpAgent(seed, **GLOROT),
}


# the algorithm


class Replay:
    """The last REPLAY_SIZE transitions."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random, self.count = random, 0
        self.before = np.zeros((REPLAY_SIZE, N_OBSERVED), np.float32)
        self.after = np.zeros_like(self.before)
        self.actions = np.zeros(REPLAY_SIZE, np.int64)
        self.rewards = np.zeros(REPLAY_SIZE, np.float32)
        self.goes_on = np.zeros(REPLAY_SIZE, np.float32)  # 0 where the pole fell, 1 at a time-out

    def add(self, before: Array, action: int, reward: float, after: Array, fell: bool) -> None:
        """Keep one transition, in place of the oldest if full."""
        i = self.count % REPLAY_SIZE
        self.before[i], self.after[i], self.actions[i] = before, after, action
        self.rewards[i], self.goes_on[i] = reward, not fell
        self.count += 1

    def teach(self, agent: Agent) -> None:
        """One gradient step of the agent on a batch drawn with replacement."""
        i = self.random.integers(0, min(self.count, REPLAY_SIZE), BATCH_SIZE)
        best = agent.target_values(self.after[i]).max(axis=1)
        wanted = self.rewards[i] + np.float32(GAMMA) * self.goes_on[i] * best
        agent.learn(self.before[i], self.actions[i], wanted)


def train(agent: Agent, seed: int) -> list[float]:
    """Train for STEPS of the environment; the returns of the episodes that ended."""
    random = stream(seed, EXPLORATION)
    epsilon = np.interp(np.arange(STEPS), [0, EPSILON_STEPS], [EPSILON_FIRST, EPSILON_LAST])
    explores = random.random(STEPS) < epsilon
    random_actions = random.integers(0, N_ACTIONS, STEPS)
    replay = Replay(stream(seed, REPLAY))
    environment = gymnasium.make("CartPole-v1")
    before, _ = environment.reset(seed=seed)
    returns, total = [], 0.0
    for i in range(STEPS):
        action = int(random_actions[i] if explores[i] else agent.values(before).argmax())
        after, reward, fell, timed_out, _ = environment.step(action)
        replay.add(before, action, float(reward), after, fell)
        before, total = after, total + float(reward)
        if fell or timed_out:
            returns.append(total)
            (before, _), total = environment.reset(), 0.0
        if i + 1 >= WARM_UP:
            replay.teach(agent)
        if (i + 1) % TARGET_EVERY == 0:
            agent.copy_to_target()
    return returns


def greedy_return(agent: Agent, seed: int) -> float:
    """The mean return of GREEDY_EPISODES episodes without exploration."""
    environment, total = gymnasium.make("CartPole-v1"), 0.0
    observed, _ = environment.reset(seed=2**31 + seed)  # other episodes than those of training
    for _ in range(GREEDY_EPISODES):
        ended = False
        while not ended:
            action = int(agent.values(observed).argmax())
            observed, reward, fell, timed_out, _ = environment.step(action)
            total, ended = total + float(reward), fell or timed_out
        observed, _ = environment.reset()
    return total / GREEDY_EPISODES


def run(contestant: str, seed: int) -> dict[str, Any]:
    """Train and judge one agent."""
    began = time.perf_counter()
    agent = AGENT[contestant](seed)
    returns = train(agent, seed)
    seconds = time.perf_counter() - began
    return {
        "contestant": contestant,
        "seed": seed,
        "return_last_10": float(np.mean(returns[-LAST_EPISODES:])),
        "greedy": greedy_return(agent, seed),
        "seconds": round(seconds, 3),
    }


# the check


def check(steps: int = 20, seed: int = 0) -> bool:
    """Whether both libraries take the same gradient steps from equal initial values.

    Gradients are compared too: a loss twice as large would not show in the steps of Adam.
    """
    agents = [AGENT["torch"](seed), AGENT["fastbp"](seed)]
    agents[1].set_weights(agents[0].get_weights())
    first, random, agree = agents[0].get_weights(), np.random.default_rng(seed), True
    for i in range(steps):
        observed = random.standard_normal((BATCH_SIZE, N_OBSERVED), np.float32)
        actions = random.integers(0, N_ACTIONS, BATCH_SIZE)
        rewards = random.standard_normal(BATCH_SIZE, np.float32)
        for agent in agents:
            agent.learn(observed, actions, rewards + agent.target_values(observed).max(axis=1))
            if (i + 1) % 5 == 0:
                agent.copy_to_target()
        gradients = largest_difference(*(agent.get_gradients() for agent in agents))
        gradients /= largest(agents[0].get_gradients())
        weights = largest_difference(*(agent.get_weights() for agent in agents))
        moved = largest_difference(agents[0].get_weights(), first)
        agree &= gradients < 1e-5 and weights < 1e-2 * LEARNING_RATE and moved > LEARNING_RATE / 2
        print(
            f"step {i + 1:2d}: gradients differ by {gradients:.1e} of the largest, "
            f"parameters by {weights:.1e}, having moved by up to {moved:.1e}"
        )
    return agree


def largest(values: list[Array]) -> float:
    """The largest magnitude in some arrays."""
    return max(float(np.abs(value).max()) for value in values)


def largest_difference(a: list[Array], b: list[Array]) -> float:
    """The largest difference between arrays of equal shapes."""
    assert [value.shape for value in a] == [value.shape for value in b]
    return largest([x - y for x, y in zip(a, b, strict=True)])


def main() -> int:
    """The command line; status 1 where the check fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("contestant", nargs="?", choices=AGENT, default="fastbp")
    parser.add_argument("--check", action="store_true", help="compare the two libraries and stop")
    parser.add_argument("--seeds", default="0-9", help="first-last, or one")
    parser.add_argument("--json", type=Path, help="add the lines to this file, not only print them")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.check:
        agree = check()
        print(f"{'the same' if agree else 'NOT THE SAME'}; fastbp's backend is {fb.backend()}")
        return int(not agree)
    first, _, last = arguments.seeds.partition("-")
    for seed in range(int(first), int(last or first) + 1):
        line = json.dumps(run(arguments.contestant, seed))
        print(line, flush=True)
        if arguments.json is not None:
            with arguments.json.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
