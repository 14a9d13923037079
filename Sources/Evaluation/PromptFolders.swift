public import Diffusion
import Files
public import PipelineCore
public import TensorCore

/// Images of a list of prompts in the layout that GenEval's scripts read.
///
///     00000/metadata.jsonl      what the list says of the prompt
///     00000/samples/0000.png    its images
///
/// Images that are there are kept, so the same call goes on where an interrupted one stopped, and the whole takes what
/// parts have made. What they were made with stands in `state/images.json`, so that no others are taken for them.
public struct PromptFolders {
  public let path: String
  private let prompts: PromptList
  private let count: Int
  private let partition: Partition?

  /// - Parameters:
  ///   - count: images of each prompt
  ///   - partition: whose prompts alone are wanted; nil: all
  public init(path: String, prompts: PromptList, count: Int, partition: Partition? = nil) {
    self.path = path
    self.prompts = prompts
    self.count = count
    self.partition = partition
  }

  /// Generates the missing images.
  ///
  /// - Parameters:
  ///   - request: sampling options; its prompt is ignored
  ///   - seed: of the first image of each prompt; the others have the next ones
  ///   - noise: what the source of noise is called, and the source of a seed
  ///   - merges: checks that parts have made all images, and makes none
  ///   - use: is given the path of each image that was generated
  /// - Throws: `EvaluationError` if the folder holds other images; `Interruption` if a signal asks to
  ///   stop, after the image at work
  public func generate(
    _ request: TextToImage.Request, with model: EvaluatedModel, seed: UInt64,
    noise: (name: String, source: (UInt64) -> some NormalSource), merges: Bool = false,
    _ use: (String) throws -> Void
  ) throws {
    let settings = try settings(request, model, seed, noise.name)
    try ImageFolder.requireOwn(path)
    try ImageFolder(path, partition, writes: Self.writes).whileHeld {
      try claim(settings)
      if merges { try requireComplete() }
      try generateMissing(request, with: model, seed, noise.source, use)
      // Another part may have begun at the same moment, with others.
      try requireSame(settings)
    }
  }

  /// Checks that parts have made every image.
  ///
  /// - Throws: `EvaluationError.incomplete`
  private func requireComplete() throws {
    let missing = prompts.entries.indices.filter { index in
      (0..<count).contains { !Folders.exists(file(index, image: $0)) }
    }
    guard missing.isEmpty else {
      throw EvaluationError.incomplete(
        path: path, missing: missing, total: prompts.entries.count)
    }
  }

  private func file(_ index: Int, image: Int) -> String {
    "\(path)/\(padded(index, 5))/samples/\(padded(image, 4)).png"
  }

  private func generateMissing(
    _ request: TextToImage.Request, with model: EvaluatedModel, _ seed: UInt64,
    _ noise: (UInt64) -> some NormalSource, _ use: (String) throws -> Void
  ) throws {
    var open: ImageGenerator?
    for index in prompts.indices(of: partition) {
      let entry = prompts.entries[index]
      let folder = "\(path)/\(padded(index, 5))"
      try Folders.make("\(folder)/samples")
      let metadata = JSON.object(entry.metadata).text() + "\n"
      try AtomicFile.replace("\(folder)/metadata.jsonl", with: Array(metadata.utf8))
      for image in 0..<count {
        let file = file(index, image: image)
        guard !Folders.exists(file) else { continue }
        if let interruption = Interruption.pending { throw interruption }
        let generator = try open ?? model.open()
        open = generator
        var request = request
        request.prompt = entry.text
        let source = noise(seed &+ UInt64(image))
        try AtomicFile.replace(file, with: try generator.png(request, from: source))
        try use(file)
      }
    }
  }

  /// Whether a path in the folder is one that such a call writes.
  static func writes(_ path: String) -> Bool {
    path == "state/images.json"
      || path.wholeMatch(of: /\d{5,}\/(metadata\.jsonl|samples\/\d{4,}\.png)/) != nil
  }

  /// Everything that the images depend on.
  private func settings(
    _ request: TextToImage.Request, _ model: EvaluatedModel, _ seed: UInt64, _ noise: String
  ) throws -> JSON.Object {
    let size = request.size.map { JSON.string("\($0.width)x\($0.height)") } ?? .null
    var settings: JSON.Object = .init()
    settings["model"] = .string(try model.digest(FileDigests()))
    settings["prompts"] = .array(prompts.entries.map { .string($0.text) })
    settings["negative"] = request.negativePrompt.map { .string($0) } ?? .null
    settings["seed"] = JSON(seed)
    settings["rng"] = .string(noise)
    settings["steps"] = .integer(request.steps)
    settings["guidance"] = .number(Double(request.guidance))
    settings["eta"] = .number(Double(request.eta))
    settings["scheduler"] = request.scheduler.map { .string("\($0)") } ?? .null
    settings["size"] = size
    settings["vae_tiling"] = .bool(request.usesTiles)
    return settings
  }

  private var record: String { "\(path)/state/images.json" }

  /// Writes down what the images are made with, or checks that it is what they were made with.
  private func claim(_ settings: JSON.Object) throws {
    // In this order: other parts write the record before anything else.
    let others = try Folders.names(in: path).filter { $0 != "state" && $0 != "lock" }
    guard Folders.exists(record) else {
      if let other = others.first {
        throw EvaluationError.foreignFolder(path: path, holds: other)
      }
      let text = JSON.object(settings).text(.pretty) + "\n"
      return try AtomicFile.replace(record, with: Array(text.utf8))
    }
    try requireSame(settings)
  }

  private func requireSame(_ settings: JSON.Object) throws {
    let known = try JSON(contentsOf: record)
    for (key, value) in settings where known[key] != value {
      throw EvaluationError.otherImages(path: path, setting: key)
    }
  }
}
