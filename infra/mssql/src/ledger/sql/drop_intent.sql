{begin}
DECLARE @command BINARY(16) = @P1, @attempt INT = @P2;
DECLARE @outcome INT, @rows INT, @keys VARBINARY(MAX), @at INT, @end INT, @key BINARY(32),
    @next VARBINARY(300), @next_version BIGINT, @given INT;
BEGIN TRY
    BEGIN TRANSACTION;
    UPDATE {schema}.commands SET state = 1
    WHERE id = @command AND attempt = @attempt AND state = 2 AND request IS NOT NULL;
    SET @rows = @@ROWCOUNT;
    IF @rows = 0
    BEGIN
        DELETE FROM {schema}.commands
        WHERE id = @command AND attempt = @attempt AND state = 2 AND request IS NULL;
        SET @rows = @@ROWCOUNT;
    END
    IF @rows = 1
    BEGIN
        {close}
    END
    COMMIT;
    SET @outcome = @rows;
END TRY
{catch}
SELECT @outcome AS outcome;
