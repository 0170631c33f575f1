//! Writes the enum of error reasons from `ErrorReason` of the contract.

use std::fmt::Write;

use heck::ToUpperCamelCase;
use prost_types::FileDescriptorSet;

use crate::comments::Comments;

const PREFIX: &str = "ERROR_REASON_";
const ENUM: i32 = 5; // FileDescriptorProto.enum_type, as paths of comments number it
const VALUE: i32 = 2; // EnumDescriptorProto.value

/// Returns the enum `Reason`, its names and its parser.
pub(crate) fn render(files: &FileDescriptorSet) -> String {
    let (mut variants, mut names, mut parser) = (String::new(), String::new(), String::new());
    for file in &files.file {
        let comments = Comments::of(file);
        let found = file.enum_type.iter().position(|kind| kind.name() == "ErrorReason");
        for (position, value) in found.into_iter().flat_map(|at| file.enum_type[at].value.iter().enumerate()) {
            if value.number() == 0 {
                continue;
            }
            let at = found.unwrap_or_default() as i32;
            let name = value.name().trim_start_matches(PREFIX);
            let variant = name.to_upper_camel_case();
            variants.push_str(&comments.documentation(&[ENUM, at, VALUE, position as i32]));
            let _ = writeln!(variants, "{variant},");
            let _ = writeln!(names, "Self::{variant} => {name:?},");
            let _ = writeln!(parser, "{name:?} => Self::{variant},");
        }
    }
    format!(
        "/// Why a call failed, as `ErrorReason` of the contract has it.\n\
         #[derive(Clone, Debug, PartialEq, Eq, Hash)]\n#[non_exhaustive]\npub enum Reason {{\n{variants}\
         /// A reason that this version of the crate does not know, by its name: treat it by the code.\nUnknown(String),\n}}\n\
         impl Reason {{\n/// The name in the contract without its prefix, such as `MODEL_NOT_FOUND`.\n\
         pub fn name(&self) -> &str {{ match self {{\n{names}Self::Unknown(name) => name,\n}} }}\n\
         pub(crate) fn from_name(name: &str) -> Self {{ match name {{\n{parser}_ => Self::Unknown(name.to_owned()),\n}} }}\n}}\n"
    )
}
