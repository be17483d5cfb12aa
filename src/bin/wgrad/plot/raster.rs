//! SVG to PNG.

use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{Options, Tree};
use wgrad::{Error, Result};

/// Pixels of the PNG for one of the SVG: 192 for an inch, for print.
const SCALE: f32 = 2.0;

/// A PNG file of an SVG.
///
/// # Errors
/// The system has no font, or the picture is too large.
pub fn png(svg: &str) -> Result<Vec<u8>> {
    let mut fonts = Database::new();
    fonts.load_system_fonts();
    let Some(face) = fonts
        .faces()
        .find(|face| is_sans(face))
        .or(fonts.faces().next())
    else {
        let expected = "a font on the system, such as Debian's fonts-dejavu-core";
        return Err(Error::value("--format png", expected, "none"));
    };
    let family = face.families.first().map(|family| family.0.clone());
    fonts.set_sans_serif_family(family.unwrap_or_default());
    let options = Options {
        fontdb: Arc::new(fonts),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options)
        .map_err(|error| Error::value("picture", "SVG that can be drawn", error))?;
    let size = tree.size().to_int_size().scale_by(SCALE);
    let pixels = size.and_then(|size| Pixmap::new(size.width(), size.height()));
    let Some(mut pixels) = pixels else {
        let got = format!("{:?}", tree.size());
        return Err(Error::value("picture", "a size that fits memory", got));
    };
    resvg::render(
        &tree,
        Transform::from_scale(SCALE, SCALE),
        &mut pixels.as_mut(),
    );
    let encoded = pixels.encode_png();
    encoded.map_err(|error| Error::value("picture", "a PNG that can be written", error))
}

fn is_sans(face: &resvg::usvg::fontdb::FaceInfo) -> bool {
    let is_named = |name: &str| name.contains("Sans") && !name.contains("Mono");
    face.families.iter().any(|family| is_named(&family.0))
}
