use super::*;

fn refusal(source: &str) -> String {
    compile(&serde_json::from_str(source).unwrap(), 3).unwrap_err()
}

fn type_of(source: &str) -> &'static str {
    compile(&serde_json::from_str(source).unwrap(), 3)
        .unwrap()
        .type_name()
}

#[test]
fn every_operation_has_its_type() {
    for (source, expected) in [
        (
            r#"["concat",["text",0],["const","-"],["hour",["time",1],0]]"#,
            "text",
        ),
        (
            r#"["log1p",["-",["number",0],["length",["text",1]]]]"#,
            "number",
        ),
        (
            r#"["and",["in",["text",0],"a","b"],["not",["missing",["number",1]]]]"#,
            "bool",
        ),
        (r#"["if",["bool",0],["time",1],["time",2]]"#, "time"),
        (
            r#"["cross",["words",["text",0]],["bool",1],["bucket",["number",2],1,2]]"#,
            "set",
        ),
        (
            r#"["if",["bool",0],["const","low"],["bucket",["number",2],1]]"#,
            "text",
        ),
        (r#"["default",["bucket",["number",2],1],0]"#, "number"),
    ] {
        assert_eq!(type_of(source), expected, "{source}");
    }
}

#[test]
fn a_plan_that_does_not_fit_is_refused_with_its_place() {
    for (source, part) in [
        (r#"["number",3]"#, "no field 3"),
        (r#"["number",-1]"#, "no field -1"),
        (r#"["nonsense",1]"#, "no such operation"),
        (r#"7"#, "begins with its operation"),
        (r#"["+",["number",0]]"#, "+: 1 arguments"),
        (r#"["+",["number",0],["text",0]]"#, "a text where a number"),
        (r#"["lower",["number",0]]"#, "a number where a text"),
        (r#"["<",["text",0],["text",1]]"#, "cannot compare"),
        (r#"["==",["text",0],["number",1]]"#, "cannot compare"),
        (r#"["bucket",["number",0],2,1]"#, "do not ascend"),
        (r#"["bucket",["number",0]]"#, "1 arguments"),
        (r#"["clip",["number",0],2,1]"#, "above"),
        (r#"["log_bucket",["number",0],1]"#, "base"),
        (r#"["ngrams",["text",0],0]"#, "no characters"),
        (r#"["split",["text",0],""]"#, "empty"),
        (r#"["hour",["time",0],99]"#, "offset"),
        (r#"["default",["number",0],"a"]"#, "a number where a text"),
        (
            r#"["if",["number",0],["const",1],["const",2]]"#,
            "a number where a bool",
        ),
    ] {
        assert!(
            refusal(source).contains(part),
            "{source}: {}",
            refusal(source)
        );
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| {
        let mut source = serde_json::json!(["number", 0]);
        for _ in 1..depth {
            source = serde_json::json!(["abs", source]);
        }
        compile(&source, 1).is_ok()
    };
    assert!(nested(32));
    assert!(!nested(33));
}
