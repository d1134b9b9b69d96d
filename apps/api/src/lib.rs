//! The HTTP edge of the social services: routes, parsing, authentication, problems.
