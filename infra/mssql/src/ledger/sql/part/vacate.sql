-- The row of @key is locked where @rows = 1: it goes to a stream that is noted for it, or away.
IF @rows = 1
BEGIN
    SET @given = 0;
    WHILE @given = 0
    BEGIN
        SET @next = NULL;
        SELECT TOP (1) @next = stream, @next_version = version FROM {schema}.wanted WHERE id = @key ORDER BY stream;
        IF @next IS NULL
        BEGIN
            DELETE FROM {schema}.held WHERE id = @key;
            SET @given = 1;
        END
        ELSE
        BEGIN
            DELETE FROM {schema}.wanted WHERE id = @key AND stream = @next AND version = @next_version;
            SET @given = @@ROWCOUNT;
            IF @given = 1
                UPDATE {schema}.held SET stream = @next, version = @next_version, pending = NULL WHERE id = @key;
        END
    END
END
