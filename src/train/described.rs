//! Weights of other programs, with the description of their model.

use super::checkpoint::Checkpoint;
use super::options::NORMALIZATION;
use crate::error::{Error, Result};
use crate::graph::{Graph, Module, Source};
use crate::nn::{Normalize, Normalized};
use crate::plan::Element;
use crate::shape::Shape;

impl Checkpoint {
    /// Weights alone, such as a `state_dict` of PyTorch, with the description of the model that they
    /// are of: then [`Predictor::from_checkpoint`](crate::Predictor::from_checkpoint) takes them.
    /// `sample` is the shape of an image, which `normalization`, if any, normalises.
    ///
    /// # Errors
    /// The model does not fit the images; or a tensor is missing, has another shape, or is none of
    /// the model's.
    pub fn described(
        mut self,
        model: &dyn Module,
        sample: impl Into<Shape>,
        normalization: Option<&Normalize>,
    ) -> Result<Self> {
        let normalized = normalization.map(|normalize| Normalized {
            model,
            normalize: normalize.clone(),
        });
        let model = normalized
            .as_ref()
            .map_or(model, |model| model as &dyn Module);
        let graph = Graph::inference(model, sample, 1)?;
        self.check(&graph)?;
        self.metadata.insert("model".to_owned(), graph.to_string());
        if let Some(normalize) = normalization {
            let options = normalize.options();
            self.metadata.insert(NORMALIZATION.to_owned(), options);
        }
        Ok(self)
    }

    /// # Errors
    /// The tensors are not those of the graph.
    fn check(&self, graph: &Graph) -> Result<()> {
        let values = graph.values().map(|id| graph.value(id));
        let of_model: Vec<_> = values.filter(|value| value.source.is_of_model()).collect();
        for value in &of_model {
            // No layer reads counters.
            if matches!(value.source, Source::State(Element::U32 | Element::U8, _)) {
                continue;
            }
            let expected = || format!("{} {}", value.name, value.shape);
            match self.tensors.get(&value.name) {
                Some((shape, _)) if *shape == value.shape => {}
                Some((shape, _)) => {
                    let got = format!("{} {shape}", value.name);
                    return Err(Error::value("weights", expected(), got));
                }
                None => {
                    let first = self.tensors.keys().next().map_or("none", String::as_str);
                    let got = format!("no such tensor; the first is {first}");
                    return Err(Error::value("weights", expected(), got));
                }
            }
        }
        let is_known = |name: &&String| of_model.iter().any(|value| value.name == **name);
        let mut names = self.tensors.keys();
        match names.find(|name| !is_known(name)) {
            None => Ok(()),
            Some(name) => Err(Error::value("weights", "tensors of the model", name)),
        }
    }
}
