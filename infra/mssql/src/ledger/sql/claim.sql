{begin}
DECLARE @id BINARY(16) = @P1, @request VARBINARY(32) = @P2, @received BIGINT = @P3,
    @owner BINARY(16) = @P4, @span BIGINT = @P5, @footing VARBINARY(MAX) = @P6;
DECLARE @outcome INT, @rows INT;
BEGIN TRY
    INSERT INTO {schema}.commands (id, request, received_ms, attempt, owner, until_ms, state)
    SELECT @id, CASE WHEN DATALENGTH(@request) = 0 THEN NULL ELSE @request END, @received, 1, @owner,
        @now + @span, 1
    WHERE {stands};
    SET @rows = @@ROWCOUNT;
    SET @outcome = CASE WHEN @rows = 1 THEN 1 ELSE 2 END;
END TRY
{catch}
SELECT @outcome AS outcome;
IF @outcome = 0
    SELECT {row} FROM {schema}.commands AS c LEFT JOIN {schema}.intents AS i ON i.command = c.id
    WHERE c.id = @id;
