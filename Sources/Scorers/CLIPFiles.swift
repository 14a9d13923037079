import Checkpoints
import Diffusion
import Files
import Foundation
import NN
import PreferenceModels

/// The location of a CLIP model: a folder, or a weights file next to its configuration.
///
/// Two layouts are read, told apart by their keys: that of transformers (`config.json`,
/// `preprocessor_config.json`) and that of OpenCLIP (`open_clip_config.json`; a file of weights without
/// one is a ViT-H/14).
struct CLIPFiles {
  let path: String
  /// Of the configuration.
  let folder: String
  private let checkpoint: any CheckpointSource
  private let isOpenCLIP: Bool

  /// - Parameter published: the name under which the weights are published, if it is not the layouts' own
  init(path: String, published: String? = nil) throws {
    self.path = path
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw ScorerError.nothingThere(path: path)
    }
    folder = isFolder.boolValue ? path : OutputPath.folder(of: path)
    let stored =
      isFolder.boolValue
      ? try Self.openWeights(inFolder: path, published) : try openCheckpoint(path)
    let weights = try stored.nested(below: "state_dict.")
    guard !weights.entries.contains(where: { $0.name.hasPrefix("t_embedder.") }) else {
      throw ScorerError.stepAware(path: path)
    }
    isOpenCLIP = OpenCLIPCheckpoint.isOne(weights)
    checkpoint = isOpenCLIP ? try OpenCLIPCheckpoint.renamed(weights) : weights
  }

  private static func openWeights(
    inFolder path: String, _ published: String?
  ) throws -> any CheckpointSource {
    let names =
      (published.map { [$0] } ?? []) + [
        "open_clip_model.safetensors", "open_clip_pytorch_model.bin",
      ]
    for name in names where has(path, name) { return try openCheckpoint("\(path)/\(name)") }
    return try ModelFolder(path: path).checkpoint("", stem: "model")
  }

  private static func has(_ folder: String, _ name: String) -> Bool {
    FileManager.default.fileExists(atPath: "\(folder)/\(name)")
  }

  /// Both halves of the model.
  ///
  /// - Throws: `WeightError` naming weights that are missing, misshapen or left over
  func model() throws -> (images: ImageScorer, prompts: PromptEmbedder) {
    let weights = try weights { _ in true }
    let configuration = try configuration()
    let model = (
      images: try ImageScorer(weights, configuration, isTimeConditioned: false),
      prompts: try PromptEmbedder(weights, configuration)
    )
    try weights.requireAllUsed()
    return model
  }

  /// The half that reads images; the weights of the other half are not looked at.
  ///
  /// - Throws: `WeightError` naming weights that are missing, misshapen or left over
  func imageHalf() throws -> ImageScorer {
    let weights = try weights {
      !$0.hasPrefix("text_model.") && !$0.hasPrefix("text_projection.")
    }
    let images = try ImageScorer(weights, try configuration(), isTimeConditioned: false)
    try weights.requireAllUsed()
    return images
  }

  private func weights(where isIncluded: (String) -> Bool) throws -> Weights {
    Weights(
      try CheckpointWeights(checkpoint) { key in
        if key.hasSuffix("position_ids") { return nil }
        // As preference models are published.
        let name = key.hasPrefix("model.") ? String(key.dropFirst(6)) : key
        return isIncluded(name) ? name : nil
      })
  }

  func configuration() throws -> PreferenceConfiguration {
    guard !isOpenCLIP else {
      let path = "\(folder)/\(OpenCLIPConfiguration.fileName)"
      return try OpenCLIPConfiguration(
        Self.has(folder, OpenCLIPConfiguration.fileName)
          ? try JSONReader(contentsOf: path) : nil
      ).asCLIP(path: path)
    }
    let model = try JSONReader(contentsOf: "\(folder)/config.json")
    let preprocessor = "\(folder)/preprocessor_config.json"
    // Missing image settings are CLIP's own, at the size of the tower.
    let side = try model["vision_config"].int("image_size", default: 224)
    return try PreferenceConfiguration(
      model,
      preprocessor: FileManager.default.fileExists(atPath: preprocessor)
        ? try JSONReader(contentsOf: preprocessor)
        : JSONReader(["size": .integer(side)], path: preprocessor))
  }

  /// Every file that may be read, with its path.
  func all() throws -> [String] {
    let configurations = [
      "config.json", "preprocessor_config.json", OpenCLIPConfiguration.fileName, "vocab.json",
      "merges.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
      "added_tokens.json",
    ]
    let endings = [".safetensors", ".bin", ".index.json", ".pt"]
    let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { name in
      configurations.contains(name)
        // Beside a file of weights others may lie, which are not read.
        || folder == path && endings.contains { name.hasSuffix($0) }
    }
    return names.map { "\(folder)/\($0)" } + (folder == path ? [] : [path])
  }

  /// The folder's tokenizer; nil if there is none.
  func tokenizer() throws -> Tokenizer? {
    guard Self.has(folder, "vocab.json") || Self.has(folder, "tokenizer.json") else { return nil }
    return try Tokenizer(folder: folder)
  }
}
