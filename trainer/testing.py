"""Fakes for tests of labelling and training: a small synthetic system, a labeller, a chat endpoint on the loopback."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby
from random import Random
from types import TracebackType
from typing import Any, Self

from detector.model.runs import Runs
from trainer.data.signatures import Corpus, Signature, signature_id
from trainer.labelling.base import Answer, Label, Question

TEXTS: Mapping[str, str] = {
    "recv": "order <NUM> received",
    "check": "address checked",
    "pick": "item <NUM> picked",
    "scan": "item <NUM> scanned",
    "pack": "parcel packed",
    "ship": "parcel handed to carrier",
    "close": "order closed",
    "note": "cache refreshed in <NUM> ms",
    "scare": "self test done: 0 errors",
    "gone": "carrier refused connection",
}
"""Texts of the events of a small system: orders with a fixed course, and a few failures."""
KINDS = ("missing", "order", "burst", "words")
"""Kinds of failure."""


def runs_of(events: Iterable[str]) -> Runs:
    """Run-length code of event ids."""
    return tuple((event, len(list(group))) for event, group in groupby(events))


def corpus(
    windows: Sequence[Sequence[str]],
    system: str = "shop",
    texts: Mapping[str, str] = TEXTS,
    labels: Sequence[bool] | None = None,
) -> Corpus:
    """A corpus of windows given as lists of event ids; a source where labels are given."""
    rows: dict[Runs, list[int]] = {}
    for number, events in enumerate(windows):
        rows.setdefault(runs_of(events), []).append(number)
    signatures = [
        Signature(
            signature_id(runs),
            runs,
            len(numbers),
            tuple(f"{system}-{number}" for number in numbers[:64]),
            None if labels is None else sum(labels[number] for number in numbers) / len(numbers),
        )
        for runs, numbers in rows.items()
    ]
    return Corpus(system, texts, signatures, sum(map(len, windows)))


def course(rng: Random) -> list[str]:
    """A normal order, with some background events."""
    events = ["recv", "check"] + ["pick", "scan"] * rng.randint(1, 3) + ["pack", "ship", "close"]
    for event, share in (("note", 0.2), ("scare", 0.3)):
        if rng.random() < share:
            events.insert(rng.randint(1, len(events)), event)
    return events


def spoilt(kind: str, rng: Random) -> list[str]:
    """An order with a failure of a kind."""
    events = course(rng)
    if kind == "missing":
        return [event for event in events if event != "check"]
    if kind == "order":
        swap = {"pack": "ship", "ship": "pack"}
        return [swap.get(event, event) for event in events]
    if kind == "burst":
        return [*events[:2], *["pick", "scan"] * 20, *events[2:]]
    return [*events[:3], "gone"]


def history(seed: int = 0, count: int = 500, failing: int = 6) -> tuple[list[list[str]], list[str]]:
    """Windows and the kind of failure of each ("" for none): `failing` of every kind."""
    rng = Random(seed)  # noqa: S311 - test data
    kinds = [kind for kind in KINDS for _ in range(failing)] + [""] * (count - failing * len(KINDS))
    rng.shuffle(kinds)
    return [spoilt(kind, rng) if kind else course(rng) for kind in kinds], kinds


class FakeLabeller:
    """Labels a window anomalous if it holds one of some events, and keeps the groups that it was asked about.

    Args:
        anomalous: the events.
        abstain: whether every answer is an abstention.
    """

    name = "fake"

    def __init__(self, anomalous: Iterable[str] = ("gone",), abstain: bool = False) -> None:
        self.anomalous = frozenset(anomalous)
        self.abstain = abstain
        self.asked: list[str] = []

    def label(self, questions: Sequence[Question]) -> list[Answer]:
        """One answer per question."""
        self.asked += [question.group for question in questions]
        return [self._answer(question) for question in questions]

    def prompt_hash(self, question: Question) -> str:
        """Of the first window."""
        return hashlib.sha256(repr(question.runs[0]).encode()).hexdigest()

    def _answer(self, question: Question) -> Answer:
        found = any(event in self.anomalous for event, _ in question.runs[0])
        label: Label = "abstain" if self.abstain else "anomalous" if found else "normal"
        return Answer(question.group, label, 0.9, labeller=self.name, prompt_hash=self.prompt_hash(question))


Reply = tuple[int, dict[str, str], bytes]
"""Status, headers and body."""
GOOD_ANSWER = {"label": "anomalous", "confidence": 0.9, "evidence": ["E1"], "reason": "disk gone"}


def completion(content: Any, tokens: int = 100) -> Reply:
    """A well-formed reply whose message is `content` (as JSON where it is no text)."""
    text = content if isinstance(content, str) else json.dumps(content)
    document = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "stub",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": tokens - 1, "completion_tokens": 1, "total_tokens": tokens},
    }
    return 200, {"content-type": "application/json"}, json.dumps(document).encode()


def refusal(status: int, headers: dict[str, str] | None = None) -> Reply:
    """A reply with an error status."""
    return status, headers or {}, b'{"error": {"message": "refused"}}'


class ChatStub:
    """A chat-completions endpoint on the loopback; keeps the bodies that it got.

    Args:
        play: the reply to a request, from its number (from 1) and JSON body; a number of seconds sends single bytes for
            so long instead.
    """

    def __init__(self, play: Callable[[int, dict[str, Any]], Reply | float]) -> None:
        stub = self
        self.requests: list[dict[str, Any]] = []
        self._lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with stub._lock:
                    stub.requests.append(body)
                    number = len(stub.requests)
                reply = play(number, body)
                if isinstance(reply, float):
                    self._send_slowly(reply)
                    return
                status, headers, content = reply
                self.send_response(status)
                for name, value in {"content-length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def _send_slowly(self, seconds: float) -> None:
                self.send_response(200)
                self.send_header("content-length", "1000")
                self.end_headers()
                end = time.monotonic() + seconds
                try:
                    while time.monotonic() < end:
                        self.wfile.write(b" ")
                        self.wfile.flush()
                        time.sleep(0.05)
                except OSError:  # the client has hung up
                    return

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Base URL for a client."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
