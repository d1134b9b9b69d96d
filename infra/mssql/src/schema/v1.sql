-- Version 1 of the ledger's tables. Renaming or changing anything here breaks what is stored: add a version instead.
--
-- All keys are bytes: of a fixed length, or ASCII without zero bytes. No collation has a say in what is equal, and
-- no server's padding of the shorter one with zeros either. Moments are milliseconds since 1970, by the server's clock.

-- A command. state: 1 claimed, 2 intent, 3 answered, 4 done.
CREATE TABLE {schema}.commands (
    id BINARY(16) NOT NULL,
    request BINARY(32) NULL,
    received_ms BIGINT NOT NULL,
    attempt INT NOT NULL,
    owner BINARY(16) NOT NULL,
    until_ms BIGINT NOT NULL,
    state TINYINT NOT NULL,
    answer VARBINARY(MAX) NULL,
    CONSTRAINT commands_pk PRIMARY KEY (id)
);

-- The open intent of a stream, of a command in state 2. held: the ids of the values that it reserves, one after another.
CREATE TABLE {schema}.intents (
    stream VARBINARY(300) NOT NULL,
    command BINARY(16) NOT NULL,
    version BIGINT NOT NULL,
    held VARBINARY(MAX) NOT NULL,
    body VARBINARY(MAX) NOT NULL,
    CONSTRAINT intents_pk PRIMARY KEY (stream),
    CONSTRAINT intents_command UNIQUE (command)
);

-- A reserved value and who has it. id: SHA-256 of the length of the scope (4 bytes, big endian), scope, value.
-- pending: the command whose intent holds it.
CREATE TABLE {schema}.held (
    id BINARY(32) NOT NULL,
    stream VARBINARY(300) NOT NULL,
    version BIGINT NOT NULL,
    pending BINARY(16) NULL,
    CONSTRAINT held_pk PRIMARY KEY (id)
);

-- A value that the fold found with a second stream.
CREATE TABLE {schema}.wanted (
    id BINARY(32) NOT NULL,
    stream VARBINARY(300) NOT NULL,
    version BIGINT NOT NULL,
    CONSTRAINT wanted_pk PRIMARY KEY (id, stream)
);

-- How far each partition of the log is in the tables above.
CREATE TABLE {schema}.folded (
    number INT NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT folded_pk PRIMARY KEY (number)
);
