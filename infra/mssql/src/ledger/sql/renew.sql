{begin}
DECLARE @owner BINARY(16) = @P1, @span BIGINT = @P2, @held VARBINARY(MAX) = @P3;
DECLARE @outcome INT, @at INT = 1, @end INT = DATALENGTH(@held);
BEGIN TRY
    BEGIN TRANSACTION;
    WHILE @at < @end
    BEGIN
        UPDATE {schema}.commands SET until_ms = @now + @span
        WHERE id = SUBSTRING(@held, @at, 16) AND attempt = CAST(SUBSTRING(@held, @at + 16, 4) AS INT)
            AND owner = @owner AND state IN (1, 2);
        SET @at = @at + 20;
    END
    COMMIT;
    SET @outcome = 1;
END TRY
{catch}
SELECT @outcome AS outcome;
