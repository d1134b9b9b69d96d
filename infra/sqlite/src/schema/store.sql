CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per commit. `at` is the partition in the high bits and the dense
-- position in the low 48, so that a partition is one range of the table itself
-- and needs no index of its own.
CREATE TABLE commits (
    at           INTEGER PRIMARY KEY,
    partition    INTEGER GENERATED ALWAYS AS (at >> 48) VIRTUAL,
    position     INTEGER GENERATED ALWAYS AS (at & 0xffffffffffff) VIRTUAL,
    stream       TEXT    NOT NULL,
    first        INTEGER NOT NULL,
    count        INTEGER NOT NULL,
    command      BLOB    NOT NULL UNIQUE,
    request      BLOB,
    actor        TEXT    NOT NULL,
    time         INTEGER NOT NULL,
    correlation  BLOB    NOT NULL,
    causation    BLOB    NOT NULL,
    traceparent  TEXT,
    tracestate   TEXT,
    reservations TEXT,
    events       BLOB    NOT NULL,
    UNIQUE (stream, first)
) STRICT;

CREATE TABLE reservations (
    scope  TEXT NOT NULL,
    value  TEXT NOT NULL,
    stream TEXT NOT NULL,
    PRIMARY KEY (scope, value)
) STRICT, WITHOUT ROWID;

-- Answers of commands that have no events; those with events are in the log.
CREATE TABLE answers (
    command BLOB PRIMARY KEY,
    request BLOB NOT NULL,
    answer  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshots (
    stream         TEXT PRIMARY KEY,
    version        INTEGER NOT NULL,
    at             INTEGER NOT NULL,
    schema_name    TEXT    NOT NULL,
    schema_version INTEGER NOT NULL,
    encoding       TEXT    NOT NULL,
    payload        BLOB    NOT NULL
) STRICT;

CREATE TABLE consumer_checkpoint (
    consumer  TEXT    NOT NULL,
    partition INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    PRIMARY KEY (consumer, partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE projection_checkpoint (
    projection TEXT    NOT NULL,
    partition  INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    layout     INTEGER NOT NULL,
    PRIMARY KEY (projection, partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE parked_stream (
    projection TEXT    NOT NULL,
    partition  INTEGER NOT NULL,
    stream     TEXT    NOT NULL,
    position   INTEGER NOT NULL,
    event      INTEGER NOT NULL,
    reason     TEXT    NOT NULL,
    PRIMARY KEY (projection, partition, stream)
) STRICT, WITHOUT ROWID;

-- Only places: the events themselves are in the log, in this same file.
CREATE TABLE parked_event (
    projection TEXT    NOT NULL,
    partition  INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    event      INTEGER NOT NULL,
    stream     TEXT    NOT NULL,
    PRIMARY KEY (projection, partition, position, event)
) STRICT, WITHOUT ROWID;

CREATE INDEX parked_event_by_stream ON parked_event (projection, partition, stream);
