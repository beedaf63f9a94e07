"""A web shop's order service: browsing, ordering, shipping."""

from random import Random

from loggen.engine import Layout, Service
from loggen.systems.faults import Break, Burst, Overtaking, Skip
from loggen.wording import Wording
from loggen.workflow import Background, Fault, Maybe, Repeat, Workflow, chain, mixed, one_of


def orders(rng: Random, layout: Layout) -> Service:
    """The service in one of its vocabularies."""
    words = Wording(rng)
    return Service(
        name="orders",
        key="req-{hex:8}",
        hosts=("web-a", "web-b", "web-c"),
        layout=layout,
        workflows=(_order(words), _browse(words), _ship(words)),
        faults=_faults(words),
        decoys=(
            (words.log("decoy", "recommendations unavailable, showing bestsellers", "warn", "shop.Recommend"), 0.05),
            (words.log("decoy", "validation error shown to user: postcode missing", "info", "shop.Form"), 0.05),
            (words.log("decoy", "no failed payments in this session", "debug", "shop.Pay"), 0.03),
        ),
        noise=(
            (words.log("noise", "experiment arm {n:1-4} assigned", "info", "shop.Lab"), 0.1),
            (words.log("noise", "locale fallback to en", "debug", "shop.Locale"), 0.04),
        ),
        background=(
            Background(words.log("stat", "{n:10-900} requests, 0 errors in the last minute", "info", "shop.Stat"), 2),
        ),
    )


def _order(words: Wording) -> Workflow:
    body = chain(
        words.log("post", "POST /orders from {ip}", "info", "shop.Http"),
        words.log("session", "session of {user} resumed", "info", "shop.Auth", 0.2),
        mixed(
            Repeat(1, 3, words.log("stock", "stock of article {n:1000-9999} is {n:1-300}", "info", "shop.Stock", 0.3)),
            words.log("address", "address <verified|confirmed>", "info", "shop.Address", 0.3),
        ),
        words.log("pay", "payment of {dec:3-400} authorised", "info", "shop.Pay"),
        words.log("save", "order row inserted in {n:1-40} ms", "info", "shop.Store", 0.3),
        words.log("event", "order event published", "info", "shop.Bus", 0.3),
        Maybe(0.3, words.log("gift", "gift wrapping noted", "info", "shop.Order", 0.3)),
        words.log("reply", "201 sent after {n:20-900} ms", "info", "shop.Http", 0.2),
    )
    return Workflow(body, 3.0)


def _browse(words: Wording) -> Workflow:
    page = chain(
        words.log("get", "GET /articles/{n:1000-9999} from {ip}", "info", "shop.Http"),
        one_of(
            (0.8, words.log("hit", "page served from cache", "info", "shop.Cache", 0.1)),
            (0.2, words.log("render", "page rendered in {n:10-400} ms", "info", "shop.Render", 0.2)),
        ),
    )
    return Workflow(Repeat(2, 7, page), 3.0)


def _ship(words: Wording) -> Workflow:
    body = chain(
        words.log("pickup", "parcel for {user} picked, {n:1-9} items", "info", "ship.Pick"),
        words.log("weigh", "weight {n:100-9000} g", "info", "ship.Pack"),
        words.log("label", "label {hex:10} printed", "info", "ship.Label"),
        words.log("carrier", "carrier booked, route {n:1-90}", "info", "ship.Carrier"),
        words.log("out", "parcel left dock {n:1-12}", "info", "ship.Dock"),
        Maybe(0.7, words.log("mail", "customer told about delivery day", "info", "ship.Notify")),
    )
    return Workflow(body, 2.0)


def _faults(words: Wording) -> tuple[Fault, ...]:
    slow = words.log("x1", "payment provider did not answer within {n:3000-30000} ms", "error", "shop.Pay", 4.0)
    refused = words.log("x2", "cannot connect to database at {ip}:{port}: connection refused", "error", "shop.Store")
    pool = words.log("x3", "no free connection in pool of {n:10-50}, request rejected", "error", "shop.Store")
    null = words.log("x4", "unhandled exception in handler: value is null at line {n:10-900}", "error", "shop.Http")
    memory = words.log("x5", "worker killed: out of memory at {n:900-4000} MB", "fatal", "shop.Http")
    denied = words.log("x6", "carrier rejected credentials, certificate expired", "error", "ship.Carrier")
    reply = words.log("x7", "{n:500-504} sent after {n:900-30000} ms", "warn", "shop.Http")
    return (
        Fault("timeout", "words", Break(("pay",), Repeat(1, 3, slow), reply)),
        Fault("connection_refused", "words", Break(("save", "render"), refused, reply)),
        Fault("pool_exhausted", "words", Break(("save", "stock"), pool, reply)),
        Fault("exception", "words", Break(("save", "event", "render"), null, reply)),
        Fault("out_of_memory", "words", Break(("stock", "render"), memory)),
        Fault("access_refused", "words", Break(("carrier",), denied)),
        Fault("event_before_row", "order", Overtaking("event", "save")),
        Fault("reload_burst", "count", Burst(("get", "hit"), 15, 40)),
        Fault("no_label", "missing", Skip("label")),
    )
