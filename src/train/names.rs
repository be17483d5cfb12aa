//! Matches a checkpoint's tensors with a model's when their names differ.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::shape::Shape;

/// A tensor's name and shape.
pub(super) type Named<'a> = (&'a str, &'a Shape);

/// For each of our tensors, the name of theirs:
///
/// 1. by name, if all names are equal;
/// 2. by the rest of the names, if all of theirs begin with the same module (`module.`, `net.`);
/// 3. layer by layer, a layer being the tensors whose names differ only after the last dot, if the
///    last
///    parts and shapes of each of our layers match exactly one of theirs, and no other of ours.
///
/// Neither the order of a file, which is sorted, nor numbers within names give the order in which
/// layers run. So two layers of equal shapes are matched only by equal names.
///
/// # Errors
/// None of the three rules applies; the error lists both sides.
pub(super) fn matching<'a>(ours: &[Named<'_>], theirs: &[Named<'a>]) -> Result<Vec<&'a str>> {
    by_name(ours, theirs)
        .or_else(|| by_layer(ours, theirs))
        .ok_or_else(|| {
            Error::value(
                "checkpoint's tensors",
                format!(
                    "{}, or layers that their shapes tell apart",
                    listed(ours.iter())
                ),
                listed(theirs.iter()),
            )
        })
}

fn listed<'a>(named: impl Iterator<Item = &'a Named<'a>>) -> String {
    let named = named.map(|(name, shape)| format!("{name} {shape}"));
    match named.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "none".to_owned(),
        list => list,
    }
}

fn by_name<'a>(ours: &[Named<'_>], theirs: &[Named<'a>]) -> Option<Vec<&'a str>> {
    let mut cut = 0;
    loop {
        let left = theirs.iter().map(|(name, _)| (&name[cut..], *name));
        let left: BTreeMap<&str, &str> = left.collect();
        let found = ours.iter().map(|(name, _)| left.get(name).copied());
        let found: Option<Vec<&str>> = found.collect();
        if let Some(found) = found.filter(|found| found.len() == theirs.len()) {
            return Some(found);
        }
        let module = left.keys().next()?.split_inclusive('.').next()?;
        let all_share_it =
            module.ends_with('.') && left.keys().all(|name| name.starts_with(module));
        if !all_share_it {
            return None;
        }
        cut += module.len();
    }
}

/// The signature that identifies a layer: the last parts of its tensors' names, and their shapes.
type Signature<'a> = Vec<(&'a str, &'a Shape)>;

fn by_layer<'a>(ours: &[Named<'_>], theirs: &[Named<'a>]) -> Option<Vec<&'a str>> {
    let (our_layers, their_layers) = (layers(ours), layers(theirs));
    let is_of_one = |layers: &BTreeMap<&str, Signature<'_>>, wanted: &Signature<'_>| {
        layers.values().filter(|layer| *layer == wanted).count() == 1
    };
    if our_layers.len() != their_layers.len() {
        return None;
    }
    ours.iter()
        .map(|(name, _)| {
            let (layer, part) = parts(name);
            let wanted = our_layers.get(layer)?;
            if !is_of_one(&our_layers, wanted) || !is_of_one(&their_layers, wanted) {
                return None;
            }
            let mut same = their_layers.iter().filter(|(_, layer)| *layer == wanted);
            let (their_layer, _) = same.next()?;
            let mut named = theirs.iter().map(|(name, _)| *name);
            named.find(|name| parts(name) == (*their_layer, part))
        })
        .collect()
}

fn layers<'a>(named: &[Named<'a>]) -> BTreeMap<&'a str, Signature<'a>> {
    let mut layers: BTreeMap<&str, Signature<'_>> = BTreeMap::new();
    for (name, shape) in named {
        let (layer, part) = parts(name);
        layers.entry(layer).or_default().push((part, shape));
    }
    for layer in layers.values_mut() {
        layer.sort_by_key(|(part, _)| *part);
    }
    layers
}

/// A tensor's layer, and its name within that.
fn parts(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or(("", name))
}
