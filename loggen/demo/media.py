"""The demo's target: a new media pipeline in other words and another line structure, which nobody has labelled."""

from datetime import UTC, datetime
from random import Random

from loggen.engine import Service, Stamp
from loggen.faults import breaks, disturbs, overtakes, skips, storms
from loggen.wording import Wording
from loggen.workflow import (
    Background,
    Change,
    Fault,
    Maybe,
    Part,
    Repeat,
    Say,
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


def media(dice: Random) -> Service:
    """The service in one of its vocabularies, with some of the ways in which it may fail."""
    words = Wording(dice)
    return Service(
        name=NAME,
        key="mj-{hex:8}",
        hosts=tuple(f"m{number}" for number in range(1, dice.randint(5, 9))),
        layout=layout,
        workflows=(_ingest(words), _recall(words), _purge(words)),
        faults=_choose(_faults(words, dice), dice),
        scares=_scares(words, dice),
        noise=(
            (words.say("noise", "placement kept, load {dec:0-4}", "debug", "sched"), 0.15),
            (words.say("noise", "bandwidth cap {n:50-900} Mbit/s applies", "info", "net"), 0.07),
            (words.say("noise", "trace {hex:16} sampled", "debug", "otel"), 0.05),
            (words.say("noise", "slot moved to rack {n:1-40} on request of planner", "info", "sched"), 0.02),
            (words.say("noise", "tenant {n:1-300} uses priority lane", "info", "sched"), 0.03),
            # Rare and harmless, so that rarity alone is no proof; some are close to real symptoms in their words.
            (words.say("noise", "token of tenant {n:1-300} renewed before it expires", "info", "store"), 0.025),
            (words.say("noise", "clock of node m{n:1-9} stepped by {n:1-9} ms, within bounds", "warn", "sched"), 0.02),
            (words.say("noise", "scratch device at {n:60-80} percent, cleaner woken", "info", "store"), 0.008),
            (words.say("noise", "lease prolonged by {n:10-60} s", "info", "sched"), 0.015),
        ),
        background=(
            Background(words.say("beat", "members {n:5-9} of {n:5-9} alive", "debug", "gossip"), 8),
            Background(words.say("health", "probe ok, failed checks 0, errors 0", "info", "health"), 3),
            Background(words.say("gc", "sweep freed {n:1-900} MB in {n:3-80} ms", "debug", "store"), 2),
        ),
        change=_change(words, dice),
    )


def _ingest(words: Wording) -> Workflow:
    slow = chain(
        words.say("slow", "<segment|chunk|slice> {n:1-400} timed out on attempt 1, next origin", "warn", "fetch"),
        words.say("again", "<segment|chunk|slice> {n:1-400} came on attempt 2", "info", "fetch"),
    )
    part = chain(
        words.say("ask", "<segment|chunk|slice> {n:1-400} requested from origin {n:1-5}", "info", "fetch", 0.5),
        Maybe(0.03, slow),
        words.say("got", "<segment|chunk|slice> {n:1-400} stored, {n:1000-900000} bytes", "info", "fetch", 0.7),
    )
    video = Repeat(
        1,
        3,
        chain(
            words.say("rung", "<rendition|variant> {n:144-2160}p queued on {n:1-8} cores", "info", "encode"),
            words.say("done", "<rendition|variant> {n:144-2160}p finished in {n:2-60} s", "info", "encode", 2.5),
        ),
    )
    audio = chain(
        words.say("audio", "audio track {n:1-6} levelled to -23 LUFS", "info", "encode"),
        Maybe(0.3, words.say("subs", "captions {n:1-9} timed and merged", "info", "encode")),
    )
    body = chain(
        words.say("accept", "<ingest|intake> of {$asset} accepted for {ip}, {n:20-900} MB", "info", "front"),
        words.say("lease", "lease {hex:6} granted, slot {n:1-24}", "info", "sched"),
        one_of((0.93, Repeat(2, 5, part)), (0.07, Repeat(6, 9, part))),
        words.say("probe", "container holds {n:2-6} streams, {dec:10-7000} s", "info", "probe"),
        mixed(video, audio),
        words.say("verify", "fixity <check|test> of {$asset} passed, digest {hex:16}", "info", "store"),
        Maybe(0.02, words.say("again", "fixity <check|test> repeated for audit {n:1-900}", "info", "store")),
        words.say("seal", "manifest sealed with {n:3-40} entries", "info", "store"),
        words.say("publish", "{$asset} <published|released> to edge, generation {n:1-60}", "info", "edge"),
        one_of(
            (0.7, words.say("hook", "webhook delivered to subscriber {n:1-90}", "info", "notify")),
            (0.3, words.say("nohook", "nobody subscribed to {$asset}", "info", "notify")),
        ),
        words.say("free", "lease returned, slot free after {n:4-90} s", "info", "sched"),
    )
    called_off = chain(
        words.say("accept", "<ingest|intake> of {$asset} accepted for {ip}, {n:20-900} MB", "info", "front"),
        words.say("lease", "lease {hex:6} granted, slot {n:1-24}", "info", "sched"),
        Repeat(1, 3, part),
        words.say("cancel", "{user} called the <ingest|intake> off", "info", "front", 2.0),
        words.say("tidy", "scratch of {$asset} emptied", "info", "store"),
        words.say("free", "lease returned, slot free after {n:4-90} s", "info", "sched"),
    )
    return Workflow("ingest", one_of((0.95, body), (0.05, called_off)), 5.0, {"asset": "clip-{n:10000-99999}"})


def _recall(words: Wording) -> Workflow:
    read = words.say("read", "block group {n:1-9000} read back", "info", "cold", 0.6)
    body = chain(
        words.say("want", "recall of {$asset} from cold tier wanted by {user}", "info", "front"),
        words.say("lease", "lease {hex:6} granted, slot {n:1-24}", "info", "sched"),
        Maybe(0.5, words.say("wait", "queue position {n:2-30}, drive {n:1-8} busy", "info", "cold", 3.0)),
        words.say("mount", "cartridge {hex:6} mounted in drive {n:1-8}", "info", "cold", 2.0),
        one_of((0.93, Repeat(3, 7, read)), (0.07, Repeat(8, 14, read))),
        words.say("unmount", "cartridge {hex:6} put away", "info", "cold"),
        words.say("verify", "fixity <check|test> of {$asset} passed, digest {hex:16}", "info", "store"),
        words.say("stage", "{$asset} staged at {path}", "info", "store"),
        words.say("free", "lease returned, slot free after {n:4-90} s", "info", "sched"),
    )
    return Workflow("recall", body, 2.5, {"asset": "clip-{n:10000-99999}"})


def _purge(words: Wording) -> Workflow:
    body = chain(
        words.say("rule", "retention rule {n:1-40} matches {$asset}", "info", "retain"),
        words.say("hold", "no legal hold on {$asset}", "info", "retain"),
        Maybe(0.4, words.say("owner", "owner {user} informed", "info", "notify")),
        Repeat(2, 4, words.say("replica", "replica at site {n:1-9} removed", "info", "store", 0.5)),
        words.say("index", "search index entry {hex:8} dropped", "info", "index"),
        words.say("tomb", "tombstone of {$asset} written", "info", "retain"),
        Maybe(0.5, words.say("bill", "billing told about {n:20-900} MB less", "info", "notify")),
    )
    deferred = chain(
        words.say("rule", "retention rule {n:1-40} matches {$asset}", "info", "retain"),
        words.say("hold", "no legal hold on {$asset}", "info", "retain"),
        words.say("owner", "owner {user} informed", "info", "notify"),
        words.say("defer", "owner {user} asked for {n:5-60} days more", "info", "retain", 3.0),
    )
    return Workflow("purge", one_of((0.85, body), (0.15, deferred)), 3.5, {"asset": "clip-{n:10000-99999}"})


def _scares(words: Wording, dice: Random) -> tuple[tuple[Say, float], ...]:
    pool = [
        words.say("scare", "thumbnail lookup failed, drawn again", "error", "thumb"),
        words.say("scare", "last sweep: 0 errors, 0 failed items", "info", "audit"),
        words.say("scare", "error budget at {n:1-60} percent of the month", "info", "slo"),
        words.say("scare", "optional subtitle service timed out, going on without", "error", "encode"),
        words.say("scare", "panic button of player {n:1-40} self-tested", "debug", "edge"),
    ]
    # Two of them at least are logged as errors, as harmless things are in life.
    chosen = [say for say in pool if say.level == "error"]
    chosen += dice.sample([say for say in pool if say.level != "error"], 2)
    return tuple((say, dice.uniform(0.03, 0.06)) for say in chosen)


def _change(words: Wording, dice: Random) -> Change:
    renames = {
        "accept": words.text("<ingest|intake> of {$asset} accepted from {ip} ({n:20-900} MB, tenant {n:1-300})"),
        "probe": "container probe: {n:2-6} streams, {dec:10-7000} s, {n:1-90} chapters",
        "mount": "cartridge {hex:6} mounted in drive {n:1-8}, barcode checked",
        "index": "search index entry {hex:8} dropped from shard {n:1-16}",
    }
    additions = [
        ("lease", words.say("new", "admission score {dec:0-1} by planner two", "info", "sched"), 0.5),
        ("probe", words.say("new", "colour profile {n:1-30} noted", "info", "probe"), 0.5),
        ("publish", words.say("new", "prefetch hint sent to {n:2-30} edge sites", "info", "edge"), 0.5),
        ("rule", words.say("new", "policy revision {n:1-90} in use", "info", "retain"), 0.5),
        ("verify", words.say("new", "storage class warm chosen for {$asset}", "info", "store"), 0.5),
    ]
    steps = dice.sample(sorted(renames), 1)
    return Change({step: renames[step] for step in steps}, tuple(dice.sample(additions, 3)))


def _faults(words: Wording, dice: Random) -> dict[str, list[Fault]]:
    low = dice.randint(12, 16)
    over: Part = chain(
        words.say("over", "{$asset} <given up|laid aside>, operator may resume", "warn", "front", 0.5),
        Maybe(0.7, words.say("free", "lease returned, slot free after {n:4-90} s", "info", "sched")),
    )
    silent = Repeat(2, 4, words.say("t", "origin {n:1-5} gave no answer in {n:3000-9000} ms", "error", "fetch", 4.0))
    closed = words.say("r", "encoder pool {ip}:{port} refused our connection", "error", "encode", 0.3)
    full = words.say("d", "no room on scratch device {path}, {n:10-900} MB short", "error", "store", 0.3)
    denied = words.say("a", "vault rejected the credentials of tenant {n:1-300}, token expired", "error", "store", 0.3)
    differs = chain(
        words.say("c", "digest differs: {hex:16} wanted, {hex:16} found", "warn", "store", 0.3),
        Maybe(0.6, words.say("q", "{$asset} moved to quarantine", "info", "store")),
    )
    taken = words.say("l", "lease taken over by node m{n:1-9}, output dropped", "info", "sched", 2.0)
    crash = words.say("s", "encoder {n:1-8} ended by signal {n:6-11}, core kept at {path}", "error", "encode", 1.0)
    skew = words.say(
        "k", "picture and sound {n:200-4000} ms apart, <rendition|variant> unusable", "error", "encode", 0.3
    )
    return {
        "shared": [
            Fault("upstream_timeout", "words", breaks(("got", "read"), silent, over)),
            Fault("connection_refused", "words", breaks(("rung", "audio"), Repeat(1, 3, closed), over)),
            Fault("disk_full", "words", breaks(("got", "done", "stage"), full, over)),
            Fault("access_denied", "words", breaks(("seal", "stage", "replica"), denied, over)),
        ],
        "own": [
            Fault("corrupt_content", "words", breaks(("verify",), differs)),
            Fault("lease_lost", "words", breaks(("done", "read", "got"), taken)),
            Fault("encoder_crash", "words", breaks(("done",), crash, over)),
            Fault("av_drift", "words", disturbs(("done",), skew)),
        ],
        "order": [
            Fault("published_unchecked", "order", overtakes("publish", "verify")),
            Fault("tombstone_first", "order", overtakes("tomb", "replica")),
        ],
        "count": [
            Fault("segment_storm", "count", storms(("ask", "got"), low, 2 * low)),
            Fault("reread_storm", "count", storms(("read",), 2 * low, 4 * low)),
        ],
        "missing": [
            Fault("manifest_not_sealed", "missing", skips("seal")),
            Fault("hold_not_checked", "missing", skips("hold")),
        ],
    }


def _choose(pool: dict[str, list[Fault]], dice: Random) -> tuple[Fault, ...]:
    """Which kinds this installation knows: always some of each sort."""
    wanted = {"shared": dice.randint(2, 4), "own": dice.randint(2, 3), "order": 1, "count": 1, "missing": 1}
    return tuple(fault for sort, faults in pool.items() for fault in dice.sample(faults, wanted[sort]))
