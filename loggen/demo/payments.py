"""The demo's source: a mature payment service, whose failures somebody has labelled."""

from datetime import UTC, datetime
from random import Random

from loggen.engine import Service, Stamp
from loggen.faults import breaks, overtakes, skips, storms
from loggen.wording import Wording
from loggen.workflow import Background, Fault, Maybe, Part, Repeat, Workflow, chain, one_of

NAME = "payments"


def layout(stamp: Stamp) -> str:
    """A log4j line: `2025-03-03 09:12:44,512 [pay-03] INFO gateway.Capture - text txn=T1F00BA12`."""
    time = datetime.fromtimestamp(stamp.time_ms / 1000, tz=UTC)
    clock = f"{time:%Y-%m-%d %H:%M:%S},{stamp.time_ms % 1000:03d}"
    key = f" txn={stamp.key.upper()}" if stamp.key else ""
    return f"{clock} [{stamp.host}] {stamp.level.upper()} {stamp.component} - {stamp.text}{key}"


def payments(dice: Random) -> Service:
    """The service in one of its vocabularies."""
    words = Wording(dice)
    return Service(
        name=NAME,
        key="t{hex:8}",
        hosts=("pay-01", "pay-02", "pay-03", "pay-04"),
        layout=layout,
        workflows=(_capture(words), _refund(words), _payout(words)),
        faults=_faults(words),
        scares=(
            (
                words.say("scare", "Optional loyalty lookup failed, no points added", "error", "shop.Loyalty"),
                0.06,
            ),
            (words.say("scare", "Self test finished: 0 errors, 0 failed assertions", "info", "core.SelfTest"), 0.04),
            (words.say("scare", "Error page template reloaded from cache", "info", "web.Pages"), 0.04),
            (words.say("scare", "Exception mapper registered for currency {n:1-180}", "debug", "web.Mapper"), 0.03),
        ),
        noise=(
            (words.say("noise", "Heap at {n:20-75} percent after minor collection", "debug", "jvm.Gc"), 0.15),
            (words.say("noise", "Exchange rate table refreshed, age {n:1-59} s", "info", "rates.Cache"), 0.10),
            (words.say("noise", "Request sampled for tracing as {hex:16}", "debug", "web.Trace"), 0.06),
            (words.say("noise", "Feature switch three-d-secure-{n:1-3} read as on", "debug", "core.Switch"), 0.03),
        ),
        background=(
            Background(words.say("beat", "Heartbeat of {n:4-9} members received", "debug", "cluster.Gossip"), 6),
            Background(words.say("health", "Health report: 0 errors in {n:30-90} s", "info", "core.Health"), 2),
        ),
    )


def _capture(words: Wording) -> Workflow:
    retried = chain(
        words.say("slow", "Acquirer call timed out after {n:900-1900} ms, attempt 1 of 3", "warn", "gateway.Call"),
        words.say("again", "Acquirer call succeeded on attempt 2", "info", "gateway.Call"),
    )
    body = chain(
        words.say("open", "<Checkout|Basket|Order> received from {ip}, {n:1-9} items", "info", "web.Entry"),
        words.say("price", "Total computed: {dec:3-900} EUR", "info", "shop.Price", 0.3),
        Maybe(0.4, words.say("coupon", "Voucher {hex:6} applied", "info", "shop.Price", 0.3)),
        words.say("fraud", "Risk score {n:1-40} from fraud check", "info", "risk.Client"),
        words.say("reserve", "Amount reserved at acquirer, code {n:1000-9999}", "info", "gateway.Reserve"),
        Maybe(0.06, retried),
        Repeat(1, 4, words.say("stock", "Item {n:100-999} taken, {n:1-400} left", "info", "shop.Stock", 0.4)),
        words.say("capture", "Amount captured at acquirer", "info", "gateway.Capture"),
        words.say("post", "Double entry posted to journal, page {n:1-4000}", "info", "ledger.Post"),
        one_of(
            (0.75, words.say("mail", "Receipt mailed to customer {user}", "info", "mail.Send")),
            (0.25, words.say("print", "Receipt queued for postal run {n:1-30}", "info", "mail.Print")),
        ),
        words.say("close", "<Checkout|Basket|Order> completed in {n:200-4000} ms", "info", "web.Entry"),
    )
    return Workflow("capture", body, 5.0)


def _refund(words: Wording) -> Workflow:
    body = chain(
        words.say("open", "Refund asked for by agent {user}, reason {n:1-12}", "info", "desk.Refund"),
        words.say("check", "Original payment found, {n:1-90} days old", "info", "desk.Refund"),
        Maybe(0.3, words.say("second", "Second signature given by {user}", "info", "desk.Approve", 2.0)),
        words.say("fraud", "Risk score {n:1-40} from fraud check", "info", "risk.Client"),
        words.say("return", "Amount returned through acquirer, code {n:1000-9999}", "info", "gateway.Refund"),
        words.say("post", "Double entry posted to journal, page {n:1-4000}", "info", "ledger.Post"),
        Repeat(0, 2, words.say("restock", "Item {n:100-999} put back into stock", "info", "shop.Stock")),
        words.say("close", "Refund closed, customer {user} informed", "info", "desk.Refund"),
    )
    return Workflow("refund", body, 2.0)


def _payout(words: Wording) -> Workflow:
    row = chain(
        words.say("row", "Merchant {n:100-999} balance {dec:10-9000} EUR read", "info", "payout.Read", 0.3),
        words.say("paid", "Transfer order {hex:8} written for merchant {n:100-999}", "info", "payout.Write", 0.3),
    )
    body = chain(
        words.say("lock", "Payout lock taken for region {n:1-9}", "info", "payout.Lock"),
        words.say("plan", "Payout plan has {n:2-6} merchants", "info", "payout.Plan"),
        Repeat(2, 6, row),
        words.say("sum", "Control sum matches, difference 0.00 EUR", "info", "payout.Check"),
        words.say("sent", "Payout file signed and sent to bank {n:1-7}", "info", "payout.Send"),
        words.say("unlock", "Payout lock given back for region {n:1-9}", "info", "payout.Lock"),
    )
    return Workflow("payout", body, 1.5)


def _faults(words: Wording) -> tuple[Fault, ...]:
    sorry: Part = chain(
        words.say("sorry", "Transaction rolled back", "warn", "core.Transaction", 0.3),
        one_of(
            (0.6, words.say("http", "Answered client with status {n:500-504}", "info", "web.Entry", 0.2)),
            (0.4, words.say("page", "Customer sees apology page {n:1-4}", "info", "web.Pages", 0.2)),
        ),
    )
    calls = ("reserve", "capture", "return", "sent")
    timeout = Repeat(2, 4, words.say("t", "Acquirer call timed out after {n:3000-9000} ms", "error", "gateway.Call", 4))
    refused = words.say("r", "Connection refused by risk service at {ip}:{port}", "error", "risk.Client", 0.2)
    full = words.say("d", "Cannot append to journal: no space left on device {path}", "error", "ledger.Post", 0.2)
    denied = words.say("a", "Acquirer rejected our credentials: certificate expired", "error", "gateway.Call", 0.2)
    dead = words.say("l", "Deadlock detected on table balance, victim chosen", "error", "ledger.Store", 1.0)
    return (
        Fault("upstream_timeout", "words", breaks(calls, timeout, sorry)),
        Fault("connection_refused", "words", breaks(("fraud",), Repeat(1, 3, refused), sorry)),
        Fault("disk_full", "words", breaks(("post",), full, sorry)),
        Fault("access_denied", "words", breaks(calls, denied, sorry)),
        Fault("deadlock", "words", breaks(("post", "paid"), Repeat(1, 2, dead), sorry)),
        Fault("captured_before_reserved", "order", overtakes("capture", "reserve")),
        Fault("row_storm", "count", storms(("row", "paid"), 9, 20)),
        Fault("no_journal", "missing", skips("post")),
    )
