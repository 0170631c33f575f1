//! The comments of the contract as documentation of Rust.

use std::collections::HashMap;

use prost_types::{FileDescriptorProto, FileDescriptorSet};

const FENCE: &str = " ```";

/// Fences indented blocks of all comments as text: they are examples of the contract and no Rust, which rustdoc would
/// take them for.
pub(crate) fn fence_examples(files: &mut FileDescriptorSet) {
    for info in files.file.iter_mut().flat_map(|file| &mut file.source_code_info) {
        for comment in info.location.iter_mut().flat_map(|place| &mut place.leading_comments) {
            *comment = fenced(comment);
        }
    }
}

fn fenced(comment: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut is_inside = false;
    let mut follows_blank = true;
    for line in comment.lines() {
        let is_blank = line.trim().is_empty();
        let is_example = line.starts_with("     ") && (is_inside || follows_blank);
        if !is_blank && is_example != is_inside {
            lines.push(if is_example { format!("{FENCE}text") } else { FENCE.to_owned() });
            is_inside = is_example;
        }
        let text = if is_inside { line.strip_prefix("    ").unwrap_or(line) } else { line };
        lines.push(text.trim_end().to_owned());
        follows_blank = is_blank;
    }
    if is_inside {
        lines.push(FENCE.to_owned());
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The leading comments of a file, by the path that descriptors give them.
pub(crate) struct Comments<'a>(HashMap<&'a [i32], &'a str>);

impl<'a> Comments<'a> {
    pub(crate) fn of(file: &'a FileDescriptorProto) -> Self {
        let locations = file.source_code_info.iter().flat_map(|info| &info.location);
        Self(locations.map(|place| (&place.path[..], place.leading_comments())).collect())
    }

    /// Returns `///` lines.
    pub(crate) fn documentation(&self, path: &[i32]) -> String {
        let mut is_inside = false;
        let mut documentation = String::new();
        for line in self.0.get(path).copied().unwrap_or_default().lines() {
            is_inside ^= line.starts_with(FENCE);
            let text = if is_inside { line.to_owned() } else { without_links(line) };
            documentation.push_str(&format!("///{text}\n"));
        }
        documentation
    }
}

fn without_links(line: &str) -> String {
    line.replace('[', "\\[").replace(']', "\\]")
}
