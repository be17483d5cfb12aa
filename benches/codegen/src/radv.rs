//! Compiles kernels with RADV, Mesa's Vulkan driver of AMD's cards, and asks what came out.

use std::error::Error;
use std::ffi::CString;

use ash::vk;
use naga::back::pipeline_constants::process_overrides;
use naga::back::{PipelineConstants, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use serde::{Deserialize, Serialize};

use crate::assembly::{self, Loop};
use crate::kernels::Kernel;

/// Storage buffers of the largest kernel.
const BUFFERS: u32 = 12;

/// What the compiler made of a kernel.
#[derive(Debug, Serialize, Deserialize)]
pub struct Compiled {
    pub name: String,
    /// Its constants, as text.
    pub sizes: String,
    /// The driver's statistics, by name.
    pub statistics: Vec<(String, u64)>,
    /// The loop with the most multiply-adds.
    pub inner: Loop,
}

impl Compiled {
    /// The statistic of that name; 0 if the driver has none.
    pub fn statistic(&self, name: &str) -> u64 {
        let mut named = self.statistics.iter().filter(|(other, _)| other == name);
        named.next().map_or(0, |(_, value)| *value)
    }

    /// Registers spilled, and bytes of scratch memory.
    pub fn spills(&self) -> u64 {
        let names = ["Spilled SGPRs", "Spilled VGPRs", "Scratch size"];
        names.iter().map(|name| self.statistic(name)).sum()
    }
}

/// A device that only compiles.
pub struct Radv {
    device: ash::Device,
    statistics: ash::khr::pipeline_executable_properties::Device,
    layout: vk::PipelineLayout,
    /// Keeps the library and the instance.
    _vulkan: (ash::Entry, ash::Instance),
}

impl Radv {
    /// Opens the card of `RADV_FORCE_FAMILY`.
    pub fn open() -> Result<Self, Box<dyn Error>> {
        // SAFETY: each handle is used while what it came from is alive, all of it until the process
        // ends; the structures are filled as the Vulkan specification asks.
        unsafe {
            let vulkan = ash::Entry::load()?;
            let app = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_2);
            let create = vk::InstanceCreateInfo::default().application_info(&app);
            let instance = vulkan.create_instance(&create, None)?;
            let found = instance.enumerate_physical_devices()?;
            let &physical = found.first().ok_or("no device of RADV")?;
            let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
            let extensions = [ash::khr::pipeline_executable_properties::NAME.as_ptr()];
            let mut properties =
                vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default()
                    .pipeline_executable_info(true);
            let mut memory_model = vk::PhysicalDeviceVulkan12Features::default()
                .vulkan_memory_model(true)
                .vulkan_memory_model_device_scope(true);
            let create = vk::DeviceCreateInfo::default()
                .queue_create_infos(&queues)
                .enabled_extension_names(&extensions)
                .push_next(&mut properties)
                .push_next(&mut memory_model);
            let device = instance.create_device(physical, &create, None)?;
            let layout = layout(&device)?;
            let statistics =
                ash::khr::pipeline_executable_properties::Device::new(&instance, &device);
            Ok(Radv {
                device,
                statistics,
                layout,
                _vulkan: (vulkan, instance),
            })
        }
    }

    pub fn compile(&self, kernel: &Kernel, checks: bool) -> Result<Compiled, Box<dyn Error>> {
        let words = spirv(kernel, checks).map_err(|error| format!("{}: {error}", kernel.name))?;
        let entry_point = CString::new(kernel.entry_point)?;
        // SAFETY: as in `open`; the module and the pipeline are destroyed once nothing uses them.
        let (statistics, assembly) = unsafe {
            let create = vk::ShaderModuleCreateInfo::default().code(&words);
            let module = self.device.create_shader_module(&create, None)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(&entry_point);
            let create = vk::ComputePipelineCreateInfo::default()
                .stage(stage)
                .layout(self.layout)
                .flags(
                    vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                        | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR,
                );
            let cache = vk::PipelineCache::null();
            let pipelines = self
                .device
                .create_compute_pipelines(cache, &[create], None)
                .map_err(|(_, error)| error)?;
            let read = self.read(pipelines[0]);
            self.device.destroy_pipeline(pipelines[0], None);
            self.device.destroy_shader_module(module, None);
            read?
        };
        let sizes = kernel.constants.iter();
        let sizes: Vec<_> = sizes
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Ok(Compiled {
            name: kernel.name.clone(),
            sizes: sizes.join(" "),
            statistics,
            inner: assembly::inner_loop(&assembly),
        })
    }

    /// The statistics of a pipeline, and its assembly.
    ///
    /// # Safety
    /// The pipeline is alive, and was created with both captures.
    unsafe fn read(
        &self,
        pipeline: vk::Pipeline,
    ) -> Result<(Vec<(String, u64)>, String), Box<dyn Error>> {
        let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
        let mut named = Vec::new();
        // SAFETY: the pipeline is alive; each array has the length that the driver asked for, and
        // each text the bytes.
        unsafe {
            for statistic in self.statistics.get_pipeline_executable_statistics(&info)? {
                if statistic.format == vk::PipelineExecutableStatisticFormatKHR::UINT64 {
                    let name = statistic.name_as_c_str()?.to_string_lossy().into_owned();
                    named.push((name, statistic.value.u64));
                }
            }
            let get = self
                .statistics
                .fp()
                .get_pipeline_executable_internal_representations_khr;
            let device = self.device.handle();
            let mut count = 0;
            get(device, &info, &mut count, std::ptr::null_mut()).result()?;
            let mut found =
                vec![vk::PipelineExecutableInternalRepresentationKHR::default(); count as usize];
            get(device, &info, &mut count, found.as_mut_ptr()).result()?;
            let mut texts: Vec<Vec<u8>> = found.iter().map(|it| vec![0; it.data_size]).collect();
            for (it, text) in found.iter_mut().zip(&mut texts) {
                it.p_data = text.as_mut_ptr().cast();
            }
            get(device, &info, &mut count, found.as_mut_ptr()).result()?;
            let all = found.iter().zip(&texts);
            let mut assembly = all.filter(|(it, _)| {
                let name = it.name_as_c_str().map(|name| name.to_bytes());
                name.is_ok_and(|name| name == b"Assembly")
            });
            let text = assembly.next().map_or(&[][..], |(_, text)| text);
            let text = String::from_utf8_lossy(text);
            Ok((named, text.trim_end_matches('\0').to_owned()))
        }
    }
}

/// Group 0 has storage buffers, group 1 the step, as wgrad's pipelines do.
///
/// # Safety
/// The device is alive.
unsafe fn layout(device: &ash::Device) -> Result<vk::PipelineLayout, vk::Result> {
    let binding = |binding, kind| {
        vk::DescriptorSetLayoutBinding::default()
            .binding(binding)
            .descriptor_count(1)
            .descriptor_type(kind)
            .stage_flags(vk::ShaderStageFlags::COMPUTE)
    };
    let storage = |number| binding(number, vk::DescriptorType::STORAGE_BUFFER);
    let step = binding(0, vk::DescriptorType::UNIFORM_BUFFER_DYNAMIC);
    let mut sets = Vec::new();
    for bindings in [(0..BUFFERS).map(storage).collect(), vec![step]] {
        let create = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        // SAFETY: the device is alive.
        sets.push(unsafe { device.create_descriptor_set_layout(&create, None)? });
    }
    let create = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
    // SAFETY: the device is alive.
    unsafe { device.create_pipeline_layout(&create, None) }
}

/// The kernel as wgpu would translate it on a driver that bounds accesses of buffers.
fn spirv(kernel: &Kernel, checks: bool) -> Result<Vec<u32>, Box<dyn Error>> {
    let module = naga::front::wgsl::parse_str(&kernel.source)?;
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
    let info = validator.validate(&module)?;
    let constants = kernel.constants.iter();
    let constants: PipelineConstants = constants
        .map(|&(name, value)| (name.to_owned(), value))
        .collect();
    let stage = naga::ShaderStage::Compute;
    let entry_point = Some((stage, kernel.entry_point));
    let (module, info) = process_overrides(&module, &info, entry_point, &constants)?;
    let index = match checks {
        true => BoundsCheckPolicy::Restrict,
        false => BoundsCheckPolicy::Unchecked,
    };
    let options = spv::Options {
        lang_version: (1, 3),
        force_loop_bounding: checks,
        emit_int_div_checks: checks,
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        bounds_check_policies: BoundsCheckPolicies {
            index,
            buffer: BoundsCheckPolicy::Unchecked,
            image_load: index,
            binding_array: index,
        },
        ..spv::Options::default()
    };
    let pipeline = spv::PipelineOptions {
        shader_stage: stage,
        entry_point: kernel.entry_point.to_owned(),
    };
    Ok(spv::write_vec(&module, &info, &options, Some(&pipeline))?)
}
