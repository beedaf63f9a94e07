"""A large language model behind an OpenAI-compatible endpoint as labeller: vLLM, DashScope, OpenAI, Ollama.

When limits are spent or the endpoint stops answering, labelling stops and training goes on with the answers at hand. An
endpoint that answers nothing or refuses key or model ends the run, after the answers before that were handed over.
"""

import asyncio
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import openai
import structlog

from trainer.errors import LabellerError
from trainer.labelling.base import NOTHING, Answer, LabellerInputs, MakeLabeller, Question, Spending, SystemProfile
from trainer.labelling.chat_endpoint import ChatEndpoint, RetryPolicy, SpentError
from trainer.labelling.prompt import event_names, prompt_key, read_answer, user_prompt
from trainer.settings import OpenAISettings

_READINGS = 2
"""Replies per question of which one must be readable."""


class OpenAILabeller:
    """Asks one question per call, several calls at a time.

    `labellers` share the endpoint's concurrency and what `spent`, on earlier runs, has left of the limits.
    """

    def __init__(
        self,
        settings: OpenAISettings,
        profile: SystemProfile,
        labellers: int = 1,
        policy: RetryPolicy | None = None,
        spent: Spending = NOTHING,
    ) -> None:
        self.name = f"openai:{settings.model}"
        self._model = settings.model
        self._profile = profile
        self._concurrency = max(1, settings.concurrency // labellers)
        limit = _left(settings, spent)
        share = Spending(limit.tokens // labellers, limit.cost / labellers)
        self._endpoint = ChatEndpoint(settings, self._concurrency, share, policy or RetryPolicy())
        self._paid = False
        self._log = structlog.get_logger(__name__)

    def label(self, questions: Sequence[Question]) -> list[Answer]:
        """One answer per question; without a reply that can be read it is an abstention without a prompt hash.

        Raises:
            LabellerError: the endpoint refuses the key or the model, or does not answer at all. If calls may have been
                paid for already, what there is of answers is returned first, and the next call raises.
        """
        if self._endpoint.failure is not None:
            raise self._endpoint.failure
        answers = asyncio.run(self._label(questions))
        self._paid |= any(answer.tokens for answer in answers)
        if self._endpoint.failure is not None and not self._paid:
            raise self._endpoint.failure
        return answers

    def prompt_hash(self, question: Question) -> str:
        """Hash of the model and `prompt_key`."""
        return hashlib.sha256(f"{self._model}\n{prompt_key(question)}".encode()).hexdigest()

    async def _label(self, questions: Sequence[Question]) -> list[Answer]:
        gate = asyncio.Semaphore(self._concurrency)
        async with self._endpoint.client() as client:

            async def one(question: Question) -> Answer:
                async with gate:
                    return await self._answer(client, question)

            # One at a time until the endpoint answers; the first calls also find the answer format that it takes.
            first: list[Answer] = []
            while not self._endpoint.answers and len(first) < len(questions):
                first.append(await one(questions[len(first)]))
            async with asyncio.TaskGroup() as group:
                rest = [group.create_task(one(question)) for question in questions[len(first) :]]
            return first + [task.result() for task in rest]

    async def _answer(self, client: openai.AsyncOpenAI, question: Question) -> Answer:
        calls: list[Spending] = []
        answer = await self._reading(client, question, calls.append)
        # Calls that failed after the endpoint had the prompt count, too: it may charge for them.
        used = sum(calls, NOTHING)
        return replace(answer, tokens=used.tokens, cost=used.cost)

    async def _reading(self, client: openai.AsyncOpenAI, question: Question, pay: Callable[[Spending], None]) -> Answer:
        """The answer without what it took, which `pay` gets call by call."""
        prompt, names = user_prompt(question, self._profile), event_names(question.runs[0])
        answer = Answer(question.group, "abstain", 0.0, labeller=self.name)
        try:
            for _ in range(_READINGS):
                read = read_answer(await self._endpoint.ask(client, prompt, pay), names)
                if read is not None:
                    label, confidence, evidence, reason = read
                    return replace(
                        answer,
                        label=label,
                        confidence=confidence,
                        evidence=evidence,
                        reason=reason,
                        prompt_hash=self.prompt_hash(question),
                    )
        except SpentError as spent:
            return replace(answer, reason=spent.reason)
        except LabellerError as error:
            # Kept, not raised: calls under way may still return answers, and those are paid for.
            if self._endpoint.failure is None:
                self._endpoint.failure = error
                self._log.warning("labeller.failed", error=str(error))
            return replace(answer, reason=str(error))
        self._log.warning("labeller.unreadable_answer", group=question.group)
        return replace(answer, reason="answer could not be read")


def make_openai(inputs: LabellerInputs) -> MakeLabeller:
    """The `build` of its row in the table of labellers."""
    settings, spent = inputs.settings.openai, inputs.spent
    left = _left(settings, spent)
    if left.tokens <= 0 or left.cost <= 0.0:
        structlog.get_logger(__name__).warning(
            "labeller.nothing_left",
            tokens=spent.tokens,
            cost=round(spent.cost, 6),
            hint="nothing new is asked: raise openai.max_tokens_total or openai.max_cost_total",
        )
    return partial(OpenAILabeller, settings, SystemProfile.of(inputs.target), spent=spent)


def _left(settings: OpenAISettings, spent: Spending) -> Spending:
    """What earlier runs have left of the limits."""
    cost = math.inf if settings.max_cost_total is None else max(0.0, settings.max_cost_total - spent.cost)
    return Spending(max(0, settings.max_tokens_total - spent.tokens), cost)
