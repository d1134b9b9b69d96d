-- What is known of the versions of all read models. {schema}: the prefix of the versions' schemas, and `_control`.
CREATE SCHEMA IF NOT EXISTS {schema};

CREATE TABLE IF NOT EXISTS {schema}.model (
    version integer PRIMARY KEY,
    projection text COLLATE "C" NOT NULL,
    layout bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('building', 'ready', 'live', 'retired')),
    made_at timestamptz NOT NULL DEFAULT now(),
    -- When it was last made live; null where it never was.
    promoted_at timestamptz
);

-- The live version of each projection: at most one row each.
CREATE TABLE IF NOT EXISTS {schema}.pointer (
    projection text COLLATE "C" PRIMARY KEY,
    version integer NOT NULL REFERENCES {schema}.model
);

-- Moved with the rows, by compare-and-set. Gone with its version, so that nobody writes there any more.
CREATE TABLE IF NOT EXISTS {schema}.checkpoint (
    version integer NOT NULL REFERENCES {schema}.model,
    partition integer NOT NULL,
    position bigint NOT NULL,
    epoch bigint NOT NULL,
    PRIMARY KEY (version, partition)
) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS {schema}.parked_stream (
    version integer NOT NULL REFERENCES {schema}.model,
    partition integer NOT NULL,
    stream text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    event integer NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (version, partition, stream)
);

-- A commit with its events that wait, so that a release needs no log. waiting: their numbers in the commit.
CREATE TABLE IF NOT EXISTS {schema}.parked_commit (
    version integer NOT NULL REFERENCES {schema}.model,
    partition integer NOT NULL,
    position bigint NOT NULL,
    stream text COLLATE "C" NOT NULL,
    stream_version bigint NOT NULL,
    command uuid NOT NULL,
    request bytea,
    actor text NOT NULL,
    at bigint NOT NULL,
    correlation uuid NOT NULL,
    causation uuid NOT NULL,
    traceparent text,
    tracestate text,
    types text[] NOT NULL,
    schema_versions bigint[] NOT NULL,
    encodings text[] NOT NULL,
    payloads bytea[] NOT NULL,
    waiting integer[] NOT NULL,
    PRIMARY KEY (version, partition, position)
);
CREATE INDEX IF NOT EXISTS parked_commit_stream
    ON {schema}.parked_commit (version, partition, stream, position);

-- Streams whose waiting events somebody gave up, and why. Kept for good.
CREATE TABLE IF NOT EXISTS {schema}.parked_drop (
    version integer NOT NULL REFERENCES {schema}.model,
    partition integer NOT NULL,
    stream text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    event integer NOT NULL,
    events bigint NOT NULL,
    parked_because text NOT NULL,
    dropped_because text NOT NULL,
    dropped_at timestamptz NOT NULL DEFAULT now()
);
