//! Everything that the queries answer, and the plain recount of what it must be.

use std::cmp::Reverse;

use cqrs_core::Actor;
use social_read_model::{
    AuthorKey, PageRequest, PostFilter, QueryError, SocialQueries, Sort, Tokens,
};
use uuid::Uuid;

use crate::harness::{Harness, World};
use crate::history::{ACTORS, Op, POSTS, Plain, PlainPost, actor, comment, post};

/// Everything that the queries answer, without texts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Dump {
    new: Vec<(Uuid, u64, u64, u64)>,
    top: Vec<Uuid>,
    gone: Vec<Uuid>,
    comments: Vec<Vec<(Uuid, u64)>>,
    likes: Vec<Vec<String>>,
    liked_by: Vec<Vec<Uuid>>,
    commented_by: Vec<Vec<Uuid>>,
    both_and_popular: Vec<Vec<Uuid>>,
    authors: Vec<Option<(u64, u64, u64)>>,
}

pub(crate) fn recount(ops: &[Op]) -> Dump {
    let mut plain = Plain::default();
    for op in ops {
        plain.step(op);
    }
    let mut live: Vec<_> = plain.posts.iter().filter(|(_, p)| !p.deleted).collect();
    live.sort_by_key(|(n, p)| Reverse((p.at, post(**n))));
    let mut top = live.clone();
    top.sort_by_key(|(n, p)| Reverse((p.likes.len(), p.at, post(**n))));
    let those = |test: &dyn Fn(&PlainPost) -> bool| {
        let passing = live.iter().filter(|(_, p)| test(p));
        passing.map(|(n, _)| post(**n)).collect::<Vec<_>>()
    };
    let commented = |p: &PlainPost, a| p.comments.iter().any(|(_, author, _)| *author == a);
    let mut dump = Dump {
        new: live
            .iter()
            .map(|(n, p)| {
                (
                    post(**n),
                    p.likes.len() as u64,
                    p.comments.len() as u64,
                    p.version,
                )
            })
            .collect(),
        top: top.iter().map(|(n, _)| post(**n)).collect(),
        ..Dump::default()
    };
    for (number, p) in &plain.posts {
        if p.deleted {
            dump.gone.push(post(*number));
            continue;
        }
        let comments = p.comments.iter();
        dump.comments.push(
            comments
                .map(|(c, _, l)| (comment(*c), l.len() as u64))
                .collect(),
        );
        dump.likes.push(p.likes.iter().map(|a| actor(*a)).collect());
    }
    for a in 0..ACTORS {
        dump.liked_by.push(those(&|p| p.likes.contains(&a)));
        dump.commented_by.push(those(&|p| commented(p, a)));
        dump.both_and_popular.push(those(&|p| {
            p.author == a && commented(p, a) && p.likes.contains(&a) && p.likes.len() > 1
        }));
        let own: Vec<_> = live.iter().filter(|(_, p)| p.author == a).collect();
        let comments = live.iter().flat_map(|(_, p)| &p.comments);
        let mine: Vec<_> = comments.filter(|(_, author, _)| *author == a).collect();
        let likes = own.iter().map(|(_, p)| p.likes.len()).sum::<usize>()
            + mine.iter().map(|c| c.2.len()).sum::<usize>();
        let stats = (own.len() as u64, mine.len() as u64, likes as u64);
        dump.authors
            .push(plain.active.contains(&a).then_some(stats));
    }
    dump
}

/// What the queries of `world` answer.
pub(crate) async fn dump(world: &World<impl Harness>) -> Dump {
    let (page, none) = (PageRequest::default(), Tokens::none());
    let all = PostFilter::default();
    let top = PostFilter {
        sort: Sort::Top,
        ..PostFilter::default()
    };
    let posts = world
        .queries()
        .posts(&all, &page, &none)
        .await
        .unwrap()
        .items;
    let mut dump = Dump {
        new: posts
            .iter()
            .map(|p| (p.id, p.like_count, p.comment_count, p.version))
            .collect(),
        top: world.walk(&top).await,
        ..Dump::default()
    };
    for id in (0..POSTS).map(post) {
        match world.queries().post(id, &none).await {
            Ok(_) => {}
            Err(QueryError::Gone) => {
                dump.gone.push(id);
                continue;
            }
            Err(_) => continue,
        }
        let comments = world
            .queries()
            .comments(id, &page, &none)
            .await
            .unwrap()
            .items;
        dump.comments
            .push(comments.iter().map(|c| (c.id, c.like_count)).collect());
        let likes = world.queries().likes(id, &page, &none).await.unwrap().items;
        dump.likes
            .push(likes.into_iter().map(|l| l.actor).collect());
    }
    for n in 0..ACTORS {
        let who = Actor::parse(&actor(n)).ok();
        let liked = PostFilter {
            liked_by: who.clone(),
            ..PostFilter::default()
        };
        let commented = PostFilter {
            commented_by: who.clone(),
            ..PostFilter::default()
        };
        let every = PostFilter {
            author: who.clone(),
            liked_by: who.clone(),
            commented_by: who.clone(),
            min_likes: Some(2),
            min_comments: Some(1),
            sort: Sort::New,
        };
        dump.liked_by.push(world.walk(&liked).await);
        dump.commented_by.push(world.walk(&commented).await);
        dump.both_and_popular.push(world.walk(&every).await);
        let author = world
            .queries()
            .author(&AuthorKey::Actor(who.unwrap()), &none)
            .await;
        let counts = author.map(|a| (a.post_count, a.comment_count, a.likes_received));
        dump.authors.push(counts.ok());
    }
    dump
}
