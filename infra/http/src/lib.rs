//! A thin HTTP/1.1 kit on hyper: server, router, JSON, problems, health, metrics.
