c.id, c.request, c.received_ms, c.attempt, c.state, c.owner,
    CASE WHEN c.until_ms > @now THEN c.until_ms - @now ELSE 0 END AS left_ms, c.answer, i.body,
    CASE WHEN EXISTS (SELECT 1 FROM {schema}.wanted AS w JOIN {schema}.held AS p ON p.id = w.id
        WHERE p.pending = c.id) THEN 1 ELSE 0 END AS contested
