"""A web shop's order service: browsing, ordering, shipping."""

from random import Random

from loggen.engine import Layout, Service
from loggen.faults import breaks, overtakes, skips, storms
from loggen.wording import Wording
from loggen.workflow import Background, Fault, Maybe, Repeat, Workflow, chain, mixed, one_of


def orders(dice: Random, layout: Layout) -> Service:
    """The service in one of its vocabularies."""
    words = Wording(dice)
    return Service(
        name="orders",
        key="req-{hex:8}",
        hosts=("web-a", "web-b", "web-c"),
        layout=layout,
        workflows=(_order(words), _browse(words), _ship(words)),
        faults=_faults(words),
        scares=(
            (words.say("scare", "recommendations unavailable, showing bestsellers", "warn", "shop.Recommend"), 0.05),
            (words.say("scare", "validation error shown to user: postcode missing", "info", "shop.Form"), 0.05),
            (words.say("scare", "no failed payments in this session", "debug", "shop.Pay"), 0.03),
        ),
        noise=(
            (words.say("noise", "experiment arm {n:1-4} assigned", "info", "shop.Lab"), 0.1),
            (words.say("noise", "locale fallback to en", "debug", "shop.Locale"), 0.04),
        ),
        background=(
            Background(words.say("stat", "{n:10-900} requests, 0 errors in the last minute", "info", "shop.Stat"), 2),
        ),
    )


def _order(words: Wording) -> Workflow:
    body = chain(
        words.say("post", "POST /orders from {ip}", "info", "shop.Http"),
        words.say("session", "session of {user} resumed", "info", "shop.Auth", 0.2),
        mixed(
            Repeat(1, 3, words.say("stock", "stock of article {n:1000-9999} is {n:1-300}", "info", "shop.Stock", 0.3)),
            words.say("address", "address <verified|confirmed>", "info", "shop.Address", 0.3),
        ),
        words.say("pay", "payment of {dec:3-400} authorised", "info", "shop.Pay"),
        words.say("save", "order row inserted in {n:1-40} ms", "info", "shop.Store", 0.3),
        words.say("event", "order event published", "info", "shop.Bus", 0.3),
        Maybe(0.3, words.say("gift", "gift wrapping noted", "info", "shop.Order", 0.3)),
        words.say("reply", "201 sent after {n:20-900} ms", "info", "shop.Http", 0.2),
    )
    return Workflow("order", body, 3.0)


def _browse(words: Wording) -> Workflow:
    page = chain(
        words.say("get", "GET /articles/{n:1000-9999} from {ip}", "info", "shop.Http"),
        one_of(
            (0.8, words.say("hit", "page served from cache", "info", "shop.Cache", 0.1)),
            (0.2, words.say("render", "page rendered in {n:10-400} ms", "info", "shop.Render", 0.2)),
        ),
    )
    return Workflow("browse", Repeat(2, 7, page), 3.0)


def _ship(words: Wording) -> Workflow:
    body = chain(
        words.say("pickup", "parcel for {user} picked, {n:1-9} items", "info", "ship.Pick"),
        words.say("weigh", "weight {n:100-9000} g", "info", "ship.Pack"),
        words.say("label", "label {hex:10} printed", "info", "ship.Label"),
        words.say("carrier", "carrier booked, route {n:1-90}", "info", "ship.Carrier"),
        words.say("out", "parcel left dock {n:1-12}", "info", "ship.Dock"),
        Maybe(0.7, words.say("mail", "customer told about delivery day", "info", "ship.Notify")),
    )
    return Workflow("ship", body, 2.0)


def _faults(words: Wording) -> tuple[Fault, ...]:
    slow = words.say("x1", "payment provider did not answer within {n:3000-30000} ms", "error", "shop.Pay", 4.0)
    refused = words.say("x2", "cannot connect to database at {ip}:{port}: connection refused", "error", "shop.Store")
    pool = words.say("x3", "no free connection in pool of {n:10-50}, request rejected", "error", "shop.Store")
    null = words.say("x4", "unhandled exception in handler: value is null at line {n:10-900}", "error", "shop.Http")
    memory = words.say("x5", "worker killed: out of memory at {n:900-4000} MB", "fatal", "shop.Http")
    denied = words.say("x6", "carrier rejected credentials, certificate expired", "error", "ship.Carrier")
    reply = words.say("x7", "{n:500-504} sent after {n:900-30000} ms", "warn", "shop.Http")
    return (
        Fault("timeout", "words", breaks(("pay",), Repeat(1, 3, slow), reply)),
        Fault("connection_refused", "words", breaks(("save", "render"), refused, reply)),
        Fault("pool_exhausted", "words", breaks(("save", "stock"), pool, reply)),
        Fault("exception", "words", breaks(("save", "event", "render"), null, reply)),
        Fault("out_of_memory", "words", breaks(("stock", "render"), memory)),
        Fault("access_refused", "words", breaks(("carrier",), denied)),
        Fault("event_before_row", "order", overtakes("event", "save")),
        Fault("reload_storm", "count", storms(("get", "hit"), 15, 40)),
        Fault("no_label", "missing", skips("label")),
    )
