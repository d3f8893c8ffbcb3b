"""The core: sessions, their history, logins, bans and tokens. No framework and no I/O."""
