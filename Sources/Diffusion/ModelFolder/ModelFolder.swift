public import Checkpoints
public import Files
import Foundation
public import NN

/// A model in the layout of diffusers: one folder per part, with its configuration and weights.
///
/// Or a single file in the original layout, safetensors or torch, presented as such a folder.
public struct ModelFolder: Equatable, Sendable {
  public let path: String
  /// For a single file, a folder with a tokenizer, or with parts `tokenizer` and `tokenizer_2`.
  public let tokenizerPath: String?
  /// A replacement for the model's own autoencoder: a folder or a file.
  public let autoencoderPath: String?
  /// The precision to which large single-precision weights are rounded when read; nil: not rounded.
  private var narrowing: WeightPrecision?
  /// The precision of large weights in plans that read none; nil: that of the files.
  private var plannedPrecision: WeightPrecision?

  public init(path: String, tokenizer: String? = nil, vae: String? = nil) {
    self.path = path
    tokenizerPath = tokenizer
    autoencoderPath = vae
  }

  /// The folder of the replacement autoencoder; nil: there is none, or it is a single file.
  package var autoencoderFolder: String? { givenAutoencoder?.folder }

  var givenAutoencoder: GivenAutoencoder? { autoencoderPath.map { GivenAutoencoder(path: $0) } }

  /// Returns the same model, with large single-precision weights rounded when read.
  ///
  /// - Parameter precision: nil or `f32`: as stored
  public func narrowed(to precision: WeightPrecision?) -> ModelFolder {
    var folder = self
    folder.narrowing = precision
    return folder
  }

  /// Returns the same model with weights of an assumed precision, which are not read: for plans.
  package func planned(as precision: WeightPrecision) -> ModelFolder {
    var folder = self
    folder.plannedPrecision = precision
    return folder
  }

  /// A stand-in for a model that does not exist.
  private var standIn: PublishedModel? { PublishedModel.standIns[path] }

  /// Returns placeholder weights; nil if weights are to be read.
  package func plannedWeights(isTrainable: Bool) -> Weights? {
    let precision = plannedPrecision ?? (standIn == nil ? nil : narrowing ?? .f32)
    return precision.map { Weights(planned: $0.halfFormat, isTrainable: isTrainable) }
  }

  package var isThere: Bool { FileManager.default.fileExists(atPath: path) }

  /// Whether the model is a single file, of whatever format: its content decides, not its name.
  public var isFile: Bool {
    switch PathKind(of: path) {
    case .file?, .special?: true
    case .folder?: false
    // If it does not exist, the name tells what is missing.
    case nil: Self.fileEndings.contains { path.hasSuffix($0) }
    }
  }

  private static let fileEndings = [".safetensors", ".ckpt", ".bin", ".pt", ".pth"]

  /// An assumption about a single file that lacks explicit metadata, in words; nil: none.
  package var assumption: String? { (try? ldmCheckpoint())??.assumption }

  func ldmCheckpoint() throws -> LDMCheckpoint? {
    guard isFile else { return nil }
    return try LDMCheckpoint(try openCheckpoint(path).nested(below: "state_dict."))
  }

  /// Reads a configuration file, such as `configuration("unet")` or `configuration("scheduler",
  /// "scheduler_config.json")`.
  public func configuration(
    _ part: String, _ file: String = "config.json"
  ) throws -> JSONReader {
    if part == "vae", let givenAutoencoder {
      return try givenAutoencoder.configuration { try replacedAutoencoder().value }
    }
    return try ownConfiguration(part, file)
  }

  /// Reads the same, ignoring a replacement autoencoder.
  func ownConfiguration(_ part: String, _ file: String = "config.json") throws -> JSONReader {
    if let standIn { return try standIn.configuration(part, file) }
    return try ldmCheckpoint()?.configuration(part)
      ?? JSONReader(contentsOf: "\(path)/\(part)/\(file)")
  }

  /// Reads the configuration of the autoencoder that the U-Net was made for.
  func replacedAutoencoder() throws -> JSONReader {
    guard let ldm = try ldmCheckpoint(), !ldm.hasAutoencoder else {
      return try ownConfiguration("vae")
    }
    return JSONReader(ldm.autoencoderConfiguration, path: "\(path) (vae)")
  }

  public func hasPart(_ part: String) -> Bool {
    if part == "vae", autoencoderPath != nil { return true }
    if let standIn { return standIn.hasPart(part) }
    guard !isFile else { return (try? ldmCheckpoint()?.parts.contains(part)) ?? false }
    return FileManager.default.fileExists(atPath: "\(path)/\(part)")
  }

  /// Whether the model itself has an autoencoder, replaced or not.
  var hasOwnAutoencoder: Bool { ModelFolder(path: path).hasPart("vae") }

  /// Returns the settings of the model's scheduler as its diffusers pipeline uses them.
  ///
  /// `StableDiffusionPipeline` modifies those of old folders when constructed;
  /// `StableDiffusionXLPipeline`, for models with two text encoders, leaves them unchanged.
  /// Everything that generates samples or learns from them must use these.
  public func pipelineSchedulerConfig() throws -> SchedulerConfig {
    let config = try schedulerConfig()
    return hasPart("text_encoder_2") ? config : try config.asInStableDiffusionPipeline()
  }

  /// Returns the settings of the model's scheduler as written.
  public func schedulerConfig() throws -> SchedulerConfig {
    if standIn != nil {
      return SchedulerConfig(try configuration("scheduler", "scheduler_config.json"))
    }
    guard let ldm = try ldmCheckpoint() else {
      return try SchedulerConfig(folder: "\(path)/scheduler")
    }
    return SchedulerConfig(try ldm.configuration("scheduler"))
  }

  /// Opens the tokenizer of `tokenizer` or `tokenizer_2`.
  public func tokenizer(_ part: String = "tokenizer") throws -> Tokenizer {
    if standIn != nil { return .standIn }
    let (folder, padding) = try tokenizerFolder(part)
    return try Tokenizer(folder: folder, padding: padding)
  }

  /// Returns the location of the files of `tokenizer` or `tokenizer_2`, and the padding token if
  /// they do not name it.
  ///
  /// - Throws: `LDMCheckpointError.noTokenizer` for a single file without such a folder
  public func tokenizerFolder(_ part: String) throws -> (path: String, padding: String?) {
    guard isFile || tokenizerPath != nil else { return ("\(path)/\(part)", nil) }
    guard let tokenizerPath else { throw LDMCheckpointError.noTokenizer(path: path) }
    func folder(_ name: String) -> String? {
      let inside = "\(tokenizerPath)/\(name)"
      return FileManager.default.fileExists(atPath: inside) ? inside : nil
    }
    // All OpenCLIP text encoders pad with "!".
    let isOpenCLIP = (try? ldmCheckpoint())??.family == .stableDiffusion2
    if let own = folder(part) { return (own, isOpenCLIP ? "!" : nil) }
    if isOpenCLIP { return (tokenizerPath, "!") }
    // The second tokenizer of SDXL equals the first, but pads with "!".
    return (folder("tokenizer") ?? tokenizerPath, part == "tokenizer_2" ? "!" : nil)
  }

  /// Opens the weights of a part: one file, several with an index, or a torch file.
  ///
  /// - Parameter stem: the library's name for the file: `diffusion_pytorch_model` or `model`
  public func checkpoint(_ part: String, stem: String) throws -> any CheckpointSource {
    if part == "vae", let givenAutoencoder {
      return try givenAutoencoder.folder.map { try weights(in: $0, stem: stem) }
        ?? narrowed(try givenAutoencoder.weights())
    }
    if let ldm = try ldmCheckpoint() {
      guard let checkpoint = try ldm.part(part) else {
        throw LDMCheckpointError.noPart(path: path, part: part)
      }
      return narrowed(checkpoint)
    }
    return try weights(in: part.isEmpty ? path : "\(path)/\(part)", stem: stem)
  }

  private func weights(in folder: String, stem: String) throws -> any CheckpointSource {
    let candidates = Self.weightFiles(stem: stem)
    for name in candidates where FileManager.default.fileExists(atPath: "\(folder)/\(name)") {
      return try weights(file: "\(folder)/\(name)")
    }
    throw ModelFolderError.noWeights(folder: folder, tried: candidates)
  }

  /// Opens weights, given the path of their file.
  package func weights(file path: String) throws -> any CheckpointSource {
    narrowed(try openCheckpoint(path))
  }

  private func narrowed(_ checkpoint: any CheckpointSource) -> any CheckpointSource {
    guard let narrowing, narrowing != .f32 else { return checkpoint }
    return NarrowedCheckpoint(
      checkpoint, to: narrowing.elementType, from: Weights.smallestHalf)
  }

  /// Builds the down path and middle block of the U-Net; its weights' names begin with `unet.`.
  public func unetEncoder(
    isTrainable: Bool = false
  ) throws -> (model: UNetEncoder, weights: Weights) {
    let weights = try self.weights(
      "unet", stem: unetStem, isTrainable: isTrainable, namedBelow: "unet"
    ) { UNetEncoder.isUpPath($0) ? nil : $0 }
    let model = try UNetEncoder(weights, try UNetConfiguration(try configuration("unet")))
    try weights.requireAllUsed()
    return (model, weights)
  }

  /// Returns the possible names of a weights file, in order of preference.
  private static func weightFiles(stem: String) -> [String] {
    let torchStem = stem == "model" ? "pytorch_model" : stem
    return [(stem, "safetensors"), (torchStem, "bin")].flatMap { stem, ending in
      ["\(stem).\(ending)", "\(stem).\(ending).index.json"]
        + [
          "\(stem).fp16.\(ending)", "\(stem).\(ending).index.fp16.json",
          // The older names in diffusers and transformers.
          "\(stem).\(ending).fp16.index.json", "\(stem).fp16.\(ending).index.json",
        ]
    }
  }

  /// Builds the U-Net and returns it with its weights.
  ///
  /// - Parameter adapters: adapters of its linear layers
  public func unet(
    adapters: AdapterSet? = nil, isTrainable: Bool = false
  ) throws -> (model: UNet, weights: Weights) {
    let weights = try self.weights("unet", stem: unetStem, isTrainable: isTrainable)
    let scope = adapters.map { weights.adapted(by: $0) } ?? weights
    let unet = try UNet(scope, try UNetConfiguration(try configuration("unet")))
    try weights.requireAllUsed()
    return (unet, weights)
  }

  public func autoencoder(
    isTrainable: Bool = false
  ) throws -> (model: Autoencoder, weights: Weights) {
    let weights = try self.weights(
      "vae", stem: unetStem, isTrainable: isTrainable, rename: Self.currentAutoencoderKey)
    let model = try Autoencoder(
      weights, try AutoencoderConfiguration(try configuration("vae")))
    try weights.requireAllUsed()
    return (model, weights)
  }

  /// Builds a text encoder.
  ///
  /// - Parameters:
  ///   - part: `text_encoder` or `text_encoder_2`; the second has a projection
  ///   - adapters: adapters of its linear layers
  ///   - scope: a prefix of the weights' names; none if nil
  public func textEncoder(
    _ part: String = "text_encoder", adapters: AdapterSet? = nil, isTrainable: Bool = false,
    namedBelow scope: String? = nil
  ) throws -> (model: CLIPTextEncoder, weights: Weights) {
    let weights = try self.weights(
      part, stem: "model", isTrainable: isTrainable, namedBelow: scope,
      rename: Self.currentTextKey)
    let adapted = adapters.map { weights.adapted(by: $0) } ?? weights
    let model = try CLIPTextEncoder(
      adapted, try CLIPTextConfiguration(try configuration(part)),
      hasProjection: part == "text_encoder_2" || weights.contains("text_projection.weight"))
    try weights.requireAllUsed()
    return (model, weights)
  }

  private var unetStem: String { "diffusion_pytorch_model" }

  private func weights(
    _ part: String, stem: String, isTrainable: Bool, namedBelow scope: String? = nil,
    rename: (String) -> String? = { $0 }
  ) throws -> Weights {
    if let planned = plannedWeights(isTrainable: isTrainable) {
      return scope.map { planned[$0] } ?? planned
    }
    let source = try CheckpointWeights(try checkpoint(part, stem: stem)) { key in
      rename(key).map { name in scope.map { "\($0).\(name)" } ?? name }
    }
    let weights = Weights(source, isTrainable: isTrainable)
    return scope.map { weights[$0] } ?? weights
  }

  /// Renames the attention of autoencoders from before 2023.
  static func currentAutoencoderKey(_ key: String) -> String {
    guard key.contains(".attentions.") else { return key }
    return [
      (".query.", ".to_q."), (".key.", ".to_k."), (".value.", ".to_v."),
      (".proj_attn.", ".to_out.0."),
    ].reduce(key) { $0.replacingOccurrences(of: $1.0, with: $1.1) }
  }

  /// Normalizes a text encoder's key, with or without the prefix `text_model.`; nil for stored
  /// positions.
  static func currentTextKey(_ key: String) -> String? {
    if key.hasSuffix("position_ids") { return nil }
    return key.hasPrefix("text_model.") || key.hasPrefix("text_projection.")
      ? key : "text_model." + key
  }
}

/// Something missing in a model folder.
public enum ModelFolderError: ClassifiedError, Equatable, CustomStringConvertible {
  case noWeights(folder: String, tried: [String])
  /// `model_index.json` names a part that does not exist.
  case noPart(path: String, part: String)
  case unusablePart(path: String, part: String)
  case unreadable(folder: String)
  case linksOutside(path: String, target: String)

  public var kind: FailureKind { .input }

  public var description: String {
    switch self {
    case .noWeights(let folder, let tried):
      "\(folder) has no weights; looked for \(tried.joined(separator: ", "))"
    case .noPart(let path, let part): "\(path): the model has no folder \(part)"
    case .unusablePart(let path, let part): "\(path): \"\(part)\" is not a folder name"
    case .unreadable(let folder): "\(folder): there is no such folder, or it cannot be read"
    case .linksOutside(let path, let target):
      "\(path): links out of the model's folder, to \(target); copy the file there instead"
    }
  }
}
