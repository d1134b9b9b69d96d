{begin}
DECLARE @id BINARY(16) = @P1, @attempt INT = @P2;
DECLARE @outcome INT;
BEGIN TRY
    IF @attempt = 1
        DELETE FROM {schema}.commands WHERE id = @id AND attempt = 1 AND state = 1;
    ELSE
        UPDATE {schema}.commands SET until_ms = @now
        WHERE id = @id AND attempt = @attempt AND state = 1;
    SET @outcome = 1;
END TRY
{catch}
SELECT @outcome AS outcome;
