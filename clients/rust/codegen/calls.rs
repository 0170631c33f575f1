//! Writes one method for each RPC of the contract, and what ends each stream.

use std::fmt::Write;

use heck::{ToSnakeCase, ToUpperCamelCase};
use prost_types::{DescriptorProto, FileDescriptorSet, MethodDescriptorProto};

use crate::comments::Comments;

const SERVICE: i32 = 6; // FileDescriptorProto.service, as paths of comments number it
const METHOD: i32 = 2; // ServiceDescriptorProto.method

/// Returns the methods of all groups, and `StreamEvent` for all events with `sequence` and `completed`.
pub(crate) fn render(files: &FileDescriptorSet) -> String {
    let mut text = String::new();
    for file in &files.file {
        let comments = Comments::of(file);
        for (index, service) in file.service.iter().enumerate() {
            let _ = writeln!(text, "impl crate::{} {{", group(service.name()));
            for (position, method) in service.method.iter().enumerate() {
                text.push_str(&comments.documentation(&[SERVICE, index as i32, METHOD, position as i32]));
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                text.push_str(&call(method, &path));
            }
            text.push_str("}\n");
        }
        for message in &file.message_type {
            if let Some(event) = event(file.package(), message) {
                text.push_str(&event);
            }
        }
    }
    text
}

/// The group of a client whose methods those of a service are.
fn group(service: &str) -> String {
    match service {
        "TextGenerationService" => "Text".to_owned(),
        "TextAnalysisService" => "Analysis".to_owned(),
        "EmbeddingService" => "Embeddings".to_owned(),
        "SpeechRecognitionService" | "SpeechSynthesisService" => "Speech".to_owned(),
        "ModelService" => "Models".to_owned(),
        other => other.trim_end_matches("Service").to_owned(),
    }
}

fn call(method: &MethodDescriptorProto, path: &str) -> String {
    let name = method.name().to_snake_case();
    let (request, response) = (rust_type(method.input_type()), rust_type(method.output_type()));
    match (method.client_streaming(), method.server_streaming()) {
        (false, false) => format!(
            "pub fn {name}(&self, request: {request}) -> crate::UnaryCall<{response}> {{ \
             crate::UnaryCall::new(&self.0, {path:?}, &request) }}\n"
        ),
        (false, true) => format!(
            "pub fn {name}(&self, request: {request}) -> crate::StreamCall<{response}> {{ \
             crate::StreamCall::of_one(&self.0, {path:?}, &request) }}\n"
        ),
        (_, true) => format!(
            "pub fn {name}<S>(&self, requests: S) -> crate::StreamCall<{response}> \
             where S: futures_core::Stream<Item = {request}> + Send + 'static {{ \
             crate::StreamCall::of_many(&self.0, {path:?}, requests) }}\n"
        ),
        (true, false) => panic!("{path}: the SDK has no calls with many requests and one response yet"),
    }
}

/// Implements `StreamEvent` where an event has a sequence and a last event with a `CallInfo`.
fn event(package: &str, message: &DescriptorProto) -> Option<String> {
    let field = |name: &str| message.field.iter().find(|field| field.name() == name);
    field("sequence")?;
    let completed = field("completed")?;
    let one_of = message.oneof_decl[completed.oneof_index? as usize].name();
    let name = rust_type(&format!(".{package}.{}", message.name()));
    let variants = format!("{}::{}::{}", module(package), message.name().to_snake_case(), one_of.to_upper_camel_case());
    Some(format!(
        "impl crate::StreamEvent for {name} {{\n\
         fn sequence(&self) -> Option<i64> {{ Some(self.sequence) }}\n\
         fn is_terminal(&self) -> bool {{ matches!(self.{one_of}, Some({variants}::Completed(_))) }}\n\
         fn info(&self) -> Option<&crate::v1::CallInfo> {{ match &self.{one_of} {{ \
         Some({variants}::Completed(completed)) => completed.info.as_ref(), _ => None }} }}\n}}\n"
    ))
}

/// `.trivium.v1.GenerateRequest` as the path of the crate.
fn rust_type(name: &str) -> String {
    let (package, message) = name.trim_start_matches('.').rsplit_once('.').expect("a message has a package");
    format!("{}::{}", module(package), message.to_upper_camel_case())
}

fn module(package: &str) -> String {
    format!("crate::messages::{}", package.replace('.', "::"))
}
