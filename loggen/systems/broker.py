"""A message broker: clients connect, publish, consume; partitions move between brokers."""

from random import Random

from loggen.engine import Layout, Service
from loggen.systems.faults import Break, Burst, Disturbance, Overtaking, Skip
from loggen.wording import Wording
from loggen.workflow import Background, Fault, Maybe, Repeat, Workflow, chain


def broker(rng: Random, layout: Layout) -> Service:
    """The service in one of its vocabularies."""
    words = Wording(rng)
    return Service(
        name="broker",
        key="cn-{hex:8}",
        hosts=("b1", "b2", "b3"),
        layout=layout,
        workflows=(_producer(words), _consumer(words), _move(words)),
        faults=_faults(words),
        decoys=(
            (words.log("decoy", "stale metadata error answered, client refreshes", "info", "mq.Meta"), 0.06),
            (words.log("decoy", "0 under-replicated, 0 offline, 0 failed", "info", "mq.Control"), 0.03),
            (words.log("decoy", "client throttled for {n:1-90} ms by quota", "warn", "mq.Quota"), 0.05),
        ),
        noise=(
            (words.log("noise", "segment rolled at offset {n:1000-9999999}", "info", "mq.Log"), 0.08),
            (words.log("noise", "compression zstd agreed", "debug", "mq.Client"), 0.06),
        ),
        background=(Background(words.log("gc", "log cleaner reclaimed {n:1-900} MB", "info", "mq.Clean"), 2),),
    )


def _producer(words: Wording) -> Workflow:
    body = chain(
        words.log("connect", "<client|peer> {ip}:{port} connected", "info", "mq.Socket"),
        words.log("auth", "{user} authenticated by certificate", "info", "mq.Auth", 0.2),
        Repeat(2, 6, words.log("append", "batch of {n:1-900} appended at {n:1000-9999999}", "info", "mq.Log", 0.4)),
        Maybe(0.5, words.log("flush", "acknowledged by {n:2-3} replicas", "info", "mq.Replica", 0.3)),
        words.log("bye", "<client|peer> closed the connection", "info", "mq.Socket"),
    )
    return Workflow(body, 3.0)


def _consumer(words: Wording) -> Workflow:
    fetch = chain(
        words.log("fetch", "fetch of {n:1-900} records served", "info", "mq.Fetch", 0.4),
        Maybe(0.4, words.log("offset", "offset {n:1000-9999999} committed", "info", "mq.Group", 0.2)),
    )
    body = chain(
        words.log("connect", "<client|peer> {ip}:{port} connected", "info", "mq.Socket"),
        words.log("auth", "{user} authenticated by certificate", "info", "mq.Auth", 0.2),
        words.log("join", "member joined group, generation {n:1-90}", "info", "mq.Group"),
        words.log("assign", "{n:1-12} partitions assigned", "info", "mq.Group"),
        Repeat(2, 6, fetch),
        words.log("leave", "member left group", "info", "mq.Group"),
        words.log("bye", "<client|peer> closed the connection", "info", "mq.Socket"),
    )
    return Workflow(body, 3.0)


def _move(words: Wording) -> Workflow:
    body = chain(
        words.log("plan", "move of partition {n:0-63} to broker {n:1-3} planned", "info", "mq.Control"),
        Repeat(1, 4, words.log("copy", "replica caught up to {n:1000-9999999}", "info", "mq.Replica")),
        words.log("sync", "replica joined the in-sync set", "info", "mq.Replica"),
        words.log("lead", "leadership moved, epoch {n:1-90}", "info", "mq.Control"),
        words.log("drop", "old replica removed", "info", "mq.Log"),
    )
    return Workflow(body, 1.5)


def _faults(words: Wording) -> tuple[Fault, ...]:
    silent = words.log(
        "x1", "no heartbeat within session timeout of {n:6000-45000} ms, member evicted", "warn", "mq.Group"
    )
    refused = words.log("x2", "handshake failed for {ip}:{port}: unknown certificate authority", "error", "mq.Auth")
    full = words.log("x3", "cannot extend segment: no space left on {path}", "fatal", "mq.Log")
    behind = words.log("x4", "replica {n:1-3} fell out of the in-sync set, lag {n:1000-90000}", "warn", "mq.Replica")
    corrupt = words.log("x5", "record batch has invalid checksum, request failed", "error", "mq.Log")
    reset = words.log("x6", "connection with {ip} broken: reset by peer", "error", "mq.Socket")
    return (
        Fault("timeout", "words", Break(("fetch",), silent)),
        Fault("access_refused", "words", Break(("auth",), refused)),
        Fault("out_of_space", "words", Break(("append", "copy"), full)),
        Fault("replica_behind", "words", Disturbance(("append", "copy"), behind)),
        Fault("corruption", "words", Break(("append",), corrupt)),
        Fault("connection_lost", "words", Break(("append", "fetch"), Repeat(1, 2, reset))),
        Fault("leader_before_sync", "order", Overtaking("lead", "sync")),
        Fault("append_burst", "count", Burst(("append",), 15, 40)),
        Fault("replica_not_removed", "missing", Skip("drop")),
    )
