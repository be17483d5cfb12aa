//! What a file of a picture becomes: the bytes of a sample.

use std::fs;
use std::io::BufReader;
use std::path::Path;

use image::imageops::FilterType;
use image::{DynamicImage, ImageReader};

use super::PictureOptions;
use crate::error::{Error, Result};
use crate::shape::Shape;

/// The size of every sample, and how a picture is brought to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    /// Height and width.
    size: [usize; 2],
    /// Whether pictures of other sizes are scaled and cropped; if not, they are refused.
    scaled: bool,
    grey: bool,
}

impl Format {
    /// Of the options' size, or else of that of the picture at `path`.
    ///
    /// # Errors
    /// The size is needed and cannot be read.
    pub fn new(options: &PictureOptions, path: &Path) -> Result<Self> {
        Ok(Format {
            size: match options.size {
                Some(size) => size,
                None => size_of(path)?,
            },
            scaled: options.size.is_some(),
            grey: options.grey,
        })
    }

    /// (channels, height, width).
    pub fn sample(&self) -> Shape {
        let [height, width] = self.size;
        Shape::new([if self.grey { 1 } else { 3 }, height, width])
    }

    /// What files are expected to be.
    pub fn expected(&self) -> String {
        let [height, width] = self.size;
        match self.scaled {
            true => "pictures that can be read".to_owned(),
            false => format!("pictures of {height}×{width}, the first one's size"),
        }
    }

    /// Reads a picture into `pixels`, channel by channel.
    ///
    /// # Errors
    /// The file is no picture, or one of another size: what is wrong.
    pub fn read(&self, path: &Path, pixels: &mut [u8]) -> Result<(), String> {
        let [height, width] = self.size;
        let picture = reader(path)?.decode().map_err(|error| error.to_string())?;
        let is_that_size = (picture.height() as usize, picture.width() as usize) == (height, width);
        let picture = match self.scaled {
            _ if is_that_size => picture,
            // Scales to cover the size, then crops to the centre.
            true => picture.resize_to_fill(width as u32, height as u32, FilterType::Triangle),
            false => return Err(format!("{}×{}", picture.height(), picture.width())),
        };
        if self.grey {
            pixels.copy_from_slice(&DynamicImage::to_luma8(&picture));
            return Ok(());
        }
        let area = height * width;
        for (at, pixel) in picture.to_rgb8().pixels().enumerate() {
            for (channel, value) in pixel.0.into_iter().enumerate() {
                pixels[channel * area + at] = value;
            }
        }
        Ok(())
    }
}

/// (height, width) of a picture, from its header.
fn size_of(path: &Path) -> Result<[usize; 2]> {
    let size = reader(path).and_then(|reader| reader.into_dimensions().map_err(|e| e.to_string()));
    let (width, height) = size.map_err(|got| Error::Data {
        path: path.to_owned(),
        expected: "a picture".to_owned(),
        got,
    })?;
    Ok([height as usize, width as usize])
}

/// A reader that takes the format from the content, not from the name.
fn reader(path: &Path) -> Result<ImageReader<BufReader<fs::File>>, String> {
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    reader.map_err(|error| error.to_string())
}
