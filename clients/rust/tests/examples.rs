//! Runs the examples on the server at `$TRIVIUM_TARGET`, which has the models that they name.

use std::path::PathBuf;
use std::process::Command;

/// Runs an example; returns what it printed.
fn output(example: &str, arguments: &[&str]) -> String {
    assert!(std::env::var_os("TRIVIUM_TARGET").is_some(), "TRIVIUM_TARGET says where the server is");
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().parent().unwrap().join("examples").join(example);
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
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
