-- What landed, packed: 85 bytes, the stream, the values' ids.
DECLARE @offset INT = 1, @length INT = DATALENGTH(@landed), @rows INT, @head VARBINARY(85),
    @command BINARY(16), @keyed VARBINARY(1), @request BINARY(32), @received BIGINT, @before BIGINT,
    @version BIGINT, @stream VARBINARY(300), @named INT, @reserves INT, @releases INT,
    @reserve_at INT, @release_at INT, @keys VARBINARY(MAX), @at INT, @end INT, @key BINARY(32),
    @next VARBINARY(300), @next_version BIGINT, @given INT;
