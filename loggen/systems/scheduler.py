"""A batch scheduler: jobs wait, run on nodes, write checkpoints, are accounted."""

from random import Random

from loggen.engine import Layout, Service
from loggen.systems.faults import Break, Burst, Disturbance, Overtaking, Skip
from loggen.wording import Wording
from loggen.workflow import Background, Fault, Maybe, Repeat, Workflow, chain


def scheduler(rng: Random, layout: Layout) -> Service:
    """The service in one of its vocabularies."""
    words = Wording(rng)
    return Service(
        name="scheduler",
        key="job-{hex:8}",
        hosts=("head", "node-11", "node-12", "node-17"),
        layout=layout,
        workflows=(_job(words), _array(words)),
        faults=_faults(words),
        decoys=(
            (words.log("decoy", "previous attempt had exit code 0, no errors", "info", "batch.History"), 0.05),
            (words.log("decoy", "optional prolog failed, not needed for this queue", "warn", "batch.Prolog"), 0.05),
            (words.log("decoy", "fault domain {n:1-8} chosen", "debug", "batch.Place"), 0.03),
        ),
        noise=(
            (words.log("noise", "fair share of {user} is {dec:0-1}", "debug", "batch.Share"), 0.1),
            (words.log("noise", "priority raised by age to {n:1-900}", "info", "batch.Queue"), 0.06),
        ),
        background=(Background(words.log("poll", "{n:10-64} nodes up, 0 down", "info", "batch.Nodes"), 3),),
    )


def _job(words: Wording) -> Workflow:
    body = chain(
        words.log("submit", "submitted by {user} to queue {n:1-6}", "info", "batch.Queue"),
        Maybe(0.5, words.log("wait", "waiting for {n:1-64} <cores|slots>", "info", "batch.Queue", 3.0)),
        words.log("start", "started on node {n:1-64}", "info", "batch.Run"),
        words.log("mount", "scratch {path} mounted", "info", "batch.Run", 0.3),
        Repeat(1, 5, words.log("save", "checkpoint {n:1-90} written, {n:1-900} MB", "info", "batch.Save", 1.5)),
        words.log("end", "ended with exit code 0 after {n:10-9000} s", "info", "batch.Run"),
        words.log("clean", "scratch {path} removed", "info", "batch.Run", 0.3),
        words.log("account", "{n:1-900} core hours charged to {user}", "info", "batch.Bill", 0.3),
    )
    return Workflow(body, 4.0)


def _array(words: Wording) -> Workflow:
    task = chain(
        words.log("task", "task {n:1-500} dispatched to node {n:1-64}", "info", "batch.Array", 0.3),
        words.log("ok", "task {n:1-500} reported success", "info", "batch.Array", 0.6),
    )
    body = chain(
        words.log("submit", "submitted by {user} to queue {n:1-6}", "info", "batch.Queue"),
        words.log("split", "split into {n:2-6} tasks", "info", "batch.Array"),
        Repeat(2, 6, task),
        words.log("merge", "results merged into {path}", "info", "batch.Array"),
        words.log("account", "{n:1-900} core hours charged to {user}", "info", "batch.Bill", 0.3),
    )
    return Workflow(body, 2.0)


def _faults(words: Wording) -> tuple[Fault, ...]:
    limit = words.log("x1", "wall time limit of {n:60-9000} s exceeded, killing", "error", "batch.Run")
    signal = words.log("x2", "terminated by signal {n:6-11}, core dumped to {path}", "error", "batch.Run")
    space = words.log("x3", "cannot write checkpoint: disk quota exceeded", "error", "batch.Save")
    gone = words.log("x4", "node {n:1-64} does not respond, {n:3-9} heartbeats missed", "error", "batch.Nodes", 3.0)
    memory = words.log("x5", "memory limit of {n:2-64} GB exceeded by process {n:1000-9999}", "error", "batch.Run")
    requeue = words.log("x6", "put back into queue {n:1-6}", "warn", "batch.Queue")
    heat = words.log("x7", "node {n:1-64} throttled at {n:90-105} degrees", "warn", "batch.Nodes")
    return (
        Fault("timeout", "words", Break(("end", "merge"), limit)),
        Fault("crash", "words", Break(("save", "end", "ok"), signal)),
        Fault("out_of_space", "words", Break(("save",), space)),
        Fault("node_lost", "words", Break(("save", "ok"), gone, requeue)),
        Fault("out_of_memory", "words", Break(("save", "ok"), memory)),
        Fault("overheated", "words", Disturbance(("save", "task"), heat)),
        Fault("charged_before_end", "order", Overtaking("account", "end")),
        Fault("dispatch_burst", "count", Burst(("task",), 15, 40)),
        Fault("scratch_left", "missing", Skip("clean")),
    )
