//! The files of the models that are built in.

macro_rules! files {
    ($($name:literal),+) => {
        /// Each with its name.
        pub(super) static KNOWN: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../../models/", $name, ".toml"))),)+
        ];
    };
}

files!(
    "tutorial",
    "lenet5",
    "compact",
    "larger",
    "vgg",
    "resnet8",
    "resnet20",
    "resnet18",
    "depthwise",
    "autoencoder",
    "unet"
);
