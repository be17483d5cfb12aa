//! Makes plans: layers ask it for tensors and append ops.

use std::collections::{BTreeMap, HashSet};

use super::{
    ARENA_ALIGNMENT, Buffer, BufferId, Element, Init, LayerSummary, MetricTables, Node, Phase,
    Plan, Port, Role, Tensor, TensorId,
};
use crate::error::{Error, Result};
use crate::ops::Op;
use crate::shape::Shape;

/// The arena of parameters, whose layout those of gradients and optimizer states share.
const PARAMETERS: BufferId = BufferId(0);
/// The arena of gradients.
const GRADIENTS: BufferId = BufferId(1);

/// A plan in the making.
#[derive(Debug)]
pub struct Builder {
    plan: Plan,
    scope: String,
    accumulate: bool,
    has_gradients: bool,
    names: HashSet<String>,
}

impl Builder {
    /// An empty plan. With `accumulate`, backward adds to the gradients, as PyTorch's does, and
    /// someone must clear them; otherwise it overwrites them.
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
                metrics: None,
                ports: BTreeMap::new(),
                layers: Vec::new(),
                written_readably: Vec::new(),
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

    /// The names of the tensors made from here on begin with `scope` and a dot.
    pub fn set_scope(&mut self, scope: &str) {
        scope.clone_into(&mut self.scope);
    }

    /// What the names of new tensors begin with.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// A new tensor in a buffer of its own.
    ///
    /// # Errors
    /// A size that 32-bit indices cannot address, a size of zero, or a name that is taken.
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

    /// A new tensor for each binding of `op`, for one that stands by itself: its inputs, its outputs.
    ///
    /// # Errors
    /// As [`Builder::tensor`].
    pub fn tensors_of(&mut self, op: &dyn Op) -> Result<(Vec<TensorId>, Vec<TensorId>)> {
        let bindings = op.bindings();
        let mut make = |list: Vec<(&str, usize)>, is_float: &dyn Fn(usize) -> bool| {
            let tensors = list.into_iter().enumerate().map(|(place, (name, len))| {
                let element = if is_float(place) {
                    Element::F32
                } else {
                    Element::U32
                };
                self.tensor(name, [len], element, Role::Input)
            });
            tensors.collect::<Result<Vec<_>>>()
        };
        Ok((
            make(bindings.inputs, &|input| op.content(input).is_floats())?,
            make(bindings.outputs, &|_| true)?,
        ))
    }

    /// The same memory under another name and shape.
    ///
    /// # Errors
    /// A shape of another number of elements, or a name that is taken.
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

    /// A new parameter `name` in the arena; and its gradient `d_name` at the same place of the
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
    /// A tensor that is no parameter.
    pub fn gradient_of(&self, parameter: TensorId) -> Result<TensorId> {
        let Tensor { name, offset, .. } = self.plan.tensor(parameter);
        let mut tensors = self.plan.tensors.iter();
        let gradient = tensors.position(|t| t.role == Role::Gradient && t.offset == *offset);
        let is_parameter = self.plan.tensor(parameter).role == Role::Parameter;
        let gradient = gradient.filter(|_| is_parameter).map(TensorId);
        gradient.ok_or_else(|| Error::value("gradient", "that of a parameter", name))
    }

    /// A new tensor that forward passes of training update and that stays from step to step.
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
    /// A model without parameters, or more of them than one tensor holds.
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
        };
        let parameters = whole("parameters", PARAMETERS);
        let gradients = whole("gradients", GRADIENTS);
        let arenas = (self.push(parameters)?, self.push(gradients)?);
        self.set_port(Port::Parameters, arenas.0);
        self.set_port(Port::Gradients, arenas.1);
        Ok(arenas)
    }

    /// Makes `tensor` what the host finds as `port`.
    pub fn set_port(&mut self, port: Port, tensor: TensorId) {
        self.plan.ports.insert(port, tensor);
    }

    /// The tensor that the host finds as `port`.
    ///
    /// # Errors
    /// There is none yet.
    pub fn port(&self, port: Port) -> Result<TensorId> {
        self.plan.port(port)
    }

    /// The tables that the loss phase fills, and hosts read while training goes on.
    pub fn set_metrics(&mut self, metrics: MetricTables) {
        self.plan.metrics = Some(metrics);
    }

    /// Says which layers the plan is made of.
    pub fn set_layers(&mut self, layers: Vec<LayerSummary>) {
        self.plan.layers = layers;
    }

    /// The tensor of that id.
    pub fn get(&self, id: TensorId) -> &Tensor {
        self.plan.tensor(id)
    }

    /// The tensor that this layer made under that name.
    ///
    /// # Errors
    /// No tensor of this layer has it.
    pub fn own(&self, name: &str) -> Result<TensorId> {
        self.plan.find(&self.full_name(name))
    }

    /// Appends `op` to `phase`.
    ///
    /// # Errors
    /// Tensors whose number or lengths are not those that the op asks for, or that one op would
    /// both read and write: WebGPU lets no dispatch do that to a buffer.
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

    /// As [`Builder::op`], of an op whose type is not known here; returns its place in
    /// [`Plan::nodes`].
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

impl Plan {
    /// Whether `op` may work on those tensors; `at` names it.
    ///
    /// # Errors
    /// As [`Builder::op`].
    pub(super) fn check_op(
        &self,
        at: &str,
        op: &dyn Op,
        inputs: &[TensorId],
        outputs: &[TensorId],
    ) -> Result<()> {
        let bindings = op.bindings();
        let wanted = bindings.inputs.iter().chain(&bindings.outputs);
        let given = inputs.iter().chain(outputs);
        if (inputs.len(), outputs.len()) != (bindings.inputs.len(), bindings.outputs.len()) {
            return Err(Error::Shape {
                at: at.to_owned(),
                expected: format!("{:?}", wanted.map(|(name, _)| name).collect::<Vec<_>>()),
                got: format!("{} inputs and {} outputs", inputs.len(), outputs.len()),
            });
        }
        for ((name, words), &id) in wanted.zip(given) {
            let tensor = self.tensor(id);
            if tensor.words() != *words {
                return Err(Error::Shape {
                    at: at.to_owned(),
                    expected: format!("`{name}` of {words} words"),
                    got: format!(
                        "{} {} of {} words",
                        tensor.name,
                        tensor.shape,
                        tensor.words()
                    ),
                });
            }
        }
        let overlap = |a: &Tensor, b: &Tensor| {
            a.buffer == b.buffer
                && a.offset < b.offset + b.words()
                && b.offset < a.offset + a.words()
        };
        for (i, &id) in outputs.iter().enumerate() {
            let output = self.tensor(id);
            let read = inputs.iter().map(|&id| self.tensor(id));
            let written = outputs[..i].iter().map(|&id| self.tensor(id));
            let mut in_the_way = read
                .filter(|input| input.buffer == output.buffer)
                .chain(written.filter(|other| overlap(output, other)));
            if let Some(other) = in_the_way.next() {
                return Err(Error::Shape {
                    at: at.to_owned(),
                    expected: "outputs in memory of their own".to_owned(),
                    got: format!("{} and {} in one buffer", output.name, other.name),
                });
            }
        }
        Ok(())
    }
}
