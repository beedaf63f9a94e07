"""A replicated block store: writes along a pipeline of replicas, reads, repairs."""

from random import Random

from loggen.engine import Layout, Service
from loggen.systems.faults import Break, Burst, Disturbance, Overtaking, Skip
from loggen.wording import Wording
from loggen.workflow import Background, Fault, Maybe, Repeat, Workflow, chain


def storage(rng: Random, layout: Layout) -> Service:
    """The service in one of its vocabularies."""
    words = Wording(rng)
    return Service(
        name="storage",
        key="blk-{hex:8}",
        hosts=("dn01", "dn02", "dn03", "dn04", "dn05"),
        layout=layout,
        workflows=(_write(words), _read(words), _repair(words)),
        faults=_faults(words),
        decoys=(
            (words.log("decoy", "checksum error counter is 0", "info", "store.Scan"), 0.05),
            (words.log("decoy", "short-circuit read failed, using the network instead", "warn", "store.Read"), 0.05),
            (words.log("decoy", "failed volumes: none", "info", "store.Volumes"), 0.03),
        ),
        noise=(
            (words.log("noise", "page cache holds {n:1-99} percent", "debug", "store.Cache"), 0.1),
            (words.log("noise", "balancer bandwidth is {n:1-100} MB/s", "info", "store.Balance"), 0.05),
        ),
        background=(Background(words.log("beat", "heartbeat acknowledged in {n:1-40} ms", "debug", "store.Beat"), 5),),
    )


def _write(words: Wording) -> Workflow:
    body = chain(
        words.log("alloc", "allocated on {n:2-4} replicas for {path}", "info", "store.Name"),
        Repeat(2, 4, words.log("recv", "receiving from {ip}:{port}", "info", "store.Receive", 0.3)),
        Repeat(1, 5, words.log("packet", "packet group {n:1-900} acknowledged downstream", "info", "store.Pipe", 0.3)),
        Repeat(2, 4, words.log("stored", "received {n:1000-67108864} bytes from {ip}", "info", "store.Receive", 0.3)),
        words.log("sync", "flushed to <disk|medium> in {n:1-60} ms", "info", "store.Disk"),
        words.log("commit", "replica map updated, {n:2-4} holders", "info", "store.Name"),
        words.log("close", "write closed", "info", "store.Pipe"),
    )
    return Workflow(body, 4.0)


def _read(words: Wording) -> Workflow:
    body = chain(
        words.log("ask", "read wanted by {ip} at position {n:0-67108864}", "info", "store.Read"),
        words.log("token", "access token checked for user {user}", "info", "store.Guard", 0.2),
        Repeat(1, 6, words.log("sent", "served {n:1000-1048576} bytes", "info", "store.Read", 0.3)),
        Maybe(0.4, words.log("verify", "client reports checksum match", "info", "store.Read")),
        words.log("close", "read closed after {n:2-900} ms", "info", "store.Read"),
    )
    return Workflow(body, 3.0)


def _repair(words: Wording) -> Workflow:
    body = chain(
        words.log("low", "under-replicated, {n:1-2} of 3 holders", "info", "store.Repair"),
        words.log("pick", "source {ip} chosen", "info", "store.Repair"),
        Repeat(1, 3, words.log("copy", "copied {n:1000-67108864} bytes", "info", "store.Repair")),
        words.log("commit", "replica map updated, {n:2-4} holders", "info", "store.Name"),
        words.log("done", "repair finished", "info", "store.Repair"),
    )
    return Workflow(body, 1.0)


def _faults(words: Wording) -> tuple[Fault, ...]:
    lost = words.log("x1", "write to mirror {ip} timed out after {n:5000-60000} ms", "error", "store.Pipe", 4.0)
    full = words.log("x2", "volume {path} is out of space, {n:1-9} MB left", "error", "store.Disk")
    corrupt = words.log(
        "x3", "checksum mismatch at offset {n:0-67108864}, replica marked corrupt", "error", "store.Scan"
    )
    reset = words.log("x4", "connection reset by peer {ip}:{port}", "error", "store.Pipe")
    denied = words.log("x5", "token expired, read refused for user {user}", "warn", "store.Guard")
    drop = words.log("x6", "write abandoned, replica discarded", "warn", "store.Pipe")
    slow = words.log("x7", "disk latency {n:3000-20000} ms, volume taken out of service", "warn", "store.Disk")
    return (
        Fault("timeout", "words", Break(("packet", "copy"), Repeat(1, 3, lost), drop)),
        Fault("out_of_space", "words", Break(("sync", "copy"), full, drop)),
        Fault("corruption", "words", Break(("sent", "sync"), corrupt)),
        Fault("connection_lost", "words", Break(("packet", "stored", "sent"), reset)),
        Fault("access_refused", "words", Break(("token",), denied)),
        Fault("failing_disk", "words", Disturbance(("sync", "copy"), slow)),
        Fault("committed_before_flushed", "order", Overtaking("commit", "sync")),
        Fault("resend_burst", "count", Burst(("packet",), 15, 40)),
        Fault("map_not_updated", "missing", Skip("commit")),
    )
