"""The tables, as a sequence of migrations. A released migration never changes.

Instants are epoch seconds. Hashes are SHA-256. No row contains a credential: refresh tokens are
computed, tickets and idempotency keys are hashed, profiles are encrypted.
"""

MIGRATIONS = (
    # `in_use`: a token of the current generation has been used, so the recovery window of its
    # predecessor is closed. `rotation_key_hash`: hash of the idempotency key of the refresh that
    # made the current generation. `replays` counts the replays of the current generation, and
    # `replayed_generations` the generations in a row that were replayed. `end_reason` is null until
    # the session ends. `expires_at` is the idle limit until then, and afterwards the time of the
    # end. An erased session has no subject.
    """
    CREATE TABLE sessions (
        id                  TEXT PRIMARY KEY,
        subject             TEXT NOT NULL,
        device_type         TEXT,
        generation          INTEGER NOT NULL,
        secret_kid          TEXT NOT NULL,
        encrypted_profile   BLOB NOT NULL,
        authenticated_at    INTEGER NOT NULL,
        created_at          INTEGER NOT NULL,
        last_used_at        INTEGER NOT NULL,
        expires_at          INTEGER NOT NULL,
        absolute_expires_at INTEGER NOT NULL,
        in_use              INTEGER NOT NULL DEFAULT 0,
        rotation_key_hash   BLOB,
        replays             INTEGER NOT NULL DEFAULT 0,
        replayed_generations INTEGER NOT NULL DEFAULT 0,
        end_reason          TEXT,
        replaced_by         TEXT
    ) STRICT;
    CREATE INDEX sessions_by_end ON sessions (expires_at);
    -- Covers what a login reads of a user's active sessions.
    CREATE INDEX sessions_by_subject
        ON sessions (subject, end_reason, created_at, expires_at, device_type);

    -- A ticket that is or was leased: `session_id` is null until it has become a session.
    CREATE TABLE tickets (
        hash          BLOB PRIMARY KEY,
        key_hash      BLOB UNIQUE,
        holder        TEXT NOT NULL,
        lease_ends_at INTEGER NOT NULL,
        session_id    TEXT,
        expires_at    INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX tickets_by_end ON tickets (expires_at);

    CREATE TABLE bans (
        subject    TEXT PRIMARY KEY,
        reason     TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        until      INTEGER
    ) STRICT;
    """,
    # What happened to sessions, in the order of the commits: now only that one has ended. The rest
    # of an event is in the row of its session, so that an erasure finds it there.
    """
    CREATE TABLE events (
        id         INTEGER PRIMARY KEY,
        session_id TEXT NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX events_by_time ON events (created_at);
    """,
    # Of a session that is bound to a device key: the RFC 7638 thumbprint of the key, and the ids of
    # the newest proofs of possession, between spaces.
    """
    ALTER TABLE sessions ADD COLUMN key_thumbprint TEXT;
    ALTER TABLE sessions ADD COLUMN seen_proofs TEXT;
    """,
    # When Authing is to be asked about the user again.
    """
    CREATE TABLE looks (
        subject TEXT PRIMARY KEY,
        next_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX looks_by_end ON looks (next_at);
    """,
    # For the history. `ended_at` is when the session was over: at its end, or at its limit if that
    # came first. `end_cause`: see `End`. A note is an event of a session that its row
    # does not tell; equal ones are one row. Without a session, it is about the user's bans.
    """
    ALTER TABLE sessions ADD COLUMN app_version TEXT;
    ALTER TABLE sessions ADD COLUMN ended_at INTEGER;
    ALTER TABLE sessions ADD COLUMN end_cause TEXT;
    DROP INDEX sessions_by_end;
    CREATE INDEX sessions_by_limit ON sessions (expires_at) WHERE end_reason IS NULL;
    CREATE INDEX tombstones_by_end ON sessions (expires_at) WHERE end_reason IS NOT NULL;

    CREATE TABLE notes (
        subject    TEXT NOT NULL,
        session_id TEXT,
        event      TEXT NOT NULL,
        kind       TEXT NOT NULL,
        count      INTEGER NOT NULL DEFAULT 1,
        first_at   INTEGER NOT NULL,
        last_at    INTEGER NOT NULL,
        UNIQUE (session_id, event, kind)
    ) STRICT;
    CREATE INDEX notes_by_subject ON notes (subject);
    CREATE INDEX notes_by_time ON notes (last_at) WHERE session_id IS NULL;
    CREATE TRIGGER notes_of_session AFTER DELETE ON sessions BEGIN
        DELETE FROM notes WHERE session_id = old.id;
    END;
    """,
)
