-- From a long value to a number only by way of a short one; not every server goes straight.
(SELECT COUNT(*) FROM {schema}.folded WHERE number < DATALENGTH(@footing) / 8
    AND position >= CAST(CAST(SUBSTRING(@footing, number * 8 + 1, 8) AS BINARY(8)) AS BIGINT))
    = DATALENGTH(@footing) / 8
