//! Folders of pictures: what is read of them, and what is refused.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage, RgbaImage};
use wgrad::data::{PictureOptions, Pictures, load_pictures, open_pictures};

/// An empty folder for one test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("pictures")
        .join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn save(picture: impl Into<DynamicImage>, path: PathBuf) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture.into().save(path).unwrap();
}

/// A picture whose pixels tell their place and `first`.
fn coloured(first: u8) -> RgbImage {
    RgbImage::from_fn(3, 2, |x, y| Rgb([first, 10 * x as u8, 100 + y as u8]))
}

fn load(folder: &Path, options: &PictureOptions) -> Pictures {
    load_pictures(folder, options, |_, _| {}).unwrap()
}

fn error(folder: &Path, options: &PictureOptions) -> String {
    let error = load_pictures(folder, options, |_, _| {}).unwrap_err();
    let folder = folder.display().to_string();
    error
        .to_string()
        .replace(&folder, "FOLDER")
        .replace('\\', "/")
}

#[test]
fn pixels_come_channel_by_channel_and_classes_in_byte_order() {
    let folder = folder("formats");
    save(coloured(1), folder.join("train/zebra/a.png"));
    save(coloured(2), folder.join("train/Ant/b.BMP"));
    save(coloured(3), folder.join("train/bee/deeper/c.webp"));
    save(
        RgbaImage::from_pixel(3, 2, image::Rgba([9, 8, 7, 0])),
        folder.join("train/bee/d.png"),
    );
    save(
        GrayImage::from_pixel(3, 2, Luma([77])),
        folder.join("val/bee/e.png"),
    );
    std::fs::write(folder.join("train/bee/notes.txt"), "no picture").unwrap();
    std::fs::write(folder.join("train/bee/.hidden.png"), "no picture").unwrap();
    std::fs::create_dir(folder.join("train/.git")).unwrap();
    let Pictures {
        dataset,
        classes,
        train,
        test,
    } = load(&folder, &PictureOptions::new());
    assert_eq!(classes, ["Ant", "bee", "zebra"]);
    assert_eq!(dataset.sample, [3, 2, 3].into());
    assert_eq!(dataset.train.labels, [0, 1, 1, 2]);
    let image = |n: usize| &dataset.train.images[18 * n..18 * (n + 1)];
    for (n, first) in [(0, 2), (2, 3), (3, 1)] {
        let (red, rest) = image(n).split_at(6);
        assert_eq!(red, [first; 6], "{}", train[n].display());
        assert_eq!(rest, [0, 10, 20, 0, 10, 20, 100, 100, 100, 101, 101, 101]);
    }
    // Transparency is dropped.
    assert_eq!(image(1), [[9; 6], [8; 6], [7; 6]].concat());
    assert_eq!(
        (&*dataset.test.labels, &*dataset.test.images),
        (&[1][..], &[77; 18][..])
    );
    assert!(test[0].ends_with("val/bee/e.png"));

    let grey = load(&folder, &PictureOptions::new().grey(true)).dataset;
    assert_eq!(grey.sample, [1, 2, 3].into());
    assert_eq!(grey.test.images, [77; 6]);
}

#[test]
fn other_sizes_are_scaled_to_cover_and_cropped_to_the_centre() {
    let folder = folder("sizes");
    let side = |x: u32, width: u32| Luma([if 2 * x < width { 0 } else { 255 }]);
    // Left black, right white: after a crop to the centre both halves remain.
    save(
        GrayImage::from_fn(40, 8, |x, _| side(x, 40)),
        folder.join("train/wide/a.png"),
    );
    save(
        GrayImage::from_fn(8, 40, |x, _| side(x, 8)),
        folder.join("train/tall/a.png"),
    );
    save(
        GrayImage::from_fn(1, 1, |_, _| Luma([50])),
        folder.join("train/small/a.png"),
    );
    save(
        GrayImage::from_fn(4, 4, |x, y| Luma([(16 * y + x) as u8])),
        folder.join("test/same/a.png"),
    );
    save(
        GrayImage::from_fn(4, 4, |x, y| Luma([(16 * y + x) as u8])),
        folder.join("train/same/a.png"),
    );
    let pictures = load(&folder, &PictureOptions::new().grey(true).size([4, 4]));
    assert_eq!(pictures.classes, ["same", "small", "tall", "wide"]);
    let image = |n: usize| &pictures.dataset.train.images[16 * n..16 * (n + 1)];
    let untouched: Vec<u8> = (0..16).map(|i| (16 * (i / 4) + i % 4) as u8).collect();
    assert_eq!(image(0), untouched);
    assert_eq!(image(1), [50; 16]);
    for n in [2, 3] {
        for row in image(n).chunks(4) {
            assert!(
                row[0] < 64 && row[3] > 191 && row.is_sorted(),
                "{n}: {row:?}"
            );
        }
    }
    assert_eq!(pictures.dataset.test.labels, [0]);
}

#[test]
fn a_fraction_of_each_class_is_drawn_by_the_seed() {
    let folder = folder("split");
    for (class, count) in [("a", 20), ("b", 10), ("c", 1)] {
        for number in 0..count {
            let name = format!("{class}/{number:02}.png");
            save(
                GrayImage::from_pixel(1, 1, Luma([number])),
                folder.join(name),
            );
        }
    }
    let of_seed = |seed| {
        load(
            &folder,
            &PictureOptions::new().grey(true).test_fraction(0.2, seed),
        )
    };
    let [first, again, other] = [1, 1, 2].map(of_seed);
    assert_eq!(first.test, again.test);
    assert_ne!(first.test, other.test);
    assert_eq!(first.dataset.test.labels, [0, 0, 0, 0, 1, 1]);
    assert_eq!(first.dataset.train.len(), 25);
    let all = [&first.train[..], &first.test].concat();
    let mut unique = all.clone();
    unique.sort();
    unique.dedup();
    assert_eq!((all.len(), unique.len()), (31, 31));
    // A class of one picture keeps it for training.
    let everything = PictureOptions::new().test_fraction(0.99, 0);
    assert_eq!(load(&folder, &everything).dataset.train.labels, [0, 1, 2]);
    let none = PictureOptions::new().test_fraction(0.0, 0);
    assert!(load(&folder, &none).test.is_empty());
}

#[test]
fn every_picture_that_cannot_be_read_is_listed() {
    let folder = folder("broken");
    save(coloured(1), folder.join("a/0.png"));
    save(coloured(1), folder.join("b/0.png"));
    std::fs::write(folder.join("a/1.png"), b"").unwrap();
    std::fs::write(folder.join("a/2.jpg"), b"not a picture").unwrap();
    let whole = std::fs::read(folder.join("b/0.png")).unwrap();
    std::fs::write(folder.join("b/1.png"), &whole[..whole.len() / 2]).unwrap();
    let found = error(&folder, &PictureOptions::new().size([2, 3]));
    assert!(
        found.starts_with("FOLDER: expected pictures that can be read, got 3 others: "),
        "{found}"
    );
    for name in ["a/1.png: ", "a/2.jpg: ", "b/1.png: "] {
        assert!(found.contains(name), "{found}");
    }
    assert!(!found.contains('\n') && !found.contains("0.png"), "{found}");
}

#[test]
fn folders_that_are_no_data_set_are_refused() {
    let folder = folder("refused");
    let options = PictureOptions::new();
    assert_eq!(
        error(&folder, &options),
        "FOLDER: expected 1 to 256 folders, one per class, got 0"
    );
    std::fs::create_dir(folder.join("empty")).unwrap();
    assert_eq!(
        error(&folder, &options),
        "FOLDER/empty: expected pictures (png, jpg, jpeg, bmp, webp), got none"
    );
    save(coloured(1), folder.join("empty/0.png"));
    save(GrayImage::new(5, 4), folder.join("empty/1.png"));
    let options = options.test_fraction(0.0, 0);
    assert_eq!(
        error(&folder, &options),
        "FOLDER: expected pictures of 2×3, the first one's size, got another: FOLDER/empty/1.png: 4×5"
    );
    assert_eq!(
        error(&folder, &options.clone().size([0, 3])),
        "size of pictures: expected at least 1×1, got 0×3"
    );
    assert_eq!(
        error(&folder, &options.test_fraction(1.0, 0)),
        "fraction of test pictures: expected 0 to below 1, got 1"
    );
    save(coloured(1), folder.join("train/a/0.png"));
    save(coloured(1), folder.join("test/b/0.png"));
    assert_eq!(
        error(&folder, &PictureOptions::new()),
        "FOLDER/test/b: expected a class of the training set, got another folder"
    );
    let missing = error(&folder.join("missing"), &PictureOptions::new());
    assert!(
        missing.starts_with("FOLDER: ") && missing.contains("No such file"),
        "{missing}"
    );
}

#[test]
fn progress_counts_every_picture() {
    let folder = folder("progress");
    for number in 0..30 {
        save(coloured(number), folder.join(format!("a/{number}.png")));
    }
    let seen = Mutex::new(Vec::new());
    load_pictures(&folder, &PictureOptions::new(), |done, total| {
        seen.lock().unwrap().push((done, total));
    })
    .unwrap();
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (1..=30).map(|done| (done, 30)).collect::<Vec<_>>());
}

#[test]
fn opened_pictures_are_those_that_are_loaded() {
    let folder = folder("opened");
    for n in 0..6 {
        save(coloured(n), folder.join(format!("train/{}/{n}.png", n % 2)));
    }
    save(coloured(9), folder.join("test/1/9.png"));
    let options = PictureOptions::new();
    let loaded = load(&folder, &options);
    let count = Mutex::new(0);
    let opened = open_pictures(&folder, &options, |_, total| {
        assert_eq!(total, 7);
        *count.lock().unwrap() += 1;
    });
    let opened = opened.unwrap();
    assert_eq!(*count.lock().unwrap(), 7);
    assert_eq!([&opened.train, &opened.test], [&loaded.train, &loaded.test]);
    let test = opened.dataset.tested().unwrap();
    for (source, expected) in [
        (opened.dataset.train(), &loaded.dataset.train),
        (test, &loaded.dataset.test),
    ] {
        assert_eq!(source.len(), expected.len());
        let order: Vec<u32> = (0..source.len() as u32).rev().collect();
        let (mut images, mut labels) = (vec![0; 18 * order.len()], vec![0; order.len()]);
        source.read(&order, &mut images, &mut labels).unwrap();
        let backwards: Vec<&[u8]> = expected.images.rchunks(18).collect();
        assert_eq!(images, backwards.concat());
        let backwards: Vec<u8> = expected.labels.iter().rev().copied().collect();
        assert_eq!(labels, backwards);
    }

    // A file that is replaced afterwards.
    save(RgbImage::new(5, 4), folder.join("train/0/2.png"));
    let read = opened.dataset.train().read(&[1], &mut [0; 18], &mut [0]);
    let error = read.unwrap_err().to_string().replace('\\', "/");
    let end = "train/0/2.png: expected pictures of 2×3, the first one's size, got 4×5";
    assert!(error.ends_with(end), "{error}");
    let refused = open_pictures(&folder, &options, |_, _| {}).unwrap_err();
    let loading = load_pictures(&folder, &options, |_, _| {}).unwrap_err();
    assert_eq!(refused.to_string(), loading.to_string());
}
