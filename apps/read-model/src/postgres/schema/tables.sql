-- A deleted post is an empty row: author is null, and no index but the first holds it.
CREATE TABLE {schema}.social_post (
    id uuid PRIMARY KEY,
    author text COLLATE "C",
    created_at bigint NOT NULL,
    edited_at bigint,
    like_count bigint NOT NULL,
    comment_count bigint NOT NULL,
    message text NOT NULL,
    version bigint NOT NULL
);

-- post_at: when the post was created, so that the index has an actor's liked posts in the order of their list.
CREATE TABLE {schema}.social_like (
    post uuid NOT NULL,
    actor text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    post_at bigint NOT NULL,
    PRIMARY KEY (post, actor)
);

-- seq: the version of the post's stream that added it.
CREATE TABLE {schema}.social_comment (
    post uuid NOT NULL,
    id uuid NOT NULL,
    created_at bigint NOT NULL,
    seq bigint NOT NULL,
    author text COLLATE "C" NOT NULL,
    edited_at bigint,
    like_count bigint NOT NULL,
    message text NOT NULL,
    PRIMARY KEY (post, id)
);

-- Who has so many present comments under a post. No row says none.
CREATE TABLE {schema}.social_commenter (
    post uuid NOT NULL,
    actor text COLLATE "C" NOT NULL,
    comments bigint NOT NULL,
    post_at bigint NOT NULL,
    PRIMARY KEY (post, actor)
);

CREATE TABLE {schema}.social_comment_like (
    post uuid NOT NULL,
    comment uuid NOT NULL,
    actor text COLLATE "C" NOT NULL,
    PRIMARY KEY (post, comment, actor)
);

-- handle_key: the handle in lower case, by which it is found.
CREATE TABLE {schema}.social_author (
    actor text COLLATE "C" PRIMARY KEY,
    handle text NOT NULL,
    handle_key text COLLATE "C" NOT NULL,
    handle_since bigint NOT NULL,
    display_name text NOT NULL,
    version bigint NOT NULL
);

-- What can be read of an actor, by the partition that it comes from. A row of zeros says that the
-- actor was active.
CREATE TABLE {schema}.social_author_stat (
    actor text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    post_count bigint NOT NULL,
    comment_count bigint NOT NULL,
    likes_received bigint NOT NULL,
    PRIMARY KEY (actor, partition)
);
