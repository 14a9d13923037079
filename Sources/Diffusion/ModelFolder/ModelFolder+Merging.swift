import Checkpoints
import Files
import Foundation
import Glibc
import NN

extension ModelFolder {
  /// Writes the whole model with a LoRA added to the weights of its U-Net, like
  /// ``writeMerged(_:precision:provenance:to:)``.
  public func writeMerged(
    _ lora: LoRAWeights, precision: WeightPrecision, provenance: Provenance? = nil,
    to destination: String
  ) throws {
    try writeMerged(
      ModelChanges(lora), precision: precision, provenance: provenance, to: destination)
  }

  /// Writes the whole model, with the changes of LoRA files merged into its weights, as a folder.
  ///
  /// Contains every part in `model_index.json`, each with its small files and its weights in one
  /// file, all floats of `precision`. Weights in other formats and hidden files are left out. For a
  /// single file the small files are those of its family, the tokenizers copies. The folder appears
  /// under its name complete and durable, or not at all.
  ///
  /// - Parameters:
  ///   - provenance: the LoRA's origin, for the header of the U-Net's weights
  ///   - destination: a path that does not exist yet
  /// - Throws: `ModelFolderError`; `LoRAError.imprecise` if `precision` cannot represent the
  ///   numbers
  public func writeMerged(
    _ changes: ModelChanges, precision: WeightPrecision, provenance: Provenance? = nil,
    to destination: String
  ) throws {
    let addition = Addition(changes: changes, header: try provenance?.pairs() ?? [:])
    if let ldm = try ldmCheckpoint() {
      return try writeMerged(ldm, addition, precision, to: destination)
    }
    let parts = try modelParts()
    try writeFolder(destination) { folder in
      let files = try FolderReader(path, of: path)
      for name in files.names where name.isModelFile && name != Self.indexName {
        try files.copy(name, to: folder)
      }
      for part in parts.present {
        try writePart(part, in: folder) { target in
          try copyPart(part, adding: addition, precision, to: target)
        }
      }
      try AtomicFile.replace("\(folder)/\(Self.indexName)", with: parts.index)
    }
  }

  /// Creates the folder of a part, which `body` fills with durable files.
  func writePart(_ part: String, in folder: String, _ body: (String) throws -> Void) throws {
    let target = "\(folder)/\(part)"
    guard mkdir(target, 0o755) == 0 else {
      throw FileError.systemFailure("create the folder", target)
    }
    try body(target)
    try syncFolder(containing: "\(target)/.")
  }

  static let indexName = "model_index.json"
  /// Parts that pipelines load without, if the index says that they are absent.
  static let optionalParts = ["safety_checker", "feature_extractor", "image_encoder"]

  /// Returns the parts of the index with existing folders, and the index without optional parts
  /// that have none.
  private func modelParts() throws -> (present: [String], index: [UInt8]) {
    let path = "\(path)/\(Self.indexName)"
    let reader = try JSONReader(contentsOf: path)
    var index = try reader.object()
    var present: [String] = []
    for name in try Self.parts(in: index, path) {
      if hasPart(name) {
        present.append(name)
      } else if Self.optionalParts.contains(name) {
        index[name] = [nil, nil]
      } else {
        throw ModelFolderError.noPart(path: path, part: name)
      }
    }
    guard present.contains("unet") else {
      throw ModelFolderError.noPart(path: path, part: "unet")
    }
    if autoencoderPath != nil, !present.contains("vae") {
      present.append("vae")
      index["vae"] = ["diffusers", "AutoencoderKL"]
    }
    return (present, Array((JSON.object(index).text(.pretty) + "\n").utf8))
  }

  /// Returns the parts that an index names.
  static func parts(in index: JSON.Object, _ path: String) throws(ModelFolderError) -> [String] {
    var parts: [String] = []
    for (name, value) in index {
      guard let names = value.array, names.count == 2, names.allSatisfy({ $0.string != nil })
      else { continue }
      guard name.utf8.allSatisfy({ $0.isLetterOrDigit || $0 == UInt8(ascii: "_") }) else {
        throw .unusablePart(path: path, part: name)
      }
      parts.append(name)
    }
    return parts
  }

  func copyPart(
    _ part: String, adding addition: Addition, _ precision: WeightPrecision, to target: String
  ) throws {
    if part == "vae", let givenAutoencoder, givenAutoencoder.folder == nil {
      return try writeAutoencoderFile(addition, precision, to: target)
    }
    let given = part == "vae" ? givenAutoencoder?.folder : nil
    let source = try FolderReader(given ?? "\(path)/\(part)", of: given ?? path)
    for name in source.names where name.isModelFile {
      try source.copy(name, to: target) { contents in
        name == "config.json" ? try Self.naming(precision, contents, source.path) : contents
      }
    }
    let weights = source.names.filter(FolderReader.isWeights)
    guard !weights.isEmpty else { return }
    let isDiffusers = weights.contains { $0.hasPrefix("diffusion_pytorch_model") }
    let stem = isDiffusers ? "diffusion_pytorch_model" : "model"
    let checkpoint = try checkpoint(part, stem: stem)
    let merged = MergedWeights(checkpoint, part, addition, precision)
    try merged.write(to: "\(target)/\(stem).safetensors")
  }

  /// Writes a replacement autoencoder from a single file as a part of a folder.
  func writeAutoencoderFile(
    _ addition: Addition, _ precision: WeightPrecision, to target: String
  ) throws {
    try writeText(try configuration("vae").value, to: "\(target)/config.json")
    let checkpoint = try checkpoint("vae", stem: "diffusion_pytorch_model")
    try MergedWeights(checkpoint, "vae", addition, precision)
      .write(to: "\(target)/diffusion_pytorch_model.safetensors")
  }

  func writeText(_ json: JSON, to path: String) throws {
    try AtomicFile.replace(path, with: Array((json.text(.pretty) + "\n").utf8))
  }

  /// Returns a configuration that states the precision of its weights, if it did so before:
  /// transformers load in that precision.
  private static func naming(
    _ precision: WeightPrecision, _ contents: [UInt8], _ path: String
  ) throws -> [UInt8] {
    guard var object = try JSON(parsing: contents, source: "\(path)/config.json").object else {
      return contents
    }
    let keys = ["torch_dtype", "dtype"].filter { object[$0]?.string != nil }
    guard !keys.isEmpty else { return contents }
    for key in keys { object[key] = .string(precision.torchName) }
    return Array((JSON.object(object).text(.pretty) + "\n").utf8)
  }
}

extension ModelFolder {
  /// Additions to a merged model.
  struct Addition {
    let changes: ModelChanges
    /// The header of the U-Net's file.
    let header: [String: String]
  }
}

/// The weights of a part with the changes of LoRA files.
struct MergedWeights {
  let checkpoint: any CheckpointSource
  let precision: WeightPrecision
  /// The changes by the name of the weight.
  private let changes: [String: [WeightChange]]
  private let header: [String: String]

  init(
    _ checkpoint: any CheckpointSource, _ part: String, _ addition: ModelFolder.Addition,
    _ precision: WeightPrecision
  ) {
    self.checkpoint = checkpoint
    self.precision = precision
    changes = addition.changes[part]
    header = ["format": "pt"].merging(part == "unet" ? addition.header : [:]) { $1 }
  }

  /// Writes the file, one tensor in memory at a time, and reads it back before renaming it into
  /// place.
  func write(to path: String) throws {
    let tensors = checkpoint.entries.map { entry in
      guard entry.type.isFloat else {
        return OutgoingTensor(
          entry.name, type: entry.type, shape: entry.shape,
          bytes: { try checkpoint.bytes(entry.name) })
      }
      return OutgoingTensor(
        entry.name, type: precision.elementType, shape: entry.shape,
        floats: { try storableValues(entry.name) })
    }
    try writeSafetensors(tensors, metadata: header, to: path, check: verify)
  }

  private func verify(_ written: SafetensorsFile) throws {
    // The file still has a temporary name.
    let path = checkpoint.path
    guard written.entries.map(\.name) == checkpoint.entries.map(\.name) else {
      throw LoRAError.unlike(
        path: path, expected: checkpoint.entries.count, found: written.entries.count)
    }
    for entry in checkpoint.entries where entry.type.isFloat {
      let error = relativeError(try written.floats(entry.name), try values(entry.name))
      // Not `>`, which is false for NaN.
      guard error <= precision.tolerance else {
        throw LoRAError.imprecise(
          path: path, module: entry.name, error: error, precision: precision)
      }
    }
  }

  private func values(_ name: String) throws -> [Float] {
    let own = try checkpoint.floats(name)
    var values = own
    for change in changes[name] ?? [] { change.add(to: &values, changing: own) }
    return values
  }

  /// Returns a weight's values; rejects non-finite numbers, by the name of the file that they come
  /// from.
  private func storableValues(_ name: String) throws -> [Float] {
    let values = try values(name)
    guard let value = precision.firstOverflow(in: values) else { return values }
    if let given = try checkpoint.floats(name).first(where: { !$0.isFinite }) {
      throw LoRAError.notFinite(path: checkpoint.path, key: name, value: given)
    }
    throw LoRAError.overflow(
      path: checkpoint.path,
      array: changes[name] == nil ? name : "\(name) with the LoRA added",
      value: value, precision: precision)
  }
}

extension String {
  /// Whether the file documents a model or its licence.
  fileprivate var isModelFile: Bool {
    let ending = URL(fileURLWithPath: self).pathExtension
    return ["json", "txt", "md"].contains(ending) && !contains(".index.") || self == "LICENSE"
  }
}

extension UInt8 {
  fileprivate var isLetterOrDigit: Bool {
    switch self {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: false
    }
  }
}
