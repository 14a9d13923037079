import Checkpoints
public import Files
import Foundation
public import NN

/// A LoRA file, in safetensors or torch format, with the key names of diffusers, PEFT or kohya's
/// scripts.
public struct LoRAFile {
  /// One adapted module.
  struct Module {
    /// The path as the file has it.
    var path = ""
    /// The keys by role; down and up are always present once a file is open.
    var keys: [LoRAKey.Role: String] = [:]

    var downKey: String { keys[.down] ?? "" }
    var upKey: String { keys[.up] ?? "" }
    var alphaKey: String? { keys[.alpha] }
    var midKey: String? { keys[.mid] }
    var magnitudeKey: String? { keys[.magnitude] }
  }

  public let path: String
  let checkpoint: any CheckpointSource
  let modules: [LoRAKey.Component: [String: Module]]
  private let metadata: JSON?
  /// The alphas of modules that patterns name, by the metadata's key; nil: not supported.
  private let alphaPatterns: [String: [(text: String, pattern: ModulePattern?, alpha: JSON)]]

  public init(path: String) throws {
    if PathKind(of: path) == .folder { throw LoRAError.folder(path: path) }
    try self.init(openCheckpoint(path))
  }

  /// - Parameter file: a checkpoint in safetensors or torch format
  init(_ file: any CheckpointSource) throws {
    path = file.path
    checkpoint = file
    var modules: [LoRAKey.Component: [String: Module]] = [:]
    for entry in file.entries {
      guard let key = LoRAKey(entry.name) else {
        if let kind = LoRAKey.foreignKind(of: entry.name) {
          throw LoRAError.foreignKind(path: path, key: entry.name, kind: kind)
        }
        let isModel = file.entries.contains { Self.isOfModel($0.name) }
        throw isModel
          ? LoRAError.isModel(path: path) : LoRAError.unknownKey(path: path, key: entry.name)
      }
      if let other = modules[key.component]?[key.module]?.keys[key.role] {
        throw LoRAError.ambiguous(path: path, other, entry.name)
      }
      var module = modules[key.component]?[key.module] ?? Module(path: key.path)
      module.keys[key.role] = entry.name
      modules[key.component, default: [:]][key.module] = module
    }
    for (name, module) in modules.values.joined()
    where module.keys[.down] == nil || module.keys[.up] == nil {
      throw LoRAError.incomplete(path: path, module: name)
    }
    guard !modules.isEmpty else { throw LoRAError.empty(path: path) }
    self.modules = modules
    let metadata = try Self.adapterMetadata(of: file)
    self.metadata = metadata
    var patterns: [String: [(text: String, pattern: ModulePattern?, alpha: JSON)]] = [:]
    for (key, members) in metadata?.object ?? JSON.Object() where key.hasSuffix("alpha_pattern") {
      for (text, alpha) in members.object ?? JSON.Object() {
        patterns[key, default: []].append((text, ModulePattern(text), alpha))
      }
    }
    alphaPatterns = patterns
  }

  /// Whether a name is one of the first in a U-Net or a checkpoint of a whole model.
  private static func isOfModel(_ name: String) -> Bool {
    ["conv_in.weight", "model.diffusion_model.input_blocks.0.0.weight", "encoder.conv_in.weight"]
      .contains(name)
  }

  /// Whether a checkpoint's array name is typical of LoRA files.
  public static func isKey(_ name: String) -> Bool {
    LoRAKey(name) != nil || LoRAKey.foreignKind(of: name) != nil
  }

  /// The metadata in the header of a safetensors file.
  var header: [String: String] { (checkpoint as? SafetensorsFile)?.metadata ?? [:] }

  /// Adds the adapters of the U-Net's layers to `set`.
  ///
  /// - Parameter strength: multiplies their contribution
  /// - Returns: the arrays, named as in the file, in ascending order
  @discardableResult
  public func addUNetAdapters(
    to set: AdapterSet, strength: Float = 1, isTrainable: Bool = false
  ) throws -> [Parameter] {
    try add(.unet, to: set, strength: strength, isTrainable: isTrainable)
  }

  /// Adds all adapters of the file to those of a model's parts.
  ///
  /// - Parameter strength: multiplies their contribution
  public func add(to adapters: ModelAdapters, strength: Float = 1) throws {
    for component in modules.keys.sorted(by: { $0.rawValue < $1.rawValue }) {
      try add(
        component, to: adapters[component.rawValue], strength: strength, isTrainable: false)
    }
  }

  /// Rejects a file that would not change the U-Net.
  ///
  /// - Throws: `LoRAError.noUNet`
  public func requireUNet() throws(LoRAError) {
    guard modules[.unet] != nil else { throw .noUNet(path: path) }
  }

  /// Rejects a file that would change more than the U-Net's unconditional half.
  ///
  /// - Throws: `LoRAError.negativeTextEncoders`
  public func requireUNetAlone() throws(LoRAError) {
    guard modules.keys.allSatisfy({ $0 == .unet }) else {
      throw .negativeTextEncoders(path: path)
    }
  }

  @discardableResult
  private func add(
    _ component: LoRAKey.Component, to set: AdapterSet, strength: Float, isTrainable: Bool
  ) throws -> [Parameter] {
    let weights = Weights(try CheckpointWeights(checkpoint), isTrainable: isTrainable)
    for (name, module) in (modules[component] ?? [:]).sorted(by: { $0.key < $1.key }) {
      guard try isPlain(module) else {
        if isTrainable { throw try LoRAError.notPlain(path: path, module: name, kind(of: module)) }
        set.add(
          try change(by: module, named: name, component, strength: strength), to: name,
          file: path)
        continue
      }
      let down = try parameter(module.downKey, weights)
      let up = try parameter(module.upKey, weights)
      let rank = down.storedShape[0]
      guard up.storedShape[1] == rank else {
        throw LoRAError.rankMismatch(
          path: path, module: name, down: down.storedShape, up: up.storedShape)
      }
      let scale = try scale(of: module, component, rank: rank)
      set.add(LowRankAdapter(down: down, up: up, scale: strength * scale, file: path), to: name)
    }
    return weights.parameters.sorted { $0.name < $1.name }
  }

  private func parameter(_ key: String, _ weights: Weights) throws -> Parameter {
    try weights.parameter(key, shape: try matrixShape(key), initial: .constant(0))
  }

  /// Returns the shape of a matrix; some writers keep 1 x 1 convolutions as `[rank, inputs, 1, 1]`.
  func matrixShape(_ key: String) throws -> [Int] {
    let shape = try checkpoint.entry(key).shape
    guard shape.count >= 2, shape.dropFirst(2).allSatisfy({ $0 == 1 }), shape[0] > 0, shape[1] > 0
    else { throw LoRAError.unsupportedShape(path: path, key: key, shape: shape) }
    return shape
  }

  /// Returns the factor of `up down`: alpha / rank, or alpha / sqrt(rank) if the file says that
  /// scales are rank-stabilized (Kalajdzievski 2023, arXiv 2312.03732).
  func scale(
    of module: Module, _ component: LoRAKey.Component, rank: Int
  ) throws -> Float {
    let alpha = try alpha(of: module, prefix: component.rawValue) ?? Float(rank)
    let isStabilised = ["\(component.rawValue).use_rslora", "use_rslora"].contains {
      metadata?[$0]?.bool == true
    }
    return alpha / (isStabilised ? Float(rank).squareRoot() : Float(rank))
  }

  func alpha(of module: Module, prefix: String) throws -> Float? {
    if let key = module.alphaKey {
      guard try checkpoint.entry(key).elementCount == 1 else {
        throw LoRAError.unsupportedShape(
          path: path, key: key, shape: try checkpoint.entry(key).shape)
      }
      return try checkpoint.floats(key)[0]
    }
    guard let metadata else { return nil }
    for key in [prefix + ".alpha_pattern", "alpha_pattern"] {
      for (text, pattern, alpha) in alphaPatterns[key] ?? [] {
        guard let pattern else {
          throw LoRAError.unsupportedPattern(path: path, key: key, pattern: text)
        }
        if pattern.matches(module.path) { return alpha.double.map { Float($0) } }
      }
    }
    return (metadata[prefix + ".lora_alpha"] ?? metadata["lora_alpha"])?.double
      .map { Float($0) }
  }

  /// Returns the writer's metadata about the adapters, from the header (diffusers) or from a
  /// separate file (PEFT).
  private static func adapterMetadata(of file: any CheckpointSource) throws -> JSON? {
    if let text = (file as? SafetensorsFile)?.metadata["lora_adapter_metadata"] {
      return try JSON(parsing: Array(text.utf8), source: "\(file.path): lora_adapter_metadata")
    }
    let folder = URL(fileURLWithPath: file.path).deletingLastPathComponent()
    let beside = folder.appendingPathComponent("adapter_config.json").path
    let names = ["adapter_model.safetensors", "adapter_model.bin"]
    guard names.contains(where: file.path.hasSuffix),
      FileManager.default.fileExists(atPath: beside)
    else { return nil }
    return try JSONReader(contentsOf: beside).value
  }
}

/// The adapters that LoRA files add to the linear layers of a model, by part.
public final class ModelAdapters {
  private var parts: [String: AdapterSet] = [:]

  public init() {}

  /// The adapters of `unet`, `text_encoder` or `text_encoder_2`.
  public subscript(part: String) -> AdapterSet {
    if let set = parts[part] { return set }
    let set = AdapterSet()
    parts[part] = set
    return set
  }

  /// Throws if an adapter belongs to a layer that no model built so far has.
  public func requireAllMatched() throws {
    for (_, set) in parts.sorted(by: { $0.key < $1.key }) { try set.requireAllMatched() }
  }
}

/// A problem with a LoRA file.
public enum LoRAError: ClassifiedError, Equatable, CustomStringConvertible {
  case folder(path: String)
  /// A file without adapters.
  case empty(path: String)
  /// Its whole contribution would be 0.
  case changesNothing(path: String)
  case unknownKey(path: String, key: String)
  case isModel(path: String)
  case incomplete(path: String, module: String)
  case foreignKind(path: String, key: String, kind: String)
  /// A LoCon or DoRA module where only plain LoRA is supported.
  case notPlain(path: String, module: String, String)
  case rankMismatch(path: String, module: String, down: [Int], up: [Int])
  case unsupportedShape(path: String, key: String, shape: [Int])
  case unsupportedPattern(path: String, key: String, pattern: String)
  case otherMagnitude(path: String, key: String, shape: [Int], outputs: Int)
  case weightMismatch(path: String, module: String, outputs: Int, columns: Int, shape: [Int])
  case ambiguous(path: String, String, String)
  case noSuchLayers(path: String, modules: [String], String)
  /// The model lacks the adapted part.
  case noPart(path: String, String)
  case layerMismatch(path: String, down: [Int], up: [Int], layer: LinearLayer)
  case textEncoders(path: String)
  case noUNet(path: String)
  case negativeTextEncoders(path: String)
  case ldmNames(layersPerBlock: [Int])
  /// An array of a given file contains a NaN or infinite number.
  case notFinite(path: String, key: String, value: Float)
  /// A number is too large for the type it is to be stored as.
  case overflow(path: String, array: String, value: Float, precision: WeightPrecision)
  /// The data read back differs from what was written.
  case imprecise(path: String, module: String, error: Double, precision: WeightPrecision)
  case unlike(path: String, expected: Int, found: Int)

  public var kind: FailureKind {
    switch self {
    case .notFinite, .overflow: .notFinite
    case .imprecise: .other
    case .ldmNames: .usage
    case .changesNothing: .nothingLearned
    default: .input
    }
  }

  public var description: String {
    switch self {
    case .folder(let path): Self.remedy(folder: path)
    case .empty(let path): "\(path): has no adapters; is it the right file?"
    case .changesNothing(let path):
      "\(path): changes nothing, since all its up matrices are 0: the training that wrote it learned "
        + "nothing"
    case .isModel(let path):
      "\(path): these are a model's own weights, where a LoRA is expected"
    case .unknownKey(let path, let key):
      "\(path): key \(key) belongs to no known LoRA format"
    case .foreignKind(let path, let key, let kind):
      "\(path): key \(key) is of \(kind), which is not supported; LoRA, LoCon and DoRA are"
    case .notPlain(let path, let module, let kind):
      "\(path): module \(module) is of \(kind), which can be sampled with and merged into its model "
        + "(spo export --to merged), but not rewritten as a LoRA or trained"
    case .incomplete(let path, let module):
      "\(path): module \(module) lacks its down or its up matrix"
    case .rankMismatch(let path, let module, let down, let up):
      "\(path): module \(module): the ranks of down \(down) and up \(up) differ"
    case .unsupportedShape(let path, let key, let shape):
      "\(path): \(key) has shape \(shape), expected a matrix"
    case .unsupportedPattern(let path, let key, let pattern):
      "\(path): the metadata's \(key) has the regular expression \"\(pattern)\", which is not "
        + "supported: only characters, ., \\d, \\w, *, +, ?, ^ in front and $ at the end are"
    case .otherMagnitude(let path, let key, let shape, let outputs):
      "\(path): \(key) has shape \(shape), expected the lengths of \(outputs) rows; magnitudes of "
        + "columns are not supported"
    case .weightMismatch(let path, let module, let outputs, let columns, let shape):
      "\(path): module \(module) changes a weight of \(outputs) x \(columns), but the model's has shape "
        + "\(shape)" + Self.otherModel
    case .ambiguous(let path, let one, let other):
      "\(path): \(one) and \(other) are two names of one tensor"
    case .noPart(let path, let part):
      "\(path): adapts a \(part), but the model has none" + Self.otherModel
    case .noSuchLayers(let path, let modules, let part):
      "\(path): "
        + (modules.count == 1
          ? "1 module matches no linear layer of the model's "
          : "\(modules.count) modules match no linear layer of the model's ")
        + "\(part): "
        + modules.prefix(5).joined(separator: ", ") + (modules.count > 5 ? ", ..." : "")
        + Self.otherModel
    case .layerMismatch(let path, let down, let up, let layer):
      "\(path): \(layer.path): shapes \(down) and \(up), but the model's layer maps "
        + "\(layer.inputs) to \(layer.outputs)" + Self.otherModel
    case .textEncoders(let path):
      "\(path): adapts text encoders too; only LoRA files that adapt just the U-Net can be rewritten "
        + "as a LoRA or trained further (spo export --to merged takes both)"
    case .noUNet(let path): "\(path): adapts no layer of the U-Net, only text encoders"
    case .negativeTextEncoders(let path):
      "\(path): adapts text encoders too; a negative LoRA can only adapt the U-Net"
    case .ldmNames(let layersPerBlock):
      "the names of sgm exist for \(LDMBlockNames.layersPerBlock) layers a block, but "
        + "unet/config.json has layers_per_block \(layersPerBlock); use --lora-keys diffusers"
    case .notFinite(let path, let key, let value):
      "\(path): \(key) contains \(value.isNaN ? "NaN" : "infinity"): the given file is damaged, "
        + "or its training failed"
    case .overflow(let path, let array, let value, let precision):
      value.isNaN
        ? "\(path): \(array) contains NaN"
        : "\(path): \(array) would contain \(value), which is more than \(precision.rawValue) can "
          + "store; \(precision.advice)"
    case .imprecise(let path, let module, let error, let precision):
      "\(path): \(module) read back differs from what was written by \(error) of its norm; "
        + (precision == .f32
          ? "the disk did not store what was written"
          : "its values are too small for \(precision.rawValue): \(precision.advice)")
    case .unlike(let path, let expected, let found):
      "\(path): has \(found) arrays instead of the \(expected) written, or different ones"
    }
  }
}

extension LoRAError {
  private static let otherModel = "; this LoRA was made for another base model"

  private static func remedy(folder: String) -> String {
    let files = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter {
      $0.hasSuffix(".safetensors")
    }.sorted()
    return "\(folder) is a folder; "
      + (files.first.map { "name the LoRA file in it: \(folder)/\($0)" }
        ?? "name a LoRA file; no file in this folder ends in .safetensors")
  }
}
