{begin}
DECLARE @id BINARY(16) = @P1, @request VARBINARY(32) = @P2, @received BIGINT = @P3, @attempt INT = @P4,
    @answer VARBINARY(MAX) = @P5, @footing VARBINARY(MAX) = @P6;
DECLARE @outcome INT, @rows INT;
BEGIN TRY
    IF @attempt = 0
        INSERT INTO {schema}.commands
            (id, request, received_ms, attempt, owner, until_ms, state, answer)
        SELECT @id, CASE WHEN DATALENGTH(@request) = 0 THEN NULL ELSE @request END, @received, 1,
            CAST(0x AS BINARY(16)), 0, 3, @answer
        WHERE {stands};
    ELSE
        UPDATE {schema}.commands SET state = 3, answer = @answer
        WHERE id = @id AND attempt = @attempt AND state = 1 AND {stands};
    SET @rows = @@ROWCOUNT;
    SET @outcome = CASE WHEN @rows = 1 THEN 1 WHEN {stands} THEN 0 ELSE 2 END;
END TRY
{catch}
SELECT @outcome AS outcome;
IF @outcome = 0
    SELECT {row} FROM {schema}.commands AS c LEFT JOIN {schema}.intents AS i ON i.command = c.id
    WHERE c.id = @id;
