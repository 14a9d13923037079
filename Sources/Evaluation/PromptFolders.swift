public import Diffusion
import Files
import PipelineCore
public import TensorCore

/// Images of a list of prompts in the layout that GenEval's scripts read.
///
///     00000/metadata.jsonl      what the list says of the prompt
///     00000/samples/0000.png    its images
///
/// Images that are there are kept, so the same call goes on where an interrupted one stopped. What they
/// were made with stands in `state/images.json`, so that no others are taken for them.
public struct PromptFolders {
  public let path: String
  private let prompts: PromptList
  private let count: Int

  /// - Parameter count: images of each prompt
  public init(path: String, prompts: PromptList, count: Int) {
    self.path = path
    self.prompts = prompts
    self.count = count
  }

  /// Generates the missing images.
  ///
  /// - Parameters:
  ///   - request: sampling options; its prompt is ignored
  ///   - seed: of the first image of each prompt; the others have the next ones
  ///   - noise: what the source of noise is called, and the source of a seed
  ///   - use: is given the path of each image that was generated
  /// - Throws: `EvaluationError` if the folder holds other images; `Interruption` if a signal asks to
  ///   stop, after the image at work
  public func generate(
    _ request: TextToImage.Request, with model: EvaluatedModel, seed: UInt64,
    noise: (name: String, source: (UInt64) -> some NormalSource), _ use: (String) throws -> Void
  ) throws {
    let settings = try settings(request, model, seed, noise.name)
    try requireOwnFolder()
    let lock = try WorkspaceLock(Workspace(path: path))
    defer { withExtendedLifetime(lock) {} }
    try Folders.removeLeftovers(in: path, of: Self.writes)
    try claim(settings)
    var open: ImageGenerator?
    for (index, entry) in prompts.entries.enumerated() {
      let folder = "\(path)/\(padded(index, 5))"
      try Folders.make("\(folder)/samples")
      let metadata = JSON.object(entry.metadata).text() + "\n"
      try AtomicFile.replace("\(folder)/metadata.jsonl", with: Array(metadata.utf8))
      for image in 0..<count {
        let file = "\(folder)/samples/\(padded(image, 4)).png"
        guard !Folders.exists(file) else { continue }
        if let interruption = Interruption.pending { throw interruption }
        let generator = try open ?? model.open()
        open = generator
        var request = request
        request.prompt = entry.text
        let source = noise.source(seed &+ UInt64(image))
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

  /// Refuses a folder that holds what no such call wrote.
  private func requireOwnFolder() throws {
    let names = try Folders.names(in: path)
    guard names.isEmpty || names.contains("state") else {
      throw EvaluationError.foreignFolder(path: path, holds: names[0])
    }
  }

  /// Writes down what the images are made with, or checks that it is what they were made with.
  private func claim(_ settings: JSON.Object) throws {
    let record = "\(path)/state/images.json"
    guard Folders.exists(record) else {
      let text = JSON.object(settings).text(.pretty) + "\n"
      let others = try Folders.names(in: path).filter { $0 != "state" && $0 != "lock" }
      if let other = others.first {
        throw EvaluationError.foreignFolder(path: path, holds: other)
      }
      return try AtomicFile.replace(record, with: Array(text.utf8))
    }
    let known = try JSON(contentsOf: record)
    for (key, value) in settings where known[key] != value {
      throw EvaluationError.otherImages(path: path, setting: key)
    }
  }
}
