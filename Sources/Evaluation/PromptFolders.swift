public import Diffusion
import Files
import Imaging
public import PipelineCore
public import RandomStreams

/// Images of a list of prompts in the layout that GenEval's scripts read.
///
///     00000/metadata.jsonl      what the list says of the prompt
///     00000/samples/0000.png    its images
///
/// Images that exist are kept, so the same call continues where an interrupted one stopped, and the whole takes what
/// parts have made. What they were made with stands in `state/images.json`, so that no others are taken for them.
public struct PromptFolders {
  /// What there is after a call.
  public struct Outcome: Equatable, Sendable {
    /// Of the list, or of the part.
    public var promptCount = 0
    public var imageCount = 0
    /// Those of this call; the others were there.
    public var generatedCount = 0
  }

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
  /// - Throws: `EvaluationError` if the folder holds other images, or files that are no images;
  ///   `Interruption` if a signal asks to stop, after the image at work
  public func generate(
    _ request: TextToImage.Request, with model: EvaluatedModel, seed: UInt64,
    noise: (name: String, source: (UInt64) -> some NormalSource), merges: Bool = false,
    _ use: (String) throws -> Void
  ) throws -> Outcome {
    let settings = try settings(request, model, seed, noise.name)
    try ImageFolder.requireOwn(path, record: "images.json")
    if merges { try requireComplete(settings) }
    return try ImageFolder(path, partition, writes: Self.writes).whileHeld {
      try claim(settings)
      let outcome = try generateMissing(request, with: model, seed, noise.source, use)
      // Another part may have begun at the same moment, with others.
      try requireSame(settings)
      return outcome
    }
  }

  /// Checks that parts have made every image, and writes nothing.
  ///
  /// - Throws: `EvaluationError.incomplete`
  private func requireComplete(_ settings: JSON.Object) throws {
    if Folders.exists(record) { try requireSame(settings) }
    let missing = prompts.entries.indices.filter { index in
      (0..<count).contains { !Folders.exists(file(index, image: $0)) }
    }
    guard missing.isEmpty else {
      throw EvaluationError.incomplete(
        path: path, missing: missing, total: prompts.entries.count, others: 0)
    }
  }

  private func file(_ index: Int, image: Int) -> String {
    "\(path)/\(padded(index, 5))/samples/\(padded(image, 4)).png"
  }

  private func generateMissing(
    _ request: TextToImage.Request, with model: EvaluatedModel, _ seed: UInt64,
    _ noise: (UInt64) -> some NormalSource, _ use: (String) throws -> Void
  ) throws -> Outcome {
    var outcome = Outcome()
    var open: ImageGenerator?
    for index in prompts.indices(of: partition) {
      outcome.promptCount += 1
      let entry = prompts.entries[index]
      let folder = "\(path)/\(padded(index, 5))"
      try Folders.make("\(folder)/samples")
      let metadata = JSON.object(entry.metadata).text() + "\n"
      try AtomicFile.replace("\(folder)/metadata.jsonl", with: Array(metadata.utf8))
      for image in 0..<count {
        outcome.imageCount += 1
        let file = file(index, image: image)
        guard !Folders.exists(file) else {
          _ = try RGBImage(generatedAt: file)
          continue
        }
        if let interruption = Interruption.pending { throw interruption }
        let generator = try open ?? model.open()
        open = generator
        var request = request
        request.prompt = entry.text
        let source = noise(seed &+ UInt64(image))
        try AtomicFile.replace(file, with: try generator.png(request, from: source))
        outcome.generatedCount += 1
        try use(file)
      }
    }
    return outcome
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
    let known: JSON
    do { known = try JSON(contentsOf: record) } catch let error as JSONError {
      throw EvaluationError.damagedRecord(path: record, problem: "\(error)", folder: path)
    }
    for (key, value) in settings where known[key] != value {
      throw EvaluationError.otherImages(path: path, setting: key)
    }
  }
}
