"""Makes the clients of Authing that the settings ask for."""

from typing import assert_never

from app.authing.client import AuthingClient, PoolSecrets
from app.authing.jwks import RemoteJwks
from app.authing.management import ManagementClient
from app.authing.transport import AuthingTransport, Transport
from app.authing.verifier import OnlineCheck, SignatureCheck, Verifier, shared_secrets
from app.config import Settings
from app.config.secret_files import SecretFiles
from app.errors import StartupError
from app.events import Events
from app.sessions.ports import Clock


def authing_transport(settings: Settings) -> Transport:
    """Return the real transport to Authing, or raise StartupError for a bad CA file."""
    try:
        return AuthingTransport(settings.authing_ca_file)
    except OSError as error:
        message = f"AUTHING_CA_FILE: {settings.authing_ca_file} is not a readable CA bundle"
        raise StartupError(message) from error


def authing_client(
    settings: Settings, secrets: SecretFiles, transport: Transport, clock: Clock, events: Events
) -> AuthingClient:
    """Return the client, with the verification of the settings."""
    pool = secrets.of("authing_user_pool_secret")
    check: OnlineCheck | SignatureCheck
    match settings.authing_token_mode:  # the URL of a mode is required in it
        case "online":
            check = OnlineCheck(transport, settings.authing_online_url or "")
        case "jwks":
            jwks = RemoteJwks(transport, settings.authing_jwks_url or "", events)
            check = SignatureCheck(jwks.candidates)
        case "hs256":
            own = secrets.of("authing_token_secrets")
            check = SignatureCheck(shared_secrets(lambda: own() or pool()))
        case unreachable:
            assert_never(unreachable)
    verifier = Verifier(
        check,
        user_pool_id=settings.authing_user_pool_id,
        issuer=settings.authing_issuer,
        audience=settings.authing_audience,
        max_age=settings.authing_token_max_age,
        clock=clock,
    )
    return AuthingClient(
        transport,
        base_url=settings.authing_base_url,
        user_pool_id=settings.authing_user_pool_id,
        pool_secrets=PoolSecrets(pool),
        verifier=verifier,
    )


def management_client(
    settings: Settings, secrets: SecretFiles, transport: Transport
) -> ManagementClient:
    """Return the client of the management API, whose address must be set."""
    return ManagementClient(
        transport,
        url=settings.authing_management_url or "",
        user_pool_id=settings.authing_user_pool_id,
        # Not shared with the exchange: each API may accept another of the two secrets.
        pool_secrets=PoolSecrets(secrets.of("authing_user_pool_secret")),
        timeout=settings.authing_timeout.total_seconds(),
    )
