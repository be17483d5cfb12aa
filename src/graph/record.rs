//! Records layers into a graph.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use super::{
    Activation, Add, Concat, Flatten, Function, Module, Multiply, Node, NodeId, Relu, Softmax,
    Source, Value, ValueId,
};
use crate::error::{Error, Result};
use crate::plan::{Element, Init, LayerSummary};
use crate::shape::Shape;

/// A symbolic value while a model is recorded: the input and output of `forward`. It holds no
/// numbers, and may be used any number of times.
#[derive(Debug, Clone, Copy)]
pub struct Var<'g> {
    recorder: &'g Recorder,
    id: ValueId,
}

/// A tensor that a layer owns.
#[derive(Debug, Clone)]
pub struct Parameter {
    name: &'static str,
    shape: Shape,
    source: Source,
}

impl Parameter {
    /// A trained parameter.
    pub fn trained(name: &'static str, shape: impl Into<Shape>, init: Init) -> Self {
        Parameter {
            name,
            shape: shape.into(),
            source: Source::Parameter(init),
        }
    }

    /// A state, which training's forward passes update, and which has no gradient.
    pub fn state(
        name: &'static str,
        shape: impl Into<Shape>,
        element: Element,
        init: Init,
    ) -> Self {
        Parameter {
            name,
            shape: shape.into(),
            source: Source::State(element, init),
        }
    }
}

/// A graph while a model is recorded into it.
#[derive(Debug, Default)]
pub struct Recorder(RefCell<Recording>);

#[derive(Debug, Default)]
struct Recording {
    values: Vec<Value>,
    nodes: Vec<Node>,
    layers: Vec<LayerSummary>,
    /// The modules being recorded, the innermost last.
    modules: Vec<Applied>,
    /// The description of the module of each name.
    known: HashMap<String, String>,
    /// The models' tensors, by name.
    parameters: HashMap<String, ValueId>,
    /// The names of nodes and tensors.
    names: HashSet<String>,
    applied: usize,
}

/// A module being recorded.
#[derive(Debug)]
struct Applied {
    name: String,
    description: String,
    /// Whether it is applied again, with the tensors that it has.
    again: bool,
}

impl Recording {
    fn scope(&self) -> &str {
        self.modules.last().map_or("", |module| &module.name)
    }

    /// `name` within the module being recorded.
    fn nested(&self, name: &str) -> String {
        match (self.scope(), name) {
            (scope, "") => scope.to_owned(),
            ("", name) => name.to_owned(),
            (scope, name) => format!("{scope}.{name}"),
        }
    }

    fn push(&mut self, name: String, shape: Shape, source: Source) -> ValueId {
        self.values.push(Value {
            name,
            shape,
            source,
        });
        ValueId(self.values.len() - 1)
    }

    /// `name`, with the first number appended that makes it unique, if necessary.
    fn free(&mut self, name: String) -> String {
        let mut free = name.clone();
        let mut number = 1;
        while !self.names.insert(free.clone()) {
            number += 1;
            free = format!("{name}_{number}");
        }
        free
    }

    /// A layer's tensor; the same if the layer is applied again.
    fn parameter(&mut self, at: &str, parameter: &Parameter) -> Result<ValueId> {
        let name = self.nested(parameter.name);
        if self.modules.last().is_some_and(|module| module.again)
            && let Some(&known) = self.parameters.get(&name)
        {
            let known_shape = &self.values[known.0].shape;
            if *known_shape != parameter.shape {
                return Err(Error::Shape {
                    at: name,
                    expected: known_shape.to_string(),
                    got: format!("{} where it is applied again", parameter.shape),
                });
            }
            return Ok(known);
        }
        if !self.names.insert(name.clone()) {
            return Err(Error::value(
                at,
                "a name of its own, or `apply_again` to share its tensors",
                format!("{name} of another layer"),
            ));
        }
        let id = self.push(name.clone(), parameter.shape.clone(), parameter.source);
        self.parameters.insert(name, id);
        Ok(id)
    }
}

impl Recorder {
    /// The batch.
    pub(super) fn batch(&self, shape: Shape) -> Var<'_> {
        let id = self
            .0
            .borrow_mut()
            .push("images".to_owned(), shape, Source::Batch);
        self.0.borrow_mut().names.insert("images".to_owned());
        Var { recorder: self, id }
    }

    pub(super) fn finish(self) -> (Vec<Value>, Vec<Node>, Vec<LayerSummary>) {
        let recording = self.0.into_inner();
        (recording.values, recording.nodes, recording.layers)
    }
}

impl<'g> Var<'g> {
    pub(super) fn id(self) -> ValueId {
        self.id
    }

    /// Its extents, the batch first.
    pub fn shape(self) -> Shape {
        self.recorder.0.borrow().values[self.id.0].shape.clone()
    }

    /// The layer being recorded, as errors name it: `layer1.0.conv1: Conv2d(1 → 4, 3×3)`.
    pub fn place(self) -> String {
        let recording = self.recorder.0.borrow();
        match recording.modules.last() {
            Some(Applied {
                name, description, ..
            }) if !name.is_empty() => {
                format!("{name}: {description}")
            }
            Some(module) => module.description.clone(),
            None => "model".to_owned(),
        }
    }

    /// Applies `module` to this value. Its tensors are named after `name`, within the names of the
    /// modules being recorded.
    ///
    /// # Errors
    /// As [`Module::forward`]; the name has characters other than letters, digits, `_`, `-` and
    /// `.`; or the module has tensors, and another has its name.
    pub fn apply(self, name: &str, module: &dyn Module) -> Result<Var<'g>> {
        self.apply_as(name, module, false)
    }

    /// Applies `module` to this value, with the tensors of the module that was applied under `name`
    /// before: both share their weights.
    ///
    /// # Errors
    /// As [`Module::forward`]; or no such module was applied under that name.
    pub fn apply_again(self, name: &str, module: &dyn Module) -> Result<Var<'g>> {
        self.apply_as(name, module, true)
    }

    fn apply_as(self, name: &str, module: &dyn Module, again: bool) -> Result<Var<'g>> {
        let description = module.describe();
        let (applied, parameters) = {
            let mut recording = self.recorder.0.borrow_mut();
            let is_root = recording.modules.is_empty();
            let is_letter = |c: char| c.is_alphanumeric() || "_-.".contains(c);
            if !is_root && (name.is_empty() || !name.chars().all(is_letter)) {
                let expected = "a name of letters, digits, `_`, `-` and `.`";
                return Err(Error::value(description, expected, format!("{name:?}")));
            }
            let name = recording.nested(name);
            if again && recording.known.get(&name) != Some(&description) {
                let got = recording.known.get(&name);
                return Err(Error::value(
                    format!("{name}: applied again"),
                    description,
                    got.map_or("nothing", String::as_str),
                ));
            }
            recording.known.insert(name.clone(), description.clone());
            let again = again || recording.modules.last().is_some_and(|outer| outer.again);
            recording.modules.push(Applied {
                name,
                description,
                again,
            });
            recording.applied += 1;
            (recording.applied, recording.values.len())
        };
        let output = module.forward(self)?;
        let mut recording = self.recorder.0.borrow_mut();
        if let (Some(module), true) = (recording.modules.pop(), recording.applied == applied) {
            let own = recording.values[parameters..].iter();
            let trained = own.filter(|value| matches!(value.source, Source::Parameter(_)));
            let parameters = trained.map(|value| value.shape.elements()).sum();
            let output = recording.values[output.id.0].shape.clone();
            recording.layers.push(LayerSummary {
                name: module.name,
                layer: module.description,
                output,
                parameters,
            });
        }
        Ok(output)
    }

    /// Records the function of the current layer, applied to this value, `others`, and the layer's
    /// own `parameters`, in this order.
    ///
    /// # Errors
    /// The function does not accept the inputs.
    pub fn layer(
        self,
        function: impl Function,
        others: &[Var<'g>],
        parameters: &[Parameter],
    ) -> Result<Var<'g>> {
        self.record("", Box::new(function), others, parameters)
    }

    /// Records a function without parameters, applied to this value, then `others`.
    ///
    /// # Errors
    /// The function does not accept the inputs.
    pub fn function(self, function: impl Function, others: &[Var<'g>]) -> Result<Var<'g>> {
        let name = function.name();
        self.record(name, Box::new(function), others, &[])
    }

    fn record(
        self,
        name: &str,
        function: Box<dyn Function>,
        others: &[Var<'g>],
        parameters: &[Parameter],
    ) -> Result<Var<'g>> {
        let inputs = std::iter::once(self).chain(others.iter().copied());
        let mut inputs: Vec<ValueId> = inputs.map(Var::id).collect();
        let at = match name {
            "" => self.place(),
            name => format!("{}.{name}", self.place()),
        };
        let mut recording = self.recorder.0.borrow_mut();
        let shape = {
            let values = inputs.iter().map(|id| &recording.values[id.0].shape);
            let own = parameters.iter().map(|parameter| &parameter.shape);
            function.output_shape(&at, &values.chain(own).collect::<Vec<_>>())?
        };
        for parameter in parameters {
            inputs.push(recording.parameter(&at, parameter)?);
        }
        let mut name = recording.nested(name);
        if name.is_empty() {
            function.name().clone_into(&mut name);
        }
        let name = recording.free(name);
        let node = NodeId(recording.nodes.len());
        let output = recording.push(name.clone(), shape, Source::Node(node));
        recording.nodes.push(Node {
            name,
            function,
            inputs,
            output,
        });
        Ok(Var {
            recorder: self.recorder,
            id: output,
        })
    }

    /// `max(0, x)`.
    ///
    /// # Errors
    /// None.
    pub fn relu(self) -> Result<Var<'g>> {
        self.function(Relu, &[])
    }

    /// A smooth activation, or leaky ReLU.
    ///
    /// # Errors
    /// The slope of leaky ReLU is not finite.
    pub fn activation(self, function: Activation) -> Result<Var<'g>> {
        self.function(function, &[])
    }

    /// The sum of two values of equal shapes.
    ///
    /// # Errors
    /// The shapes differ.
    #[expect(
        clippy::should_implement_trait,
        reason = "an operator cannot return an error"
    )]
    pub fn add(self, other: Var<'g>) -> Result<Var<'g>> {
        self.function(Add, &[other])
    }

    /// The product with a value of equal shape, or with a factor for each plane: (N, C, 1, 1) or
    /// (N, C) for this value of (N, C, H, W).
    ///
    /// # Errors
    /// The shapes do not fit.
    #[expect(
        clippy::should_implement_trait,
        reason = "an operator cannot return an error"
    )]
    pub fn mul(self, other: Var<'g>) -> Result<Var<'g>> {
        self.function(Multiply, &[other])
    }

    /// exp(x) over the sum of exp(x) along dimension 1: shares of channels or classes.
    ///
    /// # Errors
    /// The value is not (N, C, …).
    pub fn softmax(self) -> Result<Var<'g>> {
        self.function(Softmax, &[])
    }

    /// This value and `others` side by side along dimension 1: (N, C₁ + C₂ + …, H, W) or
    /// (N, F₁ + F₂ + …), like PyTorch's `cat`.
    ///
    /// # Errors
    /// The shapes differ in another extent.
    pub fn concat(self, others: &[Var<'g>]) -> Result<Var<'g>> {
        self.function(Concat, others)
    }

    /// Views (N, …) as (N, F), where F is the product of the other extents.
    ///
    /// # Errors
    /// None.
    pub fn flatten(self) -> Result<Var<'g>> {
        self.function(Flatten, &[])
    }
}
