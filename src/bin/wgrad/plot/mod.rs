//! `wgrad plot`.

mod activations;
mod calibration;
mod filters;
mod occlusion;
mod raster;

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use wgrad::data::read_picture;
use wgrad::{Error, Predictor, Result};

use crate::common::{DeviceArgs, Output, say};
use crate::data::{Loaded, picture_options};
use crate::measure::{self, Measured};
use crate::model::Trained;
use crate::run_folder::Results;
use crate::tiles::Image;
use crate::{arguments, charts, sheet};

/// The folder of the pictures, in that of the run.
const PLOTS: &str = "plots";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A run's folder
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The data set, if it is not where it was in training
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// The picture whose activations and occlusion map are drawn [default: the first test image]
    #[arg(long, value_name = "PICTURE")]
    image: Option<PathBuf>,
    /// Folder of the pictures [default: plots in the run's folder]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Their format
    #[arg(long, value_enum, default_value_t = Format::Svg)]
    format: Format,
    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Svg,
    /// With twice as many pixels; needs a font on the system
    Png,
}

const EXAMPLES: &str = "\
Examples:
  wgrad plot runs/resnet8
  wgrad plot runs/resnet8 --image cat.jpg --format png --output cat";

pub async fn run(args: &Args) -> Result<()> {
    let mut trained_with = arguments::of_run(&args.run)?;
    if let Some(path) = &args.data {
        trained_with.set_data(path);
    }
    let trained = Trained::load(&args.run)?;
    let (_, loaded) = trained_with.load()?;
    let device = args.device.open().await?;
    let results = Results::read(&args.run, u64::MAX)?;
    let measured = Measured::of(&device, &trained, &loaded).await?;
    let mut predictor = Predictor::from_checkpoint(&device, &trained.checkpoint)?;
    let subject = match loaded.sample().dims() {
        [1 | 3, _, _] => Some(Subject::read(args, &mut predictor, &trained, &loaded).await?),
        _ => None,
    };
    let folder = Folder::create(args)?;
    folder.write("results", &charts::epochs(&results.epochs)?)?;
    let matrix = charts::confusion(&measured.matrix, &loaded.classes)?;
    folder.write("confusion_matrix", &matrix)?;
    folder.write("calibration", &calibration::chart(&measured)?)?;
    let Some(subject) = subject else {
        return say!("The other pictures are of grey and colour images alone");
    };
    folder.write("worst", &worst(&loaded, &measured)?)?;
    let filters = filters::sheet(&trained.checkpoint)?;
    match filters {
        Some(filters) => folder.write("filters", &filters)?,
        None => say!("The model has no convolution of its input: no filters to draw")?,
    }
    let layers = activations::sheet(&device, &trained.checkpoint, &subject).await?;
    folder.write("activations", &layers)?;
    let map = occlusion::sheet(&mut predictor, &subject).await?;
    folder.write("occlusion", &map)
}

/// The test images to whose classes the model gives the lowest probabilities.
fn worst(loaded: &Loaded, measured: &Measured) -> Result<String> {
    let of_class = |&place: &u32| {
        let place = place as usize;
        measured.row(place)[measured.labels[place]]
    };
    let mut places: Vec<u32> = (0..measured.labels.len() as u32).collect();
    places.sort_by(|a, b| of_class(a).total_cmp(&of_class(b)));
    places.truncate(sheet::IMAGES);
    let title = "The test images with the lowest probabilities of their classes: class → answer";
    sheet::answers(title, loaded, measured, &places)
}

/// The image whose activations and occlusion map are drawn.
struct Subject {
    /// What it is called in titles.
    name: String,
    /// Its values, from 0 to 1.
    values: Vec<f32>,
    /// The class that the model gives it.
    class: usize,
    /// The probability of the class.
    probability: f32,
}

impl Subject {
    async fn read(
        args: &Args,
        predictor: &mut Predictor,
        trained: &Trained,
        loaded: &Loaded,
    ) -> Result<Self> {
        let (name, values) = match &args.image {
            Some(path) => picture(path, loaded)?,
            None => first(loaded)?,
        };
        let row = predictor.probabilities(&values).await?;
        let class = measure::largest(&row);
        let name = format!(
            "{name}: answer {} {:.1} %",
            trained.class(class),
            100.0 * row[class]
        );
        Ok(Subject {
            name,
            values,
            class,
            probability: row[class],
        })
    }
}

/// A picture, scaled as in training.
fn picture(path: &Path, loaded: &Loaded) -> Result<(String, Vec<f32>)> {
    let options = picture_options(&loaded.sample(), "--image")?;
    let (_, pixels) = read_picture(path, &options)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok((name.into_owned(), measure::floats(pixels, 1)?))
}

/// The first image of the test set.
fn first(loaded: &Loaded) -> Result<(String, Vec<f32>)> {
    let Some(test) = loaded.data.tested() else {
        return Err(Error::value("test set", "at least 1 image", 0));
    };
    let (values, labels) = measure::read(test, &[0])?;
    let class = &loaded.classes[labels[0]];
    Ok((format!("First test image ({class})"), values))
}

/// The folder of the pictures.
struct Folder {
    path: PathBuf,
    format: Format,
}

impl Folder {
    fn create(args: &Args) -> Result<Self> {
        let default = || args.run.join(PLOTS);
        let path = args.output.clone().unwrap_or_else(default);
        std::fs::create_dir_all(&path).map_err(|source| Error::Io {
            path: path.clone(),
            source,
        })?;
        Ok(Folder {
            path,
            format: args.format,
        })
    }

    fn write(&self, name: &str, svg: &str) -> Result<()> {
        let (path, bytes) = match self.format {
            Format::Svg => (
                self.path.join(format!("{name}.svg")),
                svg.as_bytes().to_vec(),
            ),
            Format::Png => (self.path.join(format!("{name}.png")), raster::png(svg)?),
        };
        Output::open(&path)?.replace(&bytes)?;
        say!("wrote {}", path.display())
    }
}

/// A map from 0 to 1 in colours that the colour-blind tell apart: viridis.
fn in_color([height, width]: [usize; 2], map: &[f32]) -> Result<Image> {
    use plotters::prelude::{ColorMap, ViridisRGB};
    let color = |value: &f32| {
        let color = ViridisRGB.get_color(*value);
        [color.0, color.1, color.2].map(|part| f32::from(part) / 255.0)
    };
    let colors: Vec<[f32; 3]> = map.iter().map(color).collect();
    let planes = (0..3).flat_map(|channel| colors.iter().map(move |color| color[channel]));
    Image::new(&[3, height, width].into(), planes.collect())
}
