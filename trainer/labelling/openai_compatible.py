"""A large language model behind an OpenAI-compatible endpoint as labeller: vLLM, DashScope, OpenAI, Ollama.

The client's own retries are off; the one retry layer is here and honours Retry-After, inside a wall-clock deadline.
When the deadline or the tokens are spent, or the endpoint has fallen silent, labelling stops and training goes on with
what was answered. An endpoint that answers none of the first questions ends the run, and so does a refused key or
model, after the answers that came before it were handed over.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, Literal

import msgspec
import openai
import structlog

from trainer.errors import LabellerError
from trainer.labelling.base import Answer, Question, SystemCard
from trainer.labelling.prompt import INSTRUCTIONS, SCHEMA, event_names, read_answer, user_prompt
from trainer.settings import OpenAISettings

Mode = Literal["json_schema", "json_object", "text"]

_MODES: tuple[Mode, ...] = ("json_schema", "json_object", "text")
_ATTEMPTS = 5
_READINGS = 2
_SILENT_QUESTIONS = 3
"""Questions one after another without any answer, after which the endpoint is taken for gone; where calls are
concurrent, at least one a call. One question alone proves nothing: its prompt may be what the endpoint chokes on."""
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 20.0
_LONGEST_SLEEP_SECONDS = 1.0
_ANSWER_TOKENS = 400
_CHARACTERS_PER_TOKEN = 4


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message


class _Reply(msgspec.Struct):
    """The part of a chat completion that is needed; `usage` is taken as it comes, since servers fill it freely."""

    choices: list[_Choice]
    usage: Any = None


class _UnreadableError(Exception):
    """Status 200 with a body that is no chat completion: cut, empty, or of somebody else, such as a proxy."""


@dataclass
class _Spent(Exception):
    """No more calls: the deadline or the tokens are spent, or the endpoint is gone or refuses us."""

    reason: str


class OpenAILabeller:
    """Asks one question a call, several calls at a time.

    Args:
        settings: endpoint, limits.
        workers: labellers that share the endpoint; concurrency and tokens are divided among them.
    """

    def __init__(self, settings: OpenAISettings, workers: int = 1) -> None:
        self.name = f"openai:{settings.model}"
        self._settings = settings
        self._concurrency = max(1, settings.concurrency // workers)
        self._tokens_left = max(1, settings.max_tokens_total // workers)
        self._deadline: float | None = None
        self._heard = False
        self._silent = 0
        self._answered = False
        self._failure: LabellerError | None = None
        self._mode: Mode = _MODES[0]
        self._log = structlog.get_logger(__name__)

    def label(self, questions: Sequence[Question], card: SystemCard) -> list[Answer]:
        """One answer a question; a question that could not be asked gets an abstention without a prompt hash.

        Raises:
            LabellerError: the endpoint refuses the key or the model, or does not answer at all. Where there are answers
                already they are returned first, for they are paid, and the next call raises.
        """
        if self._failure is not None:
            raise self._failure
        if self._deadline is None:
            self._deadline = monotonic() + self._settings.deadline_seconds
        answers = asyncio.run(self._label(questions, card))
        self._answered |= any(answer.prompt_hash for answer in answers)
        if self._failure is not None and not self._answered:
            raise self._failure
        return answers

    def prompt_hash(self, question: Question, card: SystemCard) -> str:
        """Hash of model and prompt; examples are left out: they change as answers come in, and none is paid twice."""
        told = "\n".join((self._settings.model, INSTRUCTIONS, user_prompt(replace(question, neighbours=()), card)))
        return hashlib.sha256(told.encode()).hexdigest()

    async def _label(self, questions: Sequence[Question], card: SystemCard) -> list[Answer]:
        client = openai.AsyncOpenAI(
            base_url=self._settings.base_url,
            api_key=self._key(),
            timeout=self._settings.timeout_seconds,
            max_retries=0,
        )
        gate = asyncio.Semaphore(self._concurrency)

        async def one(question: Question) -> Answer:
            async with gate:
                return await self._answer(client, question, card)

        async with client:
            # One at a time until somebody is there; the first calls find out what the endpoint can do for the others.
            first: list[Answer] = []
            while not self._heard and len(first) < len(questions):
                first.append(await one(questions[len(first)]))
            async with asyncio.TaskGroup() as group:
                rest = [group.create_task(one(question)) for question in questions[len(first) :]]
            return first + [task.result() for task in rest]

    async def _answer(self, client: openai.AsyncOpenAI, question: Question, card: SystemCard) -> Answer:
        prompt, names = user_prompt(question, card), event_names(question.runs[0])
        tokens = 0
        try:
            for _ in range(_READINGS):
                content, used = await self._call(client, prompt)
                tokens += used
                answer = read_answer(content, names)
                if answer is not None:
                    label, confidence, evidence, reason = answer
                    return Answer(
                        question.group,
                        label,
                        confidence,
                        evidence,
                        reason,
                        self.name,
                        self.prompt_hash(question, card),
                        tokens,
                    )
        except _Spent as spent:
            return Answer(question.group, "abstain", 0.0, reason=spent.reason, giver=self.name, tokens=tokens)
        except LabellerError as error:
            # Kept, not raised: calls under way may still bring answers, and answers at hand are paid.
            if self._failure is None:
                self._failure = error
                self._log.warning("labeller.failed", error=str(error))
            return Answer(question.group, "abstain", 0.0, reason=str(error), giver=self.name, tokens=tokens)
        self._log.warning("labeller.unreadable_answer", group=question.group)
        return Answer(
            question.group,
            "abstain",
            0.0,
            reason="answer could not be read",
            giver=self.name,
            prompt_hash=self.prompt_hash(question, card),
            tokens=tokens,
        )

    async def _call(self, client: openai.AsyncOpenAI, prompt: str) -> tuple[str, int]:
        """Content and tokens of one answer; retried while that makes sense."""
        attempt, failure, mode = 0, Exception(), self._mode
        while attempt < _ATTEMPTS:
            seconds = self._seconds_left()
            try:
                # A bound on the whole call: the client's time-out starts anew with every byte that drips in.
                body = await asyncio.wait_for(
                    self._send(client, prompt, mode), min(seconds, self._settings.timeout_seconds)
                )
                answer = self._read(body, prompt)
            except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
                raise LabellerError(
                    f"openai.base_url, api_key and model must be right, got {error.status_code} from "
                    f"{self._settings.base_url} for {self._settings.model!r}"
                ) from error
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                self._heard, self._silent = True, 0
                if mode == _MODES[-1]:
                    raise _Spent(f"endpoint refused the question ({error.status_code})") from error
                mode = _MODES[_MODES.index(mode) + 1]
            except (openai.APIError, _UnreadableError, TimeoutError) as error:
                # A limit on the rate is an answer of sorts: somebody is there.
                self._heard |= isinstance(error, openai.RateLimitError)
                failure, attempt = error, attempt + 1
                if attempt < _ATTEMPTS:
                    await self._pause(error, attempt)
            else:
                self._heard, self._silent = True, 0
                self._settle_for(mode)
                return answer
        self._silent += 1
        if not self._heard and self._silent >= _SILENT_QUESTIONS:
            raise LabellerError(
                f"openai.base_url must name an endpoint that answers, got {_words(failure)} from "
                f"{self._settings.base_url} for {self._silent} questions, each tried {_ATTEMPTS} times: "
                "check base_url, timeout_seconds, and that it runs"
            ) from failure
        raise _Spent(f"endpoint did not answer ({_words(failure)})")

    async def _send(self, client: openai.AsyncOpenAI, prompt: str, mode: Mode) -> bytes:
        """Body of the reply; raw, since the client reads what is no completion into anything, or fails at it."""
        extra: dict[str, Any] = {}
        if mode == "json_schema":
            schema = {"name": "verdict", "strict": True, "schema": SCHEMA}
            extra["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif mode == "json_object":
            extra["response_format"] = {"type": "json_object"}
        reply = await client.chat.completions.with_raw_response.create(
            model=self._settings.model,
            messages=[{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": prompt}],
            temperature=0.0,
            max_tokens=_ANSWER_TOKENS,
            **extra,
        )
        body: bytes = reply.content
        return body

    def _read(self, body: bytes, prompt: str) -> tuple[str, int]:
        try:
            reply = msgspec.json.decode(body, type=_Reply)
            content = reply.choices[0].message.content or ""
        except (ValueError, IndexError, RecursionError) as error:
            raise _UnreadableError from error
        counted = reply.usage.get("total_tokens") if isinstance(reply.usage, dict) else None
        guess = (len(INSTRUCTIONS) + len(prompt) + len(content)) // _CHARACTERS_PER_TOKEN
        used = counted if isinstance(counted, int) and counted > 0 else guess
        self._tokens_left -= used
        return content, used

    def _settle_for(self, mode: Mode) -> None:
        """Ask for less structure from now on, once that got an answer where more was refused.

        A refusal alone says nothing of the format: a prompt that is too long or filtered is refused in every one.
        """
        if _MODES.index(mode) > _MODES.index(self._mode):
            self._mode = mode
            self._log.info("labeller.answer_format", model=self._settings.model, format=mode)

    async def _pause(self, error: Exception, attempt: int) -> None:
        pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
        told = _retry_after_seconds(error)
        pause = pause if told is None else told
        self._log.warning("labeller.retry", error=type(error).__name__, attempt=attempt, pause_seconds=round(pause, 2))
        if pause >= self._seconds_left():
            self._silent += 1
            raise _Spent(f"endpoint asks to wait {pause:.0f} s, longer than the deadline leaves")
        end = monotonic() + pause
        while (left := end - monotonic()) > 0.0:
            await asyncio.sleep(min(left, _LONGEST_SLEEP_SECONDS))
            self._seconds_left()  # raises when labelling ended meanwhile

    def _seconds_left(self) -> float:
        assert self._deadline is not None
        if self._failure is not None:
            raise _Spent("labelling ended by an error")
        left = self._deadline - monotonic()
        if left <= 0.0:
            raise _Spent("deadline of labelling reached")
        if self._tokens_left <= 0:
            raise _Spent("tokens of labelling spent")
        if self._silent >= max(_SILENT_QUESTIONS, self._concurrency):
            raise _Spent("endpoint has stopped answering")
        return left

    def _key(self) -> str:
        settings = self._settings
        if settings.api_key_file is not None:
            try:
                return settings.api_key_file.read_text(encoding="utf-8").strip()
            except OSError as error:
                raise LabellerError(
                    f"openai.api_key_file must be readable, got {settings.api_key_file}: {error}"
                ) from error
        # Local endpoints ask for no key, but the client insists on one.
        return settings.api_key.get_secret_value() if settings.api_key is not None else "none"


def _words(error: Exception) -> str:
    if isinstance(error, openai.APIStatusError):
        return f"status {error.status_code}"
    if isinstance(error, _UnreadableError):
        return "a reply that is no chat completion"
    return "no answer in time" if isinstance(error, TimeoutError | openai.APITimeoutError) else "no connection"


def _retry_after_seconds(error: Exception) -> float | None:
    response = getattr(error, "response", None)
    told = response.headers.get("retry-after") if response is not None else None
    try:
        return max(0.0, float(told)) if told is not None else None
    except ValueError:
        return None
