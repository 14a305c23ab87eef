//! Where references lead: documents, the schema resources in them, anchors, and the dynamic scope.
//!
//! A *resource* is a schema with an address of its own: a document, or a schema with `$id` in one. A
//! *context* is what the dynamic scope matters for: for each name of a `$dynamicAnchor`, the outermost
//! resource on the way here that has one. A schema is compiled once for each context that it is reached
//! in, which is nearly always one, and so `$dynamicRef` is settled when the schema is compiled.
//! (`$recursiveAnchor` is the same with a single, empty name.)

use super::documents::{Documents, Loaded, percent_decoded};
use super::draft::{Draft, Vocabularies};
use crate::constraint::ConstraintError;
use fluent_uri::{Iri, IriRef};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A place in a document: its number, and a JSON pointer as a fragment without `#`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) document: usize,
    pub(super) pointer: String,
}

/// A schema with an address of its own.
#[derive(Debug)]
pub(super) struct Resource {
    /// Absolute, without a fragment.
    address: String,
    root: Place,
    pub(super) draft: Draft,
    pub(super) vocabularies: Vocabularies,
    anchors: HashMap<String, Place>,
    dynamic_anchors: BTreeMap<String, Place>,
}

/// A schema as it is reached: where it stands, in which resource, by which dynamic scope.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) place: Place,
    pub(super) resource: usize,
    pub(super) context: usize,
}

/// The name under which `$recursiveAnchor` stands among the dynamic anchors.
const RECURSIVE: &str = "";
/// The deepest nesting of schemas in a document: places are kept as pointers, which grow with it.
const DEPTH_LIMIT: usize = 500;
/// The most different dynamic scopes.
const CONTEXT_LIMIT: usize = 4_096;

pub(super) struct Resources<'a> {
    documents: &'a Documents,
    loaded: &'a Loaded,
    roots: Vec<(&'a Value, String)>,
    resources: Vec<Resource>,
    by_address: HashMap<String, usize>,
    by_place: HashMap<Place, usize>,
    contexts: Vec<BTreeMap<String, Place>>,
    /// The addresses of the meta-schemas that are being read.
    describing: Vec<String>,
}

/// How a keyword holds schemas.
enum Holds {
    /// One, or (older `items`) a list of them.
    Schemas,
    /// An object of them by name.
    ByName,
}

fn holds(keyword: &str) -> Option<Holds> {
    Some(match keyword {
        "additionalItems"
        | "additionalProperties"
        | "contains"
        | "contentSchema"
        | "else"
        | "if"
        | "items"
        | "not"
        | "propertyNames"
        | "then"
        | "unevaluatedItems"
        | "unevaluatedProperties"
        | "allOf"
        | "anyOf"
        | "oneOf"
        | "prefixItems" => Holds::Schemas,
        "$defs" | "definitions" | "dependentSchemas" | "dependencies" | "patternProperties" | "properties" => Holds::ByName,
        _ => return None,
    })
}

impl<'a> Resources<'a> {
    pub(super) fn new(documents: &'a Documents, loaded: &'a Loaded) -> Self {
        Self {
            documents,
            loaded,
            roots: Vec::new(),
            resources: Vec::new(),
            by_address: HashMap::new(),
            by_place: HashMap::new(),
            contexts: vec![BTreeMap::new()],
            describing: Vec::new(),
        }
    }

    /// Adds a document, found at `address`, with all resources in it; the number of its outermost one.
    pub(super) fn add(&mut self, document: &'a Value, address: &str, default: Draft) -> Result<usize, ConstraintError> {
        let number = self.roots.len();
        self.roots.push((document, address.to_owned()));
        let root = self.resource(Place { document: number, pointer: String::new() }, document, address, default, None)?;
        self.by_address.entry(address.to_owned()).or_insert(root);
        let mut open: Vec<(String, &'a Value, usize, usize)> = vec![(String::new(), document, root, 0)];
        while let Some((pointer, value, mut resource, depth)) = open.pop() {
            let Value::Object(object) = value else { continue };
            if depth > DEPTH_LIMIT {
                return Err(ConstraintError::too_large(format!("schemas are nested deeper than {DEPTH_LIMIT} levels")));
            }
            let depth = depth + 1;
            if !pointer.is_empty() {
                resource = self.embedded(number, &pointer, value, object, resource)?;
            }
            self.anchors(number, &pointer, object, resource);
            for (keyword, value) in object {
                match (holds(keyword), value) {
                    (Some(Holds::Schemas), Value::Array(schemas)) => {
                        open.extend(
                            schemas.iter().enumerate().map(|(at, value)| (format!("{pointer}/{keyword}/{at}"), value, resource, depth)),
                        );
                    }
                    (Some(Holds::Schemas), _) => open.push((format!("{pointer}/{keyword}"), value, resource, depth)),
                    (Some(Holds::ByName), Value::Object(schemas)) => {
                        open.extend(
                            schemas.iter().map(|(name, value)| (format!("{pointer}/{keyword}/{}", escaped(name)), value, resource, depth)),
                        );
                    }
                    _ => {}
                }
            }
        }
        Ok(root)
    }

    /// The resource of a schema within another: a new one, where it has an address.
    fn embedded(
        &mut self,
        document: usize,
        pointer: &str,
        value: &'a Value,
        object: &Map<String, Value>,
        around: usize,
    ) -> Result<usize, ConstraintError> {
        let Resource { draft, vocabularies, .. } = self.resources[around];
        let own_draft = object.get("$schema").and_then(Value::as_str).and_then(Draft::of_address).unwrap_or(draft);
        let Some(id) = address_of(object, own_draft) else { return Ok(around) };
        let (base, fragment) = id.split_once('#').unwrap_or((id, ""));
        if base.is_empty() && !fragment.is_empty() {
            return Ok(around);
        }
        let around = self.resources[around].address.clone();
        self.resource(Place { document, pointer: pointer.to_owned() }, value, &around, draft, Some(vocabularies))
    }

    /// Registers the resource at `place`, whose `$id` is relative to `base`.
    fn resource(
        &mut self,
        place: Place,
        value: &'a Value,
        base: &str,
        default: Draft,
        around: Option<Vocabularies>,
    ) -> Result<usize, ConstraintError> {
        let (draft, vocabularies) = match value.get("$schema") {
            None => (default, around.unwrap_or(Vocabularies::ALL)),
            Some(Value::String(address)) => self.dialect(address, default)?,
            Some(_) => {
                return Err(ConstraintError::invalid("`$schema` must be the address of a version of the standard")
                    .at(&*self.shown(&place, "$schema")));
            }
        };
        let id = value.as_object().and_then(|object| address_of(object, draft)).unwrap_or_default();
        let id = id.split('#').next().unwrap_or_default();
        let address = if id.is_empty() { base.to_owned() } else { resolve(base, id) };
        let number = self.resources.len();
        self.resources.push(Resource {
            address: address.clone(),
            root: place.clone(),
            draft,
            vocabularies,
            anchors: HashMap::new(),
            dynamic_anchors: BTreeMap::new(),
        });
        self.by_address.entry(address).or_insert(number);
        self.by_place.insert(place, number);
        Ok(number)
    }

    /// The draft and vocabularies that `$schema` names.
    fn dialect(&mut self, address: &str, default: Draft) -> Result<(Draft, Vocabularies), ConstraintError> {
        if let Some(draft) = Draft::of_address(address) {
            return Ok((draft, Vocabularies::ALL));
        }
        let unknown = |why: &str| {
            ConstraintError::unsupported(format!(
                "`$schema` {address} is no version that tamis knows{why}; it knows drafts 2020-12, 2019-09, 7, 6 and 4"
            ))
            .at("#/$schema")
        };
        let address = address.trim_end_matches('#');
        let resource = match self.by_address.get(address) {
            Some(known) => *known,
            // A meta-schema that describes itself, or several that describe each other, say nothing.
            None if self.describing.iter().any(|open| open == address) => return Err(unknown(": it describes itself")),
            None => {
                let Some(meta) = self.documents.find(address)? else { return Err(unknown(", and not among the documents")) };
                self.describing.push(address.to_owned());
                let resource = self.add(self.loaded.keep(meta), address, default)?;
                self.describing.pop();
                resource
            }
        };
        let Resource { draft, root, .. } = &self.resources[resource];
        let (draft, meta) = (*draft, self.roots[root.document].0.pointer(&root.pointer));
        let vocabulary = meta.and_then(|meta| meta.get("$vocabulary")).and_then(Value::as_object);
        match vocabulary.filter(|_| draft >= Draft::Draft2019) {
            None => Ok((draft, Vocabularies::ALL)),
            Some(vocabulary) => {
                let on = Vocabularies::of(vocabulary).map_err(|name| unknown(&format!(": it requires the vocabulary {name}")))?;
                Ok((draft, on))
            }
        }
    }

    fn anchors(&mut self, document: usize, pointer: &str, object: &Map<String, Value>, resource: usize) {
        let place = Place { document, pointer: pointer.to_owned() };
        let resource = &mut self.resources[resource];
        let name = |keyword: &str| object.get(keyword).and_then(Value::as_str);
        if resource.draft >= Draft::Draft2019 {
            for anchor in [name("$anchor"), name("$dynamicAnchor")].into_iter().flatten() {
                resource.anchors.entry(anchor.to_owned()).or_insert_with(|| place.clone());
            }
            if let (Draft::Draft2020, Some(anchor)) = (resource.draft, name("$dynamicAnchor")) {
                resource.dynamic_anchors.entry(anchor.to_owned()).or_insert_with(|| place.clone());
            }
            if resource.draft == Draft::Draft2019 && resource.root == place && object.get("$recursiveAnchor") == Some(&Value::Bool(true)) {
                resource.dynamic_anchors.insert(RECURSIVE.to_owned(), place);
            }
        } else if let Some((_, anchor)) = address_of(object, resource.draft).and_then(|id| id.split_once('#'))
            && !anchor.is_empty()
        {
            resource.anchors.entry(anchor.to_owned()).or_insert(place);
        }
    }

    /// The resource that a schema belongs to.
    pub(super) fn resource_of(&self, site: &Site) -> &Resource {
        &self.resources[site.resource]
    }

    /// The site of the outermost schema of a resource.
    pub(super) fn root_site(&mut self, resource: usize) -> Result<Site, ConstraintError> {
        let place = self.resources[resource].root.clone();
        self.site(place, 0)
    }

    /// The site of a place that is reached from `context`.
    pub(super) fn site(&mut self, place: Place, context: usize) -> Result<Site, ConstraintError> {
        let mut pointer = place.pointer.as_str();
        let resource = loop {
            let at = Place { document: place.document, pointer: pointer.to_owned() };
            match (self.by_place.get(&at), pointer.rfind('/')) {
                (Some(resource), _) => break *resource,
                (None, Some(end)) => pointer = &pointer[..end],
                (None, None) => break 0,
            }
        };
        let context = self.enter(context, resource)?;
        Ok(Site { place, resource, context })
    }

    /// The site of a schema within the schema at `site`, by a relative pointer.
    pub(super) fn child(&mut self, site: &Site, path: &str) -> Result<Site, ConstraintError> {
        let place = Place { document: site.place.document, pointer: format!("{}/{path}", site.place.pointer) };
        match self.by_place.get(&place) {
            None => Ok(Site { place, ..*site }),
            Some(resource) => {
                let resource = *resource;
                let context = self.enter(site.context, resource)?;
                Ok(Site { place, resource, context })
            }
        }
    }

    fn enter(&mut self, context: usize, resource: usize) -> Result<usize, ConstraintError> {
        let anchors = &self.resources[resource].dynamic_anchors;
        let known = &self.contexts[context];
        if anchors.keys().all(|name| known.contains_key(name)) {
            return Ok(context);
        }
        let mut entered = anchors.clone();
        entered.extend(known.clone());
        if let Some(same) = self.contexts.iter().position(|context| *context == entered) {
            return Ok(same);
        }
        if self.contexts.len() == CONTEXT_LIMIT {
            return Err(ConstraintError::too_large(format!("the schema's dynamic anchors make more than {CONTEXT_LIMIT} scopes")));
        }
        self.contexts.push(entered);
        Ok(self.contexts.len() - 1)
    }

    /// The schema that a reference at `site` leads to. `at` is where it stands, for messages.
    pub(super) fn follow(&mut self, site: &Site, reference: &str, at: &str) -> Result<(Site, &'a Value), ConstraintError> {
        let (_, place) = self.initial(site, reference, at)?;
        self.arrive(place, site.context, reference, at)
    }

    /// The same for `$dynamicRef`: where the reference leads to a `$dynamicAnchor`, the outermost of its name counts.
    pub(super) fn follow_dynamic(&mut self, site: &Site, reference: &str, at: &str) -> Result<(Site, &'a Value), ConstraintError> {
        let (resource, place) = self.initial(site, reference, at)?;
        let name = reference.split_once('#').map_or("", |(_, fragment)| fragment);
        self.arrive(self.outermost(resource, place, name, site.context), site.context, reference, at)
    }

    /// The same for `$recursiveRef`, which is always `#`.
    pub(super) fn follow_recursive(&mut self, site: &Site, at: &str) -> Result<(Site, &'a Value), ConstraintError> {
        let (resource, place) = self.initial(site, "#", at)?;
        self.arrive(self.outermost(resource, place, RECURSIVE, site.context), site.context, "#", at)
    }

    fn outermost(&self, resource: usize, place: Place, name: &str, context: usize) -> Place {
        match self.resources[resource].dynamic_anchors.get(name) {
            Some(anchor) if *anchor == place => self.contexts[context].get(name).cloned().unwrap_or(place),
            _ => place,
        }
    }

    /// Where a reference leads before the dynamic scope is looked at, and the resource that it names.
    fn initial(&mut self, site: &Site, reference: &str, at: &str) -> Result<(usize, Place), ConstraintError> {
        let (address, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let resource = if address.is_empty() { site.resource } else { self.find(site, address, at)? };
        let found = &self.resources[resource];
        let fragment = percent_decoded(fragment);
        if fragment.is_empty() || fragment.starts_with('/') {
            let pointer = format!("{}{fragment}", found.root.pointer);
            return Ok((resource, Place { document: found.root.document, pointer }));
        }
        match found.anchors.get(&fragment) {
            Some(place) => Ok((resource, place.clone())),
            None => Err(ConstraintError::invalid(format!("the reference {reference:?} names no anchor of the schema")).at(at)),
        }
    }

    /// The resource at an address, relative to that of the schema at `site`.
    fn find(&mut self, site: &Site, address: &str, at: &str) -> Result<usize, ConstraintError> {
        let from = &self.resources[site.resource];
        let (absolute, draft) = (resolve(&from.address, address), from.draft);
        if let Some(resource) = self.by_address.get(&absolute) {
            return Ok(*resource);
        }
        match self.documents.find(&absolute)? {
            Some(document) => {
                let document = self.loaded.keep(document);
                self.add(document, &absolute, draft)
            }
            None => {
                let message = format!("`$ref` to another document, {absolute}, that is not among the documents given");
                Err(ConstraintError::unsupported(message).at(at))
            }
        }
    }

    fn arrive(&mut self, place: Place, context: usize, reference: &str, at: &str) -> Result<(Site, &'a Value), ConstraintError> {
        let Some(value) = self.roots[place.document].0.pointer(&place.pointer) else {
            return Err(ConstraintError::invalid(format!("the reference {reference:?} leads nowhere in the schema")).at(at));
        };
        Ok((self.site(place, context)?, value))
    }

    /// A place in words: a pointer, behind the document's address if it is not the first.
    pub(super) fn shown(&self, place: &Place, path: &str) -> Arc<str> {
        let address = if place.document == 0 { "" } else { &self.roots[place.document].1 };
        let slash = if path.is_empty() { "" } else { "/" };
        format!("{address}#{}{slash}{path}", place.pointer).into()
    }
}

/// The `$id` of a schema; none where `$ref` replaces it.
fn address_of(object: &Map<String, Value>, draft: Draft) -> Option<&str> {
    if draft.ref_stands_alone() && object.contains_key("$ref") {
        return None;
    }
    object.get(draft.id_keyword()).and_then(Value::as_str)
}

/// A reference made absolute. What is no reference of RFC 3987 stays as it is.
fn resolve(base: &str, reference: &str) -> String {
    let joined =
        Iri::parse(base).ok().zip(IriRef::parse(reference).ok()).and_then(|(base, reference)| reference.resolve_against(&base).ok());
    joined.map_or_else(|| reference.to_owned(), |iri| iri.as_str().to_owned())
}

/// A property name as a segment of a JSON pointer.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
