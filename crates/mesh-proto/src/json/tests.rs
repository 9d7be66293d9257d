use super::*;
use proptest::prelude::*;

fn check_ok(text: &str) {
    assert_eq!(check(text.as_bytes()), Ok(text), "{text}");
    assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "serde disagrees on {text}");
}

fn check_err(bytes: impl AsRef<[u8]>, expected: JsonError) {
    let bytes = bytes.as_ref();
    assert_eq!(check(bytes), Err(expected), "{}", String::from_utf8_lossy(bytes));
}

fn syntax(at: usize, expected: &'static str) -> JsonError {
    JsonError::Syntax { at, expected }
}

#[test]
fn strict_bodies_are_accepted() {
    for good in [
        "{}",
        "{ \t\r\n}",
        r#"{"a":1}"#,
        r#"{ "a" : [ 1 , -2 , 0 , true , false , null , "" , { } , [ ] ] }"#,
        r#"{"a":9007199254740991,"b":-9007199254740991,"c":999999999999999}"#,
        r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}"#,
        r#"{"":1," ":2}"#,
        r#"{"a":"\"\\\/\b\f\n\r\t\u0000\u00e9\uD83D\uDE00\ud83d\ude00"}"#,
        "{\"a\":\"é\u{7f}\u{80}\u{fffd}\u{fdcf}\u{fdf0}\u{1fffd}\u{10fffd}\u{1F600}\"}",
        r#"{"a":1,"A":2,"á":3}"#,
    ] {
        check_ok(good);
    }
}

#[test]
fn whatever_is_around_the_object_is_refused() {
    for bad in ["", " {}", "\u{feff}{}", "[]", "\"a\"", "1", "null", "\0{}"] {
        check_err(bad, JsonError::NotObject);
    }
    for (bad, at) in [("{} ", 2), ("{}\n", 2), ("{}{}", 2), ("{}}", 2), ("{\"a\":{}},", 8), ("{}\0", 2)] {
        check_err(bad, JsonError::Trailing(at));
    }
}

#[test]
fn bad_utf8_is_refused_with_its_place() {
    check_err(b"{\"a\":\"\xff\"}", JsonError::Utf8(6));
    check_err(b"{\"a\":\"\xc0\xaf\"}", JsonError::Utf8(6));
    check_err(b"{\"a\":\"\xed\xa0\x80\"}", JsonError::Utf8(6));
    check_err(b"{\"a\":\"\xf4\x90\x80\x80\"}", JsonError::Utf8(6));
    check_err(b"{\"a\":\"\xe2\x82", JsonError::Utf8(6));
}

#[test]
fn numbers_are_plain_integers() {
    for bad in ["-0", "00", "01", "-01", "1.0", "1e3", "1E3", "0.0", "0e0", "-", "-a", "-0.0", "1.", "9007199254740992.0", "-e"] {
        check_err(format!("{{\"a\":{bad}}}"), JsonError::Number(5));
    }
    for bad in ["9007199254740992", "-9007199254740992", "9999999999999999", "10000000000000000", &"9".repeat(400)] {
        check_err(format!("{{\"a\":{bad}}}"), JsonError::Range(5));
    }
    for bad in ["+1", ".5", "NaN", "Infinity", "0x1", "1a"] {
        assert!(matches!(check(format!("{{\"a\":{bad}}}").as_bytes()), Err(JsonError::Syntax { .. })), "{bad}");
    }
}

#[test]
fn code_points_that_are_no_characters_are_refused() {
    for bad in [
        r"\ud800",
        r"\udc00",
        r"\ud800\ud800",
        r"\ud800x",
        r"\ud800\n",
        r"\udfff",
        r"\uffff",
        r"\ufffe",
        r"\ufdd0",
        r"\ufdef",
        r"\ud83f\udffe",
    ] {
        check_err(format!("{{\"a\":\"{bad}\"}}"), JsonError::CodePoint(6));
        check_err(format!("{{\"{bad}\":0}}"), JsonError::CodePoint(2));
    }
    check_err(r#"{"a":"\ud800\u0041"}"#, JsonError::CodePoint(6));
    check_err(r#"{"a":"\ud83d\ude00\ude00"}"#, JsonError::CodePoint(18));
    for bad in ['\u{fdd0}', '\u{fdef}', '\u{fffe}', '\u{ffff}', '\u{1fffe}', '\u{8ffff}', '\u{10ffff}'] {
        check_err(format!("{{\"a\":\"é{bad}\"}}"), JsonError::CodePoint(8));
    }
}

#[test]
fn broken_syntax_is_refused() {
    for (bad, at, expected) in [
        ("{", 1, "a name or '}'"),
        ("{,}", 1, "a name or '}'"),
        ("{a:1}", 1, "a name or '}'"),
        ("{\"a\"}", 4, "':'"),
        ("{\"a\":}", 5, "a value"),
        ("{\"a\":1", 6, "',' or '}'"),
        ("{\"a\":1,}", 7, "a name"),
        ("{\"a\":1]", 6, "',' or '}'"),
        ("{\"a\":[1}", 7, "',' or ']'"),
        ("{\"a\":[1,]}", 8, "a value"),
        ("{\"a\":[,1]}", 6, "a value"),
        ("{\"a\":tru}", 5, "a value"),
        ("{\"a\":True}", 5, "a value"),
        ("{\"a\":truex}", 9, "',' or '}'"),
        ("{\"a\" 1}", 5, "':'"),
        ("{\"a\":'b'}", 5, "a value"),
        ("{\"a\":1 /**/}", 7, "',' or '}'"),
        ("{\"a\":1\u{a0}}", 6, "',' or '}'"),
        ("{\"a\":1\u{c}}", 6, "',' or '}'"),
        ("{\"a", 3, "'\"'"),
        ("{\"a\":\"12345678\n\"}", 14, "a control character to be escaped"),
        ("{\"a\":\"\\u00g0\"}", 6, "four hexadecimal digits after \\u"),
        ("{\"a\":\"\\u+123\"}", 6, "four hexadecimal digits after \\u"),
        ("{\"a\":\"\\u00", 6, "four hexadecimal digits after \\u"),
        ("{\"a\":\"\\x41\"}", 6, "one of \"\\/bfnrtu after a backslash"),
        ("{\"a\":\"\\", 6, "one of \"\\/bfnrtu after a backslash"),
    ] {
        check_err(bad, syntax(at, expected));
    }
}

#[test]
fn repeated_names_are_refused_however_they_are_spelt() {
    check_err(r#"{"a":1,"a":1}"#, JsonError::Duplicate(7));
    check_err(r#"{"a":1,"\u0061":1}"#, JsonError::Duplicate(7));
    check_err(r#"{"\n":1,"\u000A":1}"#, JsonError::Duplicate(8));
    check_err("{\"😀/\":1,\"\\ud83d\\ude00\\/\":1}", JsonError::Duplicate(11));
    check_err(r#"{"a":{"b":1},"a":1}"#, JsonError::Duplicate(13));
    check_err(r#"{"x":[{"a":1,"b":2,"a":3}]}"#, JsonError::Duplicate(19));
    check_err(r#"{"":1,"":1}"#, JsonError::Duplicate(6));
    let many = |last: &str| format!("{{{}\"{last}\":0}}", (0..100).map(|n| format!("\"k{n}\":{{\"k1\":0}},")).collect::<String>());
    check_ok(&many("k100"));
    check_err(many("k\\u0030"), JsonError::Duplicate(many("").len() - 5));
}

#[test]
fn depth_is_bounded_without_recursion() {
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    check_ok(&nested(JSON_DEPTH_MAX));
    check_err(nested(JSON_DEPTH_MAX + 1), JsonError::Depth(5 + JSON_DEPTH_MAX - 1));
    check_err(format!("{{\"a\":{}", "[".repeat(1 << 20)), JsonError::Depth(5 + JSON_DEPTH_MAX - 1));
    let objects = "{\"a\":".repeat(JSON_DEPTH_MAX + 1);
    check_err(objects, JsonError::Depth(JSON_DEPTH_MAX * 5));
}

#[test]
fn parse_says_what_does_not_fit() {
    #[derive(serde::Deserialize)]
    struct Body {
        a: u8,
    }
    assert_eq!(parse::<Body>(br#"{"a":7,"later":[]}"#).map(|body| body.a), Ok(7));
    assert!(matches!(parse::<Body>(br#"{"a":700}"#), Err(JsonError::Shape(_))));
    assert!(matches!(parse::<Body>(br#"{"a":7,"a":7}"#), Err(JsonError::Duplicate(7))));
}

/// Any JSON value within the rules.
fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        (-9_007_199_254_740_991i64..=9_007_199_254_740_991).prop_map(Into::into),
        "\\PC{0,12}[\\x00-\\x7f]{0,3}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 64, 24, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map("[a-zé\"\\\\\n]{0,3}", inner, 0..24)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn what_serde_writes_is_accepted(inner in value()) {
        let body = serde_json::json!({ "a": inner });
        let has_noncharacter = body.to_string().chars().any(|c| u32::from(c) & 0xFFFE == 0xFFFE || ('\u{fdd0}'..='\u{fdef}').contains(&c));
        prop_assume!(!has_noncharacter);
        prop_assert!(check(body.to_string().as_bytes()).is_ok());
        prop_assert!(check(serde_json::to_vec_pretty(&body).expect("writes").as_slice()).is_ok());
    }

    #[test]
    fn what_is_accepted_is_json_to_serde_too(text in "\\{\"[a-c\\\\u0-9\"]{0,4}\":[\\[\\]\\{\\}\",:a0-9\\\\ue. -]{0,24}\\}") {
        if check(text.as_bytes()).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = check(&bytes);
        let mut object = b"{\"".to_vec();
        object.extend(bytes);
        let _ = check(&object);
    }
}
