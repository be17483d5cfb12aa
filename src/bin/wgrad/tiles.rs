//! Sheets of small images with captions, as SVG.

use std::fmt::Write as _;
use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{GrayImage, ImageFormat, RgbImage};
use wgrad::shape::Shape;
use wgrad::{Error, Result};

/// Pixels between the images.
const SPACE: usize = 12;

/// Pixels of a line of text, and of the title.
const LINE: usize = 14;
const TITLE: usize = 44;

/// An image, grey or in colour, (1 or 3, H, W): its values from 0 to 1, channel by channel.
pub struct Image {
    channels: usize,
    height: usize,
    width: usize,
    values: Vec<f32>,
}

impl Image {
    /// # Errors
    /// The shape is not that of an image.
    pub fn new(shape: &Shape, values: Vec<f32>) -> Result<Self> {
        match *shape.dims() {
            [channels @ (1 | 3), height, width] => Ok(Image {
                channels,
                height,
                width,
                values,
            }),
            _ => Err(Error::value("picture", "grey or colour images", shape)),
        }
    }

    /// A grey image.
    pub fn grey([height, width]: [usize; 2], values: Vec<f32>) -> Self {
        Image {
            channels: 1,
            height,
            width,
            values,
        }
    }

    /// A PNG file in base64.
    fn png(&self) -> Result<String> {
        let (area, width) = (self.height * self.width, self.width);
        let byte = |at: usize| (255.0 * self.values[at].clamp(0.0, 1.0)).round() as u8;
        let (wide, high) = (width as u32, self.height as u32);
        let mut file = Cursor::new(Vec::new());
        let written = match self.channels {
            1 => GrayImage::from_fn(wide, high, |x, y| {
                image::Luma([byte(y as usize * width + x as usize)])
            })
            .write_to(&mut file, ImageFormat::Png),
            _ => RgbImage::from_fn(wide, high, |x, y| {
                let at = y as usize * width + x as usize;
                image::Rgb([byte(at), byte(area + at), byte(2 * area + at)])
            })
            .write_to(&mut file, ImageFormat::Png),
        };
        written.map_err(|error| Error::value("picture", "images that can be written", error))?;
        Ok(STANDARD.encode(file.into_inner()))
    }
}

/// An image with the lines of text below it.
pub struct Tile {
    pub image: Image,
    pub caption: Vec<String>,
    /// Whether its frame stands out.
    pub is_marked: bool,
}

/// Tiles below a line of text, which may be empty.
pub struct Group {
    pub title: String,
    pub tiles: Vec<Tile>,
}

/// The sizes of a sheet.
#[derive(Clone, Copy)]
pub struct Layout {
    /// Tiles in a row.
    pub columns: usize,
    /// Pixels of a side of an image, the longer one.
    pub side: usize,
    /// Lines of text below an image.
    pub lines: usize,
}

impl Layout {
    fn step(self) -> usize {
        self.side + SPACE
    }

    fn row(self) -> usize {
        self.step() + self.lines * LINE
    }

    /// Pixels of a group: its title, and its rows.
    fn height(self, group: &Group) -> usize {
        let title = if group.title.is_empty() { 0 } else { LINE + 6 };
        title + group.tiles.len().div_ceil(self.columns) * self.row()
    }
}

/// A sheet.
///
/// # Errors
/// An image cannot be encoded.
pub fn sheet(title: &str, groups: &[Group], layout: Layout) -> Result<String> {
    let widest = groups.iter().map(|group| group.tiles.len()).max();
    let columns = widest.unwrap_or(1).clamp(1, layout.columns);
    // Wide enough for the title, too.
    let wide = (columns * layout.step() + SPACE).max(10 * title.chars().count() + 2 * SPACE);
    let high: usize = groups.iter().map(|group| layout.height(group)).sum();
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide}\" height=\"{}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{SPACE}\" y=\"28\" font-size=\"18\">{}</text>\n",
        high + TITLE + SPACE,
        escape(title)
    );
    let mut top = TITLE;
    for group in groups {
        let mut first_row = top;
        if !group.title.is_empty() {
            let (y, title) = (top + LINE, escape(&group.title));
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "<text x=\"{SPACE}\" y=\"{y}\" font-size=\"13\">{title}</text>"
            );
            first_row += LINE + 6;
        }
        for (at, tile) in group.tiles.iter().enumerate() {
            let x = SPACE + at % layout.columns * layout.step();
            let y = first_row + at / layout.columns * layout.row();
            draw(&mut text, tile, [x, y], layout)?;
        }
        top += layout.height(group);
    }
    text += "</svg>\n";
    Ok(text)
}

fn draw(text: &mut String, tile: &Tile, [x, y]: [usize; 2], layout: Layout) -> Result<()> {
    let Image { height, width, .. } = tile.image;
    let longer = height.max(width);
    let [high, wide] = [height, width].map(|pixels| (layout.side * pixels / longer).max(1));
    let picture = tile.image.png()?;
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "<image x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{high}\" \
         preserveAspectRatio=\"none\" image-rendering=\"optimizeSpeed\" \
         style=\"image-rendering: pixelated\" href=\"data:image/png;base64,{picture}\"/>"
    );
    let (color, stroke) = match tile.is_marked {
        true => ("#d55e00", 4),
        false => ("#999999", 1),
    };
    let _ = writeln!(
        text,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{high}\" fill=\"none\" \
         stroke=\"{color}\" stroke-width=\"{stroke}\"/>"
    );
    for (line, caption) in tile.caption.iter().enumerate() {
        let (y, caption) = (
            y + high + LINE * (line + 1),
            shortened(caption, layout.side),
        );
        let caption = escape(&caption);
        let _ = writeln!(text, "<text x=\"{x}\" y=\"{y}\">{caption}</text>");
    }
    Ok(())
}

/// A caption that fits below an image of `side` pixels.
fn shortened(caption: &str, side: usize) -> String {
    // Pixels of a letter, about.
    let most = (2 * side / 13).max(2) + 1;
    match caption.chars().count() > most {
        true => caption.chars().take(most - 1).chain(['…']).collect(),
        false => caption.to_owned(),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
