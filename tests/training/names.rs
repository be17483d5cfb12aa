//! Names of layers and tensors, and models that are refused by name.

use super::graphs::{resnet, training};
use wgrad::graph::{Graph, Module, Var};
use wgrad::nn::{Linear, ReLU, Residual, Sequential};
use wgrad::plan::Element;
use wgrad::shape::Shape;

#[test]
fn names_nest_like_pytorchs() {
    let graph = Graph::training(&resnet(), &training([3, 8, 8], 2)).unwrap();
    let plan = graph.readable().unwrap();
    let names: Vec<&str> = plan.parameters().map(|(_, t)| &*t.name).collect();
    let block = |stage: usize| {
        let own = [
            "conv1.weight",
            "bn1.weight",
            "bn1.bias",
            "conv2.weight",
            "bn2.weight",
            "bn2.bias",
        ];
        let projected = [
            "downsample.0.weight",
            "downsample.1.weight",
            "downsample.1.bias",
        ];
        let projected = projected.into_iter().filter(move |_| stage > 1);
        let all = own.into_iter().chain(projected);
        all.map(move |name| format!("layer{stage}.0.{name}"))
    };
    let mut expected: Vec<String> = ["conv1.weight", "bn1.weight", "bn1.bias"]
        .map(str::to_owned)
        .into();
    expected.extend((1..=3).flat_map(block));
    expected.extend(["fc.weight", "fc.bias"].map(str::to_owned));
    assert_eq!(names, expected);
    let error = Graph::training(&resnet(), &training([1, 8, 8], 2)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "conv1: Conv2d(3 → 4, 3×3, padding 1×1, no bias): expected (N, 3, H, W), got (2, 1, 8, 8)"
    );
}

/// Two modules with one name would share one set of weights.
#[derive(Debug)]
struct SameName(Linear, Linear);

impl Module for SameName {
    fn forward<'g>(&self, x: Var<'g>) -> wgrad::Result<Var<'g>> {
        x.apply("fc", &self.0)?.apply("fc", &self.1)
    }
}

/// An unused value is a mistake.
#[derive(Debug)]
struct Forgotten(Linear);

impl Module for Forgotten {
    fn forward<'g>(&self, x: Var<'g>) -> wgrad::Result<Var<'g>> {
        x.apply("forgotten", &self.0)?;
        x.apply("fc", &self.0)
    }
}

/// A model that a function records.
struct Recorded(for<'a> fn(Var<'a>) -> wgrad::Result<Var<'a>>);

impl std::fmt::Debug for Recorded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recorded")
    }
}

impl Module for Recorded {
    fn forward<'g>(&self, x: Var<'g>) -> wgrad::Result<Var<'g>> {
        (self.0)(x)
    }
}

/// A layer of that name.
#[derive(Debug)]
struct Named(&'static str);

impl Module for Named {
    fn forward<'g>(&self, x: Var<'g>) -> wgrad::Result<Var<'g>> {
        x.apply(self.0, &Linear::new(2))
    }
}

/// Layers with the names that a graph gives to its own values.
#[test]
fn layers_may_have_the_names_of_the_graphs_values() {
    fn model(x: Var<'_>) -> wgrad::Result<Var<'_>> {
        let x = x.apply("images", &ReLU)?.apply("relu", &ReLU)?.relu()?;
        x.apply("logits", &Linear::new(2))
    }
    let graph = Graph::training(&Recorded(model), &training([2], 1)).unwrap();
    let text = graph.to_string();
    let shape_of = |name: &str| {
        let extents: &[usize] = if name.ends_with("bias") {
            &[2]
        } else {
            &[2, 2]
        };
        Some((Shape::new(extents), Element::F32))
    };
    let read = Graph::read(&text, 1, shape_of).unwrap();
    assert_eq!(read.to_string(), text);
}

#[test]
fn invalid_models_are_refused_by_name() {
    let training = training([2], 1);
    let error = |model: &dyn Module| Graph::training(model, &training).unwrap_err().to_string();
    let same = SameName(Linear::new(2), Linear::new(2));
    assert_eq!(
        error(&same),
        "fc: Linear(2): expected a name of its own, or `apply_again` to share its tensors, \
         got fc.weight of another layer"
    );
    // Each is dropped before the next is made, maybe at its address.
    let temporaries = |x: Var<'_>| {
        x.apply("fc", &Linear::new(2))?;
        Err(x.apply("fc", &Linear::new(2)).unwrap_err())
    };
    assert!(error(&Recorded(temporaries)).contains("fc.weight of another layer"));
    let apart = |x: Var<'_>| {
        x.apply("fc", &Linear::new(2).bias(false))?;
        Err(x.apply_again("fc", &Linear::new(2)).unwrap_err())
    };
    assert_eq!(
        error(&Recorded(apart)),
        "fc: applied again: expected Linear(2), got Linear(2, no bias)"
    );
    let unknown = |x: Var<'_>| Err(x.apply_again("fc", &Linear::new(2)).unwrap_err());
    assert_eq!(
        error(&Recorded(unknown)),
        "fc: applied again: expected Linear(2), got nothing"
    );
    for name in ["", "a b", "a\n", "a=b", "f(x)"] {
        let named = Named(name);
        assert_eq!(
            error(&named),
            format!(
                "Linear(2): expected a name of letters, digits, `_`, `-` and `.`, got {name:?}"
            )
        );
    }
    let nested = |x: Var<'_>| {
        let x = x.apply("a.weight", &ReLU)?;
        Err(x.apply("a", &Linear::new(2)).unwrap_err())
    };
    assert!(error(&Recorded(nested)).contains("got a.weight of another layer"));
    assert_eq!(
        error(&Forgotten(Linear::new(2))),
        "model: output of forgotten: expected a layer that reads it, got none"
    );
    let uneven = Residual::new(Sequential::new().with(Linear::new(3)));
    assert_eq!(
        error(&uneven),
        "Residual.add: expected two tensors of (1, 3), got (1, 2)"
    );
}
