{begin}
DECLARE @landed VARBINARY(MAX) = @P1;
DECLARE @outcome INT;
{landed}
BEGIN TRY
    BEGIN TRANSACTION;
    WHILE @offset < @length
    BEGIN
        {next}
        UPDATE {schema}.commands SET state = 4, answer = NULL WHERE id = @command AND state = 2;
        SET @rows = @@ROWCOUNT;
        IF @rows = 1
        BEGIN
            {effect}
            {close}
        END
        ELSE IF @reserves + @releases = 0
            UPDATE {schema}.commands SET state = 4, answer = NULL WHERE id = @command AND state IN (1, 3);
    END
    COMMIT;
    SET @outcome = 1;
END TRY
{catch}
SELECT @outcome AS outcome;
