//! Lists the adapters of this machine, numbered as `--adapter` counts them.

mod common;

fn main() -> std::process::ExitCode {
    common::quiet_drivers();
    match wgrad::block_on(wgrad::Device::all()) {
        Ok(devices) => {
            for (number, device) in devices.iter().enumerate() {
                println!("{number}: {device}");
            }
            common::exit(Ok(()))
        }
        Err(error) => common::exit(Err(error)),
    }
}
