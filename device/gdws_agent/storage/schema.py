"""The tables of the agent's database, and migrations from older versions."""

from __future__ import annotations

import sqlite3

#: The script at index i leads from schema version i to i + 1; the version is SQLite's ``user_version``.
MIGRATIONS = (
    """
    CREATE TABLE models (
        id TEXT PRIMARY KEY,
        info TEXT NOT NULL,          -- ModelInfo without the manifest
        manifest TEXT NOT NULL,
        created_at TEXT NOT NULL
    );
    CREATE TABLE jobs (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        model_id TEXT NOT NULL,      -- no foreign key: results outlive their bundle
        state TEXT NOT NULL,
        request TEXT NOT NULL,
        cells_total INTEGER NOT NULL,
        created_at TEXT NOT NULL,
        started_at TEXT,
        finished_at TEXT,
        error TEXT,
        interruptions INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX jobs_by_state ON jobs (state, sequence);
    CREATE TABLE cells (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        key TEXT NOT NULL,
        cell TEXT NOT NULL,
        UNIQUE (job_id, key)
    );
    """,
    """
    ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN planned_s REAL NOT NULL DEFAULT 0;  -- see estimate.py
    ALTER TABLE jobs ADD COLUMN run_s REAL NOT NULL DEFAULT 0;      -- measured, up to the last cell
    ALTER TABLE jobs ADD COLUMN cells_finished INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN cells_bytes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN lease_id TEXT;
    ALTER TABLE jobs ADD COLUMN lease_holder TEXT;
    ALTER TABLE jobs ADD COLUMN idempotency_key TEXT;
    ALTER TABLE jobs ADD COLUMN idempotency_digest TEXT;
    ALTER TABLE jobs ADD COLUMN ended_age_s REAL NOT NULL DEFAULT 0;  -- the store's age when it ended
    UPDATE jobs SET
        planned_s = 10.0 * cells_total,
        cells_finished = (SELECT COUNT(*) FROM cells WHERE job_id = jobs.id),
        cells_bytes = (SELECT COALESCE(SUM(LENGTH(cell)), 0) FROM cells WHERE job_id = jobs.id);
    CREATE INDEX jobs_in_turn ON jobs (state, priority DESC, sequence);
    CREATE INDEX jobs_by_model ON jobs (model_id, state);
    CREATE UNIQUE INDEX jobs_by_idempotency_key ON jobs (idempotency_key) WHERE idempotency_key IS NOT NULL;
    ALTER TABLE models ADD COLUMN used_age_s REAL NOT NULL DEFAULT 0;  -- the store's age when it was last needed
    CREATE TABLE lease (
        id TEXT PRIMARY KEY,
        holder TEXT NOT NULL,
        note TEXT,
        since TEXT NOT NULL,
        ttl_s REAL NOT NULL
    );
    CREATE TABLE engines (           -- files of the cache, and the store's age when they were last used
        name TEXT PRIMARY KEY,
        modified_ns INTEGER NOT NULL,
        used_age_s REAL NOT NULL
    );
    CREATE TABLE ages (age_s REAL NOT NULL);
    INSERT INTO ages VALUES (0);
    """,
    """
    ALTER TABLE cells ADD COLUMN rounds TEXT;  -- of the cell, whose JSON is without; NULL in older rows: it has them
    """,
    """
    CREATE TABLE attacked (          -- images that attacks are done with, up to the end of their cell
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        key TEXT NOT NULL,           -- of the cell
        images TEXT NOT NULL
    );
    CREATE INDEX attacked_by_job ON attacked (job_id);
    """,
)
SCHEMA_VERSION = len(MIGRATIONS)


def version_of(connection: sqlite3.Connection) -> int:
    """Return the schema version of an open database; 0 when it is new."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database of an older version to the newest, each step whole or not at all."""
    version = version_of(connection)
    try:
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")
    except BaseException:
        if connection.in_transaction:
            connection.rollback()
        raise
