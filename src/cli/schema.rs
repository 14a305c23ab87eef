//! How a JSON Schema is read and which texts of it are taken: arguments that commands share.

use super::CliError;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use tamis::constraint::json_schema::{Documents, Draft, Options};

/// How schemas are read.
#[derive(Debug, Default, Args)]
pub struct SchemaArgs {
    /// Folders of schemas that references may lead to: `DIR`, for relative references of a schema without
    /// `$id`, or `ADDRESS=DIR`, where the files' addresses begin with ADDRESS. Nothing is ever fetched.
    #[arg(long, value_name = "[ADDRESS=]DIR", help_heading = "Schema")]
    documents: Vec<String>,

    /// The version of the standard for schemas without `$schema`.
    #[arg(long, value_name = "DRAFT", value_enum, help_heading = "Schema")]
    draft: Option<DraftName>,

    /// Take `format` as an annotation.
    #[arg(long, help_heading = "Schema")]
    annotate_formats: bool,

    /// Take keywords that the standard does not know as annotations.
    #[arg(long, help_heading = "Schema")]
    unknown_keywords: bool,
}

/// The names of the drafts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DraftName {
    #[value(name = "4")]
    Draft4,
    #[value(name = "6")]
    Draft6,
    #[value(name = "7")]
    Draft7,
    #[value(name = "2019-09")]
    Draft2019,
    #[value(name = "2020-12")]
    Draft2020,
}

impl SchemaArgs {
    /// Adds what was given to `options`.
    pub fn apply(&self, options: &mut Options) -> Result<(), CliError> {
        for argument in &self.documents {
            let (address, folder) = argument.split_once('=').unwrap_or((Documents::BASE, argument));
            let folder = PathBuf::from(folder);
            if !folder.is_dir() {
                return Err(CliError::usage(format!("--documents {}: there is no such folder", folder.display())));
            }
            let slash = if address.ends_with('/') { "" } else { "/" };
            options.documents.add_folder(format!("{address}{slash}"), folder);
        }
        options.draft = match self.draft {
            None => options.draft,
            Some(DraftName::Draft4) => Draft::Draft4,
            Some(DraftName::Draft6) => Draft::Draft6,
            Some(DraftName::Draft7) => Draft::Draft7,
            Some(DraftName::Draft2019) => Draft::Draft2019,
            Some(DraftName::Draft2020) => Draft::Draft2020,
        };
        options.format_is_annotation |= self.annotate_formats;
        options.unknown_keywords |= self.unknown_keywords;
        Ok(())
    }
}

/// Which texts of a schema are written.
#[derive(Debug, Default, Args)]
pub struct LayoutArgs {
    /// The longest run of white space between the parts of a JSON text, in bytes; 0 is compact JSON.
    #[arg(long, value_name = "N", allow_negative_numbers = true, requires = "schema", help_heading = "Constraint")]
    max_whitespace: Option<u32>,

    /// Lay JSON out in lines, indented by so many spaces a level.
    #[arg(long, value_name = "N", requires = "schema", conflicts_with = "max_whitespace", help_heading = "Constraint")]
    indent: Option<u32>,

    /// Take all escapes that JSON has, such as \u0061 for a; otherwise only those of characters that cannot
    /// stand as they are.
    #[arg(long, requires = "schema", help_heading = "Constraint")]
    any_escapes: bool,

    /// Take all numbers that JSON has, such as 1e2, 41.0 for a whole number, and with digits without end;
    /// otherwise those that are written plainly, in at most 17 digits if the schema names no longer ones.
    #[arg(long, requires = "schema", help_heading = "Constraint")]
    any_numbers: bool,

    /// Write properties in the order of the schema.
    #[arg(long, requires = "schema", help_heading = "Constraint")]
    declared_order: bool,

    /// The deepest nesting of arrays and objects.
    #[arg(long, value_name = "N", requires = "schema", help_heading = "Constraint")]
    max_depth: Option<u32>,

    /// The longest string, in characters.
    #[arg(long, value_name = "N", requires = "schema", help_heading = "Constraint")]
    max_string: Option<u64>,

    /// The most items of an array.
    #[arg(long, value_name = "N", requires = "schema", help_heading = "Constraint")]
    max_items: Option<u64>,

    /// The most properties of an object.
    #[arg(long, value_name = "N", requires = "schema", help_heading = "Constraint")]
    max_properties: Option<u64>,
}

impl LayoutArgs {
    /// Adds what was given to `options`.
    pub fn apply(&self, options: &mut Options) {
        options.max_whitespace = self.max_whitespace.unwrap_or(options.max_whitespace);
        options.indent = self.indent;
        options.canonical_escapes = !self.any_escapes;
        options.plain_numbers = !self.any_numbers;
        options.declared_order = self.declared_order;
        options.max_depth = self.max_depth.unwrap_or(options.max_depth);
        options.max_string = self.max_string;
        options.max_items = self.max_items;
        options.max_properties = self.max_properties;
    }
}
