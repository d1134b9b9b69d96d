//! The social domain: posts, comments, likes and authors. Pure.
