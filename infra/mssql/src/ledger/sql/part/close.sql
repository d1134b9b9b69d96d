SET @keys = NULL;
SELECT @keys = held FROM {schema}.intents WHERE command = @command;
IF @keys IS NOT NULL
BEGIN
    DELETE FROM {schema}.intents WHERE command = @command;
    SET @at = 1;
    SET @end = DATALENGTH(@keys);
    WHILE @at < @end
    BEGIN
        SET @key = SUBSTRING(@keys, @at, 32);
        UPDATE {schema}.held SET version = version WHERE id = @key AND pending = @command;
        SET @rows = @@ROWCOUNT;
        {vacate}
        SET @at = @at + 32;
    END
END
