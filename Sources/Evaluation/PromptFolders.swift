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
/// were made with stands in `images.json`, so that no others are taken for them.
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
    try claim(request, model, seed, noise.name)
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

  /// Writes down what the images are made with, or checks that it is what they were made with.
  private func claim(
    _ request: TextToImage.Request, _ model: EvaluatedModel, _ seed: UInt64, _ noise: String
  ) throws {
    let size = request.size.map { JSON.string("\($0.width)x\($0.height)") } ?? .null
    let settings: JSON = [
      "model": .string(try model.digest(FileDigests())),
      "prompts": .array(prompts.entries.map { .string($0.text) }),
      "negative": request.negativePrompt.map { .string($0) } ?? .null,
      "seed": JSON(seed), "rng": .string(noise), "steps": .integer(request.steps),
      "guidance": .number(Double(request.guidance)), "eta": .number(Double(request.eta)),
      "scheduler": request.scheduler.map { .string("\($0)") } ?? .null, "size": size,
      "vae_tiling": .bool(request.usesTiles),
    ]
    let record = "\(path)/images.json"
    let names = try Folders.names(in: path)
    guard !names.isEmpty else {
      try Folders.make(path)
      return try AtomicFile.replace(record, with: Array((settings.text(.pretty) + "\n").utf8))
    }
    guard Folders.exists(record) else {
      throw EvaluationError.foreignFolder(path: path, holds: names[0])
    }
    let known = try JSON(contentsOf: record)
    for (key, value) in settings.object ?? .init() where known[key] != value {
      throw EvaluationError.otherImages(path: path, setting: key)
    }
  }
}
