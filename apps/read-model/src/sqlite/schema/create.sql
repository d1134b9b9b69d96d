-- Rows of a post's stream hang on the post's row number (key), which nothing outside sees: entries
-- stay small, and no answer depends on it.

-- A deleted post is an empty row: author is null, and no index but the first holds it.
CREATE TABLE social_post (
    key INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    author TEXT,
    created_at INTEGER NOT NULL,
    edited_at INTEGER,
    like_count INTEGER NOT NULL,
    comment_count INTEGER NOT NULL,
    version INTEGER NOT NULL,
    message TEXT NOT NULL
) STRICT;

-- post_at: when the post was created, so that the index has an actor's liked posts in the order of their list.
CREATE TABLE social_like (
    post INTEGER NOT NULL,
    actor TEXT NOT NULL,
    at INTEGER NOT NULL,
    post_at INTEGER NOT NULL,
    PRIMARY KEY (post, actor)
) STRICT, WITHOUT ROWID;

-- seq: the version of the post's stream that added it.
CREATE TABLE social_comment (
    post INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    id BLOB NOT NULL,
    author TEXT NOT NULL,
    edited_at INTEGER,
    like_count INTEGER NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (post, created_at, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX social_comment_id ON social_comment (post, id);

-- Who has so many present comments under a post. No row says none.
CREATE TABLE social_commenter (
    post INTEGER NOT NULL,
    actor TEXT NOT NULL,
    comments INTEGER NOT NULL,
    post_at INTEGER NOT NULL,
    PRIMARY KEY (post, actor)
) STRICT, WITHOUT ROWID;

CREATE TABLE social_comment_like (
    post INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    actor TEXT NOT NULL,
    PRIMARY KEY (post, seq, actor)
) STRICT, WITHOUT ROWID;

CREATE TABLE social_author (
    actor TEXT NOT NULL PRIMARY KEY,
    handle TEXT NOT NULL COLLATE NOCASE,
    handle_since INTEGER NOT NULL,
    display_name TEXT NOT NULL,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What can be read of an actor, by the partition that it comes from. A row of zeros says that the
-- actor was active.
CREATE TABLE social_author_stat (
    actor TEXT NOT NULL,
    partition INTEGER NOT NULL,
    post_count INTEGER NOT NULL,
    comment_count INTEGER NOT NULL,
    likes_received INTEGER NOT NULL,
    PRIMARY KEY (actor, partition)
) STRICT, WITHOUT ROWID;
