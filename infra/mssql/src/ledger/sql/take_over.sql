{begin}
DECLARE @id BINARY(16) = @P1, @attempt INT = @P2, @owner BINARY(16) = @P3, @span BIGINT = @P4,
    @footing VARBINARY(MAX) = @P5;
DECLARE @outcome INT, @rows INT;
BEGIN TRY
    UPDATE {schema}.commands SET attempt = attempt + 1, owner = @owner, until_ms = @now + @span
    WHERE id = @id AND attempt = @attempt AND state IN (1, 2) AND (until_ms <= @now OR owner = @owner)
        AND {stands};
    SET @rows = @@ROWCOUNT;
    SET @outcome = CASE WHEN @rows = 1 THEN 1 WHEN {stands} THEN 0 ELSE 2 END;
END TRY
{catch}
SELECT @outcome AS outcome;
