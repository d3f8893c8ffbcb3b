"""What one sandbox remembers: tickets, counts, the fault in force. No globals, no HTTP."""

from collections import OrderedDict
from dataclasses import dataclass, replace

from app.sandbox.options import Consent, Fault, SandboxOptions
from app.sandbox.tokens import SigningKeys, new_ticket

_MOST_TICKETS = 100_000  # a day-long load test must not fill the memory; the oldest are forgotten


class Refusal(Exception):
    """The pool says no, with a business code and Authing's kind of message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


@dataclass(slots=True)
class Ticket:
    """A ticket that was handed out. `attempts` counts arrivals, `logins` those that succeeded."""

    persona: str
    get_phone: bool
    expires_at: float
    attempts: int = 0
    logins: int = 0


class SandboxState:
    """The memory of one sandbox; tests read it, and may replace `keys` to roll the pool's keys."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.keys = SigningKeys(options.user_pool_secret)
        self.fault = Fault()
        self.tickets: OrderedDict[str, Ticket] = OrderedDict()
        self.tickets_issued = 0
        self.exchanges = 0
        self.logins = 0
        self.jwks_reads = 0

    def issue(self, consent: Consent) -> str:
        """Hand out a ticket; its life is counted from now."""
        if len(self.tickets) == _MOST_TICKETS:
            self.tickets.popitem(last=False)
        expires_at = self.options.clock() + self.options.ticket_ttl
        ticket = new_ticket()
        self.tickets[ticket] = Ticket(consent.persona, consent.get_phone, expires_at)
        self.tickets_issued += 1
        return ticket

    def arrive(self, ticket: str) -> Fault:
        """Count an exchange and say what shall go wrong with it."""
        self.exchanges += 1
        if ticket in self.tickets:
            self.tickets[ticket].attempts += 1
        fault = self.fault
        if fault.times is not None:
            left = fault.times - 1
            self.fault = replace(fault, times=left) if left else Fault()
        return fault

    def redeem(self, ticket: str) -> Ticket:
        """Spend a ticket.

        Raises:
            Refusal: none, unknown, used or expired. Which codes Authing uses is not known.
        """
        if not ticket:
            raise Refusal(2231, "参数不完整")
        known = self.tickets.get(ticket)
        if known is None or (known.logins and self.options.single_use):
            raise Refusal(2207, "登录信息有误")
        if self.options.clock() >= known.expires_at:
            raise Refusal(2206, "登录信息已过期")
        known.logins += 1
        self.logins += 1
        return known
