//! PostgreSQL by its driver alone: the rows are made beforehand, nothing is decoded, folded, loaded or checked.

use std::pin::pin;

use futures_util::future::{try_join, try_join_all, try_join4, try_join5};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, NoTls, Statement};

use crate::history::{Posts, Slice, Stats};

/// One connection, which writes one partition of one version's tables.
pub(crate) struct Raw {
    client: Client,
    schema: String,
    partition: i32,
    statements: [Statement; 6],
}

const UPSERTS: [&str; 6] = [
    "INSERT INTO {s}.social_post AS t (id, author, created_at, like_count, comment_count, message, version)
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::int8[], $4::int8[], $5::int8[], $6::text[], $7::int8[])
        ON CONFLICT (id) DO UPDATE SET author = excluded.author, created_at = excluded.created_at,
        like_count = excluded.like_count, comment_count = excluded.comment_count, message = excluded.message,
        version = excluded.version WHERE t.version < excluded.version",
    "INSERT INTO {s}.social_like (post, actor, at, post_at)
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::int8[], $4::int8[]) ON CONFLICT (post, actor) DO NOTHING",
    "INSERT INTO {s}.social_comment (post, id, created_at, seq, author, message, like_count)
        SELECT *, 0 FROM unnest($1::uuid[], $2::uuid[], $3::int8[], $4::int8[], $5::text[], $6::text[])
        ON CONFLICT (post, id) DO NOTHING",
    "INSERT INTO {s}.social_commenter (post, actor, comments, post_at)
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::int8[], $4::int8[])
        ON CONFLICT (post, actor) DO UPDATE SET comments = excluded.comments",
    "INSERT INTO {s}.social_author_stat AS t (actor, partition, post_count, comment_count, likes_received)
        SELECT a, $2, p, c, l FROM unnest($1::text[], $3::int8[], $4::int8[], $5::int8[]) u (a, p, c, l)
        ON CONFLICT (actor, partition) DO UPDATE SET post_count = t.post_count + excluded.post_count,
        comment_count = t.comment_count + excluded.comment_count,
        likes_received = t.likes_received + excluded.likes_received",
    "UPDATE {s}.place SET position = position + $2 WHERE partition = $1",
];

impl Raw {
    pub(crate) async fn connect(url: &str, schema: &str, partition: i32) -> Self {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a server");
        tokio::spawn(connection);
        let place = format!(
            "CREATE TABLE IF NOT EXISTS {schema}.place (partition int PRIMARY KEY, position int8);
             INSERT INTO {schema}.place VALUES ({partition}, 0)"
        );
        client.batch_execute(&place).await.expect("a place");
        let prepare = |sql: &str| {
            let sql = sql.replace("{s}", schema);
            let client = &client;
            async move { client.prepare(&sql).await }
        };
        let statements = try_join_all(UPSERTS.map(prepare)).await;
        let statements = statements.expect("the statements").try_into();
        Self {
            statements: statements.expect("as many as there are"),
            schema: schema.to_owned(),
            partition,
            client,
        }
    }

    /// Upserts the rows of each slice, one transaction for each, sent at once.
    pub(crate) async fn upsert(&self, slices: &[Slice]) {
        for slice in slices {
            let begin = "BEGIN; SET LOCAL synchronous_commit TO off";
            let begun = self.client.batch_execute(begin);
            let done = self.client.batch_execute("COMMIT");
            // In the order in which they are polled first.
            let wrote = try_join4(begun, self.rows(slice), self.place(slice), done).await;
            wrote.expect("it is written");
        }
    }

    async fn rows(&self, slice: &Slice) -> Result<(), Error> {
        let [posts, likes, comments, commenters, stats, _] = &self.statements;
        let (l, c, m) = (&slice.likes, &slice.comments, &slice.commenters);
        let liking: [&(dyn ToSql + Sync); 4] = [&l.post, &l.actor, &l.at, &l.post_at];
        let commenting: [&(dyn ToSql + Sync); 6] =
            [&c.post, &c.id, &c.created_at, &c.seq, &c.author, &c.message];
        let counting: [&(dyn ToSql + Sync); 4] = [&m.post, &m.actor, &m.at, &m.post_at];
        try_join5(
            self.posts(posts, &slice.posts),
            self.client.execute(likes, &liking),
            self.client.execute(comments, &commenting),
            self.client.execute(commenters, &counting),
            self.stats(stats, &slice.stats),
        )
        .await?;
        Ok(())
    }

    async fn posts(&self, statement: &Statement, p: &Posts) -> Result<u64, Error> {
        let rows: [&(dyn ToSql + Sync); 7] = [
            &p.id,
            &p.author,
            &p.created_at,
            &p.like_count,
            &p.comment_count,
            &p.message,
            &p.version,
        ];
        self.client.execute(statement, &rows).await
    }

    async fn stats(&self, statement: &Statement, s: &Stats) -> Result<u64, Error> {
        let rows: [&(dyn ToSql + Sync); 5] =
            [&s.actor, &self.partition, &s.posts, &s.comments, &s.likes];
        self.client.execute(statement, &rows).await
    }

    async fn place(&self, slice: &Slice) -> Result<u64, Error> {
        let moved: [&(dyn ToSql + Sync); 2] = [&self.partition, &(slice.events as i64)];
        self.client.execute(&self.statements[5], &moved).await
    }

    /// Copies the rows of a slice that are new, and upserts the others.
    pub(crate) async fn copy(&self, slice: &Slice, earlier: &Posts) -> Result<(), Error> {
        let begin = "BEGIN; SET LOCAL synchronous_commit TO off";
        self.client.batch_execute(begin).await?;
        let (p, l, c, m) = (
            &slice.posts,
            &slice.likes,
            &slice.comments,
            &slice.commenters,
        );
        let (uuid, text, int) = (Type::UUID, Type::TEXT, Type::INT8);
        let types = [&uuid, &text, &int, &int, &int, &text, &int];
        let names =
            "social_post (id, author, created_at, like_count, comment_count, message, version)";
        self.copy_in(names, &types, p.id.len(), |row| {
            [
                &p.id[row] as &(dyn ToSql + Sync),
                &p.author[row],
                &p.created_at[row],
                &p.like_count[row],
                &p.comment_count[row],
                &p.message[row],
                &p.version[row],
            ]
        })
        .await?;
        let types = [&uuid, &text, &int, &int];
        for (names, l) in [
            ("social_like (post, actor, at, post_at)", l),
            ("social_commenter (post, actor, comments, post_at)", m),
        ] {
            self.copy_in(names, &types, l.post.len(), |row| {
                [
                    &l.post[row] as &(dyn ToSql + Sync),
                    &l.actor[row],
                    &l.at[row],
                    &l.post_at[row],
                ]
            })
            .await?;
        }
        let types = [&uuid, &uuid, &int, &int, &text, &text, &int];
        let names = "social_comment (post, id, created_at, seq, author, message, like_count)";
        self.copy_in(names, &types, c.post.len(), |row| {
            [
                &c.post[row] as &(dyn ToSql + Sync),
                &c.id[row],
                &c.created_at[row],
                &c.seq[row],
                &c.author[row],
                &c.message[row],
                &0_i64,
            ]
        })
        .await?;
        let [posts, _, _, _, stats, _] = &self.statements;
        let counted = self.stats(stats, &slice.stats);
        try_join(self.posts(posts, earlier), counted).await?;
        self.place(slice).await?;
        self.client.batch_execute("COMMIT").await
    }

    async fn copy_in<'a, const N: usize>(
        &self,
        names: &str,
        types: &[&Type; N],
        rows: usize,
        row: impl Fn(usize) -> [&'a (dyn ToSql + Sync); N],
    ) -> Result<u64, Error> {
        let sql = format!("COPY {}.{names} FROM STDIN (FORMAT binary)", self.schema);
        let types = types.map(Type::clone);
        let sink = self.client.copy_in(&sql).await?;
        let mut sink = pin!(BinaryCopyInWriter::new(sink, &types));
        for number in 0..rows {
            sink.as_mut().write(&row(number)).await?;
        }
        sink.finish().await
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.client.batch_execute(sql).await.expect("it is done");
    }
}
