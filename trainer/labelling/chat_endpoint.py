"""Calls to an OpenAI-compatible chat endpoint: one retry layer, inside a wall-clock deadline and a token limit.

The client's own retries are off; the retries here honor Retry-After. When the deadline, the tokens or the money are
spent, or the endpoint has stopped answering, no further call is made (`SpentError`). An endpoint that answers none of
the first prompts, or refuses the key or the model, is an error for good (`LabellerError`).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Literal

import msgspec
import openai
import structlog

from trainer.errors import LabellerError
from trainer.labelling.base import Spending
from trainer.labelling.prompt import INSTRUCTIONS, SCHEMA
from trainer.labelling.prompt_cost import price, prompt_tokens, reply_tokens
from trainer.settings import OpenAISettings

Mode = Literal["json_schema", "json_object", "text"]

_MODES: tuple[Mode, ...] = ("json_schema", "json_object", "text")
_ANSWER_TOKENS = 400
_SENT = frozenset({"ReadTimeout", "ReadError", "RemoteProtocolError"})
"""Errors of the client's HTTP library after the request was sent; by name, since the library is the client's choice."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often and after what pause a failed call is repeated.

    Attributes:
        attempts: calls per prompt.
        silent_prompts: consecutive prompts without any answer, after which the endpoint counts as gone; with concurrent
            calls at least one per call. One prompt alone proves nothing: the endpoint may fail on that very prompt.
        first_pause_seconds, longest_pause_seconds: the pause doubles from the first to the longest.
        longest_sleep_seconds: after so long a pause checks whether labelling has ended meanwhile.
    """

    attempts: int = 5
    silent_prompts: int = 3
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 20.0
    longest_sleep_seconds: float = 1.0


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message


class _Reply(msgspec.Struct):
    """The needed part of a chat completion; `usage` is untyped, since servers fill it freely."""

    choices: list[_Choice]
    usage: Any = None


class _UnreadableError(Exception):
    """Status 200 with a body that is no chat completion: truncated, empty, or from something else, such as a proxy."""


@dataclass
class SpentError(Exception):
    """No more calls: the deadline, the tokens or the money are spent, or the endpoint is gone or refuses the prompt."""

    reason: str


class ChatEndpoint:
    """Sends prompts and returns the texts of the replies; `concurrency` and `limit` are the limits of this process."""

    def __init__(
        self,
        settings: OpenAISettings,
        concurrency: int,
        limit: Spending,
        policy: RetryPolicy,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings, self._concurrency, self._policy, self._clock = settings, concurrency, policy, clock
        self._limit = limit
        self._spent = Spending()
        self._deadline: float | None = None
        self._silent = 0
        self._mode: Mode = _MODES[0]
        self._log = structlog.get_logger(__name__)
        self.answers = False
        """Whether the endpoint has ever answered, if only with a refusal."""
        self.failure: LabellerError | None = None
        """Set when it refuses for good; calls that wait are ended by it."""

    def client(self) -> openai.AsyncOpenAI:
        """A client for one event loop; the first one starts the deadline.

        Raises:
            LabellerError: the file of the key cannot be read.
        """
        if self._deadline is None:
            self._deadline = self._clock() + self._settings.deadline_seconds
        return openai.AsyncOpenAI(
            base_url=self._settings.base_url,
            api_key=self._key(),
            timeout=self._settings.timeout_seconds,
            max_retries=0,
        )

    async def ask(self, client: openai.AsyncOpenAI, prompt: str, pay: Callable[[Spending], None]) -> str:
        """Text of one reply; failed calls are repeated. `pay` gets what each call took, also where there is no reply.

        Raises:
            SpentError: no reply, and why.
            LabellerError: the endpoint refuses the key or the model, or has not answered any prompt.
        """
        attempt, error, mode = 0, Exception(), self._mode
        while attempt < self._policy.attempts:
            seconds = self._seconds_left()
            try:
                # Bounds the whole call: the client's time-out starts anew with every byte that arrives.
                body = await asyncio.wait_for(
                    self._send(client, prompt, mode), min(seconds, self._settings.timeout_seconds)
                )
                content, used = self._read(body, prompt)
            except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as refused:
                raise LabellerError(
                    f"openai.base_url, api_key and model must be right, got {refused.status_code} from "
                    f"{self._settings.base_url} for {self._settings.model!r}"
                ) from refused
            except (openai.BadRequestError, openai.UnprocessableEntityError) as refused:
                self.answers, self._silent = True, 0
                if mode == _MODES[-1]:
                    raise SpentError(f"endpoint refused the question ({refused.status_code})") from refused
                mode = _MODES[_MODES.index(mode) + 1]
            except (openai.APIError, _UnreadableError, TimeoutError) as failed:
                self.answers |= isinstance(failed, openai.RateLimitError)  # which only a live endpoint sends
                error, attempt = failed, attempt + 1
                if _may_be_served(failed):
                    self._take(self._most(prompt), pay)
                if attempt < self._policy.attempts:
                    await self._pause(failed, attempt)
            else:
                self.answers, self._silent = True, 0
                self._keep_mode(mode)
                self._take(used, pay)
                return content
        raise self._no_answer(error) from error

    def _no_answer(self, error: Exception) -> LabellerError | SpentError:
        self._silent += 1
        if self.answers or self._silent < self._policy.silent_prompts:
            return SpentError(f"endpoint did not answer ({_words(error)})")
        return LabellerError(
            f"openai.base_url must name an endpoint that answers, got {_words(error)} from "
            f"{self._settings.base_url} for {self._silent} questions, each tried {self._policy.attempts} times: "
            "check base_url, timeout_seconds, and that it runs"
        )

    async def _send(self, client: openai.AsyncOpenAI, prompt: str, mode: Mode) -> bytes:
        """Body of the reply, raw: the client's own parser accepts bodies that are no completion, or fails on them."""
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

    def _read(self, body: bytes, prompt: str) -> tuple[str, Spending]:
        try:
            reply = msgspec.json.decode(body, type=_Reply)
            content = reply.choices[0].message.content or ""
        except (ValueError, IndexError, RecursionError) as error:
            raise _UnreadableError from error
        return content, self._used(reply.usage if isinstance(reply.usage, dict) else {}, prompt, content)

    def _used(self, usage: dict[str, Any], prompt: str, content: str) -> Spending:
        """Tokens by the endpoint's count, or by length where it has none; what is not input costs as output."""
        sent = _count(usage, "prompt_tokens") or prompt_tokens(prompt)
        received = _count(usage, "completion_tokens") or reply_tokens(content)
        tokens = _count(usage, "total_tokens") or sent + received
        sent = min(sent, tokens)
        return Spending(tokens, round(price(self._settings, sent, tokens - sent), 9))

    def _most(self, prompt: str) -> Spending:
        """What a call without a readable reply may have taken: the prompt, and the longest reply that was asked for."""
        sent = prompt_tokens(prompt)
        return Spending(sent + _ANSWER_TOKENS, round(price(self._settings, sent, _ANSWER_TOKENS), 9))

    def _take(self, used: Spending, pay: Callable[[Spending], None]) -> None:
        self._spent += used
        pay(used)

    def _keep_mode(self, mode: Mode) -> None:
        """Ask for less structure from now on, once that got an answer where more was refused.

        A refusal alone does not prove that the format is the cause: a prompt that is too long is refused in every one.
        """
        if _MODES.index(mode) > _MODES.index(self._mode):
            self._mode = mode
            self._log.info("labeller.answer_format", model=self._settings.model, format=mode)

    async def _pause(self, error: Exception, attempt: int) -> None:
        pause = _retry_after_seconds(error)
        if pause is None:
            pause = min(self._policy.longest_pause_seconds, self._policy.first_pause_seconds * 2 ** (attempt - 1))
        self._log.warning("labeller.retry", error=type(error).__name__, attempt=attempt, pause_seconds=round(pause, 2))
        if pause >= self._seconds_left():
            self._silent += 1
            raise SpentError(f"endpoint asks to wait {pause:.0f} s, longer than the deadline leaves")
        end = self._clock() + pause
        while (left := end - self._clock()) > 0.0:
            await asyncio.sleep(min(left, self._policy.longest_sleep_seconds))
            self._seconds_left()  # raises when labelling ended meanwhile

    def _seconds_left(self) -> float:
        assert self._deadline is not None
        if self.failure is not None:
            raise SpentError("labelling ended by an error")
        left = self._deadline - self._clock()
        if left <= 0.0:
            raise SpentError("deadline of labelling reached")
        if self._spent.tokens >= self._limit.tokens:
            raise SpentError("tokens of labelling spent, see openai.max_tokens_total")
        if self._spent.cost >= self._limit.cost:
            raise SpentError("money of labelling spent, see openai.max_cost_total")
        if self._silent >= max(self._policy.silent_prompts, self._concurrency):
            raise SpentError("endpoint has stopped answering")
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
        # Local endpoints need no key, but the client insists on one.
        return settings.api_key.get_secret_value() if settings.api_key is not None else "none"


def _count(usage: dict[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def _may_be_served(error: Exception) -> bool:
    """Whether a failed call has reached the endpoint, which then may have answered and charges for it."""
    if isinstance(error, openai.APIConnectionError):  # a time-out of the client is one, too
        return type(error.__cause__).__name__ in _SENT
    return isinstance(error, _UnreadableError | TimeoutError)


def _words(error: Exception) -> str:
    if isinstance(error, openai.APIStatusError):
        return f"status {error.status_code}"
    if isinstance(error, _UnreadableError):
        return "a reply that is no chat completion"
    return "no answer in time" if isinstance(error, TimeoutError | openai.APITimeoutError) else "no connection"


def _retry_after_seconds(error: Exception) -> float | None:
    response = getattr(error, "response", None)
    wanted = response.headers.get("retry-after") if response is not None else None
    try:
        return max(0.0, float(wanted)) if wanted is not None else None
    except ValueError:
        return None
