"""Run in inspect-ai's environment: the cases as a task."""

import json
from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageSystem, ChatMessageUser
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

ROLES = {"system": ChatMessageSystem, "user": ChatMessageUser}


@task
def bench() -> Task:
    """Every case: its turns as input, its fact as target."""
    samples = [
        Sample(input=[ROLES[m["role"]](content=m["content"]) for m in case["messages"]], target=case["fact"])
        for case in map(json.loads, Path("cases.jsonl").read_text(encoding="utf-8").splitlines())
    ]
    return Task(MemoryDataset(samples), solver=generate(), scorer=includes(ignore_case=False))
