//! Models as TOML files.

mod known;
mod layers;
mod options;

use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::Module;
use crate::error::{Error, Result};
use crate::graph::Var;
use crate::shape::Shape;
use known::KNOWN;
use layers::{KINDS, Kind, Make, Sizes};
use options::{Options, Source, unknown};

/// The name of the images among those of layers.
const INPUT: &str = "input";

/// The number of classes of a file that gives none.
const CLASSES: usize = 10;

/// A model described by a TOML file (feature `model-files`): the shape of its input, and its layers
/// in order. A layer is a table with its kind and options, or its kind alone.
///
/// ```
/// use wgrad::nn::ModelFile;
///
/// let model: ModelFile = r#"
///     input = [1, 28, 28]
///     layers = [
///         { layer = "Conv2d", out = 8, kernel = 3, padding = 1 },
///         { layer = "ReLU", name = "features" },
///         { layer = "Conv2d", out = 8, kernel = [3, 1], padding = [1, 0], bias = false },
///         { layer = "Add", with = "features" },
///         { layer = "MaxPool2d", kernel = 2 },
///         "Flatten",
///         { layer = "Linear", out = "classes" },
///     ]
/// "#.parse()?;
/// assert_eq!(model.input(), &[1, 28, 28].into());
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// Keys of every layer:
///
/// - `layer`: its kind, the name of a layer in [`nn`](crate::nn), or one of the joins below.
/// - `name`: the name of its tensors and of its output; by default its place, from 0 on.
/// - `from`: the name of the layer that it reads, or `input`; by default the layer before it.
///
/// Options, required where no default is given; extents are a number, or height and width:
///
/// | layer | options |
/// | --- | --- |
/// | `Conv2d` | `out`, `kernel`, `stride` 1, `padding` 0 (also top, bottom, left, right; or `"same"`), `dilation` 1, `groups` 1, `bias` true, `init` |
/// | `ConvTranspose2d` | as `Conv2d`, but not `"same"`; `output_padding` 0 |
/// | `Linear` | `out`, `bias` true, `init` |
/// | `BatchNorm2d` | `eps` 1e-5, `momentum` 0.1 |
/// | `GroupNorm` | `groups`, `eps` 1e-5, `affine` true |
/// | `LayerNorm` | `shape`: the last extents, by default all but the batch; `eps` 1e-5, `affine` true |
/// | `Normalize` | `means`, `deviations`: lists, a number for each channel |
/// | `MaxPool2d` | `kernel`, `stride` as `kernel`, `padding` 0, `ties` `"first"` or `"all"` |
/// | `AvgPool2d` | `kernel`, `stride` as `kernel`, `padding` 0, `count_padding` true |
/// | `AdaptiveAvgPool2d` | `out` |
/// | `Upsample` | `scale` or `size`; `mode` `"nearest"` or `"bilinear"` |
/// | `Dropout`, `Dropout2d` | `p`, the probability |
/// | `LeakyReLU` | `slope` 0.01 |
/// | `GELU` | `approximate` `"none"` or `"tanh"` |
/// | `SqueezeExcitation` | `squeezed`, the channels between |
/// | `Add`, `Multiply` | `with`, the name of the other layer |
/// | `Concat` | `with`, a list of names: their channels follow those of the layer that it reads |
/// | `ReLU`, `SiLU`, `Sigmoid`, `Tanh`, `Softmax`, `Flatten`, `GlobalAvgPool2d` | |
///
/// `out = "classes"` is the number of classes: `classes` beside `input`, 10 by default.
/// `out = "channels"` is that of the images' channels.
/// `init` is `"he_normal"`, the default, `"he_uniform"`, `"xavier_normal"`, `"xavier_uniform"`,
/// `"pytorch"`, or a number.
#[derive(Debug, Clone)]
pub struct ModelFile {
    text: String,
    input: Shape,
    classes: usize,
    layers: Vec<Layer>,
}

/// A layer, which reads earlier values: 0 is the input, i + 1 the output of layer i.
#[derive(Debug, Clone)]
struct Layer {
    name: String,
    from: usize,
    with: Vec<usize>,
    kind: &'static Kind,
    options: Options,
}

impl Layer {
    /// A join has no module of its own that a wrong shape could name.
    fn name_in(&self, error: Error) -> Error {
        match error {
            Error::Shape { expected, got, .. } => Error::Shape {
                at: format!("{}: {}", self.name, self.kind.name),
                expected,
                got,
            },
            other => other,
        }
    }
}

impl ModelFile {
    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, or does not describe a model: the line says where.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        parse(&text, &path.display().to_string())
    }

    /// The names of the models that are built in, of which [`models`](crate::nn::models) tells.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|(name, _)| *name)
    }

    /// A model that is built in.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn named(name: &str) -> Result<Self> {
        match KNOWN.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => text.parse(),
            None => {
                let names: Vec<&str> = ModelFile::names().collect();
                let expected = format!("a .toml file, or one of {}", names.join(", "));
                let got = unknown(name, names.into_iter());
                Err(Error::value("model", expected, got))
            }
        }
    }

    /// The file, if there is one of that name or the name ends in `.toml`; else the model that is
    /// built in.
    ///
    /// # Errors
    /// As [`ModelFile::read`] and [`ModelFile::named`].
    pub fn find(name: &str) -> Result<Self> {
        match name.ends_with(".toml") || Path::new(name).is_file() {
            true => ModelFile::read(name),
            false => ModelFile::named(name),
        }
    }

    /// The text that it was parsed from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The shape of a sample.
    pub fn input(&self) -> &Shape {
        &self.input
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// For samples of another shape than the file's.
    #[must_use]
    pub fn with_input(self, input: impl Into<Shape>) -> Self {
        let input = input.into();
        ModelFile { input, ..self }
    }

    /// For another number of classes than the file's.
    #[must_use]
    pub fn with_classes(self, classes: usize) -> Self {
        ModelFile { classes, ..self }
    }
}

impl FromStr for ModelFile {
    type Err = Error;

    /// # Errors
    /// The text is not TOML, or does not describe a model: the line says where.
    fn from_str(text: &str) -> Result<Self> {
        parse(text, "model file")
    }
}

impl Module for ModelFile {
    fn forward<'g>(&self, input: Var<'g>) -> Result<Var<'g>> {
        let shape = input.shape();
        if shape.dims().get(1..) != Some(self.input.dims()) {
            let extents: Vec<String> = self.input.dims().iter().map(usize::to_string).collect();
            return Err(Error::Shape {
                at: input.place(),
                expected: format!("(N, {})", extents.join(", ")),
                got: shape.to_string(),
            });
        }
        let sizes = Sizes {
            classes: self.classes,
            channels: shape.dims().get(1).copied().unwrap_or(1),
        };
        let (mut values, mut last) = (vec![input], input);
        for layer in &self.layers {
            let from = values[layer.from];
            last = match layer.kind.make {
                Make::Layer(make) => {
                    let module = make(&layer.options, &from.shape(), sizes)?;
                    from.apply(&layer.name, &*module)?
                }
                Make::Join(join) => {
                    let others: Vec<Var<'g>> = layer.with.iter().map(|&at| values[at]).collect();
                    join(from, &others).map_err(|error| layer.name_in(error))?
                }
            };
            values.push(last);
        }
        Ok(last)
    }
}

/// Parses a text; errors name its `origin`.
fn parse(text: &str, origin: &str) -> Result<ModelFile> {
    let source = Source { text, origin };
    let table = DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        source.wrong(start, "", "TOML", error.message().replace('\n', " "))
    })?;
    let file = Options::new(&source, 0, "", table.get_ref());
    file.allow(&["classes", "input", "layers"])?;
    let input: Vec<usize> = file.required("input", "a list of extents, such as [1, 28, 28]")?;
    let classes = file.or("classes", "a number", CLASSES)?;
    let Some(DeValue::Array(entries)) = table.get_ref().get("layers").map(Spanned::get_ref) else {
        return Err(file.wrong("layers", "a list of layers"));
    };
    Ok(ModelFile {
        text: text.to_owned(),
        input: Shape::new(input),
        classes,
        layers: layers_of(&source, entries)?,
    })
}

/// The layers of a file, whose references are to earlier ones.
fn layers_of(source: &Source<'_>, entries: &DeArray<'_>) -> Result<Vec<Layer>> {
    let (mut layers, mut names) = (Vec::<Layer>::new(), vec![INPUT.to_owned()]);
    for (place, entry) in entries.iter().enumerate() {
        let (kind, options) = kind_of(source, entry)?;
        let name = options.or("name", "a name", place.to_string())?;
        if names.contains(&name) || name.is_empty() {
            return Err(options.wrong("name", "a name that no other layer has"));
        }
        let place_of = |key: &str, name: &str| {
            let found = names.iter().position(|other| other == name);
            found.ok_or_else(|| options.unknown(key, name, &names, "the name of an earlier layer"))
        };
        let from = match options.optional::<String>("from", "a name")? {
            Some(from) => place_of("from", &from)?,
            None => place,
        };
        let with = match kind.make {
            Make::Layer(make) => {
                // For some data, to find wrong options here.
                let [classes, channels] = [1; 2];
                make(&options, &Shape::new([1; 4]), Sizes { classes, channels })?;
                Vec::new()
            }
            Make::Join(_) => names_in(&options, "with")?,
        };
        let with = with.iter().map(|name| place_of("with", name));
        layers.push(Layer {
            from,
            with: with.collect::<Result<_>>()?,
            name: name.clone(),
            kind,
            options,
        });
        names.push(name);
    }
    match layers.is_empty() {
        true => Err(source.wrong(0, "layers", "at least one", "none")),
        false => Ok(layers),
    }
}

/// The kind of a layer, and its options, all of which the kind has.
fn kind_of(source: &Source<'_>, entry: &Spanned<DeValue<'_>>) -> Result<(&'static Kind, Options)> {
    let (start, none) = (entry.span().start, DeTable::new());
    let (table, name) = match entry.get_ref() {
        DeValue::String(_) => (&none, Some(entry)),
        DeValue::Table(table) => (table, table.get("layer")),
        _ => (&none, None),
    };
    let Some(name) = name.filter(|name| name.get_ref().is_str()) else {
        let got = &source.text[name.unwrap_or(entry).span()];
        return Err(source.wrong(start, "layer", "the name of a layer", got));
    };
    let text = name.get_ref().as_str().unwrap_or_default();
    let Some(kind) = KINDS.iter().find(|kind| kind.name == text) else {
        let got = unknown(text, KINDS.iter().map(|kind| kind.name));
        return Err(source.wrong(name.span().start, "layer", "the name of a layer", got));
    };
    let options = Options::new(source, start, kind.name, table);
    options.allow(&[&["layer", "name", "from"], kind.options].concat())?;
    Ok((kind, options))
}

/// The names in the value of `key`: one, or a list.
fn names_in(options: &Options, key: &str) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        One(String),
        Several(Vec<String>),
    }
    let names = options.required(key, "a name, or a list of names")?;
    Ok(match names {
        Names::One(name) => vec![name],
        Names::Several(names) => names,
    })
}
