//! The versions of the standard, by what differs between them for us.

/// A version ("draft") of the standard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Draft {
    /// Draft 4, of 2013.
    Draft4,
    /// Draft 6, of 2017.
    Draft6,
    /// Draft 7, of 2018.
    Draft7,
    /// Draft 2019-09.
    Draft2019,
    /// Draft 2020-12, the current one.
    #[default]
    Draft2020,
}

impl Draft {
    /// The draft whose meta-schema has this address, with or without an empty fragment.
    pub(super) fn of_address(address: &str) -> Option<Self> {
        let address = address.trim_end_matches('#').trim_start_matches("https://").trim_start_matches("http://");
        Some(match address {
            "json-schema.org/draft/2020-12/schema" | "json-schema.org/schema" => Self::Draft2020,
            "json-schema.org/draft/2019-09/schema" => Self::Draft2019,
            "json-schema.org/draft-07/schema" => Self::Draft7,
            "json-schema.org/draft-06/schema" => Self::Draft6,
            "json-schema.org/draft-04/schema" => Self::Draft4,
            _ => return None,
        })
    }

    /// The keyword that gives a schema an address.
    pub(super) fn id_keyword(self) -> &'static str {
        if self == Self::Draft4 { "id" } else { "$id" }
    }

    /// Whether `$ref` replaces everything beside it.
    pub(super) fn ref_stands_alone(self) -> bool {
        self <= Self::Draft7
    }
}

/// Which of the standard's vocabularies a schema's meta-schema switches on. Keywords of the others are
/// ignored, as the standard has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vocabularies {
    pub(super) applicator: bool,
    pub(super) validation: bool,
    pub(super) unevaluated: bool,
}

impl Vocabularies {
    pub(super) const ALL: Self = Self { applicator: true, validation: true, unevaluated: true };

    /// Reads `$vocabulary`.
    ///
    /// # Errors
    /// The address of a vocabulary that is required and not known.
    pub(super) fn of(vocabulary: &serde_json::Map<String, serde_json::Value>) -> Result<Self, String> {
        let mut on = Self { applicator: false, validation: false, unevaluated: false };
        for (address, required) in vocabulary {
            let name = address
                .strip_prefix("https://json-schema.org/draft/")
                .and_then(|rest| rest.strip_prefix("2020-12/vocab/").or_else(|| rest.strip_prefix("2019-09/vocab/")));
            match name {
                Some("applicator") => {
                    on.applicator = true;
                    // Draft 2019-09 has the unevaluated keywords in here.
                    on.unevaluated |= address.contains("2019-09");
                }
                Some("validation") => on.validation = true,
                Some("unevaluated") => on.unevaluated = true,
                Some("core" | "meta-data" | "content" | "format" | "format-annotation" | "format-assertion") => {}
                _ if required.as_bool() == Some(false) => {}
                _ => return Err(address.clone()),
            }
        }
        Ok(on)
    }

    /// Whether `keyword` belongs to a vocabulary that is off.
    pub(super) fn excludes(self, keyword: &str) -> bool {
        match keyword {
            "unevaluatedItems" | "unevaluatedProperties" => !self.unevaluated,
            "prefixItems"
            | "items"
            | "additionalItems"
            | "contains"
            | "additionalProperties"
            | "properties"
            | "patternProperties"
            | "dependentSchemas"
            | "propertyNames"
            | "if"
            | "then"
            | "else"
            | "allOf"
            | "anyOf"
            | "oneOf"
            | "not" => !self.applicator,
            "type" | "const" | "enum" | "multipleOf" | "maximum" | "exclusiveMaximum" | "minimum" | "exclusiveMinimum" | "maxLength"
            | "minLength" | "pattern" | "maxItems" | "minItems" | "uniqueItems" | "maxContains" | "minContains" | "maxProperties"
            | "minProperties" | "required" | "dependentRequired" => !self.validation,
            _ => false,
        }
    }
}
