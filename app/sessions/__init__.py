"""The core: sessions, logins, bans and tokens. No framework and no I/O."""
