//! Bearer tokens, against the running server.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use serde_json::{Value, json};

use crate::server::Server;
use social_test_kit::{get, request};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn token(algorithm: Algorithm, key: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(key.as_bytes());
    encode(&Header::new(algorithm), claims, &key).expect("a token")
}

fn claims(subject: &str) -> Value {
    json!({"sub": subject, "exp": get_current_timestamp() + 60, "iss": "us", "aud": ["social"]})
}

#[test]
fn only_credible_tokens_write() {
    let server = Server::start_with(&[
        ("SOCIAL_AUTH", "jwt"),
        ("SOCIAL_JWT_KEY", SECRET),
        ("SOCIAL_JWT_ISSUER", "us"),
        ("SOCIAL_JWT_AUDIENCE", "social"),
    ]);
    let client = &mut server.client();
    let create = request("POST", "/v1/posts").json(&json!({"message": "hi"}));
    let good = token(Algorithm::HS256, SECRET, &claims("ada"));
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let sent = create
            .clone()
            .header("Authorization", &format!("{scheme} {good}"));
        let created = client.send(&sent).expect(201);
        let path = format!("/v1/posts/{}", created.id());
        let read = get(&path).header("Consistency-Token", &created.token());
        assert_eq!(client.send(&read).expect(200).value()["author"], "ada");
    }
    let mut expired = claims("ada");
    expired["exp"] = json!(get_current_timestamp() - 60);
    let mut early = claims("ada");
    early["nbf"] = json!(get_current_timestamp() + 60);
    let mut foreign = claims("ada");
    foreign["aud"] = json!("other");
    for bad in [
        token(Algorithm::HS256, SECRET, &expired),
        token(Algorithm::HS256, SECRET, &early),
        token(Algorithm::HS256, SECRET, &foreign),
        token(Algorithm::HS256, SECRET, &claims("No Actor")),
        token(Algorithm::HS256, SECRET, &claims("me")),
        token(Algorithm::HS256, &"x".repeat(32), &claims("ada")),
        token(Algorithm::HS512, SECRET, &claims("ada")),
        "nonsense".to_owned(),
    ] {
        let sent = create
            .clone()
            .header("Authorization", &format!("Bearer {bad}"));
        let answer = client.send(&sent);
        assert!(answer.header("www-authenticate").is_some());
        answer.expect_problem(401, "unauthenticated");
    }
    // The header that is believed without authentication is not, with it.
    client
        .send(&create.clone().by("ada"))
        .expect_problem(401, "unauthenticated");
    // Reads need nobody.
    client.send(&get("/v1/posts")).expect(200);
}
