DROP TABLE IF EXISTS social_post;
DROP TABLE IF EXISTS social_like;
DROP TABLE IF EXISTS social_comment;
DROP TABLE IF EXISTS social_commenter;
DROP TABLE IF EXISTS social_comment_like;
DROP TABLE IF EXISTS social_author;
DROP TABLE IF EXISTS social_author_stat;
