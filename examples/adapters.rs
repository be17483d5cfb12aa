//! Lists the adapters of this machine, numbered as `--adapter` counts them.

fn main() -> std::process::ExitCode {
    let adapters = wgrad::block_on(wgrad::Device::list());
    for line in &adapters {
        println!("{line}");
    }
    if adapters.is_empty() {
        eprintln!("no adapter found: no Vulkan, Metal, DX12 or GL driver answers");
        return std::process::ExitCode::FAILURE;
    }
    std::process::ExitCode::SUCCESS
}
