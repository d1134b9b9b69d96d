{begin}
DECLARE @id BINARY(16) = @P1, @request VARBINARY(32) = @P2, @received BIGINT = @P3, @attempt INT = @P4,
    @owner BINARY(16) = @P5, @span BIGINT = @P6, @footing VARBINARY(MAX) = @P7,
    @stream VARBINARY(300) = @P8, @version BIGINT = @P9, @held VARBINARY(MAX) = @P10,
    @body VARBINARY(MAX) = @P11;
DECLARE @outcome INT, @rows INT, @at INT = 1, @end INT = DATALENGTH(@held), @key BINARY(32),
    @holder VARBINARY(300), @nth INT = 0, @still INT;
BEGIN TRY
    BEGIN TRANSACTION;
    IF @attempt = 0
        INSERT INTO {schema}.commands (id, request, received_ms, attempt, owner, until_ms, state)
        SELECT @id, CASE WHEN DATALENGTH(@request) = 0 THEN NULL ELSE @request END, @received, 1, @owner,
            @now + @span, 2
        WHERE {stands};
    ELSE
        UPDATE {schema}.commands SET state = 2, owner = @owner, until_ms = @now + @span
        WHERE id = @id AND attempt = @attempt AND state = 1 AND {stands};
    SET @rows = @@ROWCOUNT;
    IF @rows = 1
    BEGIN
        INSERT INTO {schema}.intents (stream, command, version, held, body)
        VALUES (@stream, @id, @version, @held, @body);
        WHILE @at < @end
        BEGIN
            SET @key = SUBSTRING(@held, @at, 32);
            INSERT INTO {schema}.held (id, stream, version, pending)
            SELECT @key, @stream, @version, @id
            WHERE NOT EXISTS (SELECT 1 FROM {schema}.held WHERE id = @key AND stream = @stream);
            SET @at = @at + 32;
        END
        COMMIT;
        SET @outcome = 1;
    END
    ELSE
    BEGIN
        ROLLBACK;
        SET @outcome = CASE WHEN {stands} THEN 0 ELSE 2 END;
    END
END TRY
{catch}
SELECT @outcome AS outcome;
-- What stands in the way, in the order in which it is told.
IF @outcome = 0
BEGIN
    SELECT {row} FROM {schema}.commands AS c LEFT JOIN {schema}.intents AS i ON i.command = c.id
    WHERE c.id = @id;
    SELECT {row} FROM {schema}.intents AS i JOIN {schema}.commands AS c ON c.id = i.command
    WHERE i.stream = @stream;
    SET @at = 1;
    WHILE @at < @end AND @holder IS NULL
    BEGIN
        SET @key = SUBSTRING(@held, @at, 32);
        SELECT @holder = stream FROM {schema}.held WHERE id = @key AND stream <> @stream;
        SET @nth = @nth + 1;
        SET @at = @at + 32;
    END
    SELECT {row} FROM {schema}.intents AS i JOIN {schema}.commands AS c ON c.id = i.command
    WHERE i.stream = @holder;
    -- Its finish frees value and stream at once: held after there was no intent is held.
    SELECT @still = COUNT(*) FROM {schema}.held WHERE id = @key AND stream = @holder;
    SELECT @holder AS holder, @nth AS nth, @still AS still;
END
