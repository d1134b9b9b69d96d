CREATE INDEX IF NOT EXISTS social_post_new ON {schema}.social_post (created_at, id) WHERE author IS NOT NULL;
CREATE INDEX IF NOT EXISTS social_post_top ON {schema}.social_post (like_count, created_at, id) WHERE author IS NOT NULL;
CREATE INDEX IF NOT EXISTS social_post_author ON {schema}.social_post (author, created_at, id) WHERE author IS NOT NULL;
CREATE INDEX IF NOT EXISTS social_post_comments ON {schema}.social_post (comment_count) WHERE comment_count > 0;
CREATE INDEX IF NOT EXISTS social_like_actor ON {schema}.social_like (actor, post_at, post);
CREATE INDEX IF NOT EXISTS social_comment_order ON {schema}.social_comment (post, created_at, seq);
CREATE INDEX IF NOT EXISTS social_commenter_actor ON {schema}.social_commenter (actor, post_at, post);
CREATE INDEX IF NOT EXISTS social_author_handle ON {schema}.social_author (handle_key, handle_since, actor);
