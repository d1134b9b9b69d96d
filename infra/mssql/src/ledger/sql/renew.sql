{begin}
DECLARE @owner BINARY(16) = @P1, @span BIGINT = @P2, @held VARBINARY(MAX) = @P3;
DECLARE @outcome INT, @at INT = 1, @end INT = DATALENGTH(@held), @id BINARY(16),
    @attempt BINARY(4);
BEGIN TRY
    BEGIN TRANSACTION;
    WHILE @at < @end
    BEGIN
        -- Compared with a value as short as the key, so that the key is sought.
        SET @id = SUBSTRING(@held, @at, 16);
        SET @attempt = SUBSTRING(@held, @at + 16, 4);
        UPDATE {schema}.commands SET until_ms = @now + @span
        WHERE id = @id AND attempt = CAST(@attempt AS INT) AND owner = @owner AND state IN (1, 2);
        SET @at = @at + 20;
    END
    COMMIT;
    SET @outcome = 1;
END TRY
{catch}
SELECT @outcome AS outcome;
