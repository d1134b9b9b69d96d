(SELECT COUNT(*) FROM {schema}.folded WHERE number < DATALENGTH(@footing) / 8
    AND position >= CAST(SUBSTRING(@footing, number * 8 + 1, 8) AS BIGINT)) = DATALENGTH(@footing) / 8
