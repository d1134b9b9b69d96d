-- Whose each post is: what happens to it later does not say.
CREATE TABLE {schema}.post (
    id uuid PRIMARY KEY,
    author text COLLATE "C" NOT NULL
);

-- What happened, under the event's id. comment is null for likes.
CREATE TABLE {schema}.activity (
    partition integer NOT NULL,
    position bigint NOT NULL,
    event integer NOT NULL,
    author text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    post uuid NOT NULL,
    comment uuid,
    actor text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (partition, position, event)
);
