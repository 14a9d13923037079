import Foundation

/// The metadata that the webui shows for a LoRA file, including the base model that it lists the
/// file under.
///
/// Nothing in it varies from run to run: equal LoRAs give equal files.
public struct WebUIHeader: Equatable, Sendable {
  public enum BaseModel: Equatable, Sendable {
    case stableDiffusion1
    case stableDiffusion2(predictsVelocity: Bool)
    case stableDiffusionXL

    /// The version in kohya's terms.
    fileprivate var version: String {
      switch self {
      case .stableDiffusion1: "sd_v1"
      case .stableDiffusion2(let predictsVelocity): predictsVelocity ? "sd_v2_768_v" : "sd_v2"
      case .stableDiffusionXL: "sdxl_base_v1-0"
      }
    }

    /// The architecture in Stability's `modelspec` terms.
    fileprivate var architecture: String {
      switch self {
      case .stableDiffusion1: "stable-diffusion-v1"
      case .stableDiffusion2(let predictsVelocity):
        predictsVelocity ? "stable-diffusion-v2-768-v" : "stable-diffusion-v2-512"
      case .stableDiffusionXL: "stable-diffusion-xl-v1-base"
      }
    }

    fileprivate var isVersion2: Bool {
      if case .stableDiffusion2 = self { true } else { false }
    }
  }

  /// The naming scheme for the blocks of the U-Net.
  public enum BlockNames: String, CaseIterable, Sendable {
    case diffusers
    /// As in Stability's own code, with which kohya's scripts train SDXL.
    case sgm
  }

  /// The name in `<lora:NAME:1>`.
  public var name: String
  /// The model that the LoRA was trained on.
  public var modelName: String
  public var base: BaseModel
  public var blockNames: BlockNames
  /// The side of the model's images; nil if the folder has no autoencoder to infer it from.
  public var pixels: Int?

  /// - Parameter digest: SHA-256 of the file's bytes after the header, in hexadecimal digits
  func pairs(_ lora: LoRAWeights, digest: String) -> [String: String] {
    let ranks = Set(lora.modules.map(\.rank))
    let rank = ranks.count == 1 ? ranks.map { String($0) }[0] : "Dynamic"
    let isXL = base == .stableDiffusionXL
    var pairs = [
      "ss_v2": base.isVersion2 ? "True" : "False", "ss_base_model_version": base.version,
      "ss_network_module": "networks.lora", "ss_network_dim": rank, "ss_network_alpha": rank,
      "ss_network_args": "{}", "ss_output_name": name, "ss_sd_model_name": modelName,
      "ss_training_comment": "step-by-step preference optimization", "sshs_model_hash": digest,
      "modelspec.sai_model_spec": "1.0.1", "modelspec.title": name,
      "modelspec.architecture": "\(base.architecture)/lora",
      "modelspec.implementation":
        isXL ? "https://github.com/Stability-AI/generative-models" : "diffusers",
      "modelspec.hash_sha256": "0x\(digest)",
    ]
    if let pixels {
      pairs["ss_resolution"] = "(\(pixels), \(pixels))"
      pairs["modelspec.resolution"] = "\(pixels)x\(pixels)"
    }
    return pairs
  }
}

extension ModelFolder {
  /// Returns the header of a LoRA for this model.
  ///
  /// - Parameter blockNames: nil: the usual ones for the model's family
  /// - Throws: `LoRAError.ldmNames` if sgm has no names for blocks of this size
  public func webUIHeader(
    name: String, blockNames: WebUIHeader.BlockNames? = nil
  ) throws -> WebUIHeader {
    let unet = try UNetConfiguration(try configuration("unet"))
    let hasLDMNames =
      unet.layersPerBlock.allSatisfy { $0 == LDMBlockNames.layersPerBlock }
    guard hasLDMNames || blockNames != .sgm else {
      throw LoRAError.ldmNames(layersPerBlock: unet.layersPerBlock)
    }
    let isXL = unet.textTime != nil
    // Conditioned on OpenCLIP's text encoder, which is wider than CLIP's.
    let isVersion2 = !isXL && unet.contextWidth == 1024
    let predictsVelocity = isVersion2 && (try? schedulerConfig().predictionType()) == .velocity
    let reduction =
      hasPart("vae") ? try AutoencoderConfiguration(try configuration("vae")).reduction : nil
    return WebUIHeader(
      name: name, modelName: URL(fileURLWithPath: path).lastPathComponent,
      base: isXL
        ? .stableDiffusionXL
        : isVersion2 ? .stableDiffusion2(predictsVelocity: predictsVelocity) : .stableDiffusion1,
      blockNames: blockNames ?? (isXL && hasLDMNames ? .sgm : .diffusers),
      pixels: reduction.map { $0 * unet.sampleSize })
  }
}
