//! Builds plans: layers create tensors and append ops.

use std::collections::{BTreeMap, HashSet};

use super::{
    ARENA_ALIGNMENT, Buffer, BufferId, Element, Init, LayerSummary, Node, Phase, Plan, Port, Role,
    Tensor, TensorId,
};
use crate::error::{Error, Result};
use crate::ops::{Binding, Bindings, Op};
use crate::shape::Shape;

/// The arena of parameters, whose layout those of gradients and optimizer states share.
pub(super) const PARAMETERS: BufferId = BufferId(0);
/// The arena of gradients.
const GRADIENTS: BufferId = BufferId(1);

/// A plan under construction.
#[derive(Debug)]
pub struct Builder {
    pub(super) plan: Plan,
    scope: String,
    accumulate: bool,
    has_gradients: bool,
    names: HashSet<String>,
}

impl Builder {
    /// An empty plan. With `accumulate`, backward adds to the gradients, as in PyTorch, and the
    /// caller must clear them; otherwise it overwrites them.
    pub fn new(accumulate: bool) -> Self {
        let arena = |name: &str| Buffer {
            name: name.to_owned(),
            words: 0,
        };
        Builder {
            plan: Plan {
                tensors: Vec::new(),
                buffers: vec![arena("parameters"), arena("gradients")],
                nodes: Vec::new(),
                ports: BTreeMap::new(),
                layers: Vec::new(),
                written_readably: Vec::new(),
                classes: None,
            },
            scope: String::new(),
            accumulate,
            has_gradients: true,
            names: HashSet::new(),
        }
    }

    /// An empty plan for inference: parameters have no gradients.
    pub fn for_inference() -> Self {
        Builder {
            has_gradients: false,
            ..Builder::new(false)
        }
    }

    /// Whether backward adds to the gradients instead of overwriting them.
    pub fn accumulate(&self) -> bool {
        self.accumulate
    }

    /// Prefixes the names of later tensors with `scope` and a dot.
    pub fn set_scope(&mut self, scope: &str) {
        scope.clone_into(&mut self.scope);
    }

    /// The prefix of the names of new tensors.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// A new tensor in its own buffer.
    ///
    /// # Errors
    /// The size is zero or exceeds 32-bit indices, or the name is taken.
    pub fn tensor(
        &mut self,
        name: &str,
        shape: impl Into<Shape>,
        element: Element,
        role: Role,
    ) -> Result<TensorId> {
        let name = self.full_name(name);
        let buffer = BufferId(self.plan.buffers.len());
        let id = self.push(Tensor {
            name: name.clone(),
            shape: shape.into(),
            element,
            role,
            buffer,
            offset: 0,
            init: None,
            values: None,
        })?;
        let words = self.plan.tensor(id).words();
        self.plan.buffers.push(Buffer { name, words });
        Ok(id)
    }

    /// A new tensor of the forward phase.
    ///
    /// # Errors
    /// As [`Builder::tensor`].
    pub fn activation(&mut self, name: &str, shape: impl Into<Shape>) -> Result<TensorId> {
        self.tensor(name, shape, Element::F32, Role::Activation)
    }

    /// A new tensor that lives within a step.
    ///
    /// # Errors
    /// As [`Builder::tensor`].
    pub fn scratch(&mut self, name: &str, shape: impl Into<Shape>) -> Result<TensorId> {
        self.tensor(name, shape, Element::F32, Role::Scratch)
    }

    /// New tensors for the inputs and outputs of an isolated `op`.
    ///
    /// # Errors
    /// As [`Builder::tensor`].
    pub fn tensors_of(&mut self, op: &dyn Op) -> Result<(Vec<TensorId>, Vec<TensorId>)> {
        let Bindings { inputs, outputs } = op.bindings();
        let mut make = |list: Vec<Binding>| {
            let tensors = list.into_iter().map(|binding| {
                let element = match binding.content.is_floats() {
                    true => Element::F32,
                    false => Element::U32,
                };
                self.tensor(binding.name, [binding.words], element, Role::Input)
            });
            tensors.collect::<Result<Vec<_>>>()
        };
        Ok((make(inputs)?, make(outputs)?))
    }

    /// The same memory under another name and shape.
    ///
    /// # Errors
    /// The shape has another number of elements, or the name is taken.
    pub fn view(&mut self, of: TensorId, name: &str, shape: impl Into<Shape>) -> Result<TensorId> {
        let (shape, tensor) = (shape.into(), self.plan.tensor(of));
        if shape.elements() != tensor.shape.elements() {
            return Err(Error::Shape {
                at: self.full_name(name),
                expected: format!("a view of {}, {}", tensor.name, tensor.shape),
                got: shape.to_string(),
            });
        }
        let view = Tensor {
            name: self.full_name(name),
            shape,
            ..tensor.clone()
        };
        self.push(view)
    }

    /// A new parameter `name` in the arena, and its gradient `d_name` at the same offset in the
    /// arena of gradients.
    ///
    /// # Errors
    /// As [`Builder::tensor`].
    pub fn parameter(
        &mut self,
        name: &str,
        shape: impl Into<Shape>,
        init: Init,
    ) -> Result<TensorId> {
        let parameter = Tensor {
            name: self.full_name(name),
            shape: shape.into(),
            element: Element::F32,
            role: Role::Parameter,
            buffer: PARAMETERS,
            offset: self.plan.buffers[PARAMETERS.0].words,
            init: Some(init),
            values: None,
        };
        let gradient = Tensor {
            name: self.full_name(&format!("d_{name}")),
            role: Role::Gradient,
            buffer: GRADIENTS,
            init: None,
            ..parameter.clone()
        };
        let parameter = self.push(parameter)?;
        if self.has_gradients {
            self.push(gradient)?;
        }
        let last = self.plan.tensor(parameter);
        let end = last.offset + last.words().next_multiple_of(ARENA_ALIGNMENT);
        self.plan.buffers[PARAMETERS.0].words = end;
        if self.has_gradients {
            self.plan.buffers[GRADIENTS.0].words = end;
        }
        Ok(parameter)
    }

    /// The gradient of a parameter.
    ///
    /// # Errors
    /// The tensor is not a parameter.
    pub fn gradient_of(&self, parameter: TensorId) -> Result<TensorId> {
        let Tensor { name, offset, .. } = self.plan.tensor(parameter);
        let mut tensors = self.plan.tensors.iter();
        let gradient = tensors.position(|t| t.role == Role::Gradient && t.offset == *offset);
        let is_parameter = self.plan.tensor(parameter).role == Role::Parameter;
        let gradient = gradient.filter(|_| is_parameter).map(TensorId);
        gradient.ok_or_else(|| Error::value("gradient", "that of a parameter", name))
    }

    /// A new tensor that training's forward passes update and that persists from step to step.
    ///
    /// # Errors
    /// As [`Builder::tensor`].
    pub fn state(
        &mut self,
        name: &str,
        shape: impl Into<Shape>,
        element: Element,
        init: Init,
    ) -> Result<TensorId> {
        let id = self.tensor(name, shape, element, Role::State)?;
        self.plan.tensors[id.0].init = Some(init);
        Ok(id)
    }

    /// Whole arenas as tensors: the parameters and the gradients, once every layer is lowered.
    ///
    /// # Errors
    /// The model has no parameters, or more than one tensor can hold.
    pub fn arenas(&mut self) -> Result<(TensorId, TensorId)> {
        let words = self.plan.buffers[PARAMETERS.0].words;
        if words == 0 {
            return Err(Error::value(
                "model",
                "at least one layer with parameters",
                "none",
            ));
        }
        let whole = |name: &str, buffer| Tensor {
            name: name.to_owned(),
            shape: [words].into(),
            element: Element::F32,
            role: Role::Arena,
            buffer,
            offset: 0,
            init: None,
            values: None,
        };
        let parameters = whole("parameters", PARAMETERS);
        let gradients = whole("gradients", GRADIENTS);
        let arenas = (self.push(parameters)?, self.push(gradients)?);
        self.set_port(Port::Parameters, arenas.0);
        self.set_port(Port::Gradients, arenas.1);
        Ok(arenas)
    }

    /// Makes `tensor` the one that the host finds as `port`.
    pub fn set_port(&mut self, port: Port, tensor: TensorId) {
        self.plan.ports.insert(port, tensor);
    }

    /// The tensor that the host finds as `port`.
    ///
    /// # Errors
    /// The port is not set yet.
    pub fn port(&self, port: Port) -> Result<TensorId> {
        self.plan.port(port)
    }

    /// Sets the number of classes that the host's targets may be; `None` if they are numbers.
    pub(crate) fn set_classes(&mut self, classes: Option<usize>) {
        self.plan.classes = classes;
    }

    /// Sets the summaries of the plan's layers.
    pub fn set_layers(&mut self, layers: Vec<LayerSummary>) {
        self.plan.layers = layers;
    }

    /// The tensor with id `id`.
    pub fn get(&self, id: TensorId) -> &Tensor {
        self.plan.tensor(id)
    }

    /// The tensor called `name` of the current layer.
    ///
    /// # Errors
    /// No such tensor.
    pub fn own(&self, name: &str) -> Result<TensorId> {
        self.plan.find(&self.full_name(name))
    }

    /// Appends `op` to `phase`.
    ///
    /// # Errors
    /// The number or lengths of the tensors do not match the op's bindings, or the op would both
    /// read and write a buffer, which WebGPU forbids within a dispatch.
    pub fn op(
        &mut self,
        phase: Phase,
        op: impl Op + 'static,
        inputs: &[TensorId],
        outputs: &[TensorId],
    ) -> Result<()> {
        self.op_of(phase.alone(), Box::new(op), inputs, outputs)
    }

    /// Appends `op` to each of `phases`.
    ///
    /// # Errors
    /// As [`Builder::op`].
    pub fn op_of(
        &mut self,
        phases: &'static [Phase],
        op: Box<dyn Op>,
        inputs: &[TensorId],
        outputs: &[TensorId],
    ) -> Result<()> {
        let at = self.full_name(op.name());
        self.plan.check_op(&at, op.as_ref(), inputs, outputs)?;
        self.plan.nodes.push(Node {
            phases,
            op,
            inputs: inputs.to_vec(),
            outputs: outputs.to_vec(),
        });
        Ok(())
    }

    /// Like [`Builder::op`], for an op of dynamic type; returns its index in [`Plan::nodes`].
    ///
    /// # Errors
    /// As [`Builder::op`].
    pub fn boxed_op(
        &mut self,
        phase: Phase,
        op: Box<dyn Op>,
        inputs: &[TensorId],
        outputs: &[TensorId],
    ) -> Result<usize> {
        self.op_of(phase.alone(), op, inputs, outputs)?;
        Ok(self.plan.nodes.len() - 1)
    }

    /// The plan.
    pub fn finish(self) -> Plan {
        self.plan
    }

    fn full_name(&self, name: &str) -> String {
        if self.scope.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.scope)
        }
    }

    fn push(&mut self, tensor: Tensor) -> Result<TensorId> {
        tensor.shape.check(&tensor.name)?;
        if !self.names.insert(tensor.name.clone()) {
            return Err(Error::value(
                "tensor",
                "a name of its own",
                format!("`{}` twice", tensor.name),
            ));
        }
        self.plan.tensors.push(tensor);
        Ok(TensorId(self.plan.tensors.len() - 1))
    }
}
