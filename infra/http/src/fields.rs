use serde_json::{Map, Value};

use crate::Problem;

/// Reads the members of a JSON object one by one and refuses what is left.
///
/// Every fault is an `invalid-value` that names the member; a member of a
/// nested object by its path, such as `data.message`. A `null` is a wrong
/// type, not an absence.
///
/// # Example
///
/// ```
/// use http_kit::{Fields, parse_json};
///
/// let body = parse_json(br#"{"message":"hi","mesage":"?"}"#).unwrap();
/// let mut fields = Fields::of(&body).unwrap();
/// assert_eq!(fields.required_str("message").unwrap(), "hi");
/// assert_eq!(fields.finish().unwrap_err().named_field(), Some("mesage"));
/// ```
#[derive(Debug)]
pub struct Fields<'a> {
    object: &'a Map<String, Value>,
    path: String,
    taken: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// Starts on a body.
    ///
    /// # Errors
    ///
    /// `invalid-value` when the body is not an object.
    pub fn of(body: &'a Value) -> Result<Self, Problem> {
        match body {
            Value::Object(object) => Ok(Self {
                object,
                path: String::new(),
                taken: Vec::new(),
            }),
            other => Err(
                Problem::new("invalid-value", 400, "A value is not acceptable")
                    .detail("the body must be a JSON object")
                    .expected("object")
                    .actual(kind(other)),
            ),
        }
    }

    /// A string that must be there.
    ///
    /// # Errors
    ///
    /// `invalid-value` when it is missing or of another type.
    pub fn required_str(&mut self, name: &'static str) -> Result<&'a str, Problem> {
        match self.optional_str(name)? {
            Some(text) => Ok(text),
            None => Err(self.missing(name)),
        }
    }

    /// A string that may be missing.
    ///
    /// # Errors
    ///
    /// `invalid-value` when it is of another type.
    pub fn optional_str(&mut self, name: &'static str) -> Result<Option<&'a str>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_type(name, "string", other)),
        }
    }

    /// A nested object that must be there.
    ///
    /// # Errors
    ///
    /// `invalid-value` when it is missing or of another type.
    pub fn object(&mut self, name: &'static str) -> Result<Fields<'a>, Problem> {
        match self.take(name) {
            None => Err(self.missing(name)),
            Some(Value::Object(object)) => Ok(Fields {
                object,
                path: self.path_of(name) + ".",
                taken: Vec::new(),
            }),
            Some(other) => Err(self.wrong_type(name, "object", other)),
        }
    }

    /// Any value that may be missing.
    pub fn take(&mut self, name: &'static str) -> Option<&'a Value> {
        self.taken.push(name);
        self.object.get(name)
    }

    /// The path of a member, as problems name it.
    pub fn path_of(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// `invalid-value` for a member that was not asked for.
    pub fn finish(self) -> Result<(), Problem> {
        match self
            .object
            .keys()
            .find(|name| !self.taken.contains(&name.as_str()))
        {
            None => Ok(()),
            Some(name) => Err(Problem::invalid_value(self.path_of(name), "unknown member")),
        }
    }

    fn missing(&self, name: &str) -> Problem {
        Problem::invalid_value(self.path_of(name), "the member is missing")
    }

    fn wrong_type(&self, name: &str, expected: &'static str, actual: &Value) -> Problem {
        Problem::invalid_value(self.path_of(name), "the member is of the wrong type")
            .expected(expected)
            .actual(kind(actual))
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fault_names_its_member() {
        let body = json!({"message": 3, "data": {"id": null, "extra": 1}});
        let mut fields = Fields::of(&body).unwrap();
        let named = |problem: Problem| problem.named_field().map(str::to_owned);
        assert_eq!(
            named(fields.required_str("message").unwrap_err()).unwrap(),
            "message"
        );
        assert_eq!(
            named(fields.required_str("other").unwrap_err()).unwrap(),
            "other"
        );
        let mut data = fields.object("data").unwrap();
        assert_eq!(
            named(data.optional_str("id").unwrap_err()).unwrap(),
            "data.id"
        );
        assert_eq!(named(data.finish().unwrap_err()).unwrap(), "data.extra");
        assert!(fields.finish().is_ok());
    }

    #[test]
    fn a_body_that_is_no_object_is_an_invalid_value() {
        for body in [json!([]), json!("x"), json!(null), json!(1)] {
            assert_eq!(Fields::of(&body).unwrap_err().slug(), "invalid-value");
        }
    }
}
