SET @at = @release_at;
WHILE @at < @offset
BEGIN
    SET @key = SUBSTRING(@landed, @at, 32);
    DELETE FROM {schema}.wanted WHERE id = @key AND stream = @stream AND version <= @before;
    UPDATE {schema}.held SET version = version WHERE id = @key AND stream = @stream AND version <= @before;
    SET @rows = @@ROWCOUNT;
    {vacate}
    SET @at = @at + 32;
END
SET @at = @reserve_at;
WHILE @at < @release_at
BEGIN
    SET @key = SUBSTRING(@landed, @at, 32);
    UPDATE {schema}.held SET pending = NULL, version = CASE WHEN version < @version THEN @version ELSE version END
    WHERE id = @key AND stream = @stream;
    SET @rows = @@ROWCOUNT;
    IF @rows = 0
    BEGIN
        -- Another's: locked, so that it is not let go before the note for it is there.
        UPDATE {schema}.held SET version = version WHERE id = @key AND stream <> @stream;
        SET @rows = @@ROWCOUNT;
        IF @rows = 0
            INSERT INTO {schema}.held (id, stream, version) VALUES (@key, @stream, @version);
        ELSE
        BEGIN
            UPDATE {schema}.wanted SET version = @version WHERE id = @key AND stream = @stream;
            SET @rows = @@ROWCOUNT;
            IF @rows = 0
                INSERT INTO {schema}.wanted (id, stream, version) VALUES (@key, @stream, @version);
        END
    END
    SET @at = @at + 32;
END
