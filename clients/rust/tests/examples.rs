//! Runs the examples on the server at `$TRIVIUM_TARGET`, which has the models that they name.

use std::path::PathBuf;
use std::process::{Command, Output};

fn program(example: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    Command::new(tests.parent().unwrap().parent().unwrap().join("examples").join(example))
}

/// Runs an example; returns what it printed.
fn output(example: &str, arguments: &[&str]) -> String {
    assert!(std::env::var_os("TRIVIUM_TARGET").is_some(), "TRIVIUM_TARGET says where the server is");
    let output = program(example).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Checks that an example that failed said why in one line; returns it.
fn complaint(output: Output) -> String {
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(1), &b""[..]));
    let printed = String::from_utf8(output.stderr).unwrap();
    let line = printed.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'), "{printed}");
    line.to_owned()
}

#[test]
fn arguments_that_are_too_many_or_too_few_are_refused() {
    for (example, arguments) in [
        ("chat_stream", &["one", "two"][..]),
        ("embed_compare", &["one"]),
        ("read_image", &["one.png", "two.png"]),
        ("live_transcription", &["--slow", "one.wav"]),
        ("speak", &["text", "one.wav", "two.wav"]),
    ] {
        let line = complaint(program(example).args(arguments).output().unwrap());
        assert!(line.starts_with(&format!("usage: {example} ")), "{line}");
    }
}

#[test]
fn what_is_missing_is_named_in_one_line() {
    for example in ["read_image", "live_transcription"] {
        let line = complaint(program(example).arg("nowhere.file").output().unwrap());
        assert!(line.starts_with("nowhere.file: "), "{line}");
    }
    let line = complaint(program("chat_stream").env("TRIVIUM_TARGET", "127.0.0.1:1").output().unwrap());
    assert!(line.starts_with("no server listens at 127.0.0.1:1") && line.contains("UNAVAILABLE"), "{line}");
}

fn temporary(name: &str) -> String {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name).to_str().unwrap().to_owned()
}

#[test]
#[ignore = "needs a server"]
fn chat_stream_answers_and_counts_tokens() {
    let printed = output("chat_stream", &["What is the capital of France?"]);
    assert!(printed.contains("Paris") && printed.contains("tokens read"), "{printed}");
}

#[test]
#[ignore = "needs a server"]
fn embed_compare_finds_the_closest_text() {
    let printed = output("embed_compare", &["A cat sleeps.", "Shares fell.", "A kitten naps."]);
    let order: Vec<_> = printed.lines().skip(2).map(|line| line.split_once("  ").unwrap().1.trim()).collect();
    assert!(order[0].ends_with("A kitten naps.") && order[1].ends_with("Shares fell."), "{printed}");
}

#[test]
#[ignore = "needs a server"]
fn read_image_reads_a_page() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/images/vision.png");
    let printed = output("read_image", &[page]);
    assert!(printed.contains("Let us first determine markers") && printed.contains(" lines"), "{printed}");
}

#[test]
#[ignore = "needs a server"]
fn what_speak_says_live_transcription_hears() {
    let file = temporary("spoken.wav");
    let printed = output("speak", &["The weather is beautiful this morning.", &file]);
    assert!(printed.contains(" s of sound in "), "{printed}");
    for options in [&["--fast", &file][..], &[&file]] {
        let printed = output("live_transcription", options);
        let last = printed.lines().rfind(|line| line.starts_with("= ")).unwrap();
        assert!(last.contains("weather") && last.contains("morning"), "{printed}");
    }
}
