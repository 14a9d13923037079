import Diffusion
import Files
import PipelineCore
import RandomStreams

/// The images of all prompts by one model at one guidance.
///
/// Their folder is named after a digest of everything they depend on: images of another model or
/// other settings are never mistaken for them, and a base model's images are generated once for all
/// models that are compared with it.
struct ImageSet {
  let model: EvaluatedModel
  let guidance: Float
  let digest: String
  private let request: EvaluationRequest

  init(
    _ request: EvaluationRequest, _ model: EvaluatedModel, modelDigest: String, guidance: Float
  ) {
    self.request = request
    self.model = model
    self.guidance = guidance
    let content =
      [
        "images 1", modelDigest, "\(guidance)", "\(request.steps)", "\(request.eta)",
        "\(request.seed)",
      ] + request.prompts.entries.map { JSON.string($0.text).text() }
    digest = SHA256.hexDigest(of: Array(content.joined(separator: "\n").utf8))
  }

  /// The beginning of the digest, used in folder names.
  var name: String { String(digest.prefix(16)) }

  /// Returns a path relative to the evaluation's folder.
  func path(prompt: Int, image: Int) -> String {
    "images/\(name)/\(padded(prompt, 5))/\(padded(image, 4)).png"
  }

  func fullPath(prompt: Int, image: Int) -> String {
    "\(request.folder)/\(path(prompt: prompt, image: image))"
  }

  /// Returns the missing images of some prompts.
  func missing(of prompts: [Int]) -> [(prompt: Int, image: Int)] {
    prompts.flatMap { prompt in
      (0..<request.imagesPerPrompt).map { (prompt, $0) }
    }.filter { !Folders.exists(fullPath(prompt: $0.0, image: $0.1)) }
  }

  func generate(prompt: Int, image: Int, with model: ImageGenerator) throws {
    var sampling = TextToImage.Request(prompt: request.prompts.entries[prompt].text)
    sampling.steps = request.steps
    sampling.guidance = guidance
    sampling.eta = request.eta
    sampling.scheduler = .ddim
    let path = fullPath(prompt: prompt, image: image)
    let noise = TorchCPUGenerator(seed: request.seed(prompt: prompt, image: image))
    let png = try model.png(sampling, from: noise)
    try Folders.make(OutputPath.folder(of: path))
    try AtomicFile.replace(path, with: png)
  }
}

/// Pads a number with leading zeros to at least `width` digits.
func padded(_ number: Int, _ width: Int) -> String {
  let digits = "\(number)"
  return String(repeating: "0", count: max(0, width - digits.count)) + digits
}
