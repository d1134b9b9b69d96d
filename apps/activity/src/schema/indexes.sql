CREATE INDEX activity_by_author ON {schema}.activity
    (author, at DESC, partition DESC, position DESC, event DESC);
