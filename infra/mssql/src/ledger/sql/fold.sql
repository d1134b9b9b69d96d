{begin}
DECLARE @number INT = @P1, @from BIGINT = @P2, @to BIGINT = @P3, @landed VARBINARY(MAX) = @P4;
DECLARE @outcome INT;
{landed}
BEGIN TRY
    BEGIN TRANSACTION;
    -- From nowhere: there is no row yet.
    IF @from < 0
        INSERT INTO {schema}.folded (number, position)
        SELECT @number, @to WHERE NOT EXISTS (SELECT 1 FROM {schema}.folded WHERE number = @number);
    ELSE
        UPDATE {schema}.folded SET position = @to WHERE number = @number AND position = @from;
    SET @rows = @@ROWCOUNT;
    IF @rows = 1
    BEGIN
        WHILE @offset < @length
        BEGIN
            {next}
            UPDATE {schema}.commands SET state = 4, answer = NULL WHERE id = @command AND state <> 4;
            SET @rows = @@ROWCOUNT;
            IF @rows = 0
            BEGIN
                INSERT INTO {schema}.commands (id, request, received_ms, attempt, owner, until_ms, state)
                SELECT @command, CASE WHEN @keyed = 0x01 THEN @request ELSE NULL END, @received, 1,
                    CAST(0x AS BINARY(16)), 0, 4
                WHERE NOT EXISTS (SELECT 1 FROM {schema}.commands WHERE id = @command);
                SET @rows = @@ROWCOUNT;
            END
            IF @rows = 1
            BEGIN
                {effect}
                {close}
            END
        END
        COMMIT;
        SET @outcome = 1;
    END
    ELSE
    BEGIN
        ROLLBACK;
        SET @outcome = 2;
    END
END TRY
{catch}
SELECT @outcome AS outcome;
