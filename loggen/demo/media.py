"""The demo's target: a new media pipeline in other words and another line structure, which nobody has labelled."""

from datetime import UTC, datetime
from random import Random

from loggen.demo.faults import Abort, Degradation, Delay, Loop, Loss, Retry, Truncation
from loggen.engine import Service, Stamp
from loggen.wording import Wording
from loggen.workflow import (
    Background,
    Change,
    Fault,
    LogStatement,
    Maybe,
    Part,
    Repeat,
    Workflow,
    chain,
    mixed,
    one_of,
)

NAME = "media"


def layout(stamp: Stamp) -> str:
    """A logfmt-like line: `2025-03-04T09:12:44.512Z node=m7 job=mj-19af03 lvl=info mod=fetch text`."""
    time = datetime.fromtimestamp(stamp.time_ms / 1000, tz=UTC)
    clock = f"{time:%Y-%m-%dT%H:%M:%S}.{stamp.time_ms % 1000:03d}Z"
    key = f" job={stamp.key}" if stamp.key else ""
    return f"{clock} node={stamp.host}{key} lvl={stamp.level} mod={stamp.component} {stamp.text}"


def media(rng: Random) -> Service:
    """The service in one of its vocabularies, with some of the ways in which it may fail."""
    words = Wording(rng)
    return Service(
        name=NAME,
        key="mj-{hex:8}",
        hosts=tuple(f"m{number}" for number in range(1, rng.randint(5, 9))),
        layout=layout,
        workflows=(_ingest(words), _recall(words), _purge(words)),
        faults=_choose(_faults(words), rng),
        decoys=_decoys(words, rng),
        noise=(
            (words.log("noise", "placement kept, load {dec:0-4}", "debug", "sched"), 0.15),
            (words.log("noise", "bandwidth cap {n:50-900} Mbit/s applies", "info", "net"), 0.07),
            (words.log("noise", "trace {hex:16} sampled", "debug", "otel"), 0.05),
            (words.log("noise", "slot moved to rack {n:1-40} on request of planner", "info", "sched"), 0.02),
            (words.log("noise", "tenant {n:1-300} uses priority lane", "info", "sched"), 0.03),
            # Rare and harmless, so that rarity alone is no proof; some are close to real symptoms in their words.
            (words.log("noise", "token of tenant {n:1-300} renewed before it expires", "info", "store"), 0.025),
            (words.log("noise", "clock of node m{n:1-9} stepped by {n:1-9} ms, within bounds", "warn", "sched"), 0.02),
            (words.log("noise", "scratch device at {n:60-80} percent, cleaner woken", "info", "store"), 0.008),
            (words.log("noise", "lease prolonged by {n:10-60} s", "info", "sched"), 0.015),
        ),
        background=(
            Background(words.log("beat", "members {n:5-9} of {n:5-9} alive", "debug", "gossip"), 8),
            Background(words.log("health", "probe ok, failed checks 0, errors 0", "info", "health"), 3),
            Background(words.log("gc", "sweep freed {n:1-900} MB in {n:3-80} ms", "debug", "store"), 2),
        ),
        change=_change(words, rng),
    )


def _ingest(words: Wording) -> Workflow:
    slow = chain(
        words.log("slow", "<segment|chunk|slice> {n:1-400} timed out on attempt 1, next origin", "warn", "fetch"),
        words.log("again", "<segment|chunk|slice> {n:1-400} came on attempt 2", "info", "fetch"),
    )
    part = chain(
        words.log("ask", "<segment|chunk|slice> {n:1-400} requested from origin {n:1-5}", "info", "fetch", 0.5),
        Maybe(0.03, slow),
        words.log("got", "<segment|chunk|slice> {n:1-400} stored, {n:1000-900000} bytes", "info", "fetch", 0.7),
    )
    video = Repeat(
        1,
        3,
        chain(
            words.log("rung", "<rendition|variant> {n:144-2160}p queued on {n:1-8} cores", "info", "encode"),
            words.log("done", "<rendition|variant> {n:144-2160}p finished in {n:2-60} s", "info", "encode", 2.5),
        ),
    )
    audio = chain(
        words.log("audio", "audio track {n:1-6} levelled to -23 LUFS", "info", "encode"),
        Maybe(0.3, words.log("subs", "captions {n:1-9} timed and merged", "info", "encode")),
    )
    body = chain(
        words.log("accept", "<ingest|intake> of {$asset} accepted for {ip}, {n:20-900} MB", "info", "front"),
        words.log("lease", "lease {hex:6} granted, slot {n:1-24}", "info", "sched"),
        one_of((0.93, Repeat(2, 5, part)), (0.07, Repeat(6, 9, part))),
        words.log("probe", "container holds {n:2-6} streams, {dec:10-7000} s", "info", "probe"),
        mixed(video, audio),
        words.log("verify", "fixity <check|test> of {$asset} passed, digest {hex:16}", "info", "store"),
        Maybe(0.02, words.log("again", "fixity <check|test> repeated for audit {n:1-900}", "info", "store")),
        words.log("seal", "manifest sealed with {n:3-40} entries", "info", "store"),
        words.log("publish", "{$asset} <published|released> to edge, generation {n:1-60}", "info", "edge"),
        one_of(
            (0.7, words.log("hook", "webhook delivered to subscriber {n:1-90}", "info", "notify")),
            (0.3, words.log("nohook", "nobody subscribed to {$asset}", "info", "notify")),
        ),
        words.log("free", "lease returned, slot free after {n:4-90} s", "info", "sched"),
    )
    called_off = chain(
        words.log("accept", "<ingest|intake> of {$asset} accepted for {ip}, {n:20-900} MB", "info", "front"),
        words.log("lease", "lease {hex:6} granted, slot {n:1-24}", "info", "sched"),
        Repeat(1, 3, part),
        words.log("cancel", "{user} called the <ingest|intake> off", "info", "front", 2.0),
        words.log("tidy", "scratch of {$asset} emptied", "info", "store"),
        words.log("free", "lease returned, slot free after {n:4-90} s", "info", "sched"),
    )
    return Workflow(one_of((0.95, body), (0.05, called_off)), 5.0, {"asset": "clip-{n:10000-99999}"})


def _recall(words: Wording) -> Workflow:
    read = words.log("read", "block group {n:1-9000} read back", "info", "cold", 0.6)
    body = chain(
        words.log("want", "recall of {$asset} from cold tier wanted by {user}", "info", "front"),
        words.log("lease", "lease {hex:6} granted, slot {n:1-24}", "info", "sched"),
        Maybe(0.5, words.log("wait", "queue position {n:2-30}, drive {n:1-8} busy", "info", "cold", 3.0)),
        words.log("mount", "cartridge {hex:6} mounted in drive {n:1-8}", "info", "cold", 2.0),
        one_of((0.93, Repeat(3, 7, read)), (0.07, Repeat(8, 14, read))),
        words.log("unmount", "cartridge {hex:6} put away", "info", "cold"),
        words.log("verify", "fixity <check|test> of {$asset} passed, digest {hex:16}", "info", "store"),
        words.log("stage", "{$asset} staged at {path}", "info", "store"),
        words.log("free", "lease returned, slot free after {n:4-90} s", "info", "sched"),
    )
    return Workflow(body, 2.5, {"asset": "clip-{n:10000-99999}"})


def _purge(words: Wording) -> Workflow:
    body = chain(
        words.log("rule", "retention rule {n:1-40} matches {$asset}", "info", "retain"),
        words.log("hold", "no legal hold on {$asset}", "info", "retain"),
        Maybe(0.4, words.log("owner", "owner {user} informed", "info", "notify")),
        Repeat(2, 4, words.log("replica", "replica at site {n:1-9} removed", "info", "store", 0.5)),
        words.log("index", "search index entry {hex:8} dropped", "info", "index"),
        words.log("tomb", "tombstone of {$asset} written", "info", "retain"),
        Maybe(0.5, words.log("bill", "billing told about {n:20-900} MB less", "info", "notify")),
    )
    deferred = chain(
        words.log("rule", "retention rule {n:1-40} matches {$asset}", "info", "retain"),
        words.log("hold", "no legal hold on {$asset}", "info", "retain"),
        words.log("owner", "owner {user} informed", "info", "notify"),
        words.log("defer", "owner {user} asked for {n:5-60} days more", "info", "retain", 3.0),
    )
    return Workflow(one_of((0.85, body), (0.15, deferred)), 3.5, {"asset": "clip-{n:10000-99999}"})


def _decoys(words: Wording, rng: Random) -> tuple[tuple[LogStatement, float], ...]:
    pool = [
        words.log("decoy", "thumbnail lookup failed, drawn again", "error", "thumb"),
        words.log("decoy", "last sweep: 0 errors, 0 failed items", "info", "audit"),
        words.log("decoy", "error budget at {n:1-60} percent of the month", "info", "slo"),
        words.log("decoy", "optional subtitle service timed out, going on without", "error", "encode"),
        words.log("decoy", "panic button of player {n:1-40} self-tested", "debug", "edge"),
    ]
    # Two of them at least are logged as errors, as harmless things are in life.
    chosen = [statement for statement in pool if statement.level == "error"]
    chosen += rng.sample([statement for statement in pool if statement.level != "error"], 2)
    return tuple((statement, rng.uniform(0.03, 0.06)) for statement in chosen)


def _change(words: Wording, rng: Random) -> Change:
    renames = {
        "accept": words.text("<ingest|intake> of {$asset} accepted from {ip} ({n:20-900} MB, tenant {n:1-300})"),
        "probe": "container probe: {n:2-6} streams, {dec:10-7000} s, {n:1-90} chapters",
        "mount": "cartridge {hex:6} mounted in drive {n:1-8}, barcode checked",
        "index": "search index entry {hex:8} dropped from shard {n:1-16}",
    }
    additions = [
        ("lease", words.log("new", "admission score {dec:0-1} by planner two", "info", "sched"), 0.5),
        ("probe", words.log("new", "colour profile {n:1-30} noted", "info", "probe"), 0.5),
        ("publish", words.log("new", "prefetch hint sent to {n:2-30} edge sites", "info", "edge"), 0.5),
        ("rule", words.log("new", "policy revision {n:1-90} in use", "info", "retain"), 0.5),
        ("verify", words.log("new", "storage class warm chosen for {$asset}", "info", "store"), 0.5),
    ]
    steps = rng.sample(sorted(renames), 1)
    return Change({step: renames[step] for step in steps}, tuple(rng.sample(additions, 3)))


def _faults(words: Wording) -> dict[str, list[Fault]]:
    over: Part = chain(
        words.log("over", "{$asset} <given up|laid aside>, operator may resume", "warn", "front", 0.5),
        Maybe(0.7, words.log("free", "lease returned, slot free after {n:4-90} s", "info", "sched")),
    )
    quota = words.log("q", "store answered 429, quota of tenant {n:1-300} exceeded", "error", "store", 2.0)
    unknown = words.log("u", "no address for encoder pool {n:1-9}, resolver gave up", "error", "encode", 0.3)
    conflict = words.log("c", "record of {$asset} changed meanwhile, conflict with revision {n:2-60}", "error", "store")
    malformed = words.log("m", "reply of <catalogue|library> malformed, field {n:1-30} absent", "error", "probe", 0.3)
    partial = chain(
        words.log("p", "content incomplete: {dec:1-90} of {dec:100-7000} s decoded", "warn", "probe", 0.3),
        Maybe(0.6, words.log("h", "{$asset} held back for inspection", "info", "store")),
    )
    taken = words.log("l", "lease taken over by node m{n:1-9}, output dropped", "info", "sched", 2.0)
    hung = words.log("s", "encoder {n:1-8} hung, no frame for {n:20-90} s", "error", "encode", 3.0)
    drift = words.log(
        "k", "picture and sound {n:200-4000} ms apart, <rendition|variant> unusable", "error", "encode", 0.3
    )
    return {
        "shared": [
            Fault("quota_exceeded", "words", Retry(("got", "stage", "replica"), quota, 2, 4, over)),
            Fault("name_unknown", "words", Abort(("probe", "lease"), chain(unknown, over))),
            Fault("write_conflict", "words", Retry(("seal", "stage", "tomb"), conflict, 1, 3, over)),
            Fault("reply_malformed", "words", Abort(("probe", "mount", "rule"), chain(malformed, over))),
        ],
        "own": [
            Fault("content_incomplete", "words", Abort(("audio", "read"), partial, ("free",))),
            Fault("lease_lost", "words", Abort(("done", "read", "got"), taken)),
            Fault("encoder_hung", "words", Retry(("done",), hung, 1, 2, over)),
            Fault("av_drift", "words", Degradation(("done",), drift)),
        ],
        "order": [
            Fault("checked_after_release", "order", Delay("verify", "publish")),
            Fault("hold_checked_too_late", "order", Delay("hold", "tomb")),
        ],
        "count": [
            Fault("fetched_again", "count", Loop("ask", "got", 3, 6)),
            Fault("mounted_again", "count", Loop("mount", "unmount", 3, 6)),
        ],
        "missing": [
            Fault("release_lost", "missing", Loss(("seal", "publish"))),
            Fault("purge_vanished", "missing", Truncation(("hold", "replica"))),
        ],
    }


def _choose(pool: dict[str, list[Fault]], rng: Random) -> tuple[Fault, ...]:
    """The kinds of this installation: some of each sort."""
    wanted = {"shared": rng.randint(2, 4), "own": rng.randint(2, 3), "order": 1, "count": 1, "missing": 1}
    return tuple(fault for sort, faults in pool.items() for fault in rng.sample(faults, wanted[sort]))
