//! Finding adapters, and choosing one.

use wgpu::{Backend, Backends};

use super::Adapter;
use super::aside::apart;
use crate::error::{Error, Result};

/// The names allowed in `WGPU_BACKEND`, wgpu's variable.
const BACKEND_NAMES: [&str; 11] = [
    "vulkan", "vk", "metal", "mtl", "dx12", "d3d12", "gl", "gles", "opengl", "webgpu", "noop",
];

/// The backends that the variable `WGPU_BACKEND` allows: all, if it is unset or empty.
///
/// # Errors
/// It contains an unknown name, which wgpu would ignore.
fn allowed_backends() -> Result<Backends> {
    let Some(names) = variable("WGPU_BACKEND") else {
        return Ok(Backends::all());
    };
    let unknown = |name: &&str| !BACKEND_NAMES.contains(&name.trim().to_lowercase().as_str());
    if let Some(name) = names.split(',').find(unknown) {
        let expected = format!("names among {}", BACKEND_NAMES.join(", "));
        return Err(Error::value("WGPU_BACKEND", expected, format!("`{name}`")));
    }
    Ok(Backends::from_comma_list(&names))
}

/// The value of an environment variable, if set and not empty.
fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?;
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// The variable that, if set and not empty, turns on wgpu's run-time checks in every kernel.
const RUNTIME_CHECKS: &str = "WGRAD_RUNTIME_CHECKS";

/// The adapters of `backends` that can run compute shaders, the best first. The variable
/// `WGPU_BACKEND`, if set, restricts the backends.
///
/// # Errors
/// That variable contains an unknown name.
pub async fn enumerate(backends: Backends) -> Result<Vec<Adapter>> {
    let backends = backends & allowed_backends()?;
    if backends.is_empty() {
        return Ok(Vec::new());
    }
    let checks = variable(RUNTIME_CHECKS).is_some();
    // Loading drivers takes long.
    let found = apart(move || async move {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = backends;
        descriptor.flags = wgpu::InstanceFlags::empty().with_env();
        let instance = wgpu::Instance::new(descriptor);
        instance.enumerate_adapters(backends).await
    });
    let mut adapters: Vec<Adapter> = found
        .await?
        .into_iter()
        .map(|inner| Adapter::new(inner, checks))
        .filter(|adapter| adapter.info().backend != Backend::Noop)
        .filter(|adapter| {
            let flags = adapter.inner.get_downlevel_capabilities().flags;
            flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
        })
        .collect();
    adapters.sort_by_key(Adapter::rank);
    Ok(adapters)
}

/// All adapters: Vulkan, Metal, DX12 and WebGPU first, then GL, whose driver may print to the
/// terminal when queried.
///
/// # Errors
/// As [`enumerate`].
pub(crate) async fn enumerate_all() -> Result<Vec<Adapter>> {
    let mut adapters = enumerate(Backends::PRIMARY).await?;
    adapters.extend(enumerate(Backends::GL).await?);
    Ok(adapters)
}

/// The adapter that a user requested.
enum Wanted<'a> {
    Best,
    /// An index into [`enumerate_all`].
    Number(usize),
    /// Part of a name or of a backend, and the variable or flag that it came from.
    Name(&'a str, String),
}

/// The adapter that `wanted` names (a number of [`enumerate_all`], or part of a name or backend),
/// or without it the one that the variable `WGPU_ADAPTER_NAME` names, or else the best one; and the
/// reason. GL is queried only if no GPU is reached otherwise, or if nothing else matches the name.
///
/// # Errors
/// No adapter was found, or none matches `wanted`: the error lists the adapters found.
pub(crate) async fn choose(wanted: Option<&str>) -> Result<(Adapter, String)> {
    let named = variable(ADAPTER_NAME);
    let wanted = match (wanted, &named) {
        (Some(text), _) => match text.trim().parse() {
            Err(_) if text.trim().is_empty() => {
                return Err(Error::value(
                    "adapter",
                    "a number, or part of a name or backend",
                    "nothing",
                ));
            }
            Ok(number) => Wanted::Number(number),
            Err(_) => Wanted::Name(text, format!("`{text}`")),
        },
        (None, Some(name)) => Wanted::Name(name, format!("{ADAPTER_NAME} `{name}`")),
        (None, None) => Wanted::Best,
    };
    let mut adapters = enumerate(Backends::PRIMARY).await?;
    let (is_number, is_best) = (
        matches!(wanted, Wanted::Number(_)),
        matches!(wanted, Wanted::Best),
    );
    match pick(&adapters, &wanted) {
        Some(picked) if !(is_number || is_best && picked.0.is_software()) => return Ok(picked),
        _ => adapters.extend(enumerate(Backends::GL).await?),
    }
    pick(&adapters, &wanted).ok_or_else(|| Error::NoAdapter {
        asked: match wanted {
            Wanted::Best => "GPU computation".to_owned(),
            Wanted::Number(number) => format!("number {number}"),
            Wanted::Name(_, asked) => asked,
        },
        found: list(&adapters),
    })
}

/// wgpu's variable for the default adapter of programs.
const ADAPTER_NAME: &str = "WGPU_ADAPTER_NAME";

/// Whether that variable names an adapter: then no other may be used in its place.
pub(crate) fn is_named_by_variable() -> bool {
    variable(ADAPTER_NAME).is_some()
}

fn list(adapters: &[Adapter]) -> String {
    let lines = adapters.iter().enumerate();
    let lines: Vec<String> = lines
        .map(|(i, adapter)| format!("{i}: {adapter}"))
        .collect();
    match lines.is_empty() {
        true => "none".to_owned(),
        false => lines.join("; "),
    }
}

fn pick(adapters: &[Adapter], wanted: &Wanted<'_>) -> Option<(Adapter, String)> {
    let (adapter, reason) = match wanted {
        Wanted::Best => {
            let best = adapters.iter().min_by_key(|adapter| adapter.rank())?;
            (best, reason_for_best(best, adapters.len()))
        }
        Wanted::Number(number) => {
            let reason = format!("number {number} was asked for");
            (adapters.get(*number)?, reason)
        }
        Wanted::Name(name, asked) => {
            let mut named = adapters.iter().filter(|adapter| adapter.answers_to(name));
            (named.next()?, format!("{asked} was asked for"))
        }
    };
    Some((adapter.clone(), reason))
}

fn reason_for_best(best: &Adapter, count: usize) -> String {
    match (best.is_software(), count) {
        (true, _) => {
            "no GPU was found, only software; the CPU reference, --device cpu, is 1.5 to 4 \
                      times as fast"
                .to_owned()
        }
        (false, 1) => "the only adapter found".to_owned(),
        (false, _) => format!("the best of {count} adapters, a {}", best.kind()),
    }
}
