"""Run in deepeval's environment: ask for every answer, then evaluate all of them."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from deepeval import evaluate
from deepeval.evaluate.configs import AsyncConfig, DisplayConfig
from deepeval.metrics import BaseMetric
from deepeval.test_case import LLMTestCase
from openai import AsyncOpenAI

QUIET = DisplayConfig(show_indicator=False, print_results=False, inspect_after_run=False)


class Fact(BaseMetric):
    """Whether the answer holds the fact."""

    threshold = 1.0
    async_mode = True

    def measure(self, case: LLMTestCase, **_: Any) -> float:
        """Score one answer."""
        self.score = float(case.expected_output in case.actual_output)
        self.success = self.score >= self.threshold
        return self.score

    async def a_measure(self, case: LLMTestCase, **_: Any) -> float:
        """The same, as deepeval asks for it when it runs many at once."""
        return self.measure(case)

    def is_successful(self) -> bool:
        """Whether the last answer held it."""
        return self.success

    @property
    def __name__(self) -> str:
        return "Fact"


def main() -> None:
    """Ask, evaluate and write how many passed."""
    url, concurrency = sys.argv[1], int(sys.argv[2])
    cases = [json.loads(line) for line in Path("cases.jsonl").read_text(encoding="utf-8").splitlines()]
    answered = asyncio.run(answers(cases, url, concurrency))
    limits = AsyncConfig(max_concurrent=concurrency)
    done = evaluate(answered, [Fact()], async_config=limits, display_config=QUIET)
    passed = sum(bool(result.success) for result in done.test_results)
    Path("out.json").write_text(json.dumps({"passed": passed}), encoding="utf-8")


async def answers(cases: list[dict[str, Any]], url: str, concurrency: int) -> list[LLMTestCase]:
    """Every answer, so many at once."""
    client, slots = AsyncOpenAI(base_url=url, api_key="none"), asyncio.Semaphore(concurrency)

    async def one(case: dict[str, Any]) -> LLMTestCase:
        async with slots:
            done = await client.chat.completions.create(
                model="ok", messages=case["messages"], max_tokens=300, temperature=0
            )
        said = done.choices[0].message.content
        return LLMTestCase(input=case["text"], actual_output=said, expected_output=case["fact"])

    return list(await asyncio.gather(*map(one, cases)))


if __name__ == "__main__":
    main()
