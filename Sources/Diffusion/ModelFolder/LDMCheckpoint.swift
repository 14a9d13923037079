package import Checkpoints
public import Files
import NN

/// A whole model in one file, in the layout of Stability's own code: the webui's checkpoint format.
///
/// Its parts are presented under diffusers' names, shapes and configurations. The file has no
/// configuration: the published one of its family is used, with extents inferred from the shapes.
/// Stable Diffusion 1, 2 and XL are supported.
package struct LDMCheckpoint {
  enum Family {
    case stableDiffusion1
    case stableDiffusion2
    case stableDiffusionXL
  }

  /// The name for display.
  package var name: String {
    switch family {
    case .stableDiffusion1: "Stable Diffusion 1"
    case .stableDiffusion2: "Stable Diffusion 2"
    case .stableDiffusionXL: "Stable Diffusion XL"
    }
  }

  let source: any CheckpointSource
  let family: Family
  /// The file's training marks.
  let marks: CheckpointMarks

  static let unetPrefix = "model.diffusion_model."
  static let autoencoderPrefix = "first_stage_model."

  /// - Throws: `LDMCheckpointError` if the file is of another layout or family, and reading errors
  package init(_ source: any CheckpointSource) throws {
    self.source = source
    func has(_ prefix: String) -> Bool { source.entries.contains { $0.name.hasPrefix(prefix) } }
    guard has(Self.unetPrefix) else {
      throw LDMCheckpointError.otherLayout(path: source.path)
    }
    if has("conditioner.embedders.1.model.") {
      family = .stableDiffusionXL
    } else if has("cond_stage_model.transformer.") {
      family = .stableDiffusion1
    } else if has("cond_stage_model.model.transformer.") {
      family = .stableDiffusion2
    } else {
      throw LDMCheckpointError.otherFamily(path: source.path)
    }
    marks = try CheckpointMarks(source)
  }

  /// Returns the weights of `unet`, `vae`, `text_encoder` or `text_encoder_2`; nil for any other
  /// part.
  package func part(_ name: String) throws -> (any CheckpointSource)? {
    guard let origins = try origins(of: name) else { return nil }
    return try RenamedCheckpoint(source, origins)
  }

  /// The parts with weights in the file.
  var parts: [String] {
    ["unet"] + (hasAutoencoder ? ["vae"] : []) + ["text_encoder"]
      + (family == .stableDiffusionXL ? ["text_encoder_2"] : [])
  }

  /// Files that are made smaller may have none.
  package var hasAutoencoder: Bool {
    source.find("\(Self.autoencoderPrefix)encoder.conv_in.weight") != nil
  }

  private func origins(of part: String) throws -> [String: RenamedCheckpoint.Origin]? {
    guard parts.contains(part) else { return nil }
    switch part {
    case "unet":
      let layers = try UNetExtents(self).layersPerBlock
      return try renamed(Self.unetPrefix) { LDMNames.unet($0, layersPerBlock: layers) }
    case "vae":
      return try LDMNames.autoencoderOrigins(in: source, prefix: Self.autoencoderPrefix)
    case "text_encoder" where family == .stableDiffusion2:
      // Without the layers above the states that condition the U-Net.
      let above = "transformer.resblocks.\(Self.largestLayerCount)."
      return try origins(openCLIPPrefix) { name, entry in
        name.hasPrefix(above) || name == "text_projection"
          ? [:] : LDMNames.openCLIP(name, rows: entry.shape.first ?? 0)
      }
    case "text_encoder": return try renamed(textPrefix) { ModelFolder.currentTextKey($0) }
    default:
      return try origins(openCLIPPrefix) { name, entry in
        LDMNames.openCLIP(name, rows: entry.shape.first ?? 0)
      }
    }
  }

  private func renamed(
    _ prefix: String, _ rename: (String) -> String?
  ) throws -> [String: RenamedCheckpoint.Origin] {
    try origins(prefix) { name, entry in
      rename(name).map { [$0: .init(name: entry.name)] } ?? [:]
    }
  }

  private func origins(
    _ prefix: String,
    _ translate: (String, TensorEntry) -> [String: RenamedCheckpoint.Origin]
  ) throws -> [String: RenamedCheckpoint.Origin] {
    try RenamedCheckpoint.origins(in: source, prefix: prefix, translate)
  }

  // MARK: - Shapes

  /// The prefix of OpenCLIP's text encoder, in its own names.
  var openCLIPPrefix: String {
    family == .stableDiffusion2 ? "cond_stage_model.model." : "conditioner.embedders.1.model."
  }

  /// The layers of Stable Diffusion 2's text encoder that are used, since it conditions on the
  /// penultimate of 24: diffusers' folder has 23, and so have files made from one.
  static let largestLayerCount = 23

  /// The prefix of CLIP's own text encoder, in transformers' names.
  var textPrefix: String {
    switch family {
    case .stableDiffusion1, .stableDiffusion2: "cond_stage_model.transformer."
    case .stableDiffusionXL: "conditioner.embedders.0.transformer."
    }
  }

  /// Returns the first of the names under which CLIP's own text encoder has a weight.
  func textName(_ name: String) -> String {
    let long = "\(textPrefix)text_model.\(name)"
    return source.find(long) == nil ? textPrefix + name : long
  }

  /// Returns the extent of an axis of a required tensor.
  func extent(_ name: String, _ axis: Int) throws -> Int {
    let shape = try source.entry(name).shape
    guard shape.indices.contains(axis), shape[axis] > 0 else {
      throw CheckpointError.malformedTensor(
        path: source.path, tensor: name, problem: "its shape \(shape) has no axis \(axis)")
    }
    return shape[axis]
  }

  /// Returns the number of tensors with consecutive numbers, from `first` on.
  func count(from first: Int = 0, _ name: (Int) -> String) -> Int {
    var number = first
    while source.find(name(number)) != nil { number += 1 }
    return number - first
  }
}

/// Why a single file cannot serve as a model.
public enum LDMCheckpointError: ClassifiedError, Equatable, CustomStringConvertible {
  case otherLayout(path: String)
  case otherFamily(path: String)
  case noPart(path: String, part: String)
  case noTokenizer(path: String)
  case noAutoencoder(path: String)
  case lacksAutoencoder(path: String)

  public var kind: FailureKind { .input }

  public var description: String {
    switch self {
    case .otherLayout(let path):
      "\(path): no weights named \(LDMCheckpoint.unetPrefix)...: not a checkpoint in the "
        + "original (CompVis) layout; for a diffusers model, give its folder"
    case .otherFamily(let path):
      "\(path): has none of cond_stage_model.transformer.*, cond_stage_model.model.* and "
        + "conditioner.embedders.1.model.*; only checkpoints of Stable Diffusion 1, 2 and XL with their "
        + "text encoders are read"
    case .noPart(let path, let part): "\(path): the checkpoint has no \(part)"
    case .noAutoencoder(let path):
      "\(path): contains no VAE: there is no tensor encoder.conv_in.weight, with or without the prefix "
        + LDMCheckpoint.autoencoderPrefix
    case .lacksAutoencoder(let path):
      "\(path): the checkpoint has no VAE (no \(LDMCheckpoint.autoencoderPrefix)encoder.conv_in.weight); "
        + "name one with --vae or the setting vae next to model"
    case .noTokenizer(let path):
      "\(path): a checkpoint has no tokenizer; name a folder that has one, with --tokenizer or "
        + "the setting tokenizer next to model (the vocabulary is the same for all models of Stable "
        + "Diffusion 1, 2 and XL)"
    }
  }
}
