CREATE TABLE {schema}.command (
    command uuid PRIMARY KEY,
    request bytea,
    received bigint NOT NULL,
    attempt integer NOT NULL,
    owner uuid NOT NULL,
    until timestamptz NOT NULL,
    -- 0 CLAIMED, 1 INTENT, 2 ANSWERED, 3 DONE
    state smallint NOT NULL,
    stream text COLLATE "C",
    commit bytea,
    answer bytea
);
CREATE UNIQUE INDEX command_open_intent ON {schema}.command (stream) WHERE state = 1;
CREATE INDEX command_expiry ON {schema}.command (until) WHERE state = 1;

CREATE TABLE {schema}.held (
    scope text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    stream text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    pending uuid,
    PRIMARY KEY (scope, value)
);
CREATE INDEX held_pending ON {schema}.held (pending) WHERE pending IS NOT NULL;

CREATE TABLE {schema}.wanted (
    scope text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    stream text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (scope, value, stream)
);

CREATE TABLE {schema}.checkpoint (
    partition integer PRIMARY KEY,
    position bigint NOT NULL
);

-- outcome: 0 as asked, 1 the command's row as it is, 2 an open intent in the way, 3 a value is taken, 4 lost
CREATE TYPE {schema}.told AS (
    outcome smallint,
    command uuid,
    request bytea,
    received bigint,
    attempt integer,
    owner uuid,
    left_ms bigint,
    state smallint,
    commit bytea,
    answer bytea,
    contested boolean,
    scope text,
    value text,
    stream text
);

CREATE FUNCTION {schema}.stands(folded bigint[]) RETURNS boolean LANGUAGE sql AS $$
    SELECT NOT EXISTS (
        SELECT FROM unnest(folded) WITH ORDINALITY AS wanted (position, nth)
        LEFT JOIN {schema}.checkpoint AS c ON c.partition = wanted.nth - 1
        WHERE c.position IS NULL OR c.position < wanted.position)
$$;

CREATE FUNCTION {schema}.tell(outcome smallint, c {schema}.command) RETURNS {schema}.told LANGUAGE sql AS $$
    SELECT outcome, c.command, c.request, c.received, c.attempt, c.owner,
        greatest(0, ceil(extract(epoch FROM c.until - clock_timestamp()) * 1000))::bigint,
        c.state, c.commit, c.answer,
        EXISTS (SELECT FROM {schema}.held AS h JOIN {schema}.wanted AS w USING (scope, value)
            WHERE h.pending = c.command),
        NULL::text, NULL::text, c.stream
$$;

CREATE FUNCTION {schema}.outcome(outcome integer) RETURNS {schema}.told LANGUAGE sql AS $$
    SELECT outcome::smallint, NULL::uuid, NULL::bytea, NULL::bigint, NULL::integer, NULL::uuid, NULL::bigint,
        NULL::smallint, NULL::bytea, NULL::bytea, NULL::boolean, NULL::text, NULL::text, NULL::text
$$;

CREATE FUNCTION {schema}.span(ms bigint) RETURNS timestamptz LANGUAGE sql AS $$
    SELECT clock_timestamp() + ms * interval '1 millisecond'
$$;

CREATE FUNCTION {schema}.claim(
    p_command uuid, p_request bytea, p_received bigint, p_owner uuid, p_span bigint, p_folded bigint[]
) RETURNS {schema}.told LANGUAGE plpgsql AS $$
DECLARE
    found_row {schema}.command;
BEGIN
    IF NOT {schema}.stands(p_folded) THEN
        RETURN {schema}.outcome(4);
    END IF;
    LOOP
        INSERT INTO {schema}.command (command, request, received, attempt, owner, until, state)
        VALUES (p_command, p_request, p_received, 1, p_owner, {schema}.span(p_span), 0)
        ON CONFLICT DO NOTHING;
        IF FOUND THEN
            RETURN {schema}.outcome(0);
        END IF;
        SELECT * INTO found_row FROM {schema}.command WHERE command = p_command;
        IF FOUND THEN
            RETURN {schema}.tell(1::smallint, found_row);
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION {schema}.take_over(
    p_command uuid, p_attempt integer, p_owner uuid, p_span bigint, p_folded bigint[]
) RETURNS smallint LANGUAGE plpgsql AS $$
BEGIN
    IF NOT {schema}.stands(p_folded) THEN
        RETURN 4;
    END IF;
    UPDATE {schema}.command SET attempt = attempt + 1, owner = p_owner, until = {schema}.span(p_span)
    WHERE command = p_command AND attempt = p_attempt AND state IN (0, 1)
        AND (until <= clock_timestamp() OR owner = p_owner);
    RETURN CASE WHEN FOUND THEN 0 ELSE 1 END;
END $$;

CREATE FUNCTION {schema}.answer(
    p_command uuid, p_request bytea, p_received bigint, p_attempt integer, p_answer bytea, p_folded bigint[]
) RETURNS {schema}.told LANGUAGE plpgsql AS $$
DECLARE
    found_row {schema}.command;
BEGIN
    IF NOT {schema}.stands(p_folded) THEN
        RETURN {schema}.outcome(4);
    END IF;
    IF p_attempt IS NULL THEN
        INSERT INTO {schema}.command (command, request, received, attempt, owner, until, state, answer)
        VALUES (p_command, p_request, p_received, 1, '00000000-0000-0000-0000-000000000000',
            clock_timestamp(), 2, p_answer)
        ON CONFLICT DO NOTHING;
    ELSE
        UPDATE {schema}.command SET state = 2, answer = p_answer
        WHERE command = p_command AND attempt = p_attempt AND state = 0;
    END IF;
    IF FOUND THEN
        RETURN {schema}.outcome(0);
    END IF;
    SELECT * INTO found_row FROM {schema}.command WHERE command = p_command;
    IF NOT FOUND THEN
        RETURN {schema}.outcome(4);
    END IF;
    RETURN {schema}.tell(1::smallint, found_row);
END $$;

CREATE FUNCTION {schema}.let_go(p_command uuid, p_attempt integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_attempt = 1 THEN
        DELETE FROM {schema}.command WHERE command = p_command AND attempt = 1 AND state = 0;
    ELSE
        UPDATE {schema}.command SET until = clock_timestamp()
        WHERE command = p_command AND attempt = p_attempt AND state = 0;
    END IF;
END $$;

-- Refused, the block below is rolled back as a whole; what is told is found afterwards.
CREATE FUNCTION {schema}.intend(
    p_command uuid, p_request bytea, p_received bigint, p_attempt integer, p_owner uuid, p_span bigint,
    p_stream text, p_version bigint, p_commit bytea, p_scopes text[], p_values text[], p_folded bigint[]
) RETURNS {schema}.told LANGUAGE plpgsql AS $$
DECLARE
    found_row {schema}.command;
    answer {schema}.told;
    holder text := p_stream;
BEGIN
    IF NOT {schema}.stands(p_folded) THEN
        RETURN {schema}.outcome(4);
    END IF;
    BEGIN
        IF p_attempt IS NULL THEN
            INSERT INTO {schema}.command (command, request, received, attempt, owner, until, state, stream, commit)
            VALUES (p_command, p_request, p_received, 1, p_owner, {schema}.span(p_span), 1, p_stream, p_commit)
            ON CONFLICT (command) DO NOTHING;
        ELSE
            UPDATE {schema}.command SET state = 1, owner = p_owner, until = {schema}.span(p_span),
                stream = p_stream, commit = p_commit
            WHERE command = p_command AND attempt = p_attempt AND state = 0;
        END IF;
        IF NOT FOUND THEN
            SELECT * INTO found_row FROM {schema}.command WHERE command = p_command;
            IF NOT FOUND THEN
                RETURN {schema}.outcome(4);
            END IF;
            RETURN {schema}.tell(1::smallint, found_row);
        END IF;
        FOR nth IN 1 .. cardinality(p_scopes) LOOP
            LOOP
                INSERT INTO {schema}.held (scope, value, stream, version, pending)
                VALUES (p_scopes[nth], p_values[nth], p_stream, p_version, p_command)
                ON CONFLICT DO NOTHING;
                EXIT WHEN FOUND;
                SELECT stream INTO holder FROM {schema}.held
                WHERE scope = p_scopes[nth] AND value = p_values[nth];
                EXIT WHEN FOUND AND holder = p_stream;
                IF FOUND THEN
                    answer := {schema}.outcome(3);
                    answer.scope := p_scopes[nth];
                    answer.value := p_values[nth];
                    answer.stream := holder;
                    RAISE EXCEPTION USING ERRCODE = 'CQ001';
                END IF;
            END LOOP;
        END LOOP;
        answer := {schema}.outcome(0);
        answer.attempt := coalesce(p_attempt, 1);
        RETURN answer;
    EXCEPTION
        -- Of the stream's open intent, or a value that another holds.
        WHEN unique_violation OR SQLSTATE 'CQ001' THEN NULL;
    END;
    SELECT * INTO found_row FROM {schema}.command WHERE stream = holder AND state = 1;
    IF FOUND THEN
        RETURN {schema}.tell(2::smallint, found_row);
    END IF;
    -- Null where the open intent has just ended: the caller asks again.
    RETURN answer;
END $$;

CREATE FUNCTION {schema}.hand_on(p_scope text, p_value text) RETURNS void LANGUAGE sql AS $$
    WITH next AS (
        DELETE FROM {schema}.wanted WHERE ctid = (
            SELECT ctid FROM {schema}.wanted WHERE scope = p_scope AND value = p_value LIMIT 1)
        RETURNING scope, value, stream, version)
    INSERT INTO {schema}.held (scope, value, stream, version) SELECT scope, value, stream, version FROM next
$$;

CREATE FUNCTION {schema}.vacate_pending(p_command uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    freed record;
BEGIN
    FOR freed IN DELETE FROM {schema}.held WHERE pending = p_command RETURNING scope, value LOOP
        PERFORM {schema}.hand_on(freed.scope, freed.value);
    END LOOP;
END $$;

CREATE FUNCTION {schema}.drop_intent(p_command uuid, p_attempt integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE {schema}.command SET state = 0, stream = NULL, commit = NULL
    WHERE command = p_command AND attempt = p_attempt AND state = 1;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM {schema}.vacate_pending(p_command);
    DELETE FROM {schema}.command WHERE command = p_command AND request IS NULL;
    RETURN true;
END $$;

-- A landed commit: command, request (hex), received, stream, before, version, reserve and release as [scope, value].
CREATE FUNCTION {schema}.take_effect(landed jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    pair jsonb;
    l_stream text := landed->>'stream';
    l_before bigint := (landed->>'before')::bigint;
    l_version bigint := (landed->>'version')::bigint;
BEGIN
    FOR pair IN SELECT * FROM jsonb_array_elements(landed->'release') LOOP
        DELETE FROM {schema}.wanted WHERE scope = pair->>0 AND value = pair->>1 AND stream = l_stream
            AND version <= l_before;
        DELETE FROM {schema}.held WHERE scope = pair->>0 AND value = pair->>1 AND stream = l_stream
            AND version <= l_before;
        IF FOUND THEN
            PERFORM {schema}.hand_on(pair->>0, pair->>1);
        END IF;
    END LOOP;
    FOR pair IN SELECT * FROM jsonb_array_elements(landed->'reserve') LOOP
        INSERT INTO {schema}.held AS h (scope, value, stream, version)
        VALUES (pair->>0, pair->>1, l_stream, l_version)
        ON CONFLICT (scope, value) DO UPDATE SET version = greatest(h.version, l_version), pending = NULL
            WHERE h.stream = l_stream;
        IF NOT FOUND THEN
            INSERT INTO {schema}.wanted (scope, value, stream, version)
            VALUES (pair->>0, pair->>1, l_stream, l_version)
            ON CONFLICT (scope, value, stream) DO UPDATE SET version = l_version;
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION {schema}.done(landed jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    l_command uuid := (landed->>'command')::uuid;
BEGIN
    PERFORM {schema}.vacate_pending(l_command);
    INSERT INTO {schema}.command (command, request, received, attempt, owner, until, state)
    VALUES (l_command, decode(landed->>'request', 'hex'), (landed->>'received')::bigint, 1,
        '00000000-0000-0000-0000-000000000000', clock_timestamp(), 3)
    ON CONFLICT (command) DO UPDATE SET state = 3, stream = NULL, commit = NULL, answer = NULL;
END $$;

CREATE FUNCTION {schema}.finish(batch jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    landed jsonb;
    found_state smallint;
    bare boolean;
BEGIN
    FOR landed IN SELECT * FROM jsonb_array_elements(batch) LOOP
        SELECT state INTO found_state FROM {schema}.command
        WHERE command = (landed->>'command')::uuid FOR UPDATE;
        bare := jsonb_array_length(landed->'reserve') = 0 AND jsonb_array_length(landed->'release') = 0;
        IF found_state = 1 THEN
            PERFORM {schema}.take_effect(landed);
            PERFORM {schema}.done(landed);
        ELSIF found_state IN (0, 2) AND bare THEN
            PERFORM {schema}.done(landed);
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION {schema}.fold(p_partition integer, p_from bigint, p_to bigint, batch jsonb)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    landed jsonb;
    found_state smallint;
BEGIN
    IF p_from IS NULL THEN
        INSERT INTO {schema}.checkpoint (partition, position) VALUES (p_partition, p_to) ON CONFLICT DO NOTHING;
    ELSE
        UPDATE {schema}.checkpoint SET position = p_to WHERE partition = p_partition AND position = p_from;
    END IF;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    FOR landed IN SELECT * FROM jsonb_array_elements(batch) LOOP
        SELECT state INTO found_state FROM {schema}.command
        WHERE command = (landed->>'command')::uuid FOR UPDATE;
        IF found_state IS DISTINCT FROM 3 THEN
            PERFORM {schema}.take_effect(landed);
            PERFORM {schema}.done(landed);
        END IF;
    END LOOP;
    RETURN true;
END $$;
