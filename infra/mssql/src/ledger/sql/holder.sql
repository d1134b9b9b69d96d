{begin}
DECLARE @key BINARY(32) = @P1;
SELECT h.stream AS holder, CASE WHEN h.pending IS NULL THEN 0 ELSE 1 END AS pending, {row}
FROM {schema}.held AS h
LEFT JOIN {schema}.intents AS i ON i.stream = h.stream
LEFT JOIN {schema}.commands AS c ON c.id = i.command
WHERE h.id = @key;
