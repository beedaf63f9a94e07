"""What prompts and replies cost: before any is sent, and where the endpoint does not count the tokens itself."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from trainer.labelling.base import LabellerInputs, Neighbor, Question, SystemProfile
from trainer.labelling.prompt import INSTRUCTIONS, user_prompt
from trainer.settings import OpenAISettings

_CHARACTERS_PER_TOKEN = 4
_REPLY_TOKENS = 100
"""A reply as the instructions ask for it, 40 words of reason and three events, has about 400 characters."""
_EXAMPLES = (Neighbor(runs=(), label="anomalous", confidence=0.99, similarity=0.99),) * 3
"""A question shows up to three answered windows, which are not known beforehand; these differ in every event."""
_MILLION = 1_000_000


@dataclass(frozen=True)
class Cost:
    """Tokens, and money in the currency of the settings; None where they name no price."""

    tokens: int = 0
    money: float | None = 0.0


Estimate = Callable[[Question], Cost]


def prompt_tokens(prompt: str) -> int:
    """Tokens of a prompt with the instructions, by length."""
    return (len(INSTRUCTIONS) + len(prompt)) // _CHARACTERS_PER_TOKEN


def reply_tokens(content: str) -> int:
    """Tokens of a reply, by length."""
    return len(content) // _CHARACTERS_PER_TOKEN


def price(settings: OpenAISettings, sent: int, received: int) -> float:
    """What tokens of prompts and of replies cost, in the currency of the settings; 0 where they name no price."""
    cost = sent * settings.price_per_million_input_tokens + received * settings.price_per_million_output_tokens
    return cost / _MILLION


def make_estimate(inputs: LabellerInputs) -> Estimate:
    """The `estimate` of the row of labellers behind an endpoint: one call with one reply per question."""
    settings, profile = inputs.settings.openai, SystemProfile.of(inputs.target)
    prices = settings.price_per_million_input_tokens, settings.price_per_million_output_tokens

    def cost(question: Question) -> Cost:
        prompt = user_prompt(replace(question, neighbors=_EXAMPLES), profile)
        sent = prompt_tokens(prompt)
        money = price(settings, sent, _REPLY_TOKENS) if any(prices) else None
        return Cost(sent + _REPLY_TOKENS, money)

    return cost
