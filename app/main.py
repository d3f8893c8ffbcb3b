"""The composition root: the only module that knows every adapter.

Everything that can refuse to start (keys, store, certificates) is opened before the server exists,
so that a refusal is one line. It is closed in reverse order after the server has stopped.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from app.adapters import authing_client, authing_transport, management_client
from app.api.client_ip import TrustedProxies
from app.api.deps import ServiceKeys, Services
from app.api.routes.public import StoreProbe
from app.authing.client import AuthingClient
from app.authing.resilience import Breaker, Bulkhead, InstrumentedIdentityProvider
from app.authing.response import deadline
from app.authing.transport import Transport
from app.config import SECRETS_DIR, Settings
from app.config.secret_files import SecretFiles
from app.housekeeping import housekeeping
from app.keyfile.followed import KeyFile
from app.ratelimits import RateLimiter
from app.sessions.history import HistoryService, RevocationFeed
from app.sessions.issuer import Lifetimes, TokenIssuer
from app.sessions.login import LoginService
from app.sessions.miniprogram import MiniProgram
from app.sessions.ports import Clock, SessionLimits
from app.sessions.proofs import ProofVerifier
from app.sessions.sessions import SessionService
from app.sessions.tokens import AccessTokenCodec
from app.sessions.users import BanService, Cause, Recheck
from app.stores import open_store
from app.telemetry import exposition
from app.telemetry.logs import LoggedEvents
from app.telemetry.metrics import CountedEvents, Wrap, ask_every, wrapped, wrapped_stores

# A lease outlives the deadline of its exchange by this, so that no active holder loses it.
_LEASE_MARGIN = timedelta(seconds=4)
_ASK_EVERY = 60  # seconds between two scrapes that count sessions and ask Authing for its time
_SKEW_TIMEOUT = 2  # seconds, so that a scrape does not wait for a slow Authing
_CLOCK_SKEW = timedelta(seconds=30)  # a ticket may live longer by Authing's clock than by ours


def system_clock() -> datetime:
    """Return the current instant in UTC, in whole seconds."""
    return datetime.fromtimestamp(int(time.time()), UTC)


@asynccontextmanager
async def open_services(
    settings: Settings,
    *,
    drain: asyncio.Event,
    transport: Transport | None = None,
    clock: Clock = system_clock,
    timer: Callable[[], float] = time.monotonic,
    secrets_dir: Path = SECRETS_DIR,
    trace: Callable[[str], Wrap] | None = None,
) -> AsyncIterator[Services]:
    """Open everything that a route may call, or raise StartupError; close it at the end.

    `transport` replaces the connection to Authing. The sandbox and tests put a fake Authing there,
    below the real client and the real verification. `timer` returns monotonic seconds for the rate
    limits, the breaker and `/readyz`. The secret files in `secrets_dir` are followed.
    `trace` returns what wraps the commands of a part in spans.
    """
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        events = CountedEvents(LoggedEvents())
        keys = KeyFile(settings.session_keys_file, events)
        secrets = SecretFiles(settings, events, secrets_dir)
        kept_for = settings.session_access_ttl, settings.events_ttl
        opened = await enter(open_store(settings.store_address, events, *kept_for))
        stores = wrapped_stores(opened, events.timed)
        if trace is not None:
            stores = wrapped_stores(stores, trace("store"))
        wire = await enter(transport or authing_transport(settings))
        client = authing_client(settings, secrets, wire, clock, events)
        bulkhead = Bulkhead(client, timeout=settings.authing_timeout.total_seconds())
        breaker = Breaker(bulkhead, monotonic=timer)
        authing = InstrumentedIdentityProvider(breaker, events)
        management = management_client(settings, secrets, wire)
        recheck = Recheck(
            directory=management if settings.authing_management_url else None,
            store=stores.sessions,
            period=settings.authing_recheck,
            clock=clock,
            events=events,
        )
        await enter(recheck.running())
        issuer = TokenIssuer(
            keys=keys,
            access_tokens=AccessTokenCodec(
                issuer=settings.session_issuer,
                audience=settings.session_audience or settings.session_issuer,
                client_id=settings.authing_user_pool_id,
                max_lifetime=settings.session_access_ttl,
            ),
            lifetimes=Lifetimes(
                idle=settings.session_idle_ttl,
                absolute=settings.session_absolute_ttl,
                recovery_window=settings.session_recovery_window,
            ),
        )
        proofs = ProofVerifier(
            keys, settings.session_issuer, settings.session_device_binding, clock
        )
        limiter = RateLimiter(
            stores.count,
            # Derived from the current secret key, and so the same on all instances. No refresh
            # token has a message of this length.
            secret=lambda: keys.ring.current_secret_key.mac(b"ticketgate rate limits v1"),
            events=events,
            clock=timer,
        )
        follow = keys.follow, secrets.follow
        await enter(housekeeping(follow, stores.maintenance, clock, events, timer=timer))
        services = Services(
            logins=LoginService(
                identity_provider=wrapped(authing, trace("authing")) if trace else authing,
                tickets=stores.tickets,
                issuer=issuer,
                proofs=proofs,
                lease_life=settings.authing_timeout + _LEASE_MARGIN,
                ticket_life=settings.authing_ticket_ttl + _CLOCK_SKEW,
                limits=SessionLimits(
                    max_per_user=settings.session_max_per_user,
                    one_per_device_type=settings.session_one_per_device_type,
                ),
                clock=clock,
                events=events,
                after_login=partial(recheck.enqueue, Cause.SIGNED_IN),
            ),
            sessions=SessionService(
                store=stores.sessions,
                issuer=issuer,
                proofs=proofs,
                clock=clock,
                events=events,
                refresh_limit=limiter.limit("refresh", settings.rate_limit_refresh),
                after_refresh=partial(recheck.enqueue, Cause.REFRESHED),
            ),
            proofs=proofs,
            bans=BanService(store=stores.bans, clock=clock, events=events),
            history=HistoryService(store=stores.history, clock=clock, ttl=settings.events_ttl),
            revocations=RevocationFeed(
                stores.sessions, clock, settings.session_access_ttl, drain.is_set
            ),
            store_writable=StoreProbe(stores.maintenance, timer),
            keys=keys,
            keys_state=lambda: keys.state,
            secrets_state=lambda: secrets.state,
            issuer=settings.session_issuer,
            mini_program=MiniProgram(
                user_pool_id=settings.authing_user_pool_id,
                user_name=settings.miniprogram_user_name,
                path=settings.miniprogram_path,
                type=settings.miniprogram_type,
                self_hosted=settings.miniprogram_self_hosted,
                get_phone=settings.miniprogram_get_phone,
            ),
            is_draining=drain.is_set,
            authing_state=lambda: authing.state,
            events=events,
            service_keys=ServiceKeys(secrets.of("service_api_keys")),
            webhook_secrets=ServiceKeys(secrets.of("authing_webhook_secret")),
            hint=partial(recheck.enqueue, Cause.HINT),
            login_limit=limiter.limit("login", settings.rate_limit_login),
            list_limit=limiter.limit("list", settings.rate_limit_refresh),
            network_limit=limiter.limit("login", settings.rate_limit_login, times=8),
            proxies=TrustedProxies(
                settings.trusted_proxies, lambda: events.record("forwarded_for_ignored")
            ),
        )
        if settings.metrics_port is not None:

            async def ready() -> bool:
                return await services.store_writable() and not drain.is_set()

            events.gauges |= {
                "breaker_open": lambda: {(): breaker.is_open},
                "draining": lambda: {(): drain.is_set()},
                "exchanges_in_flight": lambda: {(): bulkhead.in_flight},
                "key_created_timestamp_seconds": lambda: keys.created,
                "reload_failing": lambda: {
                    ("keys",): keys.state != "ok",
                    ("secrets",): secrets.state != "ok",
                },
            }
            maintenance, skew = stores.maintenance, partial(_clock_skew, client, clock)
            events.asked = {
                "ready": ready,
                "open_sessions": ask_every(
                    _ASK_EVERY, lambda: maintenance.count_sessions(clock()), timer
                ),
                "authing_clock_skew_seconds": ask_every(_ASK_EVERY, skew, timer),
            }
            await enter(exposition.serve(events.render, settings.host, settings.metrics_port))
        yield services


async def _clock_skew(client: AuthingClient, clock: Clock) -> float | None:
    async with deadline(_SKEW_TIMEOUT):
        theirs = await client.probe()
    return None if theirs is None else (theirs - clock()).total_seconds()
