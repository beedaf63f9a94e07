"""The demo's source: a mature payment service with labelled failures."""

from datetime import UTC, datetime
from random import Random

from loggen.demo.faults import Abort, Degradation, Delay, Loop, Loss, Retry
from loggen.engine import Service, Stamp
from loggen.wording import Wording
from loggen.workflow import Background, Fault, Maybe, Part, Repeat, Workflow, chain, one_of

NAME = "payments"


def layout(stamp: Stamp) -> str:
    """A log4j line: `2025-03-03 09:12:44,512 [pay-03] INFO gateway.Capture - text txn=T1F00BA12`."""
    time = datetime.fromtimestamp(stamp.time_ms / 1000, tz=UTC)
    clock = f"{time:%Y-%m-%d %H:%M:%S},{stamp.time_ms % 1000:03d}"
    key = f" txn={stamp.key.upper()}" if stamp.key else ""
    return f"{clock} [{stamp.host}] {stamp.level.upper()} {stamp.component} - {stamp.text}{key}"


def payments(rng: Random) -> Service:
    """The service in one of its vocabularies."""
    words = Wording(rng)
    return Service(
        name=NAME,
        key="t{hex:8}",
        hosts=("pay-01", "pay-02", "pay-03", "pay-04"),
        layout=layout,
        workflows=(_capture(words), _refund(words), _payout(words)),
        faults=_faults(words),
        decoys=(
            (words.log("decoy", "Optional loyalty lookup failed, no points added", "error", "shop.Loyalty"), 0.06),
            (words.log("decoy", "Self test finished: 0 errors, 0 failed assertions", "info", "core.SelfTest"), 0.04),
            (words.log("decoy", "Error page template reloaded from cache", "info", "web.Pages"), 0.04),
            (words.log("decoy", "Exception mapper registered for currency {n:1-180}", "debug", "web.Mapper"), 0.03),
        ),
        noise=(
            (words.log("noise", "Heap at {n:20-75} percent after minor collection", "debug", "jvm.Gc"), 0.15),
            (words.log("noise", "Exchange rate table refreshed, age {n:1-59} s", "info", "rates.Cache"), 0.10),
            (words.log("noise", "Request sampled for tracing as {hex:16}", "debug", "web.Trace"), 0.06),
            (words.log("noise", "Feature switch three-d-secure-{n:1-3} read as on", "debug", "core.Switch"), 0.03),
        ),
        background=(
            Background(words.log("beat", "Heartbeat of {n:4-9} members received", "debug", "cluster.Gossip"), 6),
            Background(words.log("health", "Health report: 0 errors in {n:30-90} s", "info", "core.Health"), 2),
        ),
    )


def _capture(words: Wording) -> Workflow:
    retried = chain(
        words.log("slow", "Acquirer call timed out after {n:900-1900} ms, attempt 1 of 3", "warn", "gateway.Call"),
        words.log("again", "Acquirer call succeeded on attempt 2", "info", "gateway.Call"),
    )
    body = chain(
        words.log("open", "<Checkout|Basket|Order> received from {ip}, {n:1-9} items", "info", "web.Entry"),
        words.log("price", "Total computed: {dec:3-900} EUR", "info", "shop.Price", 0.3),
        Maybe(0.4, words.log("coupon", "Voucher {hex:6} applied", "info", "shop.Price", 0.3)),
        words.log("fraud", "Risk score {n:1-40} from fraud check", "info", "risk.Client"),
        words.log("reserve", "Amount reserved at acquirer, code {n:1000-9999}", "info", "gateway.Reserve"),
        Maybe(0.06, retried),
        Repeat(1, 4, words.log("stock", "Item {n:100-999} taken, {n:1-400} left", "info", "shop.Stock", 0.4)),
        words.log("capture", "Amount captured at acquirer", "info", "gateway.Capture"),
        words.log("post", "Double entry posted to journal, page {n:1-4000}", "info", "ledger.Post"),
        one_of(
            (0.75, words.log("mail", "Receipt mailed to customer {user}", "info", "mail.Send")),
            (0.25, words.log("print", "Receipt queued for postal run {n:1-30}", "info", "mail.Print")),
        ),
        words.log("close", "<Checkout|Basket|Order> completed in {n:200-4000} ms", "info", "web.Entry"),
    )
    return Workflow(body, 5.0)


def _refund(words: Wording) -> Workflow:
    body = chain(
        words.log("open", "Refund asked for by agent {user}, reason {n:1-12}", "info", "desk.Refund"),
        words.log("check", "Original payment found, {n:1-90} days old", "info", "desk.Refund"),
        Maybe(0.3, words.log("second", "Second signature given by {user}", "info", "desk.Approve", 2.0)),
        words.log("fraud", "Risk score {n:1-40} from fraud check", "info", "risk.Client"),
        words.log("return", "Amount returned through acquirer, code {n:1000-9999}", "info", "gateway.Refund"),
        words.log("post", "Double entry posted to journal, page {n:1-4000}", "info", "ledger.Post"),
        Repeat(0, 2, words.log("restock", "Item {n:100-999} put back into stock", "info", "shop.Stock")),
        words.log("close", "Refund closed, customer {user} informed", "info", "desk.Refund"),
    )
    return Workflow(body, 2.0)


def _payout(words: Wording) -> Workflow:
    row = chain(
        words.log("row", "Merchant {n:100-999} balance {dec:10-9000} EUR read", "info", "payout.Read", 0.3),
        words.log("paid", "Transfer order {hex:8} written for merchant {n:100-999}", "info", "payout.Write", 0.3),
    )
    body = chain(
        words.log("lock", "Payout lock taken for region {n:1-9}", "info", "payout.Lock"),
        words.log("plan", "Payout plan has {n:2-6} merchants", "info", "payout.Plan"),
        Repeat(2, 6, row),
        words.log("sum", "Control sum matches, difference 0.00 EUR", "info", "payout.Check"),
        words.log("sent", "Payout file signed and sent to bank {n:1-7}", "info", "payout.Send"),
        words.log("unlock", "Payout lock given back for region {n:1-9}", "info", "payout.Lock"),
    )
    return Workflow(body, 1.5)


def _faults(words: Wording) -> tuple[Fault, ...]:
    sorry: Part = chain(
        words.log("sorry", "Transaction rolled back", "warn", "core.Transaction", 0.3),
        one_of(
            (0.6, words.log("http", "Answered client with status {n:500-504}", "info", "web.Entry", 0.2)),
            (0.4, words.log("page", "Customer sees apology page {n:1-4}", "info", "web.Pages", 0.2)),
        ),
    )
    calls = ("reserve", "capture", "return", "sent")
    quota = words.log("q", "Acquirer answered 429: daily quota of merchant exceeded", "error", "gateway.Call", 2.0)
    unknown = words.log("u", "Cannot resolve host name of risk service, resolver gave up", "error", "risk.Client", 0.2)
    conflict = words.log("c", "Conflict on balance row, revision {n:2-90} is stale", "error", "ledger.Store", 0.6)
    malformed = words.log("m", "Reply of risk service malformed, field {n:1-30} absent", "error", "risk.Client", 0.2)
    outdated = words.log("o", "Amount off by {dec:1-40} EUR, price list expired", "warn", "shop.Price", 0.2)
    return (
        Fault("quota_exceeded", "words", Retry(calls, quota, 2, 4, sorry)),
        Fault("name_unknown", "words", Abort(("price", "check"), chain(unknown, sorry))),
        Fault("write_conflict", "words", Retry(("post", "paid"), conflict, 1, 3, sorry)),
        Fault("reply_malformed", "words", Abort(("fraud",), chain(malformed, sorry))),
        Fault("price_list_expired", "words", Degradation(("stock", "row"), outdated)),
        Fault("reserved_too_late", "order", Delay("reserve", "capture")),
        Fault("rows_paid_again", "count", Loop("row", "paid", 2, 5)),
        Fault("money_not_moved", "missing", Loss(("capture", "return", "post"))),
    )
