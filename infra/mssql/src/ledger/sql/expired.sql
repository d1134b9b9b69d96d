{begin}
DECLARE @most BIGINT = @P1;
SELECT TOP (@most) {row} FROM {schema}.intents AS i JOIN {schema}.commands AS c ON c.id = i.command
WHERE c.state = 2 AND c.until_ms <= @now ORDER BY c.until_ms;
